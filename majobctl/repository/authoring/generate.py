"""A job config's params -> its table in a job file, as a person would write it below [defaults]."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from majobctl.job_config.checks import checked_values
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.directives import (
    PREVENT_DELETE,
    SENSITIVE,
    UNSET,
    Directives,
    without_directives,
)
from majobctl.job_config.fields import FIELDS, HYPERPARAMETERS
from majobctl.job_config.job_config import normalise, request_params
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import (
    is_masked,
    looks_secret,
    place_of,
    variable_for,
    with_known,
)
from majobctl.job_config.violations import Path
from majobctl.repository.jobs.layers import unset_name
from majobctl.repository.jobs.references import resolve
from majobctl.repository.jobs.tables import KEYS
from majobctl.text import is_unseen, printable

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Defaults:
    """The ``[defaults]`` below every job config, normalised like the params of one."""

    params: Params
    policy: ComparePolicy = field(default_factory=ComparePolicy)
    """Which of its values are secret."""

    @classmethod
    def of(
        cls, written: Mapping[str, Any], references: Mapping[str, str] | None = None
    ) -> Defaults:
        """The defaults of valid settings, with the texts of their references."""
        found, _ = resolve(without_directives(written), references)
        params, _ = checked_values(found.values)
        directives, _ = Directives.of(written)
        names, paths = frozenset(directives.sensitive), map(place_of, found.secret_paths)
        policy = ComparePolicy(secret_names=names, secret_places=frozenset(paths))
        return cls(request_params(params), policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTable:
    """One ``[job_config.NAME]``; ``values`` are those that the defaults do not give already,
    ``secrets`` the keys and labels with values that look secret and are written in plain text.
    ``remarks`` become comments above the table, ``notes`` beside the values at these places."""

    name: str
    values: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    notes: Mapping[Path, str] = field(default_factory=dict)

    def text(self) -> str:
        """TOML, with the keys in the documented order and no invisible characters."""
        values = dict(self.values)
        labelled = values.get(HYPERPARAMETERS) or {}
        if not KEYS.isdisjoint(labelled):
            # Below a header, such a label would be taken for a key in the wrong table.
            pairs = [{"label": label, "value": value} for label, value in labelled.items()]
            values[HYPERPARAMETERS], labelled = pairs, {}
        elif labelled:
            del values[HYPERPARAMETERS]
        text = "".join(map(comment, self.remarks)) + f"[job_config.{self.name}]\n"
        text += "".join(self._noted(_key_lines(key, value), key) for key, value in values.items())
        if labelled:
            text += f"\n[job_config.{self.name}.{HYPERPARAMETERS}]\n"
        lines = [self._noted(_lines({it: labelled[it]}), HYPERPARAMETERS, it) for it in labelled]
        return text + "".join(lines)

    def _noted(self, text: str, *place: str) -> str:
        """``text`` with its note, or the notes of an array's labels, at the ends of lines."""
        labels = self.values.get(HYPERPARAMETERS, ()) if place == (HYPERPARAMETERS,) else ()
        notes = [self.notes.get(place), *(self.notes.get((HYPERPARAMETERS, it)) for it in labels)]
        lines = zip_longest(text[:-1].split("\n"), notes[: text.count("\n")])
        return "".join(f"{line}  # {note}\n" if note else f"{line}\n" for line, note in lines)


def comment(text: str) -> str:
    """A comment of one line, for any ``text``."""
    return f"# {printable(text)}\n"


def reason_against(
    params: Params, defaults: Defaults, secret: Collection[str] = frozenset()
) -> str | None:
    """Why ``params``, a LiveConfig's, cannot be written as a job config over ``defaults``; None if
    they can. No value of a key or label in ``secret`` is shown."""
    policy = defaults.policy
    policy = replace(policy, secret_names=policy.secret_names | set(secret))
    reasons = [violation.text(policy.is_secret) for violation in normalise(params)[1]]
    if "output_path" not in params:
        # The service does not require it.
        way = "set it in the console, or write the job config with one into a job file"
        reasons.append(f"{way}, and import it again")
    return "; ".join(reasons) or None


def table_of(
    live: LiveConfig,
    defaults: Defaults,
    secret: Collection[str] = frozenset(),
    *,
    prevent_delete: bool = False,
) -> JobTable:
    """The table that, laid over ``defaults``, gives the params of ``live``, if there is no reason
    against it. ``sensitive`` names its secret values, those at ``secret`` keys and labels included,
    so that the state stores only their hashes."""
    values = own_values(live.params, defaults)
    named = defaults.policy.secret_names
    secrets = tuple(_secrets(values, {*secret, *named}))
    unnamed = [name for name in secrets if name not in named]
    if unnamed:
        values[SENSITIVE] = unnamed
    if prevent_delete:
        values[PREVENT_DELETE] = True
    return JobTable(name=live.name, values=values, secrets=secrets, remarks=live.problems)


def own_values(params: Params, defaults: Defaults) -> dict[str, Any]:
    """What a table has, that gives ``params`` over ``defaults``. In place of a hash, it has a
    reference to a variable of the environment."""
    # A default that is not known may be a secret: the service's value is not written in its place.
    below = with_known(defaults.params, params)
    values = {
        key: _own(key, params.get(key), below.get(key))
        for key, field in FIELDS.items()
        if field.rest is not None and params.get(key) != below.get(key)
    }
    if labelled := params.get(HYPERPARAMETERS):
        unwanted = [unset_name(it) for it in below.get(HYPERPARAMETERS, ()) if it not in labelled]
        values |= {UNSET: unwanted} if unwanted else {}
        if not values.get(HYPERPARAMETERS, True):
            del values[HYPERPARAMETERS]
    return values


def _own(key: str, value: Any, default: Any) -> Any:
    """The value to write at ``key`` to get ``value`` over ``default``; a blank removes it."""
    if value is None:
        return ""
    if key == HYPERPARAMETERS and default:
        value = {label: text for label, text in value.items() if default.get(label) != text}
    return escaped(value, key)


def escaped(value: Any, name: str) -> Any:
    """``value``, at the key or label ``name``, with no text read as a reference."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if is_masked(value):
        return f"${{env.{variable_for(name)}}}"
    if isinstance(value, Mapping):
        return {key: escaped(item, key) for key, item in value.items()}
    return [escaped(item, name) for item in value] if isinstance(value, (list, tuple)) else value


def _secrets(values: Mapping[str, Any], named: Collection[str]) -> Iterator[str]:
    """The keys and labels of ``values`` that are ``named`` or look secret."""
    for key, value in values.items():
        if value and key in named:
            yield key
    for label, text in (values.get(HYPERPARAMETERS) or {}).items():
        if text and (label in named or looks_secret(label)):
            yield label


def _lines(values: Mapping[str, Any]) -> str:
    import tomli_w

    return _visible(tomli_w.dumps(values))


def inline(value: Any) -> str:
    """TOML for ``value``, on one line and with no invisible characters."""
    if isinstance(value, Mapping):
        pairs = (f"{key_text(key)} = {inline(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inline, value))}]"
    return _lines({"x": value})[4:-1]


def key_text(key: str) -> str:
    return _lines({key: 0}).removesuffix(" = 0\n")


def _key_lines(key: str, value: Any) -> str:
    """A key with its value; an array of tables has a line for each, a table is in one."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        tables = "".join(f"    {inline(item)},\n" for item in value)
        return f"{key_text(key)} = [\n{tables}]\n"
    is_plain = value == [] or not isinstance(value, (Mapping, list))
    return _lines({key: value}) if is_plain else f"{key_text(key)} = {inline(value)}\n"


def _visible(toml: str) -> str:
    """``toml``, whose strings are all in double quotes, with escapes for invisible characters."""
    toml = toml.replace("\t", "\\t")
    if toml.isascii():
        return toml
    return "".join(_escape(ord(it)) if it != "\n" and is_unseen(it) else it for it in toml)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
