"""One table of the keys of a job config.

Validation, the REST body and the reference page all come from ``FIELDS``. The names and types are
those of tables 1 to 3 of "Modifying a Training Job Configuration"; the REST names are those of the
ModelArts API reference. Nothing here knows of files or of requests.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from majobctl.errors import nearest, quoted

Path = tuple[str | int, ...]

NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
DESCRIPTION_LENGTH = 256


class Kind(enum.Enum):
    """The type of a key, as the reference page names it."""

    TEXT = "string"
    OBS_PATH = "OBS path"
    COUNT = "integer"
    HYPERPARAMETERS = "table or array of tables"
    DATA_SOURCE = "array of tables"


@dataclass(frozen=True, slots=True)
class Field:
    """One key: its SDK name, its name in the REST body (None: it has none) and its own rule."""

    name: str
    kind: Kind
    rest: str | None
    help: str
    required: bool = False
    max_length: int = 0
    of_update: bool = False
    """An argument of ``update_job_configs`` (table 2), not of ``Estimator`` (table 1)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule broken at ``path``; ``with_key`` names the other key of a rule between two.

    ``value``, where there is one, ends the sentence of ``message``; it stands at ``value_path``,
    and is told apart so that a sensitive one is never shown.
    """

    path: Path
    message: str
    with_key: str = ""
    value: str | None = None
    value_path: Path = ()
    hint: str = ""

    def text(self, is_sensitive: Callable[[Path], bool] = lambda path: False) -> str:
        """The whole sentence, for a reader who may not see sensitive values."""
        parts = [self.message]
        if self.value is not None:
            is_hidden = is_sensitive(self.value_path)
            parts.append("(sensitive)" if is_hidden else quoted(self.value))
        if self.hint:
            parts.append(self.hint)
        return " ".join(parts)


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field(
            "train_instance_type",
            Kind.TEXT,
            "spec_id",
            "The flavor of each node, by its code, such as `modelarts.vm.gpu.p100`.",
            required=True,
        ),
        Field(
            "train_instance_count",
            Kind.COUNT,
            "worker_server_num",
            "The number of nodes, at least 1.",
            required=True,
        ),
        Field(
            "output_path",
            Kind.OBS_PATH,
            "train_url",
            "Where a training job writes its results.",
            required=True,
        ),
        Field(
            "code_dir",
            Kind.OBS_PATH,
            "app_url",
            "The directory of the training code.",
        ),
        Field(
            "boot_file",
            Kind.OBS_PATH,
            "boot_file_url",
            "The script that starts the training.",
        ),
        Field(
            "framework_type",
            Kind.TEXT,
            "engine_id",
            "The AI engine, such as `PyTorch`.",
        ),
        Field(
            "framework_version",
            Kind.TEXT,
            "engine_id",
            "The engine's version, such as `PyTorch-1.0.0-python3.6`.",
        ),
        Field(
            "model_name",
            Kind.TEXT,
            "model_id",
            "A built-in algorithm, by its name, such as `ResNet_v2_50`.",
        ),
        Field(
            "user_image_url",
            Kind.TEXT,
            "user_image_url",
            "The SWR address of a custom image.",
        ),
        Field(
            "user_command",
            Kind.TEXT,
            "user_command",
            "The command that starts the custom image's container.",
        ),
        Field(
            "hyperparameters",
            Kind.HYPERPARAMETERS,
            "parameter",
            "The running parameters: `{label = value}` or an array of `{label, value}`. A value is"
            " a string, an integer, a float or a boolean and is sent as a string, as written.",
        ),
        Field(
            "log_url",
            Kind.OBS_PATH,
            "log_url",
            "Where a training job writes its logs.",
        ),
        Field(
            "job_description",
            Kind.TEXT,
            None,
            "The SDK's description of a job. No field of the REST call holds it: a change of it"
            " alone needs no call.",
        ),
        Field(
            "config_desc",
            Kind.TEXT,
            "config_desc",
            "The description of the job config, at most 256 characters.",
            max_length=DESCRIPTION_LENGTH,
            of_update=True,
        ),
        Field(
            "inputs",
            Kind.OBS_PATH,
            "data_url",
            "The training data, stored on OBS.",
            of_update=True,
        ),
        Field(
            "dataset_id",
            Kind.TEXT,
            "dataset_id",
            "The dataset to train with.",
            of_update=True,
        ),
        Field(
            "dataset_version_id",
            Kind.TEXT,
            "dataset_version_id",
            "The version of that dataset.",
            of_update=True,
        ),
        Field(
            "data_source",
            Kind.DATA_SOURCE,
            "data_source",
            'Several sources of data: an array of `{type = "obs", data_url}` or of'
            ' `{type = "dataset", dataset_id, dataset_version}`, of one type in one array.',
            of_update=True,
        ),
    )
}


_SECRET_KEY = re.compile(
    r"ak|sk|secret|.*(accesskey|accesskeyid|secretkey|apikey|password|passwd|token)"
)
"""Matches a whole key in lower case without its separators, such as ``ossecretkey``."""


SENSITIVE = "sensitive"
IGNORE_CHANGES = "ignore_changes"
PREVENT_DELETE = "prevent_delete"
RENAMED_FROM = "renamed_from"


@dataclass(frozen=True, slots=True)
class Directive:
    """A key of a job config that is no parameter; ``type`` is as the reference page names it."""

    type: str
    help: str


DIRECTIVES: Mapping[str, Directive] = {
    SENSITIVE: Directive(
        "array of strings",
        "Keys of this job config, and labels of its hyperparameters, whose values are never shown,"
        " and kept only as keyed hashes. A value with `${env.NAME}` is sensitive without it.",
    ),
    IGNORE_CHANGES: Directive(
        "array of strings",
        "Keys, and hyperparameters as `hyperparameters.LABEL`: what is changed there in the service"
        " is no drift, and no reason for a call. A call that is made for another reason sends the"
        " whole job config all the same.",
    ),
    PREVENT_DELETE: Directive(
        "boolean",
        "`true`: a plan that would delete this configuration is refused. The state remembers it,"
        " so that it holds when the job config is removed, too.",
    ),
    RENAMED_FROM: Directive(
        "string",
        "The name that this job config had before. The plan shows what differs from it, and the old"
        " one leaves the state (or is deleted, with `delete_removed`) only once the call for this"
        " one has succeeded.",
    ),
}

DATA_SOURCE_KEYS: Mapping[str, tuple[str, ...]] = {
    "obs": ("data_url",),
    "dataset": ("dataset_id", "dataset_version"),
}
LOOKED_UP = ("train_instance_type", "framework_type", "framework_version", "model_name")
"""The keys whose values are names in the service's catalogue."""
DATA_KEYS = frozenset({"inputs", "dataset_id", "data_source"})


def place_named(text: str) -> tuple[str, ...] | str:
    """The place that ``text`` names, ``KEY`` or ``hyperparameters.LABEL``; or what is wrong."""
    key, dot, label = text.partition(".")
    field = FIELDS.get(key)
    if field is None:
        return f"{quoted(text)} is no key of a job config{nearest(key, FIELDS)}"
    if field.rest is None:
        return f"{key} is in no request, and so never changed in the service"
    if not dot:
        return (key,)
    if field.kind is not Kind.HYPERPARAMETERS or not label:
        return f"{quoted(text)} is no place: write a key, or hyperparameters.LABEL"
    return (key, label)


def is_blank(value: object) -> bool:
    """Whether ``value`` means that the key is not set: "", an empty array or table, or None."""
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def name_fault(name: object) -> Fault | None:
    """The rule of ``config_name`` (table 2): 1 to 20 letters, digits, underscores, hyphens."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return None
    return Fault((), "a name has 1 to 20 characters, each a letter A-Z a-z, a digit, _ or -")


def secret_key_message(key: str) -> str:
    """Why ``key`` cannot stand in TOML; "" where it can."""
    if not _SECRET_KEY.fullmatch(re.sub(r"[-_. ]", "", key.lower())):
        return ""
    return (
        f"{quoted(key)} looks like a credential, and credentials never stand in TOML; set it in the"
        " environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and renew it if it was"
        " committed"
    )
