from __future__ import annotations

import json
from typing import Any

import pytest

from majobctl.cli.plan import FORMATS
from tests.config_repository import JOB, PATIENCE, Repository


def test_an_edited_value_is_shown_and_nothing_else(on_emulator: Repository) -> None:
    on_emulator.job("beta")
    on_emulator.apply()
    on_emulator.job("alpha", train_instance_count=2)
    assert on_emulator.done("plan").stdout == (
        "  ~ job_config.alpha                             jobs/alpha.toml:9\n"
        "      ~ train_instance_count         1 -> 2\n"
        "\n"
        "Plan: 1 to update, 1 unchanged. 1 update_job_configs call.\n"
    )


@pytest.mark.parametrize(
    ("options", "first", "count"),
    [
        ([], "  ~ majobctl.toml:", 4),
        (["--by", "config"], "  ~ job_config.alpha ", 7),
        (["--summary"], "  ~ job_config.alpha ", 4),
    ],
)
def test_a_plan_is_told_by_cause_by_job_config_or_in_one_line_a_change(
    on_emulator: Repository, options: list[str], first: str, count: int
) -> None:
    on_emulator.job("beta")
    settings = on_emulator.root / "majobctl.toml"
    plain = settings.read_text(encoding="utf-8")
    settings.write_text(plain + '[defaults]\nlog_url = "/b/1/"\n', encoding="utf-8")
    on_emulator.apply()
    settings.write_text(plain + '[defaults]\nlog_url = "/b/2/"\n', encoding="utf-8")
    text = on_emulator.done("plan", *options).stdout
    assert text.startswith(first)
    assert text.count("\n") == count
    on_emulator.done("plan", "--out", "saved.plan")
    assert on_emulator.done("show", "saved.plan", *options).stdout == text
    markdown = on_emulator.done("plan", "--format", "markdown", *options).stdout
    assert ("| cause |" in markdown, "<details>" in markdown) == (not options, "--by" in options)
    assert on_emulator.done("apply", "--auto-approve", *options).stdout.startswith(text)


def test_a_plan_changes_no_file(on_emulator: Repository) -> None:
    on_emulator.apply()
    on_emulator.job("alpha", train_instance_count=2)
    before = {path: path.stat().st_mtime_ns for path in on_emulator.root.rglob("*")}
    on_emulator.done("plan")
    on_emulator.done("plan", "--format", "json")
    assert before == {path: path.stat().st_mtime_ns for path in on_emulator.root.rglob("*")}


def test_the_same_repository_gives_the_same_json_bytes(on_emulator: Repository) -> None:
    on_emulator.job("beta", hyperparameters={"b": "1", "a": "2"})
    on_emulator.apply()
    on_emulator.job("beta", hyperparameters={"a": "3", "b": "1"})
    one = on_emulator.done("plan", "--format", "json")
    two = on_emulator.process("plan", "--format", "json")
    assert one.stdout == two.stdout
    assert one.stderr == two.stderr == ""
    (change,) = one.document["changes"]
    place = {"file": "jobs/beta.toml", "line": 10, "key": "job_config.beta.hyperparameters.a"}
    field = {"path": ["hyperparameters", "a"], "action": "update", "before": "2", "after": "3"}
    assert change["fields"] == [{**field, "cause": place}]
    reached = {"fields": [field["path"]], "job_configs": ["beta"]}
    assert one.document["causes"] == [{**place, **reached}]
    assert change["source"] == {"file": "jobs/beta.toml", "line": 1}


def test_two_descriptions_of_one_request_are_equal(on_emulator: Repository) -> None:
    on_emulator.job("alpha", hyperparameters={"a": "1", "b": "2"}, log_url="/ml/log/")
    on_emulator.apply()
    on_emulator.job(
        "alpha",
        hyperparameters=[{"label": "b", "value": "2"}, {"label": "a", "value": 1}],
        log_url="obs://ml/log/",
        config_desc="",
        data_source=[],
    )
    assert on_emulator.done("plan").stdout.startswith("No changes.")


def test_numbers_are_compared_as_they_are_written(on_emulator: Repository) -> None:
    on_emulator.job("alpha", hyperparameters={"lr": "0.10", "flag": "true"})
    on_emulator.apply()
    text = (on_emulator.root / "jobs" / "alpha.toml").read_text()
    on_emulator.write("jobs/alpha.toml", text.replace('"0.10"', "0.10").replace('"true"', "true"))
    assert on_emulator.done("plan").stdout.startswith("No changes.")
    on_emulator.write("jobs/alpha.toml", text.replace('"0.10"', "0.1"))
    assert '"0.10" -> "0.1"' in on_emulator.done("plan").stdout


def test_detailed_exit_codes(on_emulator: Repository) -> None:
    assert on_emulator.run("plan", "--detailed-exitcode").code == 2
    assert on_emulator.run("plan", "--detailed-exitcode", "--format", "json").code == 2
    on_emulator.apply()
    assert on_emulator.run("plan", "--detailed-exitcode").code == 0
    on_emulator.job("alpha", train_instance_count=0)
    assert on_emulator.run("plan", "--detailed-exitcode").code == 1


def test_warnings_go_to_stderr_and_into_the_document(on_emulator: Repository) -> None:
    on_emulator.job("alpha", inputs=None)
    ran = on_emulator.done("plan", "--format", "json")
    assert "Warning: jobs/alpha.toml:1: job_config.alpha: no data" in ran.stderr
    assert len(ran.document["warnings"]) == 1


def test_it_runs_from_below_the_repository_and_from_elsewhere(on_emulator: Repository) -> None:
    here = on_emulator.done("plan").stdout
    on_emulator.monkeypatch.chdir("/")
    root = on_emulator.root
    on_emulator.root = root / "jobs"
    assert on_emulator.done("plan").stdout == here
    on_emulator.root = root.parent
    assert on_emulator.done("-C", str(root), "plan").stdout == here
    assert on_emulator.done("--chdir", "repository/jobs", "plan").stdout == here


def test_another_targets_state_is_refused(on_emulator: Repository) -> None:
    on_emulator.apply()
    content = on_emulator.state_path.read_bytes()
    on_emulator.settings('[provider]\nkind = "emulator"\nproject_id = "other"\n')
    for arguments in (["plan"], ["apply", "--auto-approve"]):
        ran = on_emulator.run(*arguments, code=1)
        assert "majobctl.state.json belongs to another target" in ran.stderr
        assert "project other" in ran.stderr
    assert on_emulator.state_path.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: it is empty"),
        (b"\xff" * 1000, "is damaged: it is not UTF-8: byte 0"),
        (b"{}", "is damaged: format_version"),
        (b'{"format_version": 99}', "has format 99"),
        (b"[" * 100_000, "is damaged"),
    ],
)
def test_a_state_that_cannot_be_used_is_refused_and_left_as_it_is(
    on_emulator: Repository, content: bytes, message: str
) -> None:
    on_emulator.state_path.write_bytes(content)
    for arguments in (
        ["plan"],
        ["apply", "--auto-approve"],
        ["show"],
        ["state", "list"],
        ["state", "pull"],
        ["state", "rm", "alpha"],
    ):
        ran = on_emulator.run(*arguments)
        assert (ran.code, ran.stdout) == (1, "")
        assert message in ran.stderr
        assert on_emulator.state_path.read_bytes() == content


def test_what_a_state_made_by_hand_says_is_safe_to_print(on_emulator: Repository) -> None:
    on_emulator.apply()
    evil = "\x1b]0;evil\x07"
    state = on_emulator.state
    state["job_configs"][evil] = {"params": {evil: evil}, "applied_at": evil}
    state["job_configs"]["alpha"]["params"]["hyperparameters"] = {evil: evil}
    on_emulator.state_path.write_text(json.dumps(state))
    for arguments in (
        ["plan"],
        ["plan", "--format", "json"],
        ["show"],
        ["show", "--format", "json"],
        ["state", "list"],
        ["state", "list", "--format", "json"],
        ["state", "pull"],
    ):
        assert "\x1b" not in on_emulator.done(*arguments).stdout
    assert "\x1b" not in on_emulator.run("show", "\x1bnone").stderr


def test_a_state_that_says_null_is_planned_like_one_that_says_nothing(
    on_emulator: Repository,
) -> None:
    on_emulator.apply()
    state = on_emulator.state
    state["job_configs"]["alpha"]["params"].update({"log_url": "", "data_source": []})
    on_emulator.state_path.write_text(json.dumps(state))
    ran = on_emulator.run("plan", code=0)
    assert "train_instance" not in ran.stdout


@pytest.mark.parametrize("pattern", ["", "[", "[!]", "*" * 500, "?" * 10_000, "\x00", "é", "-"])
def test_any_pattern_selects_some_or_is_an_error(on_emulator: Repository, pattern: str) -> None:
    ran = on_emulator.run("plan", f"--target={pattern}")
    assert ("1 to add" in ran.stdout, ran.code) == ((True, 0) if pattern[:1] == "*" else (False, 1))
    assert on_emulator.run("plan", "--exclude", pattern).code == 1


def test_text_that_the_output_cannot_encode_is_not_a_defect(on_emulator: Repository) -> None:
    on_emulator.job("alpha", config_desc="配置 ☃ " + "é" * 99)
    for encoding in ("ascii", "latin-1", "cp1252"):
        on_emulator.environment["PYTHONIOENCODING"] = encoding
        for arguments in (["plan"], ["plan", "--format", "json"]):
            process = on_emulator.start(*arguments)
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            assert b"Traceback" not in err


def test_five_hundred_job_configs_are_planned_in_one_go(on_emulator: Repository) -> None:
    lines = []
    for number in range(500):
        lines.append(f"[job_config.n{number}]")
        lines += [f"{key} = {value!r}" for key, value in JOB.items()]
    on_emulator.write("jobs/many.toml", "\n".join(lines))
    assert "Plan: 501 to add" in on_emulator.done("plan").last_line


COMMAND = "python /home/work/app/train.py --steps {} --seed 7 --cache /b/cache-of-everybody --to {}"
OLD: dict[str, Any] = {
    "framework_type": None,
    "framework_version": None,
    "code_dir": None,
    "boot_file": None,
    "user_image_url": "swr/trainer:1",
    "user_command": COMMAND.format(100, "https://reports.example.com/team"),
}
NEW = {**OLD, "user_command": COMMAND.format(250, "https://collector.example.net/team")}


@pytest.mark.parametrize("columns", ["", "1", "40", "99", "100", "200", "10000", "wide"])
def test_no_width_hides_what_changes_in_a_command(on_emulator: Repository, columns: str) -> None:
    on_emulator.job("alpha", **OLD)
    on_emulator.apply("--overwrite")
    on_emulator.job("alpha", **NEW)
    if columns:
        on_emulator.environment["COLUMNS"] = columns
    shown = {format_: on_emulator.done("plan", "--format", format_).stdout for format_ in FORMATS}
    width = {"": 100, "1": 40, "wide": 100}.get(columns) or int(columns)
    assert all(len(line) <= width for line in shown["text"].splitlines()[:-1])
    flat = {format_: "".join(text.split()) for format_, text in shown.items()}
    for old, new in (("100", "250"), ("reports.example.com", "collector.example.net")):
        together = f'"{OLD["user_command"]}"->"{NEW["user_command"]}"'
        wide = "".join(together.split())
        assert (wide if width == 10000 else f"[-{old}-]{{+{new}+}}") in flat["text"]
        for mark in (f"[-{old}-]", f"{{+{new}+}}"):
            assert mark in flat["markdown"]
        for mark in (f"<del>{old}</del>", f"<ins>{new}</ins>"):
            assert mark in flat["html"]
    (change,) = json.loads(shown["json"])["changes"]
    (field,) = change["fields"]
    assert (field["before"], field["after"]) == (OLD["user_command"], NEW["user_command"])
    state = on_emulator.done("show", "alpha").stdout
    assert "".join(OLD["user_command"].split()) in "".join(state.split())


def test_a_plan_against_a_copy_needs_no_state_and_says_so(on_emulator: Repository) -> None:
    on_emulator.apply()
    copy = on_emulator.done("state", "pull").stdout
    on_emulator.write("copy.json", copy)
    on_emulator.job("beta")
    on_emulator.apply("--overwrite")
    # A fork can neither reach the state nor import its client.
    on_emulator.settings(
        '[provider]\nkind = "emulator"\nseed = "cloud.toml"\n[state]\nbackend = "postgres"\n'
        'address = "postgresql://127.0.0.1:9/nowhere"\nname = "x"\n'
    )
    said = "--state: this is the plan against a copy of the state, serial 1; it may be out of date"
    for form in ("text", "json", "markdown", "html"):
        ran = on_emulator.done("plan", "--state", "copy.json", "--format", form)
        assert ran.stderr == f"Warning: {said}\n"
        assert form == "text" or "a copy of the state, serial 1" in ran.stdout
    assert "1 to add, 1 unchanged" in on_emulator.done("plan", "--state", "copy.json").stdout
    ran = on_emulator.process("plan", "--state", "-", stdin=copy.encode(), code=0)
    assert "1 to add, 1 unchanged" in ran.stdout


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({}, ["--out", "saved.plan"], "such a plan cannot be saved and applied"),
        ({}, ["--base", "HEAD"], "nor compared with --base"),
        ({"target": {"endpoint": "https://x", "project_id": "y"}}, [], "belongs to another target"),
        ({"format_version": 9}, [], "copy.json has format 9"),
        ({"serial": -1}, [], "copy.json is not a state file: serial must be 0 or more"),
        (None, [], "copy.json cannot be read"),
    ],
)
def test_a_copy_of_the_state_is_checked(
    on_emulator: Repository, content: dict[str, Any] | None, options: list[str], message: str
) -> None:
    on_emulator.apply()
    if content is not None:
        on_emulator.write("copy.json", json.dumps({**on_emulator.state, **content}))
    ran = on_emulator.run("plan", "--state", "copy.json", *options, code=1)
    assert message in ran.stderr
    assert not (on_emulator.root / "saved.plan").exists()
