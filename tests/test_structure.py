"""Holds the plan of the house: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import majobctl

PACKAGE = Path(majobctl.__file__).parent

# Each part with the parts it may import; a part is a module, or a folder as a whole. Who stands
# lower may import who stands higher, and no part may import itself but by what SHARED names.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "signing": set(),
    "emulator": set(),
    "endpoints": {"errors"},
    "fields": {"errors"},
    "pacing": set(),
    "sensitive": {"fields"},
    "rules": {"fields"},
    "job_config": {"errors", "fields", "rules", "sensitive"},
    "directives": {"errors", "fields", "job_config", "sensitive"},
    "toml_file": {"errors", "job_config"},
    "credentials": {"errors"},
    "variables": {"errors", "fields", "job_config", "toml_file"},
    "environments": {"errors", "fields", "job_config", "toml_file"},
    "interpolation": {"errors", "fields", "variables"},
    "settings_table": set(),
    "settings": {
        "credentials",
        "endpoints",
        "environments",
        "errors",
        "fields",
        "job_config",
        "settings_table",
        "toml_file",
        "variables",
    },
    "layers": {"errors", "fields", "toml_file"},
    "matrix": {"errors", "fields", "job_config"},
    "templates": {"directives", "errors", "fields", "job_config", "layers", "matrix", "toml_file"},
    "schema_rules": {"fields", "job_config", "matrix", "rules", "templates"},
    "schema": {
        "fields",
        "job_config",
        "matrix",
        "rules",
        "schema_rules",
        "settings",
        "settings_table",
        "templates",
        "variables",
    },
    "formatting": {
        "errors",
        "fields",
        "job_config",
        "matrix",
        "settings_table",
        "templates",
        "toml_file",
    },
    "job_files": {"errors", "settings"},
    "config": {
        "directives",
        "errors",
        "fields",
        "interpolation",
        "job_config",
        "job_files",
        "layers",
        "matrix",
        "sensitive",
        "settings",
        "templates",
        "toml_file",
        "variables",
    },
    "state": {"endpoints", "errors", "fields", "sensitive"},
    "journal": {"errors", "state"},
    "backends": {"errors", "journal"},
    "state_store": {"backends", "errors", "journal", "state"},
    "catalogue_file": {"backends", "endpoints"},
    "offline_warnings": {"catalogue_file", "config", "errors", "job_config", "layers"},
    "difference": {"fields", "sensitive"},
    "live": {"errors", "fields", "job_config"},
    "plan": {"difference", "endpoints", "errors", "fields", "job_config"},
    "planner": {
        "difference",
        "endpoints",
        "errors",
        "fields",
        "job_config",
        "live",
        "plan",
        "sensitive",
        "state",
    },
    "results": {"plan"},
    "answers": {"errors", "job_config"},
    "tokens": {"answers", "credentials", "errors"},
    "transport": {"answers", "endpoints", "errors"},
    "session": {
        "answers",
        "credentials",
        "endpoints",
        "errors",
        "pacing",
        "signing",
        "tokens",
        "transport",
    },
    "catalogue": {"errors", "session"},
    "estimator": {"catalogue", "errors", "fields", "job_config", "session"},
    "official_sdk": {"credentials", "endpoints", "errors", "session"},
    "sdk_calls": {"errors"},
    "offers": {"catalogue", "errors", "live", "sdk_calls"},
    "opening": {
        "credentials",
        "emulator",
        "endpoints",
        "errors",
        "estimator",
        "official_sdk",
        "session",
    },
    "provider": {"errors", "fields", "live", "offers", "opening", "sdk_calls"},
    "refresh": {"errors", "live", "provider"},
    "carry_out": {"difference", "errors", "fields", "plan", "provider", "results", "sensitive"},
    "apply": {"carry_out", "journal", "plan", "results"},
    "drift": {
        "difference",
        "endpoints",
        "errors",
        "fields",
        "job_config",
        "live",
        "plan",
        "planner",
        "sensitive",
        "state",
    },
    "job_toml": {
        "directives",
        "errors",
        "fields",
        "interpolation",
        "job_config",
        "live",
        "sensitive",
    },
    "new_files": {"errors", "settings"},
    "importing": {
        "config",
        "errors",
        "fields",
        "job_toml",
        "live",
        "new_files",
        "sensitive",
        "settings",
        "state",
        "state_store",
    },
    "render": {"difference", "drift", "errors", "fields", "plan", "results", "sensitive", "state"},
}
MAY_IMPORT["plan_file"] = {*MAY_IMPORT["planner"], "interpolation", "render"}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
MAY_IMPORT["__main__"] = {"cli"}

# Inside a folder: the modules that its siblings share.
SHARED = {
    "cli": {"commands", "interrupts", "options", "repository"},
    "render": {"__init__", "alike", "blocks", "field_lines", "sentences", "values"},
    "backends": {"__init__"},
}
DIRECTION = list(MAY_IMPORT)


def modules() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    """The part that ``majobctl.part...`` belongs to; "" for the package itself."""
    return [*module.split("."), ""][1]


def imports_of(path: Path) -> Iterator[str]:
    """The full names of what of ours a file imports, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "majobctl")


def as_module(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("majobctl", *parts))


@pytest.mark.parametrize("path", list(modules()), ids=as_module)
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(as_module(path))
    if part == "__init__":
        assert list(imports_of(path)) == []
        return
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    found = {part_of(name) for name in imports_of(path)} - {part, "__version__", ""}
    assert found <= MAY_IMPORT[part], f"{as_module(path)} imports {found - MAY_IMPORT[part]}"


def test_the_table_itself_has_no_circles() -> None:
    for part, imported in MAY_IMPORT.items():
        before = set(DIRECTION[: DIRECTION.index(part)])
        late = imported - before
        assert not late, f"{part} may import {late}, which stand below it"


@pytest.mark.parametrize("folder", list(SHARED))
def test_siblings_do_not_import_each_other(folder: str) -> None:
    for path in sorted((PACKAGE / folder).glob("*.py")):
        if path.stem == "__init__":
            continue
        prefix = f"majobctl.{folder}."
        siblings = {
            name.removeprefix(prefix).split(".")[0]
            for name in imports_of(path)
            if name.startswith(prefix)
        }
        files = {item.stem for item in (PACKAGE / folder).glob("*.py")}
        foreign = (siblings & files) - SHARED[folder] - {path.stem}
        assert not foreign, f"{folder}/{path.name} imports its siblings {foreign}"


def test_the_emulator_imports_nothing_of_ours_outside_itself() -> None:
    for path in (PACKAGE / "emulator").rglob("*.py"):
        assert {part_of(name) for name in imports_of(path)} <= {"emulator"}, path.name


def importers_of(library: str) -> set[str]:
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] == library for name in names):
                found.add(part_of(as_module(path)))
    return found


@pytest.mark.parametrize(
    ("library", "parts"),
    [
        ("deepdiff", {"difference"}),
        ("tomli_w", {"job_toml"}),
        ("tomlkit", {"formatting"}),
        ("click", {"cli"}),
        ("filelock", {"backends"}),
        ("tomli", {"toml_file", "emulator"}),
        ("werkzeug", {"emulator"}),
        ("requests", {"transport", "session", "emulator"}),
    ],
)
def test_a_library_has_its_place(library: str, parts: set[str]) -> None:
    assert importers_of(library) <= parts
