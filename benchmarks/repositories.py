"""Makes config repositories with any number of job configs, and a cloud that has the same ones.

Their states are written by states.py, which needs the package; this needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

PER_FILE = 100
"""How many job configs a job file has."""

OFFLINE = {"region": "eu-de", "project_id": "0123456789abcdef0123456789abcdef"}
"""The provider of a repository that is only planned: nothing is sent to it."""

_DEFAULTS: Mapping[str, object] = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "log_url": "/ml-bucket/log/",
}
_DEFAULT_HYPERPARAMETERS: Mapping[str, object] = {"optimizer": "sgd", "warmup": True}


def write_repository(root: Path, count: int, provider: Mapping[str, str]) -> None:
    """Writes the settings and the job files of ``count`` job configs into the folder ``root``."""
    (root / "jobs").mkdir(parents=True)
    write_settings(root, provider)
    for first in range(0, count, PER_FILE):
        numbers = range(first, min(first + PER_FILE, count))
        text = "\n".join(_job_config(number, {}, {}) for number in numbers)
        file = root / "jobs" / f"jobs-{first // PER_FILE:04}.toml"
        file.write_text(text, encoding="utf-8")


def write_settings(root: Path, provider: Mapping[str, str], **defaults: object) -> None:
    """Writes ``majobctl.toml``; ``provider`` has the keys of its table ``[provider]``, ``defaults``
    those of ``[defaults]`` that are not as usual."""
    tables = {
        "provider": provider,
        "defaults": {**_DEFAULTS, **defaults},
        "defaults.hyperparameters": _DEFAULT_HYPERPARAMETERS,
    }
    text = "\n".join(_table(name, content) for name, content in tables.items())
    (root / "majobctl.toml").write_text(text, encoding="utf-8")


_POLICY = """\
[policy.nodes-{number}]
because = "the machines are shared"
where = {{ train_instance_type = {{ pattern = "p100$" }} }}
require = {{ train_instance_count = {{ maximum = {most} }}, output_path = {{ pattern = "^/ml-" }} }}
fails = [{{ train_instance_type = "p100", train_instance_count = {more} }}]
"""


def write_policies(root: Path, count: int) -> None:
    """Writes ``policy.toml``, whose policies every job config meets."""
    numbers = range(count)
    texts = [_POLICY.format(number=it, most=8 + it, more=9 + it) for it in numbers]
    (root / "policy.toml").write_text("\n".join(texts), encoding="utf-8")


def write_seed(file: Path, count: int) -> None:
    """Writes the job configs that an emulator starts with: those of a repository of ``count``."""
    written = (_job_config(number, _DEFAULTS, _DEFAULT_HYPERPARAMETERS) for number in range(count))
    file.write_text("\n".join(written), encoding="utf-8")


def _job_config(
    number: int, defaults: Mapping[str, object], hyperparameters: Mapping[str, object]
) -> str:
    """The TOML of one job config, with the defaults if the settings do not have them."""
    name = f"job-{number:06}"
    own = {
        **defaults,
        "code_dir": f"/ml-bucket/{name}/src/",
        "boot_file": f"/ml-bucket/{name}/src/train.py",
        "output_path": f"/ml-bucket/{name}/output/",
        "inputs": f"obs://ml-bucket/data/part-{number % 50}/",
        "config_desc": f"Number {number} of a benchmark",
    }
    labels = {
        **hyperparameters,
        "classes": 10 + number % 7,
        "epochs": 90,
        "batch_size": 32 * (1 + number % 4),
        "lr": 0.001,
    }
    table = f"job_config.{name}"
    return _table(table, own) + _table(f"{table}.hyperparameters", labels)


def _table(name: str, content: Mapping[str, object]) -> str:
    return "".join(_lines(name, content.items()))


def _lines(name: str, content: Iterable[tuple[str, object]]) -> Iterable[str]:
    yield f"[{name}]\n"
    for key, value in content:
        yield f"{key} = {_written(value)}\n"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
