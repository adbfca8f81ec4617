"""Config repositories written to a folder, for the tests of what reads them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from majobctl.errors import ConfigError
from majobctl.repository.config import Config, load_config

SETTINGS = '[provider]\nregion = "eu-de"\n'

PARAMS = """\
train_instance_type = "modelarts.vm.gpu.p100"
train_instance_count = 1
output_path = "/ml/output/"
model_name = "ResNet_v2_50"
inputs = "/ml/data/"
"""
"""The keys of a job config without problems and without warnings: five lines."""

JOB = f"[job_config.sentiment]\n{PARAMS}"


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes ``files``, and settings if there are none; line ends stay as they are."""
    for name, content in {"majobctl.toml": SETTINGS, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def loaded(root: Path, files: Mapping[str, str | bytes]) -> Config:
    return load_config(write_files(root, files))


def problems_of(root: Path, files: Mapping[str, str | bytes]) -> list[str]:
    """The problems of a config repository that must have some."""
    write_files(root, files)
    with pytest.raises(ConfigError) as raised:
        load_config(root)
    return [str(problem) for problem in raised.value.problems]


def git(root: Path, *arguments: str) -> None:
    who = {f"GIT_{it}_{key}": "x" for it in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-C", str(root), *arguments]
    subprocess.run(command, check=True, env=environment, capture_output=True)


def committed(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")
