"""What keeps a large mistake from being applied: ``apply.max_change_percent`` and
``apply.max_delete_percent``, and the words for a plan that forgets most of the state."""

from __future__ import annotations

from html import unescape

import pytest

from tests.config_repository import Repository
from tests.fake_service import FakeService

NAMES = [f"config-{number}" for number in range(10)]


@pytest.fixture
def guarded(on_rest: Repository) -> Repository:
    """Ten job configs that are applied, and a bound of 30 percent."""
    for name in NAMES:
        on_rest.job(name)
    on_rest.apply()
    settings = (on_rest.root / "majobctl.toml").read_text(encoding="utf-8")
    on_rest.settings(settings + "\n[apply]\nmax_change_percent = 30\n")
    return on_rest


def change(repository: Repository, number: int) -> None:
    for name in NAMES[:number]:
        repository.job(name, train_instance_count=2)


def test_a_plan_up_to_the_bound_is_applied(guarded: Repository, rest: FakeService) -> None:
    rest.forget_requests()
    change(guarded, 3)
    assert "3 updated" in guarded.apply().last_line
    assert len(rest.puts) == 3


def test_a_plan_over_the_bound_is_refused_and_nothing_is_sent(
    guarded: Repository, rest: FakeService
) -> None:
    rest.forget_requests()
    change(guarded, 4)
    ran = guarded.run("apply", "--auto-approve", code=1)
    assert "the plan changes 4 of 10 job configs" in ran.stderr
    assert "apply.max_change_percent = 30" in ran.stderr
    assert "--force" in ran.stderr
    assert rest.requests == []


def test_force_applies_it_all_the_same(guarded: Repository, rest: FakeService) -> None:
    change(guarded, 4)
    assert "4 updated" in guarded.done("apply", "--auto-approve", "--force").last_line


def test_the_bound_holds_for_a_saved_plan_too(guarded: Repository, rest: FakeService) -> None:
    change(guarded, 4)
    guarded.done("plan", "--out", "saved.plan")
    rest.forget_requests()
    assert guarded.run("apply", "saved.plan").code == 1
    assert rest.requests == []
    assert guarded.run("apply", "saved.plan", "--force").code == 0


def test_what_is_forgotten_counts_as_a_change(guarded: Repository) -> None:
    for name in NAMES[:4]:
        guarded.remove(name)
    ran = guarded.run("apply", "--auto-approve")
    assert "changes 4 of 10" in ran.stderr
    assert "forgets 4 of the 10" in ran.stderr


def test_fewer_than_ten_job_configs_are_not_bounded(guarded: Repository) -> None:
    guarded.done("state", "rm", NAMES[9])
    guarded.remove(NAMES[9])
    change(guarded, 9)
    assert "9 updated" in guarded.apply().last_line


@pytest.fixture
def full(on_rest: Repository) -> Repository:
    """Ten job configs that are applied, with the settings as they are by default."""
    for name in NAMES:
        on_rest.job(name, train_instance_count=int(name[-1]) + 1)
    on_rest.apply()
    return on_rest


def settings_with(repository: Repository, rest: FakeService, lines: str) -> None:
    repository.settings(rest.settings() + lines)


def lose(repository: Repository, number: int) -> None:
    """The files of the first job configs are moved out of the pattern."""
    for name in NAMES[:number]:
        (repository.root / "jobs" / f"{name}.toml").rename(repository.root / f"{name}.toml")


LOSS = (
    "of the 10 job configs in the state, more than apply.max_delete_percent = 30 allows (they are"
    ' in no file that jobs.files finds: "jobs/**/*.toml")'
)
DELETES = "[apply]\ndelete_removed = true\n"


@pytest.mark.parametrize("deletes", [False, True])
def test_part_of_the_files_moved_away_loses_nothing_unseen(
    deletes: bool, full: Repository, rest: FakeService
) -> None:
    settings_with(full, rest, DELETES if deletes else "")
    lose(full, 4)
    sentence = f"{'deletes' if deletes else 'forgets'} 4 {LOSS}"
    told = f"This plan {sentence}. An apply needs --force."
    assert told in full.done("plan", "--out", "saved.plan").stdout
    assert told in full.done("show", "saved.plan").stdout
    assert told in full.done("plan", "--format", "markdown").stdout.replace("\\", "")
    assert told in unescape(full.done("plan", "--format", "html").stdout)
    document = full.done("plan", "--format", "json").document
    assert document["needs_force"] == [sentence]
    assert told in document["warnings"]
    rest.forget_requests()
    for arguments in (["--auto-approve"], ["saved.plan"]):
        ran = full.run("apply", *arguments, code=1)
        assert f"Error: the plan {sentence}; nothing was sent\n" in ran.stderr
        assert "if this is intended, run the same command with --force\n" in ran.stderr
    assert rest.requests == []
    assert len(full.state["job_configs"]) == len(rest.configs) == 10
    assert full.run("apply", "saved.plan", "--force").code == 0
    assert len(full.state["job_configs"]) == 6
    assert len(rest.configs) == (6 if deletes else 10)


@pytest.mark.parametrize(
    ("settings", "environment", "lost", "is_refused"),
    [
        ("", "", 3, False),
        ("", "", 4, True),
        ("max_delete_percent = 0", "", 10, False),
        ("max_delete_percent = 100", "", 10, False),
        ("max_delete_percent = 9", "", 1, True),
        ("max_delete_percent = 10", "", 1, False),
        ("\n[environments.prod]\napply.max_delete_percent = 9", "prod", 1, True),
        (
            "max_delete_percent = 9\n[environments.prod]\napply.max_delete_percent = 0",
            "prod",
            9,
            False,
        ),
    ],
)
def test_the_share_that_may_be_lost(
    settings: str,
    environment: str,
    lost: int,
    is_refused: bool,
    full: Repository,
    rest: FakeService,
) -> None:
    chosen = ["-e", environment] if environment else []
    settings_with(full, rest, f"[apply]\n{settings}\n")
    if environment:
        full.run("apply", "--auto-approve", *chosen, "--overwrite")
    lose(full, lost)
    ran = full.run("apply", "--auto-approve", *chosen)
    assert (ran.code == 1) is is_refused, ran
    assert ("the same command with --force" in ran.stderr) is is_refused


def add(repository: Repository) -> None:
    """Twenty further job configs."""
    for number in range(20):
        repository.job(f"more-{number}", train_instance_count=100 + number)


def rename(repository: Repository, rest: FakeService, *, says_so: bool) -> None:
    for number, name in enumerate(NAMES[:4]):
        was = {"renamed_from": name} if says_so else {}
        repository.job(f"new-{number}", train_instance_count=number + 1, **was)


def test_what_is_new_does_not_make_a_loss_smaller(full: Repository) -> None:
    add(full)
    lose(full, 4)
    assert f"forgets 4 {LOSS}" in full.run("apply", "--auto-approve").stderr


def test_the_share_is_that_of_the_complete_state(full: Repository) -> None:
    lose(full, 4)
    chosen = [f"--target={name}" for name in NAMES[:4]]
    assert f"forgets 4 {LOSS}" in full.run("apply", "--auto-approve", *chosen).stderr
    assert "3 forgotten" in full.apply(*chosen[:3]).last_line


@pytest.mark.parametrize("says_so", [False, True])
@pytest.mark.parametrize("deletes", [False, True])
def test_what_is_renamed_is_not_lost(
    deletes: bool, says_so: bool, full: Repository, rest: FakeService
) -> None:
    settings_with(full, rest, DELETES if deletes else "")
    rename(full, rest, says_so=says_so)
    lose(full, 4)
    assert full.done("plan", "--format", "json").document["needs_force"] == []
    assert f"4 {'deleted' if deletes else 'forgotten'}" in full.apply().last_line


def test_deletions_and_what_is_gone_already_are_counted_together(
    full: Repository, rest: FakeService
) -> None:
    settings_with(full, rest, DELETES)
    rest.has_every_name = False
    del rest.configs[NAMES[0]]
    lose(full, 4)
    said = full.run("apply", "--auto-approve", "--refresh").stderr
    assert f"deletes 3 and forgets 1 {LOSS}" in said


def test_fewer_than_ten_job_configs_may_all_be_lost(full: Repository) -> None:
    full.done("state", "rm", NAMES[9])
    full.remove(NAMES[9])
    lose(full, 9)
    assert "9 forgotten" in full.apply().last_line


def test_a_plan_that_forgets_more_than_half_of_the_state_says_so(full: Repository) -> None:
    full.done("state", "rm", NAMES[9])
    lose(full, 4)
    full.remove(NAMES[9])
    assert "forgets" not in full.done("plan").stdout
    full.remove(NAMES[5])
    sentence = "This plan forgets 5 of the 9 job configs in the state."
    assert sentence in full.done("plan").stdout
    assert sentence in full.done("plan", "--format", "json").document["warnings"]
    assert "forgets" not in full.done("plan", "--target", "config-8").stdout


TEXTS = {
    "force": "An apply needs --force.",
    "missing": 'cannot be applied as it is: the service does not have "config-0".',
    "unset": 'This plan can be applied only where "UNSET" is set.',
    "held": "This plan would undo what somebody changed in the service: ",
}


@pytest.mark.parametrize("format_", ["text", "json", "markdown", "html"])
@pytest.mark.parametrize("kind", TEXTS)
def test_what_stops_an_apply_is_in_every_format(
    kind: str, format_: str, guarded: Repository, rest: FakeService
) -> None:
    change(guarded, 4 if kind == "force" else 1)
    if kind == "missing":
        del rest.configs["config-0"]
    elif kind == "held":
        rest.configs["config-0"] = {**rest.configs["config-0"], "config_desc": "theirs"}
    elif kind == "unset":
        token = {"token": "${env.UNSET}"}
        guarded.job("config-0", hyperparameters=token, train_instance_count=2)
    ran = guarded.done("plan", "--refresh", "--format", format_)
    if (kind, format_) == ("held", "json"):
        assert ran.document["held_back"] == ["config-0"]
        return
    found = ran.document["warnings"] if format_ == "json" else [unescape(ran.stdout)]
    assert any(TEXTS[kind] in text for text in found)
    assert guarded.run("apply", "--auto-approve", "--refresh").code != 0


@pytest.mark.parametrize("format_", ["text", "json", "markdown", "html"])
@pytest.mark.parametrize("refresh", [[], ["--refresh"]], ids=["offline", "refreshed"])
def test_a_deletion_lists_all_that_it_takes_away(
    format_: str, refresh: list[str], on_rest: Repository
) -> None:
    secret = {"config_desc": "s3cret", "sensitive": ["config_desc"]}
    on_rest.job("one", hyperparameters={"lr": "0.1"}, log_url="/b/logs/", **secret)
    on_rest.job("two")
    on_rest.apply()
    settings = (on_rest.root / "majobctl.toml").read_text(encoding="utf-8")
    on_rest.settings(settings + "\n[apply]\ndelete_removed = true\n")
    on_rest.remove("one")
    ran = on_rest.done("plan", "--format", format_, *refresh)
    text = unescape(ran.stdout)
    assert "s3cret" not in text
    if format_ == "json":
        (gone,) = ran.document["changes"]
        shown = {".".join(it["path"]): it["before"] for it in gone["fields"]}
        assert {key.partition(".")[0] for key in shown} == gone["before"].keys()
        assert {it["action"] for it in gone["fields"]} == {"remove"}
        assert shown["log_url"] == "/b/logs/"
    else:
        assert all(
            it in text for it in ('"/b/logs/"', '"0.1"', "(sensitive", "train_instance_type")
        )


@pytest.mark.parametrize("has_backup", [False, True])
def test_a_plan_without_a_state_says_so(has_backup: bool, on_rest: Repository) -> None:
    on_rest.job("one")
    on_rest.apply()
    on_rest.job("one", train_instance_count=2)
    on_rest.apply()
    if not has_backup:
        on_rest.state_path.with_name(f"{on_rest.state_path.name}.backup").unlink()
    on_rest.state_path.unlink()
    ran = on_rest.done("plan")
    assert "There is no state yet: every job config counts as new.\n" in ran.stdout
    assert ("majobctl state push" in ran.stderr) is has_backup
    warnings = on_rest.done("plan", "--format", "json").document["warnings"]
    assert any("majobctl state push" in it for it in warnings) is has_backup
    if has_backup:
        command = ran.stderr.partition("`majobctl ")[2].partition("`")[0]
        on_rest.done(*command.split())
        assert "There is no state" not in on_rest.done("plan").stdout
