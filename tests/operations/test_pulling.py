"""Random repositories, applied, then changed in the service and in the files, and pulled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given, note, settings
from hypothesis import strategies as st

from majobctl.operations import ConfigRepository, apply, plan, pull
from majobctl.operations.console import set_values
from majobctl.operations.context import provider_of
from majobctl.plan.change import SENDING
from majobctl.plan.pulled import Outcome, PulledField
from majobctl.repository.config import load_config
from majobctl.repository.jobs.layers import unset_place

ALGORITHM = 'model_name = "ResNet_v2_50"\noutput_path = "/b/out/"\n'
LABELS = ("a", "b", "c")
OWN = ("log_url", "inputs", "config_desc", "train_instance_count", "train_instance_type")
FLAVORS = ("modelarts.vm.gpu.p100", "modelarts.vm.cpu.2u")
LIVE = {
    "log_url": ("/live/log/", ""),
    "inputs": ("/live/in/", ""),
    "config_desc": ("${live}", 'live, "é\u200b', ""),
    "train_instance_count": ("2", "3"),
    "train_instance_type": ("modelarts.vm.gpu.v100",),
    **{
        f"hyperparameters.{it}": ("3", "0.30", "1e-9", "true", "x y'\"", "")
        for it in (*LABELS, "n")
    },
}
"""What somebody sets in the console; "" clears."""
ENVIRONMENTS = ('["", "prod"]', '["prod"]')


class Writer:
    """Draws the text of tables; each comment in it is unique."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._count = 0
        self.set_by: dict[str, set[str]] = {}

    def some(self, *choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def comment(self) -> str:
        self._count += 1
        return str(self.some("", f"  # c{self._count}."))

    def value(self, key: str) -> str:
        if key == "train_instance_count":
            return "1"
        if key == "train_instance_type":
            return f'"{FLAVORS[0]}"'
        if key in LABELS:
            return str(self.some("0.10", "1e-5", "16", "true", '"text"', "'t'", '"${var.v}"'))
        if key == "config_desc":
            return str(self.some('"d"', "'d'", '"""d"""', '"${var.v}"', '"${var.v}!"', '"$${x}"'))
        return str(self.some('"/b/x/"', "'/b/y/'", '"obs://b/z/"', '"/${var.v}/q/"'))

    def lines(self, keys: Any, prefix: str = "") -> Iterator[str]:
        for key in keys:
            if above := self.comment().strip():
                yield above
            yield f"{prefix}{key} = {self.value(key)}{self.comment()}"

    def unset(self, names: Iterable[str]) -> Iterator[str]:
        """The lines of an array with some of ``names``."""
        some = [it for it in sorted(names) if self.some(True, False)]
        texts = [
            f'"{self.some("", "hyperparameters.") if it in LABELS else ""}{it}"' for it in some
        ]
        if self.some(True, False):
            yield from ["unset = [", *(f"    {it},{self.comment()}" for it in texts), "]"]
        elif texts:
            yield f"unset = [{', '.join(texts)}]{self.comment()}"

    def table(self, header: str, first: str, keys: list[str], below: Iterable[str] = ()) -> str:
        """The text of a table over those that set the keys and labels ``below``."""
        labels = [it for it in LABELS if self.some(True, False)]
        self.set_by[header] = {*keys, *labels}
        lines = [f"[{header}]{self.comment()}", *first.splitlines(), *self.lines(keys)]
        lines += self.unset({*below} - {*keys, *labels} - {*OWN[3:]})
        form = self.some("table", "inline", "array", "dotted", "tables")
        pairs = {it: self.value(it) for it in labels}
        if labels and form == "inline":
            text = ", ".join(f"{key} = {value}" for key, value in pairs.items())
            lines.append(f"hyperparameters = {{ {text} }}{self.comment()}")
        elif labels and form == "array":
            items = [f'    {{ label = "{k}", value = {v} }},' for k, v in pairs.items()]
            lines += ["hyperparameters = [", *(it + self.comment() for it in items), "]"]
        elif form == "dotted":
            lines += self.lines(labels, "hyperparameters.")
        elif form == "tables":
            for label, value in pairs.items():
                lines += [f"[[{header}.hyperparameters]]", f'label = "{label}"', f"value = {value}"]
        elif labels:
            lines += ["", f"[{header}.hyperparameters]", *self.lines(labels)]
        return "\n".join([*lines, self.comment().strip(), ""])

    def job_config(self, name: str) -> str:
        first = self.some('use = "t"\n', ALGORITHM)
        keys = [it for it in OWN if it.startswith("train") or self.some(True, False)]
        if first.startswith("use"):
            keys = [it for it in keys if self.some(True, False)]
        first += self.some("", "", 'sensitive = ["log_url"]\n' * ("log_url" in keys))
        first += self.some("", "", 'ignore_changes = ["config_desc"]\n')
        first += self.some("", "", f"environments = {self.some(*ENVIRONMENTS)}\n")
        below = self.set_by["defaults"].union(
            *[self.set_by["templates.t"]] * first.startswith("use")
        )
        return self.table(f"job_config.{name}", first, keys, below)


@st.composite
def repositories(draw: st.DrawFn) -> Mapping[str, str]:
    writer = Writer(draw)
    head = '[provider]\nkind = "emulator"\n[apply]\ncreate_missing = true\n[variables]\nv = "1"\n'
    defaults = writer.table("defaults", "", [it for it in OWN[:3] if writer.some(True, False)])
    required = [*OWN[3:], *(it for it in OWN[:3] if writer.some(True, False))]
    first = ALGORITHM + writer.some("", "", f"environments = {writer.some(*ENVIRONMENTS)}\n")
    template = writer.table("templates.t", first, required, writer.set_by["defaults"])
    matrix = (
        f'[job_config.m]\n{ALGORITHM}name = "m-{{a}}"\nmatrix = {{ a = [1, 2] }}\n'
        f'train_instance_count = 1\ntrain_instance_type = "{FLAVORS[0]}"\n'
    )
    return {
        "majobctl.toml": head + defaults + '[environments.prod]\nstate.path = "p.json"\n',
        "jobs/one.toml": template + writer.job_config("j0") + writer.job_config("j1"),
        "jobs/two.toml": writer.job_config("j2") + writer.some("", matrix),
    }


changes = st.dictionaries(
    st.sampled_from(("j0", "j1", "j2", "m-1")),
    st.lists(st.sampled_from([*LIVE]), unique=True, min_size=1, max_size=4).flatmap(
        lambda keys: st.fixed_dictionaries({key: st.sampled_from(LIVE[key]) for key in keys})
    ),
)


def read(root: Path) -> dict[str, bytes]:
    return {it.name: it.read_bytes() for it in sorted(root.glob("jobs/*.toml"))}


def untouched(content: bytes, taken: set[tuple[str, tuple[str, ...]]]) -> Any:
    """The data of a job file without the places that were taken."""
    data = tomli.loads(content.decode(), parse_float=str)
    for name, table in data.get("job_config", {}).items():
        labels = table.get("hyperparameters")
        if isinstance(labels, list):
            labels = {it["label"]: it["value"] for it in labels}
        for _, path in (it for it in taken if it[0] == name):
            table.pop(path[0], None) if len(path) == 1 else (labels or {}).pop(path[1], None)
            unset = [it for it in table.pop("unset", ()) if unset_place(it) != path]
            table |= {"unset": unset} if unset else {}
        table.pop("hyperparameters", None)
        table["labels"] = labels or {}
    return data


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(files=repositories(), live=changes, local=st.booleans())
def test_the_files_get_what_was_changed_in_the_service_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, files: Mapping[str, str], live: Any, local: bool
) -> None:
    root = tmp_path_factory.mktemp("repository")
    (root / "jobs").mkdir()
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
        note(text)
    apply(ConfigRepository(root), approve=lambda plan: True)
    applied = load_config(root).job_configs
    with provider_of(load_config(root).settings, 1) as provider:
        live = {name: values for name, values in live.items() if name in applied}
        for name, values in live.items():
            set_values(provider, name, values)
        there = {name: provider.read_job_config(name) for name in applied}
    if local:
        one = root / "jobs" / "one.toml"
        one.write_text(one.read_text().replace("_count = 1", "_count = 4"), encoding="utf-8")
    before, desired = read(root), load_config(root).job_configs
    pulled = pull(root, check=True)
    assert read(root) == before
    assert pull(root).of(Outcome.TAKEN) or not pulled.of(Outcome.TAKEN)
    after, now = read(root), load_config(root).job_configs
    note(str(pulled.fields))

    taken = {(it.name, it.change.path) for it in pulled.of(Outcome.TAKEN)}
    left = {(it.name, it.change.path) for it in pulled.fields} - taken
    for name, config in now.items():
        found = there[name]
        assert found is not None
        params = found.params_as(desired[name].params)
        for path in places(config.params, desired[name].params, params, applied[name].params):
            here, was = (value_at(it[name].params, path) for it in (desired, applied))
            is_changed = value_at(params, path) not in (here, was)
            is_free = not applied[name].policy.ignores(path)
            assert ((name, path) in taken | left) == (is_changed and is_free)
            expected = value_at(params, path) if (name, path) in taken else here
            assert value_at(config.params, path) == expected
    for file, content in after.items():
        assert untouched(content, taken) == untouched(before[file], taken)
        lost = {*comments(before[file])} - {*comments(content)}
        removed = [it for it in pulled.of(Outcome.TAKEN) if it.change.live is None]
        dropped = lines_of_unset(before[file]) - lines_of_unset(content)
        assert len(lost) <= len(removed) + max(dropped, 0)
        by_hand = [it for it in removed_from(pulled.fields, file) if "by hand" in it.note]
        assert b"[[" in before[file] or not by_hand
    assert (root / "majobctl.toml").read_text(encoding="utf-8").startswith(files["majobctl.toml"])

    again = pull(root)
    assert not again.files and read(root) == after
    settled = now.keys() - {name for name, _ in left}
    for change in plan(root, refresh="all").changes:
        is_ours = desired[change.name].params != applied[change.name].params
        assert is_ours or change.name not in settled or change.action not in SENDING


def lines_of_unset(content: bytes) -> int:
    """The items of all arrays, and the arrays."""
    tables = tomli.loads(content.decode(), parse_float=str).get("job_config", {}).values()
    return sum(1 + len(it["unset"]) for it in tables if "unset" in it)


def removed_from(fields: Iterable[PulledField], file: str) -> list[PulledField]:
    return [it for it in fields if it.file.endswith(file) and it.change.live is None]


def comments(content: bytes) -> list[str]:
    return re.findall(r"# c\d+\.", content.decode())


def places(*sides: Mapping[str, Any]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for side in sides:
        for key, value in side.items():
            is_table = key == "hyperparameters"
            found |= {(key, label) for label in value} if is_table else {(key,)}
    return found


def value_at(params: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = params
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
