"""What job configs can look like: raw tables that are valid or broken, and TOML text from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from majobctl.emulator.catalog import ALGORITHMS, ENGINES, FLAVORS
from majobctl.job_config.job_config import JobConfig
from majobctl.repository.jobs.tables import KEYS

Raw = dict[str, Any]
Marks = list[tuple[tuple[str | int, ...], int]]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

names = st.text(_LETTERS, min_size=1, max_size=20)

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).filter(
    lambda text: "${" not in text
)
"""Any text that a job config can hold and that names no variable."""

_some_text = texts.filter(bool)
_path_parts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/$"), min_size=1, max_size=12
).filter(lambda part: part != "..")

obs_directories = st.builds(
    lambda scheme, parts: scheme + "/".join(parts) + "/",
    st.sampled_from(["/", "obs://"]),
    st.lists(_path_parts, min_size=1, max_size=4),
)

hyperparameter_values: st.SearchStrategy[str | bool | int | float] = (
    texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
)

hyperparameters: st.SearchStrategy[Any] = st.dictionaries(
    _some_text, hyperparameter_values, max_size=5
).flatmap(
    lambda labelled: st.sampled_from(
        [[{"label": label, "value": value} for label, value in labelled.items()]]
        + [labelled] * KEYS.isdisjoint(labelled)
    )
)
"""Both forms: a table, unless a label is the name of a key, and an array of tables."""

_code = st.builds(
    lambda directory, file: {"code_dir": directory, "boot_file": directory + file},
    obs_directories,
    _path_parts,
)
_framework = st.fixed_dictionaries({"framework_type": _some_text, "framework_version": _some_text})
_image = st.fixed_dictionaries({"user_image_url": _some_text}, optional={"user_command": texts})


def _together(*parts: st.SearchStrategy[Raw]) -> st.SearchStrategy[Raw]:
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


_algorithms = st.one_of(
    st.fixed_dictionaries({"model_name": _some_text}),
    _together(_code, _framework),
    _image,
    _together(_image, _code),
    _together(_image, _code, _framework),
)
_obs_source = st.fixed_dictionaries({"type": st.just("obs"), "data_url": obs_directories})
_dataset_source = st.fixed_dictionaries(
    {"type": st.just("dataset"), "dataset_id": _some_text, "dataset_version": _some_text}
)
_data = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"inputs": obs_directories}),
    st.fixed_dictionaries({"dataset_id": _some_text, "dataset_version_id": _some_text}),
    st.fixed_dictionaries(
        {
            "data_source": st.lists(_obs_source, min_size=1, max_size=3)
            | st.lists(_dataset_source, min_size=1, max_size=3)
        }
    ),
)
_others = st.fixed_dictionaries(
    {
        "train_instance_type": _some_text,
        "train_instance_count": st.integers(1, 2**31 - 1),
        "output_path": obs_directories,
    },
    optional={
        "hyperparameters": hyperparameters,
        "log_url": obs_directories | st.just(""),
        "config_desc": texts,
        "job_description": texts,
    },
)

_known_paths = st.builds(
    "{}b-1/{}{}".format,
    st.sampled_from(["/", "obs://"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/$."), max_size=9),
    st.sampled_from(["/", "/a b.py/"]),
).filter(lambda path: "//" not in path.removeprefix("obs://"))


_known_node = st.sampled_from(sorted(FLAVORS)).flatmap(
    lambda spec_id: st.fixed_dictionaries(
        {
            "train_instance_type": st.just(FLAVORS[spec_id].spec_code),
            "train_instance_count": st.integers(1, FLAVORS[spec_id].max_num),
        }
    )
) | st.fixed_dictionaries({"pool_id": _some_text, "train_instance_count": st.integers(1, 9)})
_known_code = _known_paths.map(lambda path: {"code_dir": path, "boot_file": path + "é boot.py"})
_known_engine = st.sampled_from(
    [
        {"framework_type": engine.engine_name, "framework_version": engine.engine_version}
        for engine in ENGINES.values()
    ]
)
_known_image = st.fixed_dictionaries(
    {"user_image_url": _some_text}, optional={"user_command": texts}
)
_known_model = st.sampled_from([{"model_name": model.model_name} for model in ALGORITHMS.values()])
_known_algorithm = (
    _known_model
    | _together(_known_code, _known_engine)
    | _known_image
    | _together(_known_image, _known_code, _known_engine)
)
_known_data: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"inputs": _known_paths}),
    st.fixed_dictionaries({"dataset_id": _some_text, "dataset_version_id": _some_text}),
    st.fixed_dictionaries(
        {
            "data_source": st.lists(
                st.fixed_dictionaries({"type": st.just("obs"), "data_url": _known_paths}),
                max_size=2,
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "data_source": st.lists(
                st.fixed_dictionaries(
                    {
                        "type": st.just("dataset"),
                        "dataset_id": _some_text,
                        "dataset_version": _some_text,
                    }
                ),
                max_size=2,
            )
        }
    ),
)
_known_rest = st.fixed_dictionaries(
    {"output_path": _known_paths},
    optional={
        "hyperparameters": hyperparameters,
        "log_url": _known_paths | st.just(""),
        "config_desc": texts,
        "job_description": texts,
    },
)
known_params: st.SearchStrategy[Mapping[str, Any]] = _together(
    _known_node, _known_algorithm, _known_data, _known_rest
).map(lambda raw: JobConfig.of("x", raw).params)
"""The normalised params of a job config that the emulator takes."""

valid_params: st.SearchStrategy[Raw] = _together(_others, _algorithms, _data)
"""The keys of a job config that breaks no rule."""

valid_tables: st.SearchStrategy[dict[str, Raw]] = st.dictionaries(names, valid_params, max_size=4)


@dataclass(frozen=True)
class Break:
    """One way to break a rule, and the key that the violation is at ("" for the table)."""

    key: str
    make: Callable[[Raw], Raw]


def _without(*keys: str) -> Callable[[Raw], Raw]:
    return lambda raw: {key: value for key, value in raw.items() if key not in keys}


def _with(**added: Any) -> Callable[[Raw], Raw]:
    return lambda raw: raw | added


_DATA_KEYS = ("inputs", "dataset_id", "dataset_version_id", "data_source")
_ALGORITHM_KEYS = (
    *("code_dir", "boot_file", "framework_type", "framework_version"),
    *("model_name", "user_image_url", "user_command"),
)

breaks: st.SearchStrategy[Break] = st.sampled_from(
    [
        Break("train_instance_type", _without("train_instance_type")),
        Break("output_path", _with(output_path="")),
        Break("output_path", _with(output_path="output/")),
        Break("log_url", _with(log_url="/b/../c/")),
        Break("log_url", _with(log_url=["/b/"])),
        Break("train_instance_count", _with(train_instance_count=0)),
        Break("train_instance_count", _with(train_instance_count=True)),
        Break("config_desc", _with(config_desc="x" * 257)),
        Break("hyperparameters", _with(hyperparameters={"layers": [1, 2]})),
        Break("hyperparameters", _with(hyperparameters=[{"label": "lr"}])),
        Break("unknown", _with(unknown=1)),
        Break("secret_key", _with(secret_key="x")),
        Break("", _without(*_ALGORITHM_KEYS)),
        Break("dataset_id", lambda raw: _without(*_DATA_KEYS)(raw) | {"dataset_id": "d"}),
        Break("dataset_id", _with(inputs="/b/", dataset_id="d", dataset_version_id="v")),
        Break("data_source", _with(data_source=[{"type": "?"}])),
    ]
)

invalid_params: st.SearchStrategy[Raw] = st.builds(
    lambda raw, broken: broken.make(raw), valid_params, breaks
)
"""The keys of a job config that breaks at least one rule."""

plain_values: st.SearchStrategy[Any] = st.recursive(
    texts | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Anything that TOML can hold but dates."""


def toml_value(value: Any) -> str:
    """``value`` in TOML, on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = (f"{toml_value(key)} = {toml_value(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return repr(value)


def toml_of(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A job file with these job configs."""
    lines: list[str] = []
    for name, raw in tables.items():
        lines.append(f"[job_config.{toml_value(name)}]")
        lines += [f"{toml_value(key)} = {toml_value(value)}" for key, value in raw.items()]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class LinedText:
    """TOML text, and each key or item in it with its line."""

    text: str
    marks: Marks


_SCALARS = (
    *("1", "0xff", "1e-5", "true", "inf", '""', "''", '"a # [b] = {"', "'a\\'"),
    *("1979-05-27 07:32:00", "1979-05-27T07:32:00Z", "07:32:00", "1979-05-27"),
    '"""\n[job_config.no]\nno = 1\n"""',
    '"""one \\""" two\n""\nno = 2"""',
    '"""""quoted"""""',
    "'''\n''no = 3\n]}'''",
    "''''quoted''''",
    '"""\\\n   folded \\\n  on"""',
)


def _array(items: list[LinedText], between: str) -> LinedText:
    text, marks = "[", Marks()
    for index, item in enumerate(items):
        text += between
        line = text.count("\n")
        marks.append(((index,), line))
        marks += [((index, *path), line + below) for path, below in item.marks]
        text += item.text + ","
    return LinedText(text + between + "]", marks)


def _inline(items: list[tuple[str, LinedText]]) -> LinedText:
    text, marks = "{", Marks()
    for index, (key, item) in enumerate(items):
        line = text.count("\n")
        path = tuple(key.split("."))
        marks.append((path, line))
        marks += [((*path, *inner), line + below) for inner, below in item.marks]
        text += f"{', ' if index else ''}{key} = {item.text}"
    return LinedText(text + "}", marks)


_keys = st.text("abcxyz", min_size=1, max_size=4)
_values: st.SearchStrategy[LinedText] = st.recursive(
    st.sampled_from([LinedText(text, []) for text in _SCALARS]),
    lambda inner: st.one_of(
        st.builds(
            _array,
            st.lists(inner, max_size=4),
            st.sampled_from(["", " ", "\n", "\n  # ], no = 4\n\n"]),
        ),
        st.builds(
            _inline,
            st.lists(
                st.tuples(_keys | st.builds("{}.{}".format, _keys, _keys), inner),
                max_size=3,
                unique_by=lambda pair: pair[0].partition(".")[0],
            ),
        ),
    ),
    max_leaves=8,
)
_written_keys = st.builds(
    lambda key, style: (key, style.format(key)),
    st.text("abcxyz. #[]=", min_size=1, max_size=6),
    st.sampled_from(['"{}"', "'{}'"]),
) | st.builds(lambda key: (key, key), _keys)
_fillers = st.sampled_from(["", "\n", "# [job_config.no]\n", "  # no = '''\n\n"])


@st.composite
def lined_documents(draw: st.DrawFn) -> LinedText:
    """A document with tables, arrays of tables and dotted keys in every style of writing."""
    text, marks = "", Marks()
    tables = draw(st.lists(_written_keys, max_size=4, unique_by=lambda key: key[0]))
    for table, written in tables:
        repeats = draw(st.integers(0, 2))
        for index in range(max(repeats, 1)):
            text += draw(_fillers)
            prefix: tuple[str | int, ...] = ("t", table, index) if repeats else ("t", table)
            header = f"t . {written}"
            marks.append((prefix, text.count("\n") + 1))
            text += f"[[ {header} ]] # x\n" if repeats else f"\t[{header}]\n"
            pairs = draw(st.lists(_written_keys, max_size=3, unique_by=lambda key: key[0]))
            for key, written_key in pairs:
                text += draw(_fillers)
                is_dotted = draw(st.booleans())
                value = draw(_values)
                path = (*prefix, key, "below") if is_dotted else (*prefix, key)
                line = text.count("\n") + 1
                marks.append((path, line))
                marks += [((*path, *inner), line + below) for inner, below in value.marks]
                text += f"  {written_key}{' . below' * is_dotted} = {value.text} # y\n"
    return LinedText(text, marks)
