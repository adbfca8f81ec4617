"""The Python interface: the names of majobctl.operations, and how they are called."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from majobctl import operations
from majobctl.cli import invocation
from majobctl.errors import MajobctlError, StalePlanError, StateError
from majobctl.operations import (
    ConfigRepository,
    Overrides,
    SavedPlan,
    Selection,
    apply,
    drift,
    import_configs,
    plan,
)
from majobctl.plan.results import ApplyResult, ChangeResult
from tests.config_repository import Repository

VALUES = ["ConfigRepository", "Overrides", "SavedPlan", "Selection"]
FUNCTIONS = ["apply", "drift", "import_configs", "plan", "validate"]


def test_the_exported_names_are_these() -> None:
    assert operations.__all__ == sorted([*VALUES, *FUNCTIONS])
    for name in operations.__all__:
        found = getattr(operations, name)
        assert (found.__name__, bool(found.__doc__)) == (name, True)
    with pytest.raises(AttributeError, match="has no attribute 'destroy'"):
        _ = operations.destroy


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_but_the_repository_is_given_by_name(name: str) -> None:
    repository, *others = inspect.signature(getattr(operations, name)).parameters.values()
    assert repository.name == "repository"
    assert all(item.kind is inspect.Parameter.KEYWORD_ONLY for item in others)


def test_the_package_imports_no_operation_of_its_own() -> None:
    probe = "import sys, majobctl.operations; print([n for n in sys.modules if 'majobctl.' in n])"
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert ended.stdout == "['majobctl.operations']\n"


@pytest.mark.parametrize("parallelism", [0, -1, 1001, 2.0, "3", True])
def test_parallelism_is_from_1_to_1000(parallelism: Any) -> None:
    with pytest.raises(MajobctlError, match=r"^parallelism must be an integer from 1 to 1000, not"):
        ConfigRepository("ml-configs", parallelism=parallelism)


@pytest.mark.parametrize("lock_timeout", [math.nan, math.inf, -1, 86401, "5", None, True])
def test_a_lock_timeout_is_a_number_of_seconds(lock_timeout: Any) -> None:
    with pytest.raises(MajobctlError, match=r"^lock_timeout must be a number of seconds from 0"):
        ConfigRepository("ml-configs", lock_timeout=lock_timeout)


@pytest.mark.parametrize("operation", [plan, drift, import_configs, apply])
@pytest.mark.parametrize("root", [None, 3, b"ml-configs"])
def test_a_repository_may_be_a_path_but_nothing_else(operation: Any, root: Any) -> None:
    others: Any = {plan: {}, drift: {}, import_configs: {"names": ["*"]}, apply: {"approve": bool}}
    with pytest.raises(MajobctlError, match=r"^root must be a path"):
        operation(root, **others[operation])


def test_a_path_is_the_repository_in_that_folder(on_emulator: Repository) -> None:
    assert plan(on_emulator.root).total == plan(str(on_emulator.root)).total == 1
    assert apply(str(on_emulator.root), approve=lambda plan: True).is_complete
    assert drift(str(on_emulator.root)).changes == ()
    assert import_configs(str(on_emulator.root), names=["b*"]).imported == ("beta",)


@pytest.mark.parametrize(
    "select",
    [
        lambda names: Selection(targeted=names),
        lambda names: Selection(excluded=names),
        lambda names: Overrides(values=names),
        lambda names: Overrides(files=names),
        lambda names: import_configs("ml-configs", names=names),
    ],
)
@pytest.mark.parametrize("names", ["ex*", b"ex*", None, ("ex*", 3)])
def test_a_string_is_not_taken_for_a_tuple_of_its_characters(
    select: Callable[[Any], object], names: Any
) -> None:
    with pytest.raises(MajobctlError, match=r"^\w+ must be a tuple of strings, not "):
        select(names)


@pytest.mark.parametrize("answer", ["no", "yes", 1, None, [False]])
def test_only_true_approves(on_emulator: Repository, answer: Any) -> None:
    with pytest.raises(MajobctlError, match=r"^not approved; nothing was sent$"):
        apply(on_emulator.root, approve=lambda plan: answer)
    assert not on_emulator.state_path.exists()


def test_each_use_case_runs_without_a_command_line(on_emulator: Repository) -> None:
    said: list[object] = []
    repository = ConfigRepository(on_emulator.root, warn=said.append)
    on_emulator.job("beta", config_desc="mine")
    saved = on_emulator.root / "saved.plan"
    made = plan(repository, selection=Selection(excluded=("alpha",)), out=str(saved))
    assert [change.name for change in made.changes] == ["beta"]
    reviewed = SavedPlan.read(saved.read_bytes(), "saved.plan")
    with pytest.raises(MajobctlError, match=r"^not approved; nothing was sent$"):
        apply(repository, approve=lambda plan: False, saved_plan=reviewed)
    assert not on_emulator.state_path.exists()
    result = apply(repository, approve=lambda plan: plan == reviewed.plan, saved_plan=reviewed)
    assert (result.is_complete, result.serial) == (True, 1)
    with pytest.raises(StalePlanError, match=r"^saved\.plan is stale: it was made before there"):
        apply(repository, approve=lambda plan: True, saved_plan=reviewed)
    imported = import_configs(repository, names=["a*"])
    assert (imported.imported, imported.written) == (("alpha",), {})
    assert drift(repository).changes == ()
    assert said == []


def test_an_interruption_is_raised_when_the_outcomes_are_saved(on_emulator: Repository) -> None:
    def observe(result: ChangeResult) -> None:
        raise KeyboardInterrupt

    repository = ConfigRepository(on_emulator.root)
    with pytest.raises(KeyboardInterrupt):
        apply(repository, approve=lambda plan: True, observe=observe)
    assert list(on_emulator.state["job_configs"]) == ["alpha"]
    assert not on_emulator.state_path.with_name("majobctl.state.json.journal").exists()
    assert plan(repository).changes == ()


def test_an_error_of_ours_is_raised_and_an_unsaved_state_is_reported_beside_it(
    on_emulator: Repository,
) -> None:
    def observe(result: ChangeResult) -> None:
        on_emulator.state_path.mkdir()
        raise ZeroDivisionError

    reported: list[object] = []
    repository = ConfigRepository(on_emulator.root, warn=reported.append)
    with pytest.raises(ZeroDivisionError):
        apply(repository, approve=lambda plan: True, observe=observe)
    assert [type(item) for item in reported] == [StateError]


def test_an_error_beside_another_one_is_printed_as_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    invocation.warn(StateError("the state cannot be written"))
    invocation.warn("two job configs are alike")
    assert capsys.readouterr().err == (
        "Error: the state cannot be written\nWarning: two job configs are alike\n"
    )


def test_an_apply_begins_when_the_names_are_known(on_emulator: Repository) -> None:
    begun: list[str] = []
    repository = ConfigRepository(on_emulator.root)

    def run() -> ApplyResult:
        return apply(
            repository,
            approve=lambda plan: True,
            begin=lambda plan: begun.append("begin"),
            observe=lambda result: begun.append(result.name),
        )

    on_emulator.job("alpha", train_instance_type="no.such.flavor")
    with pytest.raises(MajobctlError, match="nothing was sent"):
        run()
    assert begun == []
    on_emulator.job("alpha")
    assert run().is_complete
    assert begun == ["begin", "alpha"]


def test_a_warning_is_handed_over_once(on_emulator: Repository) -> None:
    warnings: list[str] = []
    on_emulator.job("alpha", inputs=None)
    repository = ConfigRepository(
        on_emulator.root, warn=lambda warning: warnings.append(str(warning))
    )
    for operation in (plan, drift):
        operation(repository, selection=Selection(targeted=("a*",)))
    assert len(warnings) == 1
    assert "no data" in warnings[0]
