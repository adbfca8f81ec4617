"""Matrices made from tables: whatever they are made of, they say the same."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.repository.authoring.fold import folded
from majobctl.repository.authoring.generate import JobTable
from majobctl.repository.jobs.reader import read_job_files
from majobctl.repository.settings.settings import FILE_NAME, read_settings
from majobctl.repository.toml.file import TomlFile

PARAMS = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/b/o/",
    "model_name": "ResNet_v2_50",
    "inputs": "/b/i/",
}
SETTINGS, _ = read_settings(Path.cwd(), file=TomlFile.parse(b"", FILE_NAME))


def read(tables: list[JobTable]) -> Mapping[str, Any]:
    """What job files with these tables say."""
    text = "\n".join(table.text() for table in tables)
    readings = read_job_files(SETTINGS, [TomlFile.parse(text.encode(), "jobs/a.toml")])
    assert not [it for it in readings if it.violations or it.expansion_violations], text
    return {it.name: it.job_config.params for it in readings if it.name and it.job_config}


def of(configs: Mapping[str, Mapping[str, Any]]) -> list[JobTable]:
    return [JobTable(name=name, values={**PARAMS, **configs[name]}) for name in sorted(configs)]


VALUES = st.sampled_from(["0.1", "0.01", "1", "10", "a", "a-b", "é", "${x}", "{lr}", "", "1e-5"])


@given(st.data())
def test_whatever_varies_the_tables_say_the_same(data: st.DataObject) -> None:
    labels = data.draw(
        st.lists(st.sampled_from(["lr", "seed", "name", "l r"]), max_size=2, unique=True)
    )
    axes = [data.draw(st.lists(VALUES, min_size=1, max_size=3, unique=True)) for _ in labels]
    counts = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True))
    configs: dict[str, dict[str, Any]] = {}
    for count, chosen in product(counts, product(*axes)):
        text = "-".join(chosen)
        name = "".join(it if it.isascii() and it.isalnum() else "_" for it in f"x-{text}-{count}")
        labelled = {
            it: value.replace("${", "$${") for it, value in zip(labels, chosen, strict=True)
        }
        values: dict[str, Any] = {"train_instance_count": count, "hyperparameters": labelled}
        values["config_desc"] = f"of {text}".replace("${", "$${")
        if data.draw(st.booleans()) or len(configs) < 2:
            configs[name[:20]] = values
    plain = of(configs)
    assert read(folded(plain)) == read(plain)


GRID = {
    f"a-{lr}-{n}": {"hyperparameters": {"lr": lr}, "train_instance_count": n}
    for lr in ("1", "2")
    for n in (1, 2, 4)
}


@pytest.mark.parametrize(
    ("configs", "labels"),
    [
        (GRID, ["a"]),
        ({**GRID, "a": {}, "b": {}}, ["a", "a-2", "b"]),
        ({**GRID, **{f"b-{it}": {"model_name": it} for it in ("x", "y")}}, ["a", "b"]),
        ({name: GRID[name] for name in GRID if name != "a-2-4"}, ["a-1", "a-2"]),
        ({"one": {"config_desc": "1"}, "two": {"config_desc": "2"}}, ["one", "two"]),
        ({"a-1": {}, "a-2": {}}, ["a-1", "a-2"]),
        ({f"{n}": {"train_instance_count": n} for n in (1, 2)}, ["matrix"]),
        (
            {
                f"d-{it}": {
                    "inputs": "",
                    "model_name": it,
                    "data_source": [{"type": "obs", "data_url": f"/b/{it}/"}],
                }
                for it in "xy"
            },
            ["d-x", "d-y"],
        ),
        ({}, []),
    ],
)
def test_what_becomes_a_matrix(configs: Mapping[str, Any], labels: list[str]) -> None:
    plain = of(configs)
    tables = folded(plain)
    assert [table.name for table in tables] == labels
    assert read(tables) == read(plain)


def test_texts_that_follow_from_the_values_refer_to_them() -> None:
    configs = {
        f"m-{lr.replace('.', '_')}": {
            "hyperparameters": {"lr": lr, "$": "$${lr}"},
            "output_path": f"/b/lr-{lr}/of/{lr}/",
            "config_desc": f"0.1 or {lr}",
        }
        for lr in ("0.1", "0.25")
    }
    (table,) = folded(of(configs))
    assert table.values["output_path"] == "/b/lr-${matrix.lr}/of/${matrix.lr}/"
    assert table.values["config_desc"] == "0.1 or ${matrix.lr}"
    assert read([table]) == read(of(configs))


def test_thousands_of_tables_are_no_trouble() -> None:
    configs = {f"x{at}": {"config_desc": f"{at * 7919 % 5003} {at}"} for at in range(3000)}
    assert len(folded(of(configs))) == 3000
