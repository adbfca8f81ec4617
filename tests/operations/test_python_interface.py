"""The Python interface: the names of majobctl.operations, and how they are called."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from majobctl import operations
from majobctl.errors import MajobctlError, StalePlanError
from majobctl.operations import SavedPlan, Selection, apply, drift, import_configs, plan
from majobctl.plan.results import ChangeResult
from tests.config_repository import Repository

FUNCTIONS = ["apply", "drift", "import_configs", "plan"]


def test_the_exported_names_are_these() -> None:
    assert operations.__all__ == sorted(["Overrides", "SavedPlan", "Selection", *FUNCTIONS])
    for name in operations.__all__:
        found = getattr(operations, name)
        assert (found.__name__, bool(found.__doc__)) == (name, True)
    with pytest.raises(AttributeError, match="has no attribute 'destroy'"):
        _ = operations.destroy


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_but_the_folder_is_given_by_name(name: str) -> None:
    root, *others = inspect.signature(getattr(operations, name)).parameters.values()
    assert root.name == "root"
    assert {item.kind for item in others} == {inspect.Parameter.KEYWORD_ONLY}


def test_the_package_imports_no_operation_of_its_own() -> None:
    probe = "import sys, majobctl.operations; print([n for n in sys.modules if 'majobctl.' in n])"
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert ended.stdout == "['majobctl.operations']\n"


def test_each_use_case_runs_without_a_command_line(on_emulator: Repository) -> None:
    root = on_emulator.root
    said: list[object] = []
    on_emulator.job("beta", config_desc="mine")
    saved = root / "saved.plan"
    made = plan(root, selection=Selection(excluded=("alpha",)), out=str(saved), warn=said.append)
    assert [change.name for change in made.changes] == ["beta"]
    reviewed = SavedPlan.read(saved.read_bytes(), "saved.plan")
    with pytest.raises(MajobctlError, match=r"^not approved; nothing was sent$"):
        apply(root, approve=lambda plan: False, saved_plan=reviewed)
    assert not on_emulator.state_path.exists()
    result = apply(root, approve=lambda plan: plan == reviewed.plan, saved_plan=reviewed)
    assert (result.is_complete, result.serial) == (True, 1)
    with pytest.raises(StalePlanError, match=r"^saved\.plan does not fit: it was made against no"):
        apply(root, approve=lambda plan: True, saved_plan=reviewed)
    imported = import_configs(root, names=["a*"])
    assert (imported.imported, imported.written) == (("alpha",), {})
    assert drift(root, warn=said.append).changes == ()
    assert said == []


def test_an_interruption_is_raised_when_the_outcomes_are_saved(on_emulator: Repository) -> None:
    def observe(result: ChangeResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(on_emulator.root, approve=lambda plan: True, observe=observe)
    assert list(on_emulator.state["job_configs"]) == ["alpha"]
    assert not on_emulator.state_path.with_name("majobctl.state.json.journal").exists()
    assert plan(on_emulator.root).changes == ()


def test_a_warning_is_handed_over_once(on_emulator: Repository) -> None:
    warnings: list[str] = []
    nothing = Selection(targeted=("x*",))
    for operation in (plan, drift):
        operation(on_emulator.root, selection=nothing, warn=lambda text: warnings.append(str(text)))
    assert warnings == ["--target and --exclude select no job config"]
