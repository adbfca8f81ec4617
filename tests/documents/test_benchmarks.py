"""The benchmarks run, and distinguish a met target from a missed one."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import Command, Cost
from benchmarks.report import rows, write_into
from benchmarks.repositories import OFFLINE, write_repository
from benchmarks.works import OCTODNS_WORKS, WORKS
from benchmarks.workshop import Comparison, Measure, Target
from benchmarks.zones import Content, write_zones
from majobctl.repository.config import load_config

yaml: Any = importlib.import_module("yaml")  # it has no type stubs

ROOT = Path(__file__).resolve().parents[2]
MEMORY_ROWS = 1
"""One work has a target for memory, too."""

FAST = Cost(1.0, 0.5, 20_000_000)
SLOW = Cost(3.0, 1.5, 30_000_000)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def row(target: Target, measured: Cost, baseline: Cost) -> list[str]:
    nothing = Command((), "")
    comparison = Comparison("work", "other work", nothing, nothing, (target,))
    (line,) = rows(comparison, [measured], [baseline])
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.slow
def test_every_work_is_measured_but_octodns_which_would_have_to_be_installed() -> None:
    ended = run("--quick", "--here")
    assert ended.returncode == 0, ended
    table, _, facts = ended.stdout.partition("\n\n")
    lines = table.splitlines()[2:]
    assert len(lines) == len(WORKS) - len(OCTODNS_WORKS) + MEMORY_ROWS
    assert all(line.count("|") == 7 for line in lines)
    assert "CPython" in facts or "PyPy" in facts
    assert str(ROOT) not in ended.stdout


@pytest.mark.slow
def test_only_what_is_named_is_measured() -> None:
    ended = run("--quick", "--here", "--only", "help")
    assert [line.split(" | ")[0] for line in ended.stdout.splitlines()[2:3]] == ["| `--help`"]
    assert "plan" not in ended.stdout


@pytest.mark.parametrize("sizes", ["20,10,5", "1,2", "few,some,many"])
def test_sizes_that_do_not_grow_are_refused(sizes: str) -> None:
    ended = run("--sizes", sizes)
    assert ended.returncode == 2
    assert "--sizes" in ended.stderr


def test_a_part_of_the_table_is_not_written() -> None:
    assert run("--write", "--only", "help").returncode == 2


@pytest.mark.parametrize(
    ("target", "measured", "baseline", "ratio", "met"),
    [
        (Target(Measure.TIME, 3), SLOW, FAST, "3.00 x", "yes"),
        (Target(Measure.TIME, 2.9), SLOW, FAST, "3.00 x", "**no**"),
        (Target(Measure.CPU, 3), SLOW, FAST, "3.00 x", "yes"),
        (Target(Measure.CPU, 2.9), SLOW, FAST, "3.00 x", "**no**"),
        (Target(Measure.MEMORY, 1.5), SLOW, FAST, "1.50 x", "yes"),
        (Target(Measure.MEMORY, 1.4), SLOW, FAST, "1.50 x", "**no**"),
        (Target(Measure.SPEED, 3), FAST, SLOW, "3.00 x", "yes"),
        (Target(Measure.SPEED, 10), FAST, SLOW, "3.00 x", "**no**"),
    ],
)
def test_a_row_says_whether_its_target_is_met(
    target: Target, measured: Cost, baseline: Cost, ratio: str, met: str
) -> None:
    cells = row(target, measured, baseline)
    assert cells[3].startswith(ratio)
    assert cells[5] == met


def test_the_table_replaces_the_one_of_before_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- benchmarks -->\nold\n<!-- end of benchmarks -->\nafter\n", encoding="utf-8"
    )
    write_into(page, "new")
    text = page.read_text(encoding="utf-8")
    assert text == ("before\n<!-- benchmarks -->\n\nnew\n\n<!-- end of benchmarks -->\nafter\n")
    write_into(page, "new")
    assert page.read_text(encoding="utf-8") == text


def test_a_page_without_a_place_for_the_table_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a page\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no place"):
        write_into(page, "new")
    assert page.read_text(encoding="utf-8") == "a page\n"


def test_a_made_repository_is_valid_and_has_as_many_job_configs_as_wished(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    write_repository(root, 201, OFFLINE)
    config = load_config(root)
    assert len(config.job_configs) == 201
    assert not config.warnings
    assert len(list(root.glob("jobs/*.toml"))) == 3
    assert all(len(item.params["hyperparameters"]) == 6 for item in config.job_configs.values())


@pytest.mark.parametrize("is_changed", [False, True])
@pytest.mark.parametrize("content", Content)
def test_the_zones_differ_in_every_record_or_in_none(
    tmp_path: Path, content: Content, is_changed: bool
) -> None:
    config = yaml.safe_load(write_zones(tmp_path, 150, content, is_changed=is_changed).read_text())
    assert set(config["providers"]) == {"desired", "current"}
    desired = read_side(tmp_path, "desired", config["zones"])
    current = read_side(tmp_path, "current", config["zones"])
    assert len(desired) == 150
    assert {current[name] != record for name, record in desired.items()} == {is_changed}


def read_side(folder: Path, side: str, zones: Iterable[str]) -> dict[str, object]:
    files = [folder / side / f"{zone}yaml" for zone in zones]
    return {
        name: record
        for file in files
        for name, record in yaml.safe_load(file.read_text(encoding="utf-8")).items()
    }
