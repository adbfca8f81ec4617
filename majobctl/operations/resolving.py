"""Job configs as they will be: defaults, templates, matrices, variables and the environment
resolved, with the origin of each value. Needs no secret, no state and no service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from majobctl.errors import MajobctlError
from majobctl.job_config.checks import checked_values
from majobctl.job_config.fields import FIELDS, Kind, documented_order
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import Masker, masked_places, variable_for, with_value
from majobctl.job_config.violations import Path
from majobctl.operations.causes import Finder, as_text
from majobctl.operations.context import ConfigRepository, target_of
from majobctl.operations.selection import resolved
from majobctl.plan.change import Cause
from majobctl.plan.diff import differing_places
from majobctl.plan.plan import Selection
from majobctl.repository.jobs.references import reference_alone, resolve, split
from majobctl.repository.settings.settings import Settings
from majobctl.target import EMULATOR_ENDPOINT, endpoint_of

_ALL_KINDS = "var|matrix|env"
_ENDS = "\ufdd0majobctl\ufdd0"  # around a variable's name; no text has these noncharacters


@dataclass(frozen=True, slots=True)
class Resolution:
    """The selected job configs of a repository, by name. Their params are complete, those of no
    request included, with masks in place of sensitive values."""

    settings: Settings
    configs: tuple[JobConfig, ...]
    finder: Finder
    variables: dict[str, Path] = field(default_factory=dict)
    """The place that each variable of the environment is for, in a script."""

    @property
    def address(self) -> str:
        """Where the project is; ``{project_id}`` if nothing names it."""
        values, project_id = self.settings.provider, "{project_id}"
        with suppress(MajobctlError):
            project_id = target_of(self.settings).project_id
        own = EMULATOR_ENDPOINT if values["kind"] == "emulator" else values["endpoint"]
        return f"{endpoint_of(values['region'], own)}/v1/{project_id}"

    def sources(self, config: JobConfig) -> Mapping[Path, tuple[Cause, ...]]:
        """Where each value comes from: its line, then the lines of what it refers to."""
        places = sorted(differing_places({}, config.params), key=documented_order)
        return {place: tuple(self._sources(place, config)) for place in places}

    def _sources(self, place: Path, config: JobConfig) -> Iterator[Cause]:
        origin = self.finder.origins[config.name]
        if at := origin.written(place):
            yield self.finder.line(at.layer, at.path)
            for reference in dict.fromkeys(split(as_text(at.value), _ALL_KINDS)[1::2]):
                yield self.finder.source_of(reference, origin)

    def sdk_arguments(self, config: JobConfig) -> Mapping[str, Any]:
        """The arguments of the SDK's calls; sensitive ones are read from ``os.environ``."""
        from majobctl.service.codec import sdk_arguments

        values = config.params
        for place in [*masked_places(values)]:
            values = with_value(values, place, self._from_environment(place, config))
        return sdk_arguments(values)

    def _variable(self, name: str, owner: Path) -> str:
        """``name``, or one with a number: ``a-b`` and ``a_b`` would share a variable."""
        number, wanted = 1, name
        while self.variables.setdefault(wanted, owner) != owner:
            number += 1
            wanted = f"{name}_{number}"
        return wanted

    def _from_environment(self, place: Path, config: JobConfig) -> Any:
        """A sensitive value as Python: what the files say around ``${env.NAME}``, unless they say
        that this is sensitive, too. It is then in a variable that is named after its place."""
        key, origin = str(place[0]), self.finder.origins[config.name]
        at = origin.written(place)
        written = at.value if at else None
        known = dict.fromkeys(split(as_text(written), _ALL_KINDS)[1::2], "")
        matrix = (it.partition(".")[2] for it in known if it.startswith("matrix."))
        is_hidden = config.policy.names((*place, *matrix)) and not reference_alone(written)
        if is_hidden or not any(it.startswith("env.") for it in known):
            parts = (config.name, *(place if place[-1] in FIELDS else place[-1:]))
            variable = self._variable(
                variable_for("_".join(map(str, parts))), (config.name, *place)
            )
            source = _source_of(_ENDS + variable + _ENDS)
            is_text = FIELDS[key].kind not in (Kind.COUNT, Kind.DATA_SOURCE)
            return source if is_text else PythonSource(f"json.loads({source})")
        for it in known:
            is_env, name = it.startswith("env."), it.partition(".")[2]
            known[it] = _ENDS + name + _ENDS if is_env else self.finder.text_of(it, origin)
        found, _ = resolve({key: written}, known)
        params, _ = checked_values(found.values) if len(place) == 1 else (found.values, ())
        return _source_of(params.get(key, found.values[key]))


def resolve_configs(repository: ConfigRepository, selection: Selection) -> Resolution:
    """Raises ConfigError with every problem of every file, and MajobctlError for a part of
    ``selection`` that no file has."""
    config = repository.load_config()
    settings, finder = config.settings, Finder(config)
    if selection:
        files = {name: origin.file for name, origin in finder.origins.items()}
        selection = resolved(selection, settings.root, files, (), "in a file")
    chosen = [it for name, it in config.job_configs.items() if selection.covers(name)]
    return Resolution(settings, tuple(map(_complete, chosen)), finder)


def _complete(config: JobConfig) -> JobConfig:
    own = {**config.params, **config.unsent}
    own = {key: own[key] for key in FIELDS if key in own}
    return replace(config, params=Masker("", config.name).masked(own, config.hidden(own)))


class PythonSource(str):
    """An expression of Python, which is itself in the ``repr`` of what holds it."""

    __slots__ = ()
    __repr__ = str.__str__


def _source_of(value: Any) -> Any:
    if isinstance(value, list):
        return [*map(_source_of, value)]
    if isinstance(value, Mapping):
        return {key: _source_of(item) for key, item in value.items()}
    parts = enumerate(value.split(_ENDS))
    terms = (f"os.environ[{it!r}]" if at % 2 else repr(it) for at, it in parts if it)
    return PythonSource(" + ".join(terms))
