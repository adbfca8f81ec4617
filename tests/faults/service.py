"""What the services of these tests hold, compared with what a state says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from majobctl.state.document import State

Body = dict[str, Any]

REST_NAMES: Mapping[str, str] = {
    "train_instance_count": "worker_server_num",
    "code_dir": "app_url",
    "boot_file": "boot_file_url",
    "output_path": "train_url",
    "log_url": "log_url",
    "user_image_url": "user_image_url",
    "user_command": "user_command",
    "config_desc": "config_desc",
    "hyperparameters": "parameter",
    "train_instance_type": "spec_id",
    "inputs": "data_url",
    "dataset_id": "dataset_id",
    "dataset_version_id": "dataset_version_id",
    "data_source": "data_source",
}
"""The names of the REST reference for those of the SDK; the engine is looked up by two of them."""


def body_of(params: Mapping[str, Any], *, spec_id: int, engine_id: int) -> Body:
    """The fields that the service has once it took ``params``; ``spec_id`` and ``engine_id`` are
    its ids for the one flavor and the one engine of these tests."""
    body: Body = {REST_NAMES[key]: value for key, value in params.items() if key in REST_NAMES}
    body["spec_id"], body["engine_id"] = spec_id, engine_id
    labelled = body.get("parameter", {})
    pairs = [{"label": label, "value": value} for label, value in labelled.items()]
    return without_blanks({**body, "parameter": pairs})


def without_blanks(body: Mapping[str, Any]) -> Body:
    return {key: value for key, value in body.items() if value not in ("", [], None)}


def contradictions(
    state: State | None, held: Mapping[str, Body], *, spec_id: int, engine_id: int
) -> list[str]:
    """The entries whose outcome the state claims to know, and that the service has otherwise."""
    entries = state.job_configs if state else {}
    return [
        f"{name}: the state has {entry.params}, the service {held.get(name)}"
        for name, entry in entries.items()
        if not entry.pending
        and body_of(entry.params, spec_id=spec_id, engine_id=engine_id) != held.get(name)
    ]
