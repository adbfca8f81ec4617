"""Random config repositories, line by line, and random edits of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

SETTINGS = "majobctl.toml"
_LABELS = ("l0", "l1", "l2")
_OWN = re.compile(r"\[job_config\.\w+]")
_SHARED = ("train_instance_type", "train_instance_count", "log_url", "config_desc", *_LABELS)


@dataclass
class Table:
    """A header and the lines below it: the key of each with its value as it is written."""

    file: str
    header: str
    lines: dict[str, str] = field(default_factory=dict)


@dataclass
class Files:
    tables: list[Table]

    def texts(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for table in self.tables:
            lines = [table.header, *(f"{key} = {text}" for key, text in table.lines.items())]
            found[table.file] = found.get(table.file, "") + "".join(f"{it}\n" for it in lines)
        return found

    def write(self, root: Path) -> None:
        for name, text in self.texts().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")

    def line_of(self, index: int, key: str | None) -> tuple[str, int]:
        """The file and line of a key of a table, or of its header."""
        table, line = self.tables[index], 1
        for other in self.tables[:index]:
            line += (1 + len(other.lines)) * (other.file == table.file)
        return table.file, line + (0 if key is None else 1 + [*table.lines].index(key))

    def users(self, index: int) -> list[int]:
        """The tables of the job configs below a template's table or that of the defaults."""
        name = re.match(r"\[+templates\.(\w+)", self.tables[index].header)
        return self.users_of(name[1] if name else None)

    def users_of(self, template: str | None) -> list[int]:
        own = [(i, it) for i, it in enumerate(self.tables) if _OWN.fullmatch(it.header)]
        return [i for i, it in own if template is None or it.lines.get("use") == f'"{template}"']

    def owner(self, index: int) -> int:
        """The table of the job config that a table is part of."""
        return max(it for it in self.users_of(None) if it <= index)

    def keys(self, prefix: str) -> set[str]:
        """All keys and labels of a table and those below it."""
        tables = [it for it in self.tables if it.header.strip("[]").startswith(prefix)]
        text = " ".join(f"{key} {value}" for it in tables for key, value in it.lines.items())
        return {key for key in _SHARED if re.search(rf"\b{key}\b", text)}


@dataclass(frozen=True)
class Edit:
    """One line that is changed, added or removed, and the place of its cause."""

    kind: str
    index: int
    key: str
    files: Files
    place: tuple[str, int]


@st.composite
def repositories(draw: st.DrawFn) -> Files:
    numbers = iter(range(1000))

    def value(key: str) -> str:
        number = next(numbers)
        if key == "train_instance_count":
            return str(number + 1)
        if key.startswith("l") and key != "log_url":
            return draw(st.sampled_from((f"{number}.5", f'"v{number}"', f'"${{var.b}}-v{number}"')))
        path = f"/{draw(st.sampled_from(('bucket', '${var.a}')))}/v{number}/"
        return f'"{path}"' if key in ("log_url", "inputs", "output_path") else f'"v{number}"'

    def table(file: str, prefix: str, keys: Iterable[str]) -> list[Table]:
        keys = list(keys)
        plain = {key: value(key) for key in keys if key not in _LABELS}
        labels = {key: value(key) for key in keys if key in _LABELS}
        if not labels:
            return [Table(file, f"[{prefix}]", plain)]
        form = draw(st.sampled_from(("table", "inline", "array")))
        if form == "inline":
            text = ", ".join(f"{key} = {text}" for key, text in labels.items())
            return [Table(file, f"[{prefix}]", {**plain, "hyperparameters": f"{{ {text} }}"})]
        below = [Table(file, f"[{prefix}.hyperparameters]", labels)]
        if form == "array":
            below = [
                Table(file, f"[[{prefix}.hyperparameters]]", {"label": f'"{key}"', "value": text})
                for key, text in labels.items()
            ]
        return [Table(file, f"[{prefix}]", plain), *below]

    subsets = st.lists(st.sampled_from(_SHARED), unique=True)
    required = ("train_instance_type", "train_instance_count")
    tables = [Table(SETTINGS, "[provider]", {"region": '"eu-de"', "project_id": '"p"'})]
    tables += [Table(SETTINGS, "[variables]", {"a": '"a0"', "b": '"b0"'})]
    tables += table(SETTINGS, "defaults", dict.fromkeys((*required, *draw(subsets))))
    environment = draw(st.lists(st.sampled_from(("a", "b")), unique=True))
    if environment:
        lines = {key: f'"{key}1"' for key in environment}
        tables += [Table(SETTINGS, "[environments.prod.variables]", lines)]
    tables += [
        Table(SETTINGS, "[environments.prod.defaults]", {"config_desc": value("config_desc")})
    ]
    for number in range(2):
        tables += table("jobs/templates.toml", f"templates.t{number}", draw(subsets))
    for number in range(draw(st.integers(1, 5))):
        prefix, file = f"job_config.j{number}", f"jobs/j{number % 2}.toml"
        own = table(file, prefix, ("output_path", "model_name", *draw(subsets)))
        if used := draw(st.sampled_from(("", "t0", "t1"))):
            own[0].lines["use"] = f'"{used}"'
        if draw(st.booleans()):
            own[0].lines["inputs"] = value("inputs")
        else:
            own += [
                Table(
                    file,
                    f"[[{prefix}.data_source]]",
                    {"type": '"obs"', "data_url": value("inputs")},
                )
                for _ in range(draw(st.integers(1, 2)))
            ]
        if draw(st.integers(0, 3)) == 0:
            own[0].lines["name"] = f'"m{number}-{{seed}}"'
            matrix = {"seed": "[1, 2]", "width": f"[{next(numbers)}]"}
            own += [Table(file, f"[{prefix}.matrix]", matrix)]
        tables += own
    return Files(tables)


_FIXED = ("use", "name", "type", "label", "seed", "region", "project_id")
_NEEDED = (*_FIXED, "a", "b", "output_path", "model_name", "data_url", "value", "inputs", "width")


@st.composite
def edits(draw: st.DrawFn, files: Files) -> Edit:
    """A random edit of one line. What a repository needs to be valid stays."""
    fresh = draw(st.integers(2000, 10**6))
    kind = draw(st.sampled_from(("value", "value", "value", "remove", "add", "use", "rename")))
    after = deepcopy(files)
    places = [(i, key) for i, it in enumerate(files.tables) for key in it.lines]
    if kind == "use":
        places = [(i, key) for i, key in places if key == "use"]
    elif kind == "rename":
        named = (*_LABELS, "label", "hyperparameters")
        places = [(i, key) for i, key in places if key in named]
    elif kind == "value":
        places = [(i, key) for i, key in places if key not in _FIXED]
    elif kind == "remove":
        environment = [i for i, it in enumerate(files.tables) if "environments" in it.header]
        kept = {("[defaults]", key) for key in ("train_instance_type", "train_instance_count")}
        places = [
            (i, key)
            for i, key in places
            if (key not in _NEEDED or i in environment)
            and (files.tables[i].header, key) not in kept
        ]
    else:
        plain = r"\[(defaults|templates\.\w+|job_config\.\w+)]"
        owners = [i for i, it in enumerate(files.tables) if re.fullmatch(plain, it.header)]
        places = [
            (i, key)
            for i in owners
            for key in ("log_url", "config_desc", "train_instance_type")
            if key not in files.tables[i].lines
        ]
    if not places:
        return draw(edits(files))
    index, key = draw(st.sampled_from(places))
    lines = after.tables[index].lines
    if kind == "remove":
        del lines[key]
        return Edit(kind, index, key, after, after.line_of(index, None))
    if kind == "add":
        lines[key] = f'"/bucket/w{fresh}/"' if key == "log_url" else f'"w{fresh}"'
    elif kind == "rename":
        label = f"r{fresh}"
        renamed = {label if it == key in _LABELS else it: text for it, text in lines.items()}
        key = label if key in _LABELS else key
        renamed[key] = re.sub(r"\bl\d\b", label, renamed[key], count=1)
        after.tables[index].lines = renamed
    elif kind == "use":
        lines[key] = '"t1"' if lines[key] == '"t0"' else '"t0"'
    else:
        lines[key] = _changed(lines[key], fresh)
    return Edit(kind, index, key, after, after.line_of(index, key))


def _changed(text: str, fresh: int) -> str:
    for pattern, new in ((r"v\d+", f"v{fresh}"), (r"(?<=\")[ab]\d", f"w{fresh}")):
        if re.search(pattern, text):
            return re.sub(pattern, new, text, count=1)
    return re.sub(r"(?<![l\d])\d+", str(fresh), text, count=1)
