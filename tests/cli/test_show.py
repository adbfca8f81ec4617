from __future__ import annotations

import pytest

from tests.config_repository import JOB, Repository


def test_without_a_state_it_says_so(on_emulator: Repository) -> None:
    assert on_emulator.done("show").stdout.startswith("There is no state yet")
    assert on_emulator.done("show", "--format", "json").document is None
    ran = on_emulator.run("show", "alpha", code=1)
    assert 'the state has no job config "alpha"' in ran.stderr


def test_the_state_is_shown_completely_or_one_by_one(on_emulator: Repository) -> None:
    on_emulator.job("alpha", hyperparameters={"lr": "0.1"})
    on_emulator.job("beta")
    on_emulator.apply()
    whole = on_emulator.done("show").stdout
    assert "Serial   1\n" in whole
    assert "  job_config.alpha " in whole
    assert whole.endswith("2 job configs.\n")
    one = on_emulator.done("show", "alpha").stdout
    assert one.startswith("job_config.alpha\n")
    assert '    hyperparameters.lr           "0.1"\n' in one
    assert "    applied at 20" in one


def test_the_state_as_json(on_emulator: Repository) -> None:
    on_emulator.apply()
    assert on_emulator.done("show", "--format", "json").document == on_emulator.state
    one = on_emulator.done("show", "alpha", "--format", "json").document
    assert one == on_emulator.state["job_configs"]["alpha"]
    assert one["params"] == JOB


def test_a_name_that_is_not_there_gets_the_nearest(on_emulator: Repository) -> None:
    on_emulator.apply()
    ran = on_emulator.run("show", "alhpa")
    assert (ran.code, ran.stdout) == (1, "")
    assert 'the state has no job config "alhpa"; did you mean "alpha"?' in ran.stderr
    for name in ("", "\x1b[31m", "x" * 50_000, "\udcff", "../../etc/passwd"):
        ran = on_emulator.run("show", name, code=1)
        assert "\x1b" not in ran.stderr


def test_it_needs_no_job_files(on_emulator: Repository) -> None:
    on_emulator.apply()
    on_emulator.write("jobs/alpha.toml", "broken")
    on_emulator.done("show")
    on_emulator.done("show", "alpha")


@pytest.mark.parametrize("option", ["--summary", "--by=cause", "--by=config"])
@pytest.mark.parametrize(
    "command",
    [
        "show",
        "show alpha",
        "show saved.plan --format json",
        "plan --format json",
        "plan --format html --also json=x.json",
        "apply --format json --auto-approve",
    ],
)
def test_an_option_that_would_do_nothing_is_an_error(
    repo: Repository, command: str, option: str
) -> None:
    repo.done("plan", "--out", "saved.plan")
    ran = repo.run(*command.split(), option, code=1)
    assert f"Error: {option.partition('=')[0]}: " in ran.stderr
    assert bool(ran.stdout) == ("--format json" in command)
    for other in ("show saved.plan", "plan --format json --also markdown=x.md", "plan"):
        repo.done(*other.split(), option)
