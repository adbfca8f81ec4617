"""``history``, ``blame`` and ``show --at`` after real applies."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from majobctl.operations import ConfigRepository
from majobctl.operations.context import store_of
from majobctl.state.journal import intent
from tests.config_files import committed
from tests.config_repository import Repository, terminal
from tests.git_servers import git

DAY = timedelta(days=1)


def day(ago: timedelta = timedelta()) -> str:
    return f"{datetime.now(timezone.utc) - ago:%Y-%m-%d}"


def next_second() -> None:
    """Returns when the next write has another time than the one before."""
    time.sleep(1.01 - time.time() % 1)


def commit(repo: Repository, user: str) -> str:
    """Commits everything as ``user``; returns the start of the commit's name."""
    git(repo.root, "config", "user.name", user)
    git(repo.root, "add", "-A", "--", "jobs", "majobctl.toml")
    git(repo.root, "commit", "-q", "--allow-empty", "-m", user)
    head = (repo.root / ".git" / (repo.root / ".git/HEAD").read_text().split()[1]).read_text()
    return head[:7]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a copy of each config repository that a fixture has made."""
    return tmp_path_factory.mktemp("kept")


def made_once(repository: Repository, kept: Path, make: Callable[[Repository], None]) -> None:
    if not kept.exists():
        make(repository)
        shutil.copytree(repository.root, kept)
        return
    shutil.rmtree(repository.root)
    shutil.copytree(kept, repository.root)
    repository.monkeypatch.chdir(repository.root)


@pytest.fixture
def repo(on_emulator: Repository, kept: Path) -> Repository:
    """One job config that alice applied from a commit."""
    made_once(on_emulator, kept / "applied", begin)
    return on_emulator


def begin(repo: Repository) -> None:
    repo.job("alpha", hyperparameters={"lr": "1e-3"}, config_desc="first")
    committed(repo.root)
    commit(repo, "alice")
    repo.apply("--overwrite")


@pytest.fixture
def told(repo: Repository, kept: Path) -> dict[str, str]:
    """The same after carol changed the learning rate in a job of GitLab, and bob the description
    without a commit; the commits by user."""
    made_once(repo, kept / "told", tell)
    lines = git(repo.root, "log", "--reverse", "--format=%s %H").splitlines()
    return {user: commit[:7] for user, commit in map(str.split, lines)}


def tell(repo: Repository) -> None:
    commit(repo, "alice")
    next_second()
    repo.job("alpha", hyperparameters={"lr": "5e-4"}, config_desc="first")
    commit(repo, "carol")
    repo.environment.update(GITLAB_CI="true", GITLAB_USER_LOGIN="carol", CI_JOB_ID="4211")
    repo.apply()
    repo.environment.update(GITLAB_CI="", GITLAB_USER_LOGIN="", CI_JOB_ID="")
    next_second()
    git(repo.root, "config", "user.name", "bob")
    repo.job("alpha", hyperparameters={"lr": "5e-4"}, config_desc="second")
    repo.job("beta")
    repo.apply("--overwrite")


def records(repo: Repository, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = repo.done("history", *arguments, "--format", "json").document[
        "records"
    ]
    return found


def test_each_write_is_a_line_with_who_and_what(repo: Repository, told: dict[str, str]) -> None:
    head, bobs, carols, alices = repo.done("history").stdout.splitlines()
    assert head.split() == ["serial", "when", "who", "commit", "what"]
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    carol = told["carol"]
    assert re.fullmatch(rf" +3  {when}  bob \(.+, dirty\) +{carol}  ~ alpha  = beta", bobs)
    assert re.fullmatch(rf" +2  {when}  carol \(GitLab job 4211\) +{carol}  ~ alpha", carols)
    assert re.fullmatch(rf" +1  {when}  alice \(.+\) +\w{{7}}  \+ alpha", alices)
    assert "dirty" not in alices


def test_the_newest_come_first_and_a_limit_says_that_there_are_more(
    repo: Repository, told: dict[str, str]
) -> None:
    assert [it["serial"] for it in records(repo)] == [3, 2, 1]
    lines = repo.done("history", "--limit", "1").stdout.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "There are older records: --limit 0 shows all."
    document = repo.done("history", "--limit", "2", "--format", "json").document
    assert (document["more"], document["known_since"]) == (True, None)
    document = repo.done("history", "--limit", "3", "--format", "json").document
    assert (document["more"], document["known_since"]) == (False, 0)
    for number in range(20):
        repo.job("beta", config_desc=str(number))
        repo.apply()
    assert len(records(repo)) == 20
    assert len(records(repo, "--limit", "0")) == len(records(repo, "--since", day())) == 23


def test_since(repo: Repository, told: dict[str, str]) -> None:
    first = records(repo)[-1]["at"]
    assert [it["serial"] for it in records(repo, "--since", day(DAY))] == [3, 2, 1]
    after = f"{datetime.fromisoformat(first[:-1]) + timedelta(seconds=1)}"
    for date in (after, after.replace(" ", "T"), f"{after}Z", f"{after}+00:00"):
        assert [it["serial"] for it in records(repo, "--since", date)] == [3, 2]
    next_second()
    moment = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    assert repo.done("history", "--since", moment).stdout == (
        f"The history has no record since {moment}.\n"
    )


def test_of_one_job_config_each_record_has_its_fields(
    repo: Repository, told: dict[str, str]
) -> None:
    lines = repo.done("history", "alpha").stdout.splitlines()
    assert [line.split()[-2:] for line in lines if "  ~ alpha" in line] == [["~", "alpha"]] * 2
    rest = [re.sub(" +", " ", line).strip() for line in lines if line.startswith(" " * 6)]
    assert rest[:2] == [
        '~ config_desc "first" -> "second" jobs/alpha.toml:11',
        '~ hyperparameters.lr "1e-3" -> "5e-4" jobs/alpha.toml:10',
    ]
    assert '+ hyperparameters.lr "1e-3"' in rest
    assert repo.done("history", "job_config.alpha").stdout.splitlines() == lines


def test_blame_names_who_set_each_value(repo: Repository, told: dict[str, str]) -> None:
    rows = [line.split() for line in repo.done("blame", "alpha").stdout.splitlines()]
    assert rows[0][0] == "train_instance_type"
    found = {row[0]: row[1:] for row in rows}
    carol, today = told["carol"], records(repo)[0]["at"][:10]
    lr, text = found["hyperparameters.lr"], found["config_desc"]
    assert lr == ['"5e-4"', "2", carol, "carol", today, "jobs/alpha.toml:10"]
    assert text == ['"second"', "3", carol, "bob", today, "jobs/alpha.toml:11"]
    assert found["inputs"][:2] == ['"/ml/data/"', "1"]


def test_the_json_of_both(repo: Repository, told: dict[str, str]) -> None:
    record = records(repo, "--limit", "2")[1]
    about = record.pop("about")
    assert record.pop("at").startswith("20")
    assert record == {
        "serial": 2,
        "changes": {
            "alpha": {
                "action": "update",
                "fields": [
                    {
                        "path": ["hyperparameters", "lr"],
                        "before": "1e-3",
                        "after": "5e-4",
                        "cause": "jobs/alpha.toml:10",
                        "overwrote": None,
                        "is_overwriting": False,
                    }
                ],
                "entry": record["changes"]["alpha"]["entry"],
                "old_name": "",
            }
        },
        "held_back": {},
        "line": 2,
        "counts": True,
    }
    assert about.pop("commit").startswith(told["carol"])
    assert about.pop("host")
    assert about == {
        "user": "carol",
        "job": "GitLab job 4211",
        "clean": True,
        "command": about["command"],
        "plan": "",
    }
    document = repo.done("blame", "alpha", "--format", "json").document
    assert (document["name"], document["serial"]) == ("alpha", 3)
    lr = next(it for it in document["fields"] if it["path"][-1] == "lr")
    assert (lr["value"], lr["cause"]) == ("5e-4", "jobs/alpha.toml:10")
    assert (lr["event"]["serial"], lr["event"]["about"]["user"]) == (2, "carol")
    assert {document["format_version"] for _ in "x"} == {"1.0"}


def test_markdown_is_a_table(repo: Repository, told: dict[str, str]) -> None:
    head, _, *rows = repo.done("history", "--format", "markdown").stdout.splitlines()
    assert head == "| serial | when | who | commit | what |"
    assert len(rows) == 3
    assert rows[0].endswith("| `~ alpha  = beta` |")
    one = repo.done("history", "alpha", "--format", "markdown").stdout
    assert '<br>`hyperparameters.lr` `"1e-3"` -> `"5e-4"` `jobs/alpha.toml:10` |' in one
    blame = repo.done("blame", "alpha", "--format", "markdown").stdout
    assert '| `hyperparameters.lr` | `"5e-4"` | `2` |' in blame


def test_a_job_config_as_it_was(repo: Repository, told: dict[str, str]) -> None:
    second = records(repo)[1]["at"]
    for at in ("2", second, second[:-1].replace("T", " ")):
        lines = repo.done("show", "alpha", "--at", at).stdout.splitlines()
        assert re.fullmatch(
            rf"This is serial 2, written .+ UTC by carol \(GitLab job 4211\), commit"
            rf" {told['carol']}\.",
            lines[0],
        )
        assert '    hyperparameters.lr           "5e-4"' in lines
        assert '    config_desc                  "first"' in lines
    for at in ("3", day()):
        shown = repo.done("show", "alpha", "--at", at).stdout.partition("\n")[2]
        assert shown == repo.done("show", "alpha").stdout
        for name in ((), ("beta",)):
            now = repo.done("show", *name, "--format", "json").document
            assert repo.done("show", *name, "--at", at, "--format", "json").document == now
    assert "0 job configs." in repo.done("show", "--at", day(DAY)).stdout
    assert "Serial   1\n" in repo.done("show", "--at", "1").stdout


def test_the_toml_of_a_former_job_config_brings_it_back(
    repo: Repository, told: dict[str, str]
) -> None:
    text = repo.done("show", "alpha", "--at", "1", "--as", "toml").stdout
    assert text.startswith("# This is serial 1, written ")
    repo.write("jobs/alpha.toml", text)
    repo.apply()
    params = repo.state["job_configs"]["alpha"]["params"]
    then = repo.done("show", "alpha", "--at", "1", "--format", "json").document["params"]
    assert params == then
    assert then["hyperparameters"] == {"lr": "1e-3"}


def test_the_toml_leaves_out_what_the_defaults_give_today(repo: Repository) -> None:
    settings = (repo.root / "majobctl.toml").read_text()
    repo.settings(settings + '[defaults]\noutput_path = "/ml/output/"\nlog_url = "/ml/log/"\n')
    text = repo.done("show", "alpha", "--as", "toml").stdout
    assert "output_path" not in text
    assert 'log_url = ""\n' in text
    repo.write("jobs/alpha.toml", text)
    assert repo.done("plan").last_line == "No changes. 1 job config matches the state."
    more = "[defaults.hyperparameters]\nseed = 1\n"
    repo.settings(settings + more)
    text = repo.done("show", "alpha", "--as", "toml").stdout
    assert 'unset = ["seed"]\n' in text
    repo.write("jobs/alpha.toml", text)
    assert repo.done("plan").last_line == "No changes. 1 job config matches the state."


SECRETS: dict[str, Any] = {
    "hyperparameters": {"API_KEY": "${env.WANDB}", "lr": "1.23456789012345678", "plain": "${x}"},
    "inputs": "/ml/${env.FOLDER}/",
    "train_instance_count": 3,
    "sensitive": ["lr", "train_instance_count"],
}


def test_the_toml_says_which_secrets_must_be_set(on_emulator: Repository) -> None:
    hyperparameters = {**SECRETS["hyperparameters"], "plain": "$${x}"}
    on_emulator.job("alpha", **{**SECRETS, "hyperparameters": hyperparameters})
    on_emulator.environment.update(WANDB="w" * 20, FOLDER="f" * 20)
    on_emulator.apply("--overwrite")
    text = on_emulator.done("show", "alpha", "--as", "toml").stdout
    assert text.splitlines()[:4] == [
        *(
            f"# {where} is sensitive, and only its hash is known: write the name of its variable in"
            f" place of {name}, if it has another one"
            for where, name in (
                ("hyperparameters.API_KEY", "API_KEY"),
                ("hyperparameters.lr", "LR"),
                ("inputs", "INPUTS"),
            )
        ),
        "# train_instance_count is sensitive, and only its hash is known: write it here",
    ]
    assert "hmac" not in text
    assert 'plain = "$${x}"' in text
    assert 'sensitive = ["train_instance_count"]' in text
    text = text.replace("[job_config.alpha]\n", "[job_config.alpha]\ntrain_instance_count = 3\n")
    on_emulator.write("jobs/alpha.toml", text)
    on_emulator.done("validate")
    on_emulator.environment.update(
        API_KEY="w" * 20, LR="1.23456789012345678", INPUTS=f"/ml/{'f' * 20}/"
    )
    assert on_emulator.done("plan").last_line.startswith("No changes.")


def test_secrets_are_hashes_in_every_output(on_emulator: Repository) -> None:
    on_emulator.job(
        "alpha", **{**SECRETS, "hyperparameters": {"API_KEY": "${env.WANDB}"}, "sensitive": []}
    )
    values = {"WANDB": "one-very-long-value", "FOLDER": "another-long-value"}
    on_emulator.environment.update(values)
    on_emulator.apply("--overwrite")
    on_emulator.environment.update(WANDB="the-second-long-value")
    on_emulator.apply()
    for command in ("history", "history alpha", "blame alpha", "show alpha --at 1"):
        for format_ in ("text", "json", "markdown"):
            if (command, format_) != ("show alpha --at 1", "markdown"):
                said = on_emulator.done(*command.split(), "--format", format_).stdout
                assert "long-value" not in said
    assert "(sensitive) -> (sensitive)" in on_emulator.done("history", "alpha").stdout
    history = (on_emulator.root / "majobctl.history.jsonl").read_text()
    assert "long-value" not in history
    assert "hmac-sha256" in history


def test_renames_are_followed(repo: Repository) -> None:
    repo.remove("alpha")
    repo.job("beta", hyperparameters={"lr": "1e-3"}, config_desc="new", renamed_from="alpha")
    repo.apply("--overwrite")
    lines = repo.done("history").stdout.splitlines()
    assert lines[1].endswith("  + beta (was alpha)")
    lines = repo.done("history", "beta").stdout.splitlines()
    assert [line.split()[0] for line in lines if "  +" in line and line[5] != " "] == ["2", "1"]
    assert '      ~ config_desc                  "first" -> "new"  jobs/beta.toml:11' in lines
    blame = {it.split()[0]: it.split()[2] for it in repo.done("blame", "beta").stdout.splitlines()}
    assert (blame["config_desc"], blame["hyperparameters.lr"]) == ("2", "1")
    shown = repo.done("show", "beta", "--at", "1").stdout
    assert "beta was called alpha then." in shown.splitlines()[0]
    assert "job_config.alpha\n" in shown
    toml = repo.done("show", "beta", "--at", "1", "--as", "toml").stdout
    assert "[job_config.beta]\n" in toml
    assert 'config_desc = "first"' in toml


def test_what_is_held_back_and_undone_is_there(repo: Repository) -> None:
    repo.done("emulator", "set", "alpha", "hyperparameters.lr=0.5")
    repo.job("alpha", hyperparameters={"lr": "2e-3"})
    repo.job("beta", config_desc="mine")
    repo.run("apply", "--auto-approve", "--overwrite", "--exclude", "alpha", code=0)
    repo.job("beta", config_desc="yours")
    repo.run("apply", "--auto-approve", code=5)
    assert "held back: alpha" in repo.done("history").stdout.splitlines()[1]
    assert (
        "      changed in the service: hyperparameters.lr" in repo.done("history", "alpha").stdout
    )
    markdown = repo.done("history", "alpha", "--format", "markdown").stdout
    assert "`held back: alpha`<br>`changed in the service: hyperparameters.lr`" in markdown
    repo.apply("--overwrite")
    assert 'undid "0.5" in the service' in repo.done("history", "alpha").stdout


def test_the_other_commands_that_write_are_named(repo: Repository) -> None:
    repo.process("import", "beta", code=0)
    repo.process("state", "rm", "beta", code=0)
    copy = repo.done("state", "pull").stdout
    repo.write("copy.json", copy.replace('"first"', '"other"'))
    repo.process("state", "push", "--force", "copy.json", code=0)
    what = [line.split("  ", 4)[-1].strip() for line in repo.done("history").stdout.splitlines()]
    assert what[1].endswith("~ alpha  (state push)")
    assert what[2].endswith("forget beta  (state rm)")
    assert what[3].endswith("beta  (import)")
    assert repo.done("blame", "alpha").stdout.count("state push") == 1


WRONG = [
    ("history alhpa", 'neither the state nor its history has a job config "alhpa"; did you'),
    ("blame alhpa", 'the state has no job config "alhpa"; did you mean "alpha"?'),
    ("show alhpa --at 1", 'of serial 1 has no job config "alhpa"; did you mean "alpha"?'),
    ("show beta --at 1", 'of serial 1 has no job config "beta"; serial 3 added it'),
    ("show --at 4", "there is no serial 4 yet: the state has serial 3"),
    ("show --at 99999999999999999", "there is no serial 99999999999999999 yet"),
    ("show --at 2026-13-01", '--at: "2026-13-01" is not a date; write 2026-10-15'),
    ("show --at 2026-02-30", '"2026-02-30" is not a date'),
    ("show --at yesterday", '"yesterday" is not a date'),
    ("show --at -1", '"-1" is not a date'),
    ("show --at 15.10.2026", '"15.10.2026" is not a date'),
    ("show --at 20261015T", '"20261015T" is not a date'),
    ("show --at ２０２６-10-15", '"２０２６-10-15" is not a date'),
    ("show --at 2099-01-01", '--at: "2099-01-01" is in the future; it is 20'),
    ("show --at 0001-01-01T00:00+05:00", "is not a date"),
    ("history --since 2026-10-15T25:00", '--since: "2026-10-15T25:00" is not a date'),
    ("history --since 2099-01-01", '--since: "2099-01-01" is in the future'),
    ("history --limit -1", "--limit"),
    ("history --limit x", "--limit"),
    ("history --format html", "--format"),
    ("history alpha beta", "unexpected extra argument"),
    ("history --format text verify", "write `majobctl history verify`, and its options after it"),
    ("history verify alpha", "unexpected extra argument"),
    ("history prune", "Missing option '--before'"),
    ("history prune --before 1", '--before: "1" is not a date'),
    ("history prune --before 2099-01-01", "is in the future"),
    ("blame", "Missing argument 'NAME'"),
    ("show alpha --as json", "--as"),
    ("show alpha --as toml --format json", "--as toml and --format json: choose one of them"),
    ("show some.plan --at 1", "--at and --as show job configs of the state"),
    ("show some.plan --as toml", "--at and --as show job configs of the state"),
    ("show alpha --at 1 --summary", "only a saved plan can be shown like that"),
]


def test_wrong_input_is_named(repo: Repository, told: dict[str, str]) -> None:
    for arguments, message in WRONG:
        ran = repo.run(*arguments.split(), code=1)
        assert (ran.stdout == "") == ("--format json" not in arguments), arguments
        assert message in ran.stderr, arguments


def test_without_a_state_each_says_so(on_emulator: Repository) -> None:
    text = "There is no history yet; the next write of the state begins it.\n"
    assert on_emulator.done("history").stdout == text
    assert on_emulator.done("history", "--format", "json").document["records"] == []
    assert on_emulator.done("history", "verify").stdout == text
    for command in ("blame alpha", "history alpha", "show --at 1", "show --as toml"):
        assert on_emulator.run(*command.split(), code=1).stdout == ""
    pruned = on_emulator.done("history", "prune", "--before", day(), "--auto-approve")
    assert pruned.stdout.startswith("The history has no record before ")


def test_a_state_that_was_lost_is_missed_as_long_as_there_is_a_history(repo: Repository) -> None:
    assert "history" not in repo.done("plan").stderr
    repo.apply("--overwrite")
    repo.state_path.unlink()
    repo.state_path.with_name("majobctl.state.json.backup").unlink(missing_ok=True)
    said = "the state majobctl.state.json: it is gone, but has a history: restore it with git, or"
    assert f"{said} make it again with `majobctl apply --refresh`" in repo.done("plan").stderr
    repo.apply("--refresh", "--overwrite")
    assert "history" not in repo.done("plan").stderr


def test_a_job_config_of_that_name_is_still_found(on_emulator: Repository) -> None:
    on_emulator.cloud("verify")
    on_emulator.remove("alpha")
    on_emulator.job("verify")
    on_emulator.apply("--overwrite")
    assert on_emulator.done("history", "job_config.verify").stdout.count("= verify") == 1
    assert on_emulator.done("history", "--limit", "1", "verify").stdout.count("= verify") == 1
    assert "as it was written" in on_emulator.done("history", "verify").stdout


def test_a_history_that_is_lost_is_known_since_the_next_write(
    repo: Repository, told: dict[str, str]
) -> None:
    (repo.root / "majobctl.history.jsonl").unlink()
    text = "The history has no records: they were lost, or an older majobctl wrote the state.\n"
    assert repo.done("history").stdout == f"{text}The history is known since serial 3.\n"
    assert repo.run("history", "verify", code=1).stdout == text
    assert "older than the history" in repo.done("blame", "alpha").stdout
    repo.job("alpha", config_desc="third")
    repo.apply()
    lines = repo.done("history").stdout.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "The history is known since serial 3."
    assert repo.done("history", "--format", "json").document["known_since"] == 3
    assert "known" in repo.run("show", "alpha", "--at", "2", code=1).stderr
    rows = repo.done("blame", "alpha").stdout.splitlines()
    assert sum(row.endswith("older than the history") for row in rows) == len(rows) - 1


def test_a_changed_byte_is_named_and_keeps_nothing_from_working(
    repo: Repository, told: dict[str, str]
) -> None:
    assert (
        repo.done("history", "verify").stdout
        == "Every record of the history is as it was written.\n"
    )
    path = repo.root / "majobctl.history.jsonl"
    content = path.read_text()
    path.write_text(content.replace('"carol"', '"mallo"'))
    ran = repo.run("history", "verify", code=1)
    assert ran.stdout == "line 2 (serial 2): it is not as it was written\n"
    said = repo.done("history").stdout
    assert "The history is damaged: line 2 (serial 2): it is not as it was written." in said
    assert "line 2 of the history is damaged" in repo.done("blame", "alpha").stdout
    repo.done("plan")
    repo.job("alpha", config_desc="third")
    repo.apply()
    assert records(repo)[0]["serial"] == 4
    blame = repo.done("blame", "alpha").stdout
    assert "line 2 of the history is damaged" in blame and "older than" not in blame


def test_an_apply_that_died_hides_nothing(repo: Repository, told: dict[str, str]) -> None:
    said = [repo.done("history").stdout, repo.done("blame", "alpha").stdout]
    store = store_of(ConfigRepository(repo.root).load_settings())
    with store.locked("an apply that dies") as locked:
        assert locked.state is not None
        params = locked.state.job_configs["alpha"].params
        journal = locked.open_journal(locked.state, {"alpha": intent({**params, "inputs": "/b/"})})
        journal.record_done("alpha")
        journal.flush()
        journal.close()
        assert [repo.done("history").stdout, repo.done("blame", "alpha").stdout] == said
    assert '"/b/"' in repo.done("show", "alpha").stdout
    assert [repo.done("history").stdout, repo.done("blame", "alpha").stdout] == said
    assert "/ml/data/" in repo.done("show", "alpha", "--at", "3").stdout
    repo.job("beta", config_desc="later")
    repo.apply()
    newest = [it["serial"] for it in records(repo, "alpha", "--limit", "2")]
    assert newest == [5, 4]


def test_prune_keeps_who_set_what(repo: Repository, told: dict[str, str]) -> None:
    before, blame = records(repo)[0]["at"], repo.done("blame", "alpha").stdout
    ran = repo.run("history", "prune", "--before", before, code=1)
    assert "cannot ask for approval" in ran.stderr
    assert "nothing was removed" in ran.stderr
    assert len(records(repo)) == 3
    ran = repo.done("history", "prune", "--before", before, "--auto-approve")
    assert ran.stderr == f"2 records before {before} will be removed.\n"
    assert ran.stdout == "Removed 2 records. The history is known since serial 2.\n"
    assert repo.done("blame", "alpha").stdout == blame
    lines = repo.done("history").stdout.splitlines()
    assert (len(lines), lines[-1]) == (3, "The history is known since serial 2.")
    repo.done("history", "verify")
    assert "5e-4" in repo.done("show", "alpha", "--at", "2").stdout
    repo.run("show", "alpha", "--at", "1", code=1)
    ran = repo.done("history", "prune", "--before", before, "--auto-approve")
    assert ran.stdout == f"The history has no record before {before}.\n"


def test_a_history_of_which_all_was_pruned_is_known_since_then(
    repo: Repository, told: dict[str, str]
) -> None:
    next_second()
    moment = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    blame = repo.done("blame", "alpha").stdout
    ran = repo.done("history", "prune", "--before", moment, "--auto-approve")
    known = "The history is known since serial 3.\n"
    assert ran.stdout == f"Removed 3 records. {known}"
    assert repo.done("blame", "alpha").stdout == blame
    assert repo.done("history").stdout == known
    since = repo.done("history", "--since", day(DAY)).stdout
    assert re.fullmatch(rf"The history has no record since .+Z\.\n{known}", since)
    nothing = "The history has nothing about job_config.alpha.\n"
    assert repo.done("history", "alpha").stdout == nothing + known
    text = "Every record of the history is as it was written, since serial 3.\n"
    assert repo.done("history", "verify").stdout == text


def test_prune_asks_for_a_literal_yes(repo: Repository, told: dict[str, str]) -> None:
    before = records(repo)[0]["at"]
    for answer, code in (("y", 1), ("yes", 0)):
        with terminal(repo, "history", "prune", "--before", before) as at:
            at.expect("Remove them for good? Only yes is accepted")
            at.type(f"{answer}\n")
            assert at.finish()[0] == code
        assert len(records(repo)) == (1 if code == 0 else 3)


def test_the_lock_keeps_a_prune_from_an_apply(repo: Repository, told: dict[str, str]) -> None:
    with terminal(repo, "history", "prune", "--before", records(repo)[0]["at"]) as at:
        at.expect("Only yes is accepted")
        repo.job("alpha", config_desc="third")
        repo.run("apply", "--auto-approve", code=4)
        at.type("no\n")
        at.finish()


def test_names_fit_into_the_terminal(on_emulator: Repository) -> None:
    names = [f"job-{number:02}" for number in range(12)]
    on_emulator.cloud(*names)
    on_emulator.remove("alpha")
    for name in names:
        on_emulator.job(name, code_dir=f"/ml/{'x' * 60}/", boot_file=f"/ml/{'x' * 60}/train.py")
    on_emulator.apply("--overwrite")
    for columns in ("80", "120", "400"):
        on_emulator.environment["COLUMNS"] = columns
        for command in (["history"], ["history", "job-00"], ["blame", "job-00"]):
            lines = on_emulator.done(*command).stdout.splitlines()
            assert max(map(len, lines)) <= int(columns)
    assert all(name in on_emulator.done("history").stdout for name in names)
    on_emulator.environment["COLUMNS"] = "80"
    assert re.search(r"\+ job-00  .*and \d+ more$", on_emulator.done("history").stdout.strip())
    assert "…" in on_emulator.done("blame", "job-00").stdout


def test_each_environment_has_its_own(repo: Repository) -> None:
    settings = (repo.root / "majobctl.toml").read_text()
    repo.settings(settings + '[environments.prod]\nprovider.project_id = "prod"\n')
    assert repo.done("history", "-e", "prod").stdout.startswith("There is no history yet")
    repo.done("history", "verify", "-e", "prod")
    assert json.loads(repo.done("history", "--format", "json").stdout)["records"]
