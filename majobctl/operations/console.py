"""Plays somebody who changes values of a configuration in the console of the embedded emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from majobctl.errors import MajobctlError
from majobctl.job_config.job_config import JobConfig
from majobctl.service.provider import Provider
from majobctl.service.sdk_calls import CallStatus
from majobctl.text import nearest, quoted


def set_values(emulator: Provider, name: str, values: Mapping[str, str]) -> None:
    """Sets each key, ``hyperparameters.LABEL`` among them, to its text; "" clears it. Raises
    MajobctlError, and changes nothing, if the console would refuse that."""
    if name not in (names := emulator.config_names()):
        hint = nearest(name, names)
        raise MajobctlError(f"the emulator has no configuration {quoted(name)}{hint}")
    live = emulator.read_job_config(name)
    params = JobConfig.of(name, _changed(live.params_as(values) if live else {}, values)).params
    result = emulator.update_job_config(name, params)
    if result.status is not CallStatus.DONE:
        raise MajobctlError(f"job_config.{name}: {result.message}\nnothing was changed")


def _changed(before: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    labels = dict(before.get("hyperparameters", {}))
    params = {**before, "hyperparameters": labels}
    for key, text in values.items():
        table, _, label = key.partition(".")
        if table == "hyperparameters" and label:
            labels.pop(label, None)
            labels.update({label: text} if text else {})
        else:
            is_count = key == "train_instance_count" and text.isdecimal() and len(text) < 19
            params[key] = int(text) if is_count else text
    return params
