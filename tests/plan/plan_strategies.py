"""Desired job configs for property tests: normalised params, as a JobConfig holds them; and what
the state and the service may have beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from majobctl.emulator.catalog import ALGORITHMS, ENGINES, FLAVORS
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.fields import FIELDS, Kind
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import Masker
from majobctl.plan.plan import Plan
from majobctl.plan.planner import make_plan
from majobctl.state.document import State
from tests import strategies as tables
from tests.plan.values import TARGET, entry_of, state_of

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


@st.composite
def _secretive(draw: st.DrawFn, name: str) -> JobConfig:
    """A job config of this name with any directives; some of its values are secret."""
    content = draw(params)
    places: list[tuple[str, ...]] = [(key,) for key in content if key != "hyperparameters"]
    places += [("hyperparameters", label) for label in content.get("hyperparameters", {})]
    chosen = draw(st.lists(st.sampled_from(places), max_size=2, unique=True))
    return JobConfig(
        name,
        content,
        sensitive={place: draw(st.none() | st.just("${env.X}")) for place in chosen},
        policy=ComparePolicy(frozenset(draw(st.lists(st.sampled_from(places), max_size=2)))),
        prevent_delete=draw(st.booleans()),
        renamed_from=draw(st.sampled_from(["", "a", "b", "z"])),
    )


_FEW = ["a", "b", "c", "d"]


@dataclass(frozen=True)
class Three:
    """The three sides of a plan, and its settings; ``live`` is None where it is not refreshed.

    Without a state, nothing is planned to be deleted.
    """

    desired: Mapping[str, JobConfig]
    state: State | None
    live: Mapping[str, LiveConfig | None] | None
    creates_missing: bool
    deletes_removed: bool

    def plan(self) -> Plan:
        return make_plan(
            self.desired,
            self.state,
            TARGET,
            salt="" if self.state else "a-salt",
            live=self.live,
            creates_missing=self.creates_missing,
            deletes_removed=self.deletes_removed,
        )


@st.composite
def threes(draw: st.DrawFn) -> Three:
    """Few names, so that sides meet; each side is often equal to another, or nearly."""
    desired = {name: draw(_secretive(name)) for name in _FEW if draw(st.booleans())}

    def near(name: str) -> Mapping[str, Any]:
        config = desired.get(name)
        return draw(st.just(config.params) | params) if config else draw(params)

    entries = {}
    for name in [*_FEW, "z"]:
        if draw(st.booleans()):
            content, config = near(name), desired.get(name)
            # A hash of 0.1 has no name, and that of one that was moved another one.
            masker = Masker("a-salt", draw(st.sampled_from([name, "", "moved"])))
            masked = masker.masked(content, config.sensitive if config else ())
            pending = draw(st.booleans())
            attempted = draw(params) if pending else None
            earlier = tuple(draw(st.lists(params, max_size=2))) if pending else ()
            entries[name] = entry_of(masked, pending=pending, attempted=attempted, earlier=earlier)
    state = state_of(**entries) if draw(st.booleans()) else None
    live = None
    if draw(st.booleans()):
        live = {
            name: LiveConfig(name, near(name)) if draw(st.booleans()) else None
            for name in dict.fromkeys([*desired, *(state.job_configs if state else ())])
        }
    return Three(desired, state, live, draw(st.booleans()), draw(st.booleans()))


def _service_params(raw: Mapping[str, Any], node: Any, engine: Any, model: Any) -> dict[str, Any]:
    known = {
        "train_instance_type": node.spec_code,
        "train_instance_count": 1 + raw["train_instance_count"] % node.max_num,
        "framework_type": engine.engine_name,
        "framework_version": engine.engine_version,
        "model_name": model.model_name,
    }
    return {**raw, **{key: value for key, value in known.items() if key in raw}}


def _is_taken(raw: Mapping[str, Any]) -> bool:
    """Whether the buckets in ``raw`` have names without spaces, as the emulator wants them."""
    paths = [raw.get(key, "") for key in ("code_dir", "boot_file", "output_path", "log_url")]
    paths += [raw.get("inputs", "")]
    paths += [item.get("data_url", "") for item in raw.get("data_source", ())]
    buckets = [path.removeprefix("obs:/").split("/")[1] for path in paths if path]
    return all(bucket == "".join(bucket.split()) for bucket in buckets)


service_params = st.builds(
    _service_params,
    tables.valid_params.filter(_is_taken),
    st.sampled_from(sorted(FLAVORS.values(), key=str)),
    st.sampled_from(sorted(ENGINES.values(), key=str)),
    st.sampled_from(sorted(ALGORITHMS.values(), key=str)),
)
"""The keys of a job config that the emulator takes."""
