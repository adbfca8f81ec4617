"""One table of the keys of a job config, for validation, the REST body and the reference page.

The names and types are those of tables 1 to 3 of "Modifying a Training Job Configuration"; the REST
names are those of the ModelArts API reference."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from majobctl.job_config.violations import Violation

NAME_LENGTH, LONGEST_NAME = 20, 64
"""The limits of the SDK and of the service."""
NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_NAME}}}")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
"""The value of a matrix's key in a name."""
DESCRIPTION_LENGTH = 256
HYPERPARAMETERS = "hyperparameters"


class Kind(enum.Enum):
    """The type of a key; its value is the reference page's term."""

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
    _: KW_ONLY
    required: bool = False
    unless: str = ""
    """The key that a required one is not needed with; the request then leaves it out."""
    max_length: int = 0
    of_update: bool = False
    """An argument of ``update_job_configs`` (table 2), not of ``Estimator`` (table 1)."""

    @property
    def is_array(self) -> bool:
        """Whether its value can be an array, and is blank if that is empty."""
        return self.kind in (Kind.HYPERPARAMETERS, Kind.DATA_SOURCE)


_FIELDS = (
    Field(
        "train_instance_type",
        Kind.TEXT,
        "spec_id",
        "The flavor of each node, by its code, such as `modelarts.vm.gpu.p100`.",
        required=True,
        unless="pool_id",
    ),
    Field(
        "pool_id",
        Kind.TEXT,
        "pool_id",
        "A dedicated resource pool, which has a flavor of its own: `train_instance_type` is then"
        " not sent.",
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
    Field("code_dir", Kind.OBS_PATH, "app_url", "The directory of the training code."),
    Field("boot_file", Kind.OBS_PATH, "boot_file_url", "The script that starts the training."),
    Field("framework_type", Kind.TEXT, "engine_id", "The AI engine, such as `PyTorch`."),
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
    Field("user_image_url", Kind.TEXT, "user_image_url", "The SWR address of a custom image."),
    Field(
        "user_command",
        Kind.TEXT,
        "user_command",
        "The command that starts the custom image's container.",
    ),
    Field(
        HYPERPARAMETERS,
        Kind.HYPERPARAMETERS,
        "parameter",
        "The running parameters: `{label = value}` or an array of `{label, value}`. A"
        " value is a string, an integer, a float or a boolean, and is sent as a string,"
        " exactly as written.",
    ),
    Field("log_url", Kind.OBS_PATH, "log_url", "Where a training job writes its logs."),
    Field(
        "job_description",
        Kind.TEXT,
        None,
        "The SDK's description of a job. It is not part of the REST call, so changing it"
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
    Field("inputs", Kind.OBS_PATH, "data_url", "The training data, stored on OBS.", of_update=True),
    Field("dataset_id", Kind.TEXT, "dataset_id", "The dataset to train with.", of_update=True),
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
        'Several sources of data, all of one type: an array of `{type = "obs", data_url}`'
        ' or of `{type = "dataset", dataset_id, dataset_version}`.',
        of_update=True,
    ),
)
FIELDS: Mapping[str, Field] = {field.name: field for field in _FIELDS}
_ORDER = {name: index for index, name in enumerate(FIELDS)}
SOURCES: Mapping[str, Mapping[str, str]] = {
    "obs": {"inputs": "data_url"},
    "dataset": {"dataset_id": "dataset_id", "dataset_version_id": "dataset_version"},
}
"""The keys that name one source of data of each type, and those of its entry in data_source."""
DATA_SOURCE_KEYS = {kind: tuple(keys.values()) for kind, keys in SOURCES.items()}
LOOKED_UP = ("train_instance_type", "framework_type", "framework_version", "model_name")
"""The keys whose values are names in the service's catalog."""
DATA_KEYS = frozenset({"inputs", "dataset_id", "data_source"})


def documented_order(path: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """What places of a job config are sorted by."""
    return _ORDER.get(path[0], len(_ORDER)), path


def plain_name(text: str) -> str:
    """``NAME``, also of ``job_config.NAME``, as a plan shows it, and of ``job_config."NAME"``."""
    name = text.removeprefix("job_config.")
    is_quoted = name != text and len(name) > 2 and name[0] in "\"'" and name[0] == name[-1]
    return name[1:-1] if is_quoted else name


def is_glob(name: str) -> bool:
    return re.search(r"[*?]|\[.+\]", name) is not None


def name_violation(
    name: object, longest: int = LONGEST_NAME, setting: str = "jobs.max_name_length = {}"
) -> Violation | None:
    """The rule of ``config_name`` (table 2); ``setting`` sets ``longest``."""
    length = len(name) if isinstance(name, str) and NAME.fullmatch(name) else 0
    if 0 < length <= longest:
        return None
    rule = f"a name has 1 to {longest} characters, each a letter A-Z a-z, a digit, _ or -"
    return Violation((), f"{rule}; {setting.format(length)} allows it" if length else rule)
