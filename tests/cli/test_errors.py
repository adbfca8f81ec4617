"""How errors are shown: on a terminal with the line that they are about, in color, and with
--format json as one document."""

from __future__ import annotations

import json
import os
import pty
import signal
import threading
from collections.abc import Callable
from typing import Any

import click
import pytest

from majobctl.cli import cli, main
from majobctl.cli.failures import show_problems
from majobctl.cli.options import format_option
from majobctl.errors import Problem
from tests.cli.test_general import ALL, found_at
from tests.config_repository import Repository, finished, terminal, until
from tests.fake_service import FakeService, Handler

JSON = [
    path
    for path in (*ALL, ("history",))
    for it in found_at(path).params
    if "--format" in it.opts and "json" in getattr(it.type, "choices", ())
]


def test_these_have_one() -> None:
    assert {("plan",), ("apply",), ("drift",), ("state", "list"), ("render",)} <= {*JSON}
    assert len(JSON) >= 15


def error_in(document: Any) -> Any:
    assert [*document] == ["format_version", "majobctl_version", "error"]
    error = document["error"]
    named = ["kind", "exit_code", "message", "advice", "problems", "warnings"]
    assert [*error][:6] == named
    assert error["message"]
    return error


@pytest.mark.parametrize("path", JSON, ids=" ".join)
def test_every_command_with_a_json_format_has_a_document_for_its_error(
    repository: Repository, path: tuple[str, ...]
) -> None:
    given = {"blame": ["x"], "import": ["x"]}.get(path[-1], [])
    plain = "toml" if path == ("render",) else "text"
    for arguments, kind in (
        ([*path, *given, "--format", "json"], "error"),
        ([*path, *given, "-C", "nowhere", "--format=json"], "error"),
        ([*path, "--nonsense", "--format", "json"], "usage"),
        (["--format", "json", *path], "usage"),
        ([*path, *given, "--format", "json", "-e", ""], "usage"),
    ):
        ran = repository.run(*arguments, code=1)
        error = error_in(ran.document)
        assert (error["kind"], error["exit_code"]) == (kind, 1)
        assert ran.stderr.endswith(f"{error['message']}\n" if not error["advice"] else "\n")
        assert error["message"] in ran.stderr
        text = repository.run(*(it.replace("json", plain) for it in arguments), code=1)
        assert (text.stdout, text.stderr) == ("", ran.stderr)


def broken(repo: Repository) -> None:
    repo.write("jobs/alpha.toml", "[job_config.alpha]\ntrain_instance_count = 0\n")


def damaged(repo: Repository) -> None:
    repo.state_path.write_text("{}")


def locked(repo: Repository) -> None:
    holder = {"id": "4f1c2d9a7b60", "user": "ada", "host": "elsewhere", "pid": 7}
    holder |= {"command": "majobctl apply", "since": "2026-11-23T12:00:00Z"}
    repo.write("majobctl.state.json.lock.holder", json.dumps(holder))


def stale(repo: Repository) -> None:
    repo.done("plan", "--out", "saved.plan")
    repo.apply("--overwrite")


def denied(repo: Repository) -> None:
    repo.job("alpha", train_instance_count=2)
    repo.write(
        "policy.toml",
        '[policy.few]\nbecause = "shared"\nrequire.train_instance_count.maximum = 1\n'
        "fails = [{ train_instance_count = 2 }]\n",
    )


KINDS: list[tuple[Callable[[Repository], None], str, str, int]] = [
    (broken, "plan", "config", 1),
    (broken, "apply --auto-approve", "config", 1),
    (broken, "drift --refresh", "usage", 1),
    (damaged, "plan", "state", 1),
    (damaged, "show alpha", "state", 1),
    (locked, "apply --auto-approve --overwrite", "locked", 4),
    (stale, "apply saved.plan", "stale", 5),
    (denied, "apply --auto-approve", "policy", 1),
]


@pytest.mark.parametrize(
    ("make", "command", "kind", "code"), KINDS, ids=[f"{it[2]}: {it[1]}" for it in KINDS]
)
def test_the_document_says_what_kind_of_error_it_is(
    repo: Repository,
    make: Callable[[Repository], None],
    command: str,
    kind: str,
    code: int,
) -> None:
    repo.job("alpha", config_desc="second")
    make(repo)
    ran = repo.run(*command.split(), "--format", "json", code=code)
    error = error_in(ran.document)
    assert (error["kind"], error["exit_code"]) == (kind, code)
    places = [(it["file"], it["line"], it["where"], it["policy"]) for it in error["problems"]]
    if kind == "config":
        assert ("jobs/alpha.toml", 2, "job_config.alpha", "") in places
    elif kind == "policy":
        assert places == [("jobs/alpha.toml", 9, "job_config.alpha", "few")]
    else:
        assert places == []


def test_a_plan_that_policies_deny_is_a_plan(repo: Repository) -> None:
    denied(repo)
    document = repo.run("plan", "--format", "json", code=1).document
    assert [it["policy"] for it in document["violations"]] == ["few"]
    (problem,) = repo.run("validate", "--format", "json", code=1).document["problems"]
    assert problem["policy"] == "few"


def test_a_refusal_of_the_service_has_its_code_status_and_request_id(
    on_rest: Repository, rest: FakeService
) -> None:
    refusal = {"error_code": "ModelArts.0112", "error_msg": "no", "request_id": "r-1"}
    rest.answer_next(403, refusal)
    error = error_in(on_rest.run("flavors", "--format", "json", code=1).document)
    assert error["kind"] == "service"
    assert error["service"] == {"code": "ModelArts.0112", "status": 403, "request_id": "r-1"}
    assert error["advice"]
    on_rest.environment["OS_SECRET_KEY"] = "wrong"
    error = error_in(on_rest.run("drift", "--format", "json", code=1).document)
    assert (error["kind"], error["service"]["status"]) == ("credentials", 401)
    on_rest.environment["OS_SECRET_KEY"] = ""
    error = error_in(on_rest.run("flavors", "--format", "json", code=1).document)
    assert (error["kind"], error["message"]) == ("credentials", "no credentials")
    assert error["advice"][-1].startswith("set OS_SECRET_KEY in the environment")
    assert "service" not in error


def test_a_service_that_cannot_be_reached_is_a_kind_of_its_own(on_rest: Repository) -> None:
    on_rest.settings('[provider]\nendpoint = "http://127.0.0.1:1"\nproject_id = "p"\nretries = 0\n')
    error = error_in(on_rest.run("flavors", "--format", "json", code=1).document)
    assert (error["kind"], error.get("service")) == ("connection", None)


def test_an_interrupted_command_has_a_document(on_rest: Repository, rest: FakeService) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang(_: Handler) -> None:
        asked.set()
        go_on.wait(30)

    rest.script.append(hang)
    process = on_rest.start("flavors", "--format", "json")
    until(asked.is_set, "the request")
    process.send_signal(signal.SIGINT)
    ran = finished(process)
    go_on.set()
    error = error_in(ran.document)
    assert (ran.code, error["kind"], error["exit_code"]) == (130, "interrupted", 130)


def test_what_has_no_json_format_has_no_document(repository: Repository) -> None:
    for words in ("capture none.py --format json", "init --format json", "fmt --format=json"):
        assert repository.run(*words.split(), code=1).stdout == ""
    assert error_in(repository.run("plam", "--format", "json", code=1).document)


# The line


def shown(repo: Repository, *arguments: str, **environment: str) -> list[str]:
    """What a terminal of 100 columns shows below the first problem."""
    with terminal(repo, *(arguments or ("validate",)), **environment) as screen:
        code, _ = screen.finish()
    assert code == 1
    return screen.plain.split("\n")


LINES = [
    ("train_instance_count = 0", "train_instance_count", ""),
    ("  inputs\t= '/b/../x'", "inputs", "  inputs    = '/b/../x'"),
    ('output_pth = "/b/o/"', "output_pth", "output_pth = …"),
    ("output_pth = 5  # not here", "output_pth", "output_pth = 5"),
    ('sensitive = ["config_desc", "nope"]', '"nope"', ""),
    ("lr = True", "True"[:1], ""),
    ('config_desc = "a', '"'[:0], ""),
    ("config_desc = “日本語”", "“", ""),
    ("hyperparameters = {日 = 1}", "日", ""),
    (
        'hyperparameters = {a = "x", log_url = "/b/"}',
        "log_url",
        'hyperparameters = {a = …, log_url = "/b/"}',
    ),
    ('user_command = "x --lr=1" \x07', "\\x07", 'user_command = "x --lr=1" \\x07'),
    ("e\u0301 = 1", "\u0301", ""),
]


@pytest.mark.parametrize(("line", "marked", "seen"), LINES, ids=[it[0][:20] for it in LINES])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_caret_is_below_the_key_or_the_value(
    repository: Repository, line: str, marked: str, seen: str, end: str
) -> None:
    repository.settings('[provider]\nkind = "emulator"\n')
    text = f"[job_config.x]{end}{line}{end}"
    (repository.root / "jobs").mkdir()
    (repository.root / "jobs" / "x.toml").write_bytes(text.encode())
    lines = shown(repository)
    seen = seen or line
    at = next(index for index, it in enumerate(lines) if it == f"    2 | {seen}")
    message = [it for it in lines[:at] if not it.startswith("  ")]
    assert message[-1].startswith("jobs/x.toml:2")
    before = seen.index(marked) if marked else len(seen)
    columns = before + sum(it > "\u2fff" for it in seen[:before])
    assert lines[at + 1].rstrip("^") == f"      | {' ' * columns}"
    assert lines[at + 1].endswith("^")


def test_the_line_is_cut_around_its_place(repository: Repository) -> None:
    repository.settings('[provider]\nkind = "emulator"\n')
    filler = "x" * 5000
    for line, start, end, marked in (
        (f'user_command = "{filler}" {"y" * 5000}', "…", "…", "y"),
        (f'user_command = "{filler}" y', "…", "y", "y"),
        (f'config_desc = "{filler}"', "config", "…", "config_desc"),
    ):
        repository.write("jobs/x.toml", f"[job_config.x]\n{line}\n")
        lines = shown(repository)
        at = next(i for i, it in enumerate(lines) if it.startswith(f"    2 | {start}"))
        assert lines[at].endswith(end)
        assert 90 < len(lines[at]) <= 100
        caret = lines[at + 1]
        assert lines[at][caret.index("^") : len(caret)] == marked


SECRET = "hunter2-hunter2"
SECRETS = [
    f'password = "{SECRET}',
    f'password = {{a = "{SECRET}"',
    f'"my.password" = "{SECRET}"',
    f'hyperparameters = {{a = 1, api_key = "{SECRET}"}}',
    f'hyperparameters = [{{label = "token", value = "{SECRET}"}}]',
    f'config_desc = "{SECRET}"\nsensitive = ["config_desc", "nope"]\nconfig_desc = "{SECRET}"',
    f'unknown = "{SECRET}"',
    f'lr = 0.1 # was {SECRET}"',
    f'x = """\n{SECRET} \\q"""',
    f"x = '''\n{SECRET}\n''' y",
    f'endpoint = "https://someone:{SECRET}@example.com/"',
    f'log_url = "https://someone:{SECRET}@example.com/x"',
    f'address = "host=db.example.com password={SECRET}"',
    f'sensitive = "config_desc"\nconfig_desc = ["{SECRET}"]',
    f'inputs = [\n  "{SECRET}",\n  True]',
    f"password = “{SECRET}”",
    f"password {SECRET}",
    f"password: {SECRET}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_line_shows_what_may_be_secret(repository: Repository, text: str) -> None:
    """In a job file and in the settings, broken and not."""
    for text_of_file in (f"[job_config.x]\n{text}\n", f"[job_config.x]\n{text}\n]"):
        repository.settings('[provider]\nkind = "emulator"\n')
        repository.write("jobs/x.toml", text_of_file)
        first = repository.run("--color", "always", "validate", code=1)
        repository.write("jobs/x.toml", "")
        repository.settings(text_of_file.replace("job_config.x", "provider"))
        second = repository.run("--color", "always", "validate", code=1)
        named = repository.run("fmt", "majobctl.toml", "--color", "always")
        for ran in (first, second, named):
            assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "state",
    [
        f'backend = "git"\nremote = "https://someone:{SECRET}@example.com/x"',
        f'backend = "git"\nbranch = "https://{SECRET}@example.com/x"',
        f'backend = "s3"\nbucket = "https://a:{SECRET}@example.com"',
        f'backend = "postgres"\naddress = "host=db.example.com password={SECRET}"',
        f'backend = "http"\naddress = "https://someone:{SECRET}@example.com/x"',
    ],
    ids=["remote", "branch", "bucket", "keywords", "http"],
)
def test_no_message_shows_a_login_in_an_address(repository: Repository, state: str) -> None:
    repository.settings(f'[provider]\nkind = "emulator"\n[state]\n{state}\n')
    for options in (["--color", "always"], ["--format", "json"]):
        ran = repository.run("plan", *options, code=1)
        assert SECRET not in ran.stdout + ran.stderr


def test_what_a_template_elsewhere_calls_sensitive_is_not_shown(repository: Repository) -> None:
    repository.settings('[provider]\nkind = "emulator"\n')
    repository.write("jobs/t.toml", '[templates.t]\nsensitive = ["config_desc"]\n')
    text = f'[job_config.x]\nuse = "t"\nconfig_desc = "{SECRET}{"x" * 300}"\n'
    repository.write("jobs/x.toml", text)
    ran = repository.run("validate", "--color", "always", code=1)
    assert "    3 | config_desc = …\n" in ran.stderr
    assert SECRET not in ran.stderr


def test_a_file_is_found_from_wherever_its_path_counts(repository: Repository) -> None:
    repository.settings('[provider]\nkind = "emulator"\n[variables]\nb = "x"\n')
    repository.write("jobs/x.toml", "[job_config.x]\nlr = \n")
    repository.write("jobs/deep/v.toml", "b = True\n")
    root, repository.root = repository.root, repository.root / "jobs" / "deep"
    for arguments in (["validate"], ["plan"], ["fmt", "../x.toml"], ["fmt"]):
        ran = repository.run(*arguments, "--color", "always", code=1)
        assert "    2 | lr =\n" in ran.stderr
    for option in (["--var-file", "v.toml"], ["--var-file=v.toml"]):
        assert (
            "    1 | b = True\n"
            in repository.run("validate", "--color", "always", *option, code=1).stderr
        )
    repository.root = root
    assert (
        "    1 | b = True\n"
        in repository.run(
            "-C", "jobs/deep", "validate", "--color", "always", "--var-file", "v.toml", code=1
        ).stderr
    )


def test_the_first_twenty_of_many_problems_have_their_line(repository: Repository) -> None:
    repository.settings('[provider]\nkind = "emulator"\n')
    keys = "".join(f"key{number} = {number}\n" for number in range(500))
    repository.write("jobs/x.toml", f"[job_config.x]\n{keys}")
    lines = shown(repository)
    assert sum(it.startswith("      | ") for it in lines) == 17
    assert sum(it.startswith("jobs/x.toml:1:") for it in lines) == 4  # for one line
    assert sum(it.startswith("jobs/x.toml:") for it in lines) == 504


def test_the_same_line_is_shown_once(repository: Repository) -> None:
    repository.settings('[provider]\nkind = "emulator"\n')
    repository.write("jobs/x.toml", "[job_config.x]\n")
    *problems, _, line, caret, summary, _ = shown(repository)
    assert len(problems) > 2
    assert (line, caret) == ("    1 | [job_config.x]", "      |  " + "^" * len("job_config.x"))
    assert summary == "4 problems. Nothing was done."


def test_only_a_terminal_and_forced_colors_have_lines(on_emulator: Repository) -> None:
    broken(on_emulator)
    plain = on_emulator.run("validate", code=1).stderr
    assert "|" not in plain
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        lines = shown(on_emulator, **environment)
        assert "\x1b" not in "".join(lines)
        assert "    2 | train_instance_count = 0" in lines
    with terminal(on_emulator, "validate") as screen:
        screen.finish()
    assert "\x1b[31m\x1b[1mjobs/alpha.toml:1:\x1b[0m job_config.alpha: " in screen.seen
    on_emulator.environment["FORCE_COLOR"] = "1"
    assert "\x1b[31m" in (forced := on_emulator.run("validate", code=1).stderr)
    assert "    2 | train_instance_count = 0\n" in forced


def test_errors_are_red_and_warnings_yellow_in_their_first_words(on_emulator: Repository) -> None:
    on_emulator.job("alpha", inputs=None)
    warned = on_emulator.done("plan", "--color", "always").stderr
    assert warned.startswith(
        "\x1b[33m\x1b[1mWarning:\x1b[0m \x1b[33m\x1b[1mjobs/alpha.toml:1:\x1b[0m"
    )
    assert warned.count("\x1b[33m") == 2
    for arguments in (["show", "nobody"], ["nope"], ["plan", "--nope"], ["-C", "nope", "plan"]):
        ran = on_emulator.run("--color", "always", *arguments, code=1)
        assert ran.stderr.count("\x1b[31m\x1b[1mError:\x1b[0m ") == 1


def test_stdout_and_stderr_are_colored_each_by_itself(on_emulator: Repository) -> None:
    on_emulator.job("alpha", inputs=None)
    master, slave = pty.openpty()
    try:
        for stream, colored in (("stderr", "stdout"), ("stdout", "stderr")):
            process = on_emulator.start("plan", **{colored: slave})
            out, err = process.communicate(timeout=30)
            assert (out or err or b"").count(b"\x1b") == 0
            assert b"\x1b" in os.read(master, 65536), stream
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize("content", [None, b"", b"a\n" * 3, b"\xff\x00" * 99, b"\n\n\n\n\n"])
def test_a_file_that_changed_meanwhile_has_no_line(
    repository: Repository, content: bytes | None
) -> None:
    if content is not None:
        (repository.root / "x.toml").write_bytes(content)
    problems = [Problem(file=it, line=5, message="wrong") for it in ("x.toml", ".", "\0", "/")]
    with click.Context(click.Command("x"), obj={"color": "always"}):
        show_problems(problems, (), ())
    said = repository.capsys.readouterr().err.splitlines()
    assert [it for it in said if "wrong" in it] == said


def test_a_defect_and_a_refusal_of_the_system_have_a_document(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("fail")
    @format_option
    @click.argument("number", type=int)
    def fail(format_: str, number: int) -> None:
        raise OSError(28, "No space left on device") if number else ZeroDivisionError

    cli.add_command(fail)
    try:
        codes = [main(["fail", it, "--format", "json"]) for it in ("0", "1")]
    finally:
        del cli.commands["fail"]
    first, end, second = capsys.readouterr().out.partition("\n}\n")
    defect, system = error_in(json.loads(first + end)), error_in(json.loads(second))
    assert codes == [defect["exit_code"], system["exit_code"]] == [1, 1]
    assert (defect["kind"], system["kind"]) == ("defect", "system")
    assert system["message"] == "cannot write the output: No space left on device"
