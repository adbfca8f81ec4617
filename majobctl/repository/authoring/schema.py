"""The rules of job files and of the settings as JSON Schema (2020-12), for editors.
They do not require what a default, a template, a variable or a matrix may provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from majobctl.job_config import directives
from majobctl.job_config.directives import DIRECTIVES, NOT_OF_DEFAULTS, RENAMED_FROM
from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, Field, Kind
from majobctl.job_config.fields import NAME as JOB_CONFIG_NAME
from majobctl.job_config.scalars import COUNT_LIMIT
from majobctl.policy.policy import Policy
from majobctl.repository.authoring.policy_schema import (
    POLICIES,
    definitions_of_policies,
    rules_of_policies,
)
from majobctl.repository.authoring.schema_rules import (
    MAY_BE_BLANK,
    OTHERS,
    Schema,
    holding,
    plain,
    rules_between_keys,
)
from majobctl.repository.jobs.matrix import MATRIX, NAME
from majobctl.repository.jobs.tables import KEYS, USE
from majobctl.repository.settings.keys import SETTINGS, Setting, home_of
from majobctl.repository.settings.keys import Kind as SettingKind
from majobctl.repository.settings.variables import NAME as VARIABLE_NAME

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = r"\$\{"
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_OBS_PATH = rf"^$|^(obs:/)?/[^/]+/|{_REFERENCE}"
_NO_OBS_PATH = rf"[^:}}]//|/\.\.(/|$)|[{_CONTROL}]"
"""An empty part, a ``..`` part, or a control character. ``obs://`` has no empty part, and a
reference before ``//`` may be ``obs:``."""
_ONE_LINE: Schema = {"pattern": f"^[^{_CONTROL}]*$"}
_VALUE: Schema = {"type": ["string", "number", "boolean"], **_ONE_LINE}
_WITH_REFERENCE: Schema = {"pattern": _REFERENCE}
_WITHOUT_REFERENCE: Schema = {"not": {"type": "string", **_WITH_REFERENCE}}
_NAMES: Schema = {"pattern": f"^{JOB_CONFIG_NAME.pattern}$"}


def job_file_schema(policies: Iterable[Policy] = ()) -> Schema:
    job_config = {"$ref": "#/$defs/job_config"}
    rules = {"$ref": "#/$defs/rules"}
    with_matrix = {"required": [MATRIX], **OTHERS}
    shared = {key: rule for key, rule in _directives().items() if key != RENAMED_FROM}
    names = {_NAMES["pattern"]: {"allOf": [job_config, rules]}}
    for pattern, rule in rules_of_policies(policies):
        names.setdefault(pattern, {"allOf": []})["allOf"].append(rule)
    return {
        "$schema": _DRAFT,
        "title": "majobctl job file",
        "description": "One [job_config.NAME] table for each training job configuration.",
        "type": "object",
        "properties": {
            "job_config": {
                "title": "Job configs",
                "description": "A name has 1 to 20 characters (or jobs.max_name_length): letters,"
                " digits, _ and -.",
                "type": "object",
                # allOf is here, not in the tables: some editors offer no keys for a table with it.
                "patternProperties": names,
                # The name of a table with a matrix is a label only.
                "additionalProperties": {"allOf": [job_config, rules, with_matrix]},
            },
            "templates": {
                "title": "Templates",
                "description": f'What job configs with {USE} = "NAME" have in common.',
                "type": "object",
                "propertyNames": _NAMES,
                "additionalProperties": {"$ref": "#/$defs/template"},
            },
        },
        "additionalProperties": False,
        "$defs": {
            "job_config": _table("Job config", {**_expansion(), **_fields(), **_directives()}),
            "template": _table("Template", {**_fields(), **shared}),
            "rules": rules_between_keys(),
        },
    }


def settings_schema() -> Schema:
    tables = {
        name: _table(f"[{name}]", {key: _setting(setting) for key, setting in settings.items()})
        for name, settings in SETTINGS.items()
    }
    tables["drift"]["properties"]["ignore"]["items"] = _place()
    own = {key: rule for key, rule in _directives().items() if key not in NOT_OF_DEFAULTS}
    # A blank one is allowed.
    blank = {"description": "Belongs in a job config only.", "type": "string", "maxLength": 0}
    shared = {**_fields(), **own, RENAMED_FROM: blank}
    tables["defaults"] = _table("Below every job config", shared)
    keys = {*FIELDS, *DIRECTIVES}.union(*SETTINGS.values())
    misplaced = [key for key in sorted(keys) if home_of(key, besides="state")]
    tables["variables"] = {
        "title": "Variables",
        "description": "The values of ${var.NAME} in the strings of job configs and [defaults].",
        "type": "object",
        "propertyNames": {"pattern": f"^{VARIABLE_NAME.pattern}$", "not": {"enum": misplaced}},
        "additionalProperties": {**_VALUE, **_WITHOUT_REFERENCE},
    }
    references = {name: {"$ref": f"#/$defs/{name}"} for name in tables}
    environments = {
        "title": "Environments",
        "description": "Tables that --environment NAME lays over the ones above.",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,40}$"},
        "additionalProperties": _table("Environment", references),
    }
    return {
        "$schema": _DRAFT,
        "title": "majobctl settings",
        "description": "majobctl.toml, the settings of a config repository.",
        **_table(
            "majobctl settings",
            {**references, "environments": environments, "policy": POLICIES},
        ),
        "$defs": {**tables, **definitions_of_policies(_fields())},
    }


def policy_file_schema() -> Schema:
    return {
        "$schema": _DRAFT,
        "description": "policy.toml, the rules of a config repository.",
        **_table("majobctl policies", {"policy": POLICIES}),
        "$defs": definitions_of_policies(_fields()),
    }


SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "jobs": job_file_schema,
    "settings": settings_schema,
    "policy": policy_file_schema,
}
"""By their names on the command line."""


def file_name(kind: str) -> str:
    return f"{kind}.schema.json"


def _table(title: str, properties: Mapping[str, Schema]) -> Schema:
    return {
        "title": title,
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }


def _expansion() -> dict[str, Schema]:
    """The keys that use a template, and those that make several job configs of one table."""
    return {
        USE: {"description": "The template that this job config is laid over.", "type": "string"},
        MATRIX: {
            "description": "Values by key or label: one job config for each combination, such as"
            " {lr = [0.1, 0.01], seed = [1, 2]}.",
            "type": "object",
            "minProperties": 1,
            **_matrix_keys(),
        },
        NAME: {
            "description": "The name of each job config of the matrix, such as resnet-{lr}-{seed}.",
            "type": "string",
            "pattern": r"^([A-Za-z0-9_-]|\{[^{}]*\})+$",
        },
    }


def _matrix_keys() -> Schema:
    """A job config's key has values of its type; any other key is a hyperparameter's label."""
    fixed = [*(name for name, field in FIELDS.items() if field.is_array), *DIRECTIVES]
    return {
        "propertyNames": {
            "minLength": 1,
            **_ONE_LINE,
            "not": {"anyOf": [{"enum": fixed}, _WITH_REFERENCE]},
        },
        "properties": {
            name: {"type": "array", "minItems": 1, "items": schema}
            for name, schema in _fields().items()
            if name not in fixed
        },
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "items": {**_VALUE, **_WITHOUT_REFERENCE},
        },
    }


def _fields() -> dict[str, Schema]:
    return {
        name: {"description": plain(field.help), **_KINDS[field.kind](field)}
        for name, field in FIELDS.items()
    }


def _text(field: Field) -> Schema:
    text: Schema = {"type": "string", **_ONE_LINE}
    if not field.max_length:
        return text
    # The value of a reference may be shorter than its name.
    limits = [{"maxLength": field.max_length}, _WITH_REFERENCE]
    return {**text, "anyOf": limits}


def _obs_path(field: Field) -> Schema:
    return {"type": "string", "pattern": _OBS_PATH, "not": {"pattern": _NO_OBS_PATH}}


def _count(field: Field) -> Schema:
    # A blank string removes a default, whatever the type of the key is. A reference may be typed.
    bounds = {"minimum": 1, "maximum": COUNT_LIMIT - 1}
    return {"type": ["integer", "string"], **bounds, "pattern": MAY_BE_BLANK}


def _hyperparameters(field: Field) -> Schema:
    label: Schema = {"minLength": 1, **_ONE_LINE}
    pair = _table("Hyperparameter", {"label": {"type": "string", **label}, "value": _VALUE})
    return {
        "type": ["object", "array", "string"],
        "pattern": MAY_BE_BLANK,
        "propertyNames": {
            **label,
            "not": {"anyOf": [{"enum": sorted(KEYS)}, _WITH_REFERENCE]},
        },
        "additionalProperties": _VALUE,
        "items": {**pair, "required": ["label", "value"]},
    }


def _data_source(field: Field) -> Schema:
    rule: Schema = {}
    for kind in reversed(list(DATA_SOURCE_KEYS)):
        rule = {"if": _of_type(kind), "then": _source_rule(kind), "else": rule}
    types = {"anyOf": [{"enum": list(DATA_SOURCE_KEYS)}, _WITH_REFERENCE]}
    keys = {
        key: {"type": "string", **_ONE_LINE} for keys in DATA_SOURCE_KEYS.values() for key in keys
    }
    keys["data_url"] = _obs_path(field)
    entry = _table("Source of data", {"type": {"type": "string", **types}, **keys})
    mixed = [{"contains": _of_type(kind)} for kind in DATA_SOURCE_KEYS]
    return {
        "type": ["array", "object", "string"],
        "pattern": MAY_BE_BLANK,
        "maxProperties": 0,
        "items": {**entry, "required": ["type"], **rule},
        "not": {"type": "array", "allOf": mixed},
    }


def _of_type(kind: str) -> Schema:
    return {**holding({"type": {"const": kind}}), "type": "object", "required": ["type"]}


def _source_rule(kind: str) -> Schema:
    own = DATA_SOURCE_KEYS[kind]
    foreign = [key for keys in DATA_SOURCE_KEYS.values() for key in keys if key not in own]
    properties: Schema = {key: {"minLength": 1} for key in own}
    properties |= {key: {"pattern": MAY_BE_BLANK} for key in foreign}
    return {**holding(properties), "required": list(own)}


_KINDS: Mapping[Kind, Callable[[Field], Schema]] = {
    Kind.TEXT: _text,
    Kind.OBS_PATH: _obs_path,
    Kind.COUNT: _count,
    Kind.HYPERPARAMETERS: _hyperparameters,
    Kind.DATA_SOURCE: _data_source,
}


def _directives() -> dict[str, Schema]:
    rules: Mapping[str, Schema] = {
        directives.SENSITIVE: {"type": "array", "items": {"type": "string", "minLength": 1}},
        directives.IGNORE_CHANGES: {"type": "array", "items": _place()},
        directives.PREVENT_DELETE: {"type": "boolean"},
        RENAMED_FROM: {"type": "string", "pattern": r"^([A-Za-z0-9_-]|\{[^{}]*\})*$"},
        directives.UNSET: {"type": "array", "items": {"type": "string", "minLength": 1}},
        directives.ENVIRONMENTS: {"type": "array", "items": {"type": "string"}, "minItems": 1},
    }
    return {
        name: {"description": plain(directive.help), **rules[name]}
        for name, directive in DIRECTIVES.items()
    }


def _place() -> Schema:
    keys = [name for name, field in FIELDS.items() if field.rest is not None]
    label = {"pattern": r"^hyperparameters\.[\s\S]"}
    return {"type": "string", "anyOf": [{"enum": keys}, label]}


def _setting(setting: Setting) -> Schema:
    schema = {"description": plain(setting.help), **_setting_rule(setting)}
    if setting.default != "":
        is_array = isinstance(setting.default, tuple)
        schema["default"] = list(setting.default) if is_array else setting.default
    return schema


def _setting_rule(setting: Setting) -> Schema:
    text: Schema = {"type": "string", **_ONE_LINE}
    if setting.kind is SettingKind.COUNT:
        return {"type": "integer", "minimum": setting.minimum, "maximum": setting.maximum}
    if setting.kind is SettingKind.SECONDS:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": setting.maximum}
    if setting.kind is SettingKind.FLAG:
        return {"type": "boolean"}
    if setting.kind is SettingKind.TEXTS:
        items = {**text, "minLength": 1}
        return {"type": "array", "items": items, "minItems": len(setting.default)}
    if setting.choices:
        return {"type": "string", "enum": list(setting.choices)}
    text = {**text, "not": _WITH_REFERENCE}
    return {**text, "minLength": 1} if setting.default else text
