"""Start-up is quick by design: what a command does not need, it does not import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection

import pytest

from tests.config_repository import Repository

COSTLY = {
    "codeowners",
    "requests",
    "urllib3",
    "deepdiff",
    "werkzeug",
    "tomlkit",
    "filelock",
    "tempfile",
    "psycopg",
}
LATE = {
    *("hashlib", "hmac", "secrets", "socket", "ssl", "logging", "tempfile"),
    *(
        f"majobctl.operations.{name}"
        for name in (
            *("applying", "causes", "causes_inferred", "connect", "executor"),
            *("refresh", "runner", "workers"),
        )
    ),
    *(f"majobctl.plan.{name}" for name in ("causes", "document", "drift", "results")),
    *(f"majobctl.render.{name}" for name in ("html", "json", "markdown", "results")),
    *(f"majobctl.service.{name}" for name in ("codec", "estimator", "provider", "session")),
    *("majobctl.repository.authoring.schema", "majobctl.state.journal"),
}
"""What only some commands need."""

PROBE = """
import sys
before = set(sys.modules)
from majobctl.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
print(code, *sorted(set(sys.modules) - before), file=sys.stderr)
"""


def imported_by(repository: Repository, *arguments: str, of: Collection[str] = COSTLY) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=repository.root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    code, *modules = process.stderr.splitlines()[-1].split()
    assert code == "0", process
    return {*of} & {*modules}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["version"],
        ["validate"],
        ["validate", "--format", "json"],
        ["plan"],
        ["plan", "--format", "json", "--detailed-exitcode"],
        ["show"],
        ["state", "list"],
        ["apply", "--help"],
        ["emulator", "serve", "--help"],
    ],
    ids=" ".join,
)
def test_a_command_without_changes_imports_nothing_costly(
    on_emulator: Repository, arguments: list[str]
) -> None:
    on_emulator.apply()
    assert imported_by(on_emulator, *arguments) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["validate"], ["plan"]], ids=" ".join)
def test_what_others_need_is_imported_late(on_emulator: Repository, arguments: list[str]) -> None:
    on_emulator.apply()
    assert imported_by(on_emulator, *arguments, of=LATE) == set()


def test_the_help_of_all_needs_nothing_of_the_other_rooms(repository: Repository) -> None:
    rooms = {"files", "job_config", "operations", "repository", "service", "state", "emulator"}
    of = {*(f"majobctl.{name}" for name in rooms), "tempfile", "pathlib"}
    assert imported_by(repository, "--help", of=of) == set()


def test_a_first_plan_needs_no_differ(on_emulator: Repository) -> None:
    assert imported_by(on_emulator, "plan") == set()


def test_only_a_plan_that_changes_an_array_imports_the_differ(on_emulator: Repository) -> None:
    sources = [{"type": "obs", "data_url": "/b/one/"}]
    on_emulator.job("alpha", inputs=None, data_source=sources)
    on_emulator.apply("--overwrite")
    on_emulator.job("alpha", inputs=None, data_source=sources, train_instance_count=2)
    assert imported_by(on_emulator, "plan") == set()
    on_emulator.job("alpha", inputs=None, data_source=[*sources, *sources])
    assert imported_by(on_emulator, "plan") == {"deepdiff"}


def test_only_a_plan_with_changes_and_owners_reads_them(on_emulator: Repository) -> None:
    needed = {"codeowners", "majobctl.operations.catalog_check", "majobctl.operations.impact"}
    assert imported_by(on_emulator, "plan", of=needed) == {"majobctl.operations.impact"}
    on_emulator.write("CODEOWNERS", "* @all\n")
    assert imported_by(on_emulator, "validate", of=needed) == set()
    assert "codeowners" in imported_by(on_emulator, "plan", of=needed)
    on_emulator.apply("--overwrite")
    assert imported_by(on_emulator, "plan", of=needed) == {"majobctl.operations.catalog_check"}


def test_an_apply_without_changes_imports_no_http(on_emulator: Repository) -> None:
    on_emulator.apply()
    assert imported_by(on_emulator, "apply", "--auto-approve") <= {"filelock"}
