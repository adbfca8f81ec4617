"""The plan of the house: the contracts are in ``pyproject.toml``, below ``tool.importlinter``."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "majobctl"


def test_each_room_imports_only_from_the_rooms_below_it() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


def modules() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("codeowners", {"repository"}),
        ("deepdiff", {"plan"}),
        ("tomli_w", {"repository"}),
        ("tomlkit", {"repository"}),
        ("click", {"cli"}),
        ("filelock", {"state"}),
        ("jsonschema_rs", {"policy"}),
        ("psycopg", {"state"}),
        ("tomli", {"repository", "emulator"}),
        ("werkzeug", {"emulator"}),
        ("requests", {"http", "service", "emulator"}),
    ],
)
def test_a_library_has_its_room(library: str, places: set[str]) -> None:
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
                names = [node.module or ""]
            if any(name.split(".")[0] == library for name in names):
                found.add(path.relative_to(PACKAGE).parts[0])
    assert found <= places
