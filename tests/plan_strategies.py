"""Desired job configs for property tests: normalised params, as a JobConfig holds them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from majobctl.fields import FIELDS, Kind
from majobctl.job_config import JobConfig

TRICKY_LABELS = ["__x", "__", "a.b", "a['b']", 'q"q', "[0]", "root", "label", "é☃", " ", "1", "-"]

texts = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12
) | st.sampled_from(["0.1", "0.10", "true", "a\nb", "\x1b[31m", "x" * 90])
paths = st.sampled_from(["/b/x/", "/b/y", "/bucket/a/b/c"])
labels = texts | st.sampled_from(TRICKY_LABELS)
names = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)

_data_source = st.lists(
    st.fixed_dictionaries({"type": st.just("obs"), "data_url": paths})
    | st.fixed_dictionaries(
        {"type": st.just("dataset"), "dataset_id": texts, "dataset_version": texts}
    ),
    min_size=1,
    max_size=3,
)
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: texts,
    Kind.OBS_PATH: paths,
    Kind.COUNT: st.integers(1, 9),
    Kind.HYPERPARAMETERS: st.dictionaries(labels, texts, min_size=1, max_size=5),
    Kind.DATA_SOURCE: _data_source,
}
_REQUIRED = ("train_instance_type", "train_instance_count")


def _in_order(params: dict[str, Any]) -> dict[str, Any]:
    ordered = {key: params[key] for key in FIELDS if key in params}
    if "hyperparameters" in ordered:
        ordered["hyperparameters"] = dict(sorted(ordered["hyperparameters"].items()))
    return ordered


params = st.fixed_dictionaries(
    {key: _VALUES[FIELDS[key].kind] for key in _REQUIRED},
    optional={
        key: _VALUES[field.kind]
        for key, field in FIELDS.items()
        if field.kind in _VALUES and field.rest is not None and key not in _REQUIRED
    },
).map(_in_order)
"""Normalised params; the rules between keys are not kept, since no planner may need them."""


def job_configs(max_size: int = 5) -> st.SearchStrategy[dict[str, JobConfig]]:
    """Desired job configs by name, in any order."""
    return st.dictionaries(names, params, max_size=max_size).map(
        lambda found: {name: JobConfig(name, content) for name, content in found.items()}
    )
