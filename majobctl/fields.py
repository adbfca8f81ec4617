"""One table of the keys of a job config, and the rules between them.

Validation, the REST body and the reference page all come from ``FIELDS`` and ``RULES``. The names,
types and rules are those of tables 1 to 3 of "Modifying a Training Job Configuration"; the REST
names are those of the ModelArts API reference. Nothing here knows of files or of requests.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from majobctl.errors import quoted

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


class Rule(Protocol):
    """A rule between keys; ``text`` is how the reference page says it."""

    @property
    def text(self) -> str: ...

    def faults(self, params: Mapping[str, Any]) -> Iterator[Fault]: ...


@dataclass(frozen=True, slots=True)
class Together:
    """Each of two keys needs the other."""

    first: str
    second: str

    @property
    def text(self) -> str:
        return f"`{self.first}` and `{self.second}` go together."

    def faults(self, params: Mapping[str, Any]) -> Iterator[Fault]:
        for key, other in ((self.first, self.second), (self.second, self.first)):
            if key in params and other not in params:
                yield Fault((key,), f"{key} needs {other} as well", other)


@dataclass(frozen=True, slots=True)
class Needs:
    """One key makes sense only with another."""

    key: str
    other: str

    @property
    def text(self) -> str:
        return f"`{self.key}` needs `{self.other}`."

    def faults(self, params: Mapping[str, Any]) -> Iterator[Fault]:
        if self.key in params and self.other not in params:
            yield Fault((self.key,), f"{self.key} needs {self.other}", self.other)


@dataclass(frozen=True, slots=True)
class Excludes:
    """One key cannot stand beside any of the others."""

    key: str
    others: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"`{self.key}` cannot be used with {', '.join(f'`{key}`' for key in self.others)}."

    def faults(self, params: Mapping[str, Any]) -> Iterator[Fault]:
        if self.key in params:
            for other in self.others:
                if other in params:
                    message = f"{other} cannot be used together with {self.key}; keep one of them"
                    yield Fault((other,), message, self.key)


@dataclass(frozen=True, slots=True)
class LiesInside:
    """A file's path continues a directory's."""

    file: str
    directory: str

    @property
    def text(self) -> str:
        return f"`{self.file}` lies inside `{self.directory}`."

    def faults(self, params: Mapping[str, Any]) -> Iterator[Fault]:
        file, directory = params.get(self.file), params.get(self.directory)
        if file is None or directory is None:
            return
        if file.endswith("/"):
            message = f"{self.file} must be a file inside {self.directory}, not a directory"
            yield Fault((self.file,), message)
        elif not file.startswith(directory.rstrip("/") + "/"):
            message = f"{self.file} must lie inside {self.directory}"
            yield Fault((self.file,), message, self.directory, directory, (self.directory,))


@dataclass(frozen=True, slots=True)
class HasAlgorithm:
    """Something must be there to run: a built-in algorithm, code with an engine, or an image."""

    @property
    def text(self) -> str:
        return (
            "One algorithm is required: `model_name`; or `code_dir` and `boot_file` with"
            " `framework_type` and `framework_version`; or a custom image, `user_image_url`"
            " (which may have code, too)."
        )

    def faults(self, params: Mapping[str, Any]) -> Iterator[Fault]:
        if "model_name" in params or "user_image_url" in params:
            return
        code = [key for key in ("code_dir", "boot_file") if key in params]
        engine = [key for key in ("framework_type", "framework_version") if key in params]
        if code and not engine:
            missing = "framework_type and framework_version"
            yield Fault((code[0],), f"{code[0]} needs {missing} (or user_image_url) to run with")
        elif engine and not code:
            yield Fault((engine[0],), f"{engine[0]} needs code_dir and boot_file to run")
        elif not code:
            yield Fault(
                (),
                "no algorithm: set model_name, or code_dir, boot_file, framework_type and"
                " framework_version, or user_image_url",
            )


RULES: tuple[Rule, ...] = (
    Together("code_dir", "boot_file"),
    LiesInside("boot_file", "code_dir"),
    Together("framework_type", "framework_version"),
    Excludes(
        "model_name",
        ("code_dir", "boot_file", "framework_type", "framework_version", "user_image_url"),
    ),
    Needs("user_command", "user_image_url"),
    HasAlgorithm(),
    Together("dataset_id", "dataset_version_id"),
    Excludes("inputs", ("dataset_id", "dataset_version_id", "data_source")),
    Excludes("data_source", ("dataset_id", "dataset_version_id")),
)

SENSITIVE = "sensitive"
"""A key of a job config that is no parameter: the keys and labels whose values are secret."""
SENSITIVE_HELP = (
    "Keys of this job config, and labels of its hyperparameters, whose values are never shown, and"
    " kept only as keyed hashes. A value with `${env.NAME}` is sensitive without it."
)

DATA_SOURCE_KEYS: Mapping[str, tuple[str, ...]] = {
    "obs": ("data_url",),
    "dataset": ("dataset_id", "dataset_version"),
}
LOOKED_UP = ("train_instance_type", "framework_type", "framework_version", "model_name")
"""The keys whose values are names in the service's catalogue."""
DATA_KEYS = ("inputs", "dataset_id", "data_source")


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
