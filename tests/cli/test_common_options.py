"""What every command takes before its name and after it: -C, -v, -e and --color."""

from __future__ import annotations

import re

import pytest

from majobctl.cli.common import COMMON_OPTIONS
from tests.cli.test_general import ALL, found_at
from tests.config_repository import Repository, terminal
from tests.fake_service import FakeService

EACH = pytest.mark.parametrize("path", ALL, ids=" ".join)
WITHOUT_ENVIRONMENT = [("capture",), ("completion",), ("emulator", "serve"), ("fmt",)]
WITHOUT_ENVIRONMENT += [("init",), ("schema",), ("version",)]


@EACH
def test_a_folder_counts_anywhere(repository: Repository, path: tuple[str, ...]) -> None:
    for at in range(len(path) + 1):
        ran = repository.run(*path[:at], "-C", "nowhere", *path[at:], code=1)
        reason = "cannot change to nowhere: No such file or directory\n"
        assert (ran.stdout, ran.stderr) == ("", f"Error: {reason}")


def test_folders_count_from_one_another_and_before_any_path(on_emulator: Repository) -> None:
    on_emulator.write("jobs/x.toml", "[variables]\n")
    on_emulator.monkeypatch.chdir(on_emulator.root.parent)
    root, on_emulator.root = on_emulator.root, on_emulator.root.parent
    for words in (
        "-C repository -C jobs plan --var-file x.toml --summary",
        "-C repository plan --var-file x.toml --summary -C jobs",
        "plan --var-file x.toml --summary -C repository/jobs",
        f"-C / plan -C {root}/jobs --summary --var-file x.toml",
        "fmt --check x.toml -C repository/jobs",
        "emulator set --data x.toml alpha inputs=/b/ -C repository/jobs",
    ):
        ran = on_emulator.run(*words.split())
        assert "cannot be read" not in ran.stderr
        assert "does not exist" not in ran.stderr


@EACH
def test_an_environment_means_the_same_anywhere(
    on_emulator: Repository, path: tuple[str, ...]
) -> None:
    said = on_emulator.run(*path, "-e", "nowhere", code=1).stderr
    for at in range(len(path)):
        assert on_emulator.run(*path[:at], "-e", "nowhere", *path[at:], code=1).stderr == said
    if path in WITHOUT_ENVIRONMENT:
        assert said.endswith(f"Error: {path[-1]} has no environment: leave out -e\n")
    elif path[0] == "ci":
        assert said.startswith("Error: this is not a job of GitHub Actions or GitLab CI")
    else:
        assert re.search('no environment "nowhere"|Missing (argument|option)|say what to', said)


def test_the_environment_that_is_typed_last_counts(on_emulator: Repository) -> None:
    settings = (on_emulator.root / "majobctl.toml").read_text()
    names = ("one", "two", "three")
    tables = (f'[environments.{name}]\nstate.path = "{name}.json"\n' for name in names)
    on_emulator.settings(settings + "".join(tables))

    def chosen(*arguments: str) -> str:
        return on_emulator.done(*arguments).stderr.splitlines()[0]

    assert chosen("-e", "one", "-v", "validate") == "Environment: one"
    assert chosen("-e", "one", "validate", "-e", "two", "-v") == "Environment: two"
    on_emulator.environment["MAJOBCTL_ENVIRONMENT"] = "three"
    assert chosen("validate", "-v") == "Environment: three"
    assert chosen("-e", "one", "validate", "-v") == "Environment: one"
    assert on_emulator.done("version").stderr == ""


@EACH
def test_every_help_has_them_and_hides_terraforms(
    repository: Repository, path: tuple[str, ...]
) -> None:
    shown = repository.done(*path, "-v", "--no-color", "--help").stdout
    for option in ("-C, --chdir DIR", "-v, --verbose", "--color [auto|always|never]"):
        assert option in shown
    assert "--no-color" not in shown
    names = [option for it in found_at(path).params for option in it.opts]
    assert len(names) == len(set(names))
    assert {it.name for it in COMMON_OPTIONS} <= {it.name for it in found_at(path).params}
    assert "--color" in repository.run(*path, "--color", "red", code=1).stderr


def test_verbose_logs_each_request_from_either_side(
    repository: Repository, service: FakeService
) -> None:
    repository.environment.update(service.environment)
    repository.settings(service.settings())
    for arguments in (["-v", "flavors"], ["flavors", "-v"], ["--verbose", "flavors", "-v"]):
        lines = repository.done(*arguments).stderr.splitlines()
        assert len([line for line in lines if " GET http://127.0.0.1:" in line]) == len(lines) > 0
    assert repository.done("flavors").stderr == ""


COLORS = [
    ("", {}, "terminal"),
    ("--no-color", {}, "never"),
    ("--color never", {}, "never"),
    ("--color always", {}, "always"),
    ("--color always --no-color", {}, "never"),
    ("--color auto", {}, "terminal"),
    ("", {"NO_COLOR": "1"}, "never"),
    ("", {"NO_COLOR": ""}, "terminal"),
    ("", {"FORCE_COLOR": "1"}, "always"),
    ("", {"FORCE_COLOR": "true"}, "always"),
    ("", {"FORCE_COLOR": ""}, "terminal"),
    ("", {"FORCE_COLOR": "0"}, "terminal"),
    ("", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, "never"),
    ("", {"TERM": "dumb"}, "never"),
    ("", {"TERM": "dumb", "FORCE_COLOR": "1"}, "always"),
    ("--color always", {"NO_COLOR": "1", "TERM": "dumb"}, "always"),
    ("--color never", {"FORCE_COLOR": "1"}, "never"),
    ("--color auto", {"NO_COLOR": "1"}, "never"),
]


@pytest.mark.parametrize(("options", "environment", "expected"), COLORS)
def test_who_gets_colors(
    on_emulator: Repository, options: str, environment: dict[str, str], expected: str
) -> None:
    """The plan is on stdout."""
    arguments = ["plan", "--summary", *options.split()]
    with terminal(on_emulator, *arguments, **environment) as screen:
        code, seen = screen.finish()
    assert code == 0
    assert ("\x1b[32m" in seen) == (expected != "never")
    assert ("\x1b" in seen) == (expected != "never")
    assert "  + job_config.alpha " in screen.plain
    on_emulator.environment |= environment
    assert ("\x1b" in on_emulator.done(*arguments).stdout) == (expected == "always")
    before = on_emulator.done(*options.split(), "plan", "--summary").stdout
    assert ("\x1b" in before) == (expected == "always")
