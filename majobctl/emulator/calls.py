"""What each call does with the store and the catalog; every failure is a Refusal."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from majobctl.emulator import catalog, checks
from majobctl.emulator.errors import Refusal, refuse
from majobctl.emulator.faults import Faults
from majobctl.emulator.store import ORDERS, Record, Store

Document = dict[str, Any]
Query = Mapping[str, str]

DONE: Document = {"is_success": True}
_CONFIG_TYPES = ("custom", "sample")
_DIRECTIONS = ("asc", "desc")
_LISTS = ("parameter", "data_source", "volumes")
_LARGEST_PAGE_NUMBER = 10**9
_MANIFEST = "/bucket/annotation/V002/v1.manifest"


class Calls:
    """One method for each call of the service, on one project's store."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def list_configs(self, query: Query) -> Document:
        """GET training-job-configs: one page, each entry with the listed fields only."""
        limit, offset = _read_page(query, largest=1000)
        order_by = _read_order_key(query, ORDERS, "config_name")
        descending = _read_choice(query, "order", _DIRECTIONS, "desc") == "desc"
        if _read_choice(query, "config_type", _CONFIG_TYPES, "custom") == "sample":
            return {**DONE, "config_total_count": 0, "configs": []}
        total, records = self._store.list_page(
            order_by=order_by,
            descending=descending,
            search=query.get("search_content", ""),
            limit=limit,
            offset=offset,
        )
        configs = [self._write(record.name, _summarise(record)) for record in records]
        return {**DONE, "config_total_count": total, "configs": configs}

    def get_config(self, query: Query, name: str) -> Document:
        """GET training-job-configs/{name}: every field, and those the service computes."""
        checks.check_name(name)
        kind = _read_choice(query, "config_type", _CONFIG_TYPES, "custom")
        record = self._store.get(name) if kind == "custom" else None
        if record is None:
            raise _no_config(name)
        if self._faults.answers == "documented":
            record = replace(record, fields=_with_derived(record.fields))
        return {**DONE, **self._write(name, _describe(record))}

    def create_config(self, body: bytes) -> tuple[str, Document]:
        """POST training-job-configs: the new name, and the answer."""
        document = checks.parse_object(body)
        name = checks.check_name(document.get("config_name"))
        fields = checks.effective(checks.read_fields(document))
        if not self._store.insert(name, fields):
            raise refuse("ModelArts.0103", f"The name {name} is already in use.")
        return name, DONE

    def update_config(self, name: str, body: bytes) -> Document:
        """PUT training-job-configs/{name}: replaces or merges, as the faults say."""
        checks.check_name(name)
        document = checks.parse_object(body)
        if document.get("config_name", name) != name:
            raise refuse("ModelArts.0104", "config_name differs from the name in the path.")

        def change(before: Document) -> Document:
            given = checks.read_fields(document)
            return checks.effective({**before, **given} if self._faults.put == "merge" else given)

        if not self._store.update(name, change):
            raise _no_config(name)
        return DONE

    def delete_config(self, name: str) -> Document:
        """DELETE training-job-configs/{name}."""
        if not self._store.delete(checks.check_name(name)):
            raise _no_config(name)
        return DONE

    def list_engines(self, query: Query) -> Document:
        """GET job/ai-engines."""
        job_type = _read_choice(query, "job_type", catalog.JOB_TYPES, "train")
        return {**DONE, "engines": catalog.list_engines(job_type)}

    def list_flavors(self, query: Query) -> Document:
        """GET job/resource-specs, with the filter job_type."""
        job_type = _read_choice(query, "job_type", catalog.JOB_TYPES, "train")
        _read_choice(query, "project_type", catalog.PROJECT_TYPES, "0")
        if _read_number(query, "engine_id", 0, 10**18) not in (0, *catalog.ENGINES):
            raise refuse("ModelArts.2780", f"Engine ({query['engine_id']}) not found.")
        specs = catalog.list_flavors(job_type)
        return {**DONE, "spec_total_count": len(specs), "specs": specs}

    def list_algorithms(self, query: Query) -> Document:
        """GET built-in-algorithms, in pages of at most 100."""
        limit, offset = _read_page(query, largest=100)
        key = catalog.ALGORITHM_ORDERS[_read_order_key(query, catalog.ALGORITHM_ORDERS, "engine")]
        descending = _read_choice(query, "order", _DIRECTIONS, "desc") == "desc"
        search = query.get("search_content", "").lower()
        models = [it for it in catalog.list_algorithms() if search in it["model_name"].lower()]
        models.sort(key=lambda model: (model[key], model["model_name"]), reverse=descending)
        return {**DONE, "model_total_count": len(models), "models": models[offset : offset + limit]}

    def _write(self, name: str, document: Document) -> Document:
        """The document, its unset fields in the form that the faults request."""
        written: Document = {}
        for key, value in document.items():
            form: str = self._faults.blanks
            if form == "mixed":  # the same field of the same configuration always looks the same
                form = ("null", "empty", "missing")[zlib.crc32(f"{name}/{key}".encode()) % 3]
            if value is not None or form == "null":
                written[key] = value
            elif form == "empty":
                written[key] = [] if key in _LISTS else ""
        return written


def _no_config(name: str) -> Refusal:
    return refuse("ModelArts.0102", f"The training job configuration {name} does not exist.")


def _engine_of(record: Record) -> Document:
    engine = catalog.ENGINES.get(record.fields.get("engine_id", 0))
    if engine is None:
        return dict.fromkeys(("engine_id", "engine_type", "engine_name", "engine_version"))
    return asdict(engine)


def _summarise(record: Record) -> Document:
    return {
        "config_name": record.name,
        "config_desc": record.fields.get("config_desc"),
        "create_time": record.create_time,
        **_engine_of(record),
        "user_image_url": record.fields.get("user_image_url"),
        "user_command": record.fields.get("user_command"),
    }


def _with_derived(fields: Document) -> Document:
    """``fields`` and what the documented sample and recorded answers name beside them."""
    first = (fields.get("data_source") or [{}])[0]
    dataset, version = first.get("dataset_id"), first.get("dataset_version")
    dataset, version = fields.get("dataset_id", dataset), fields.get("dataset_version_id", version)
    url = _MANIFEST if dataset else fields.get("data_url", first.get("data_url"))
    source = {"type": "obs", "data_url": url}
    if dataset:
        source = {"type": "dataset", "dataset_id": dataset, "dataset_version": version}
    found: Document = {"nas_type": "efs", "data_url": url, "data_source": [source] if url else None}
    found |= {"dataset_id": dataset, "dataset_version_id": version}
    if "model_id" in fields:
        found |= {"app_url": "/usr/app/", "boot_file_url": "/usr/app/boot.py"}
        found["engine_id"] = catalog.ALGORITHMS[fields["model_id"]].engine_id
    elif "user_image_url" in fields:
        found["engine_id"] = 1  # the documented default
    is_public = "pool_id" not in fields
    found |= {"pool_id": "pool1", "pool_type": "SYSTEM_DEFINED" if is_public else "USER_DEFINED"}
    return {"spec_id": 4, **found, **fields}


def _describe(record: Record) -> Document:
    fields = record.fields
    flavor = asdict(catalog.FLAVORS[fields["spec_id"]]) if "spec_id" in fields else {}
    # The names of data sets are derived from their ids, since no document shows their source.
    dataset, version = fields.get("dataset_id"), fields.get("dataset_version_id")
    return {
        "config_name": record.name,
        **{key: fields.get(key) for key in checks.FIELDS},
        **_engine_of(record),
        "create_time": record.create_time,
        **{key: flavor.get(key) for key in ("spec_code", "core", "cpu", "gpu_num", "gpu_type")},
        "dataset_name": dataset and f"dataset-{dataset}",
        "dataset_version_name": version and f"version-{version}",
        "pool_name": fields.get("pool_id"),
        "pool_type": fields.get("pool_type"),
    }


def _read_page(query: Query, largest: int) -> tuple[int, int]:
    """The number of entries, and of those before them, from per_page and page (from 1 on)."""
    limit = _read_number(query, "per_page", 1, largest, default=10)
    return limit, (_read_number(query, "page", 1, _LARGEST_PAGE_NUMBER, default=1) - 1) * limit


def _read_number(query: Query, key: str, least: int, most: int, default: int = 0) -> int:
    text = query.get(key, "")
    if text == "":
        return default
    # No number here has 20 digits, and int() of a very long text raises.
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise refuse("ModelArts.0101", f"{key} must be a number from {least} to {most}.", field=key)
    return int(text)


def _read_choice(query: Query, key: str, choices: tuple[str, ...], default: str) -> str:
    value = query.get(key) or default
    if value not in choices:
        raise refuse("ModelArts.0101", f"{key} must be one of {', '.join(choices)}.", field=key)
    return value


def _read_order_key(query: Query, keys: Mapping[str, str], default: str) -> str:
    value = query.get("sortBy") or query.get("sort_by") or default
    if value not in keys:
        raise refuse("ModelArts.2790", f"sortBy must be one of {', '.join(keys)}.", field="sortBy")
    return value
