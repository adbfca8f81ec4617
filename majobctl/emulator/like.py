"""Plays another service: what the JSON report of a probe says of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from majobctl.emulator import checks
from majobctl.emulator.calls import DONE, Calls, Document, Query
from majobctl.emulator.errors import EmulatorError, Refusal, refuse
from majobctl.emulator.faults import Faults

_SWITCHES = {"update.replaces": "put", "response.unset": "blanks", "response.derived": "answers"}
_VALUES = {"blank": "empty", "no": "plain", "yes": "documented"}
"""Of a switch, where they are not the words of the report."""
_CODE = ("app_url", "boot_file_url", "engine_id")
_REFUSED: Mapping[str, Callable[[Document], bool]] = {
    "update.null": lambda body: None in body.values(),
    "update.blank": lambda body: body.get("log_url") == "",
    "update.blank-list": lambda body: [] in body.values(),
    "long.blank": lambda body: body.get("engine_id") == "",
    "long.zero": lambda body: body.get("engine_id") == 0,
    "field.job-description": lambda body: "job_description" in body,
    "algorithm.beside-image": lambda body: {"model_id", "user_image_url"} <= body.keys(),
    "algorithm.beside-code": lambda body: {"model_id", "app_url"} <= body.keys(),
    "image.beside-code": lambda body: {"app_url", "user_image_url"} <= body.keys(),
    "output.required": lambda body: "train_url" not in body,
    "data.required": lambda body: not body.keys() & {"data_url", "dataset_id", "data_source"},
    "data-source.type": lambda body: any("type" not in it for it in body.get("data_source") or ()),
}
"""The rows, and the bodies that are refused if the report says so."""
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "field.job-description ignored": ("job_description",),
    "algorithm.beside-code algorithm": _CODE,
    "algorithm.beside-code code": ("model_id",),
    "long.blank cleared": ("engine_id",),
    "long.zero cleared": ("engine_id",),
}
_LENGTHS = {"20": 20, "21": 63}
_ORDERS = {"ascending": "asc", "descending": "desc"}
_CODED = r"(not-found\.code|update\.missing-name|delete\.missing|duplicate\.code) \d{3}-\d{4}"
_PLAYED = re.compile(
    rf"{_CODED}|({'|'.join(_REFUSED)}) (refused|accepted)|{'|'.join(_LEFT_OUT)}"
    r"|update\.replaces (merge|replace)|response\.unset (null|blank|missing|mixed)"
    r"|update\.(blank|null|blank-list) cleared"
    r"|name\.max-length (20|21|64)"
    r"|list\.default-order (a|de)scending|error\.status-200 \w+"
    r"|hyperparameters\.(values same|order kept)|catalog\.(names text|ids unique)|list\.total all"
    r"|flavor\.max-nodes refused|path\.form same|response\.(computed same|numbers text)"
    r"|update\.missing-name created|delete\.missing done"
)


def faults_like(report: str | os.PathLike[str], faults: Faults) -> tuple[Faults, list[str]]:
    """``faults`` with what the report says, and what of it cannot be played, such as ``catalog.ids
    repeated``. Raises EmulatorError for a file that is not such a report."""
    try:
        findings = json.loads(Path(report).read_text("utf-8"))["findings"]
        words = {str(it["id"]): str(it["observed"]) for it in findings if it["observed"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        advice = "make one with `majobctl probe --write --format json --out FILE`"
        raise EmulatorError(f"{os.fspath(report)}: not a report of a probe; {advice}") from error
    known = {field.name for field in fields(faults)}
    switches: dict[str, Any] = {
        name: _VALUES.get(word, word)
        for key, name in _SWITCHES.items()
        if (word := words.get(key, "other")) != "other" and name in known
    }
    derived = switches.get("answers") == "documented"
    follows = {"response.derived": ("no", "yes"), "algorithm.own-engine": ("absent", "named")}
    unplayed = [
        f"{key} {word}"
        for key, word in words.items()
        if follows.get(key, ("", ""))[derived] != word and not _PLAYED.fullmatch(f"{key} {word}")
    ]
    return replace(faults, like=words, **switches), unplayed


class LikeCalls(Calls):
    """The calls as that service answers them."""

    def list_configs(self, query: Query) -> Document:
        order = _ORDERS.get(self._word("list.default-order"), "desc")
        return super().list_configs({"order": order, **query})

    def get_config(self, query: Query, name: str) -> Document:
        with self._coded("not-found.code"):
            return super().get_config(query, name)

    def create_config(self, body: bytes) -> tuple[str, Document]:
        with self._coded("duplicate.code"):
            return super().create_config(self._taken(body))

    def update_config(self, name: str, body: bytes) -> Document:
        with self._coded("update.missing-name"):
            if self._word("update.missing-name") == "created" and not self._store.get(name):
                document = {**checks.parse_object(body), "config_name": name}
                return super().create_config(json.dumps(document).encode())[1]
            return super().update_config(name, self._taken(body))

    def delete_config(self, name: str) -> Document:
        with self._coded("delete.missing"):
            is_done = self._word("delete.missing") == "done" and not self._store.get(name)
            return DONE if is_done else super().delete_config(name)

    def _word(self, key: str) -> str:
        return (self._faults.like or {}).get(key, "")

    @contextmanager
    def _coded(self, key: str) -> Iterator[None]:
        """Says a refusal about the name as the report does."""
        try:
            yield
        except Refusal as refusal:
            word, said = self._word(key), refusal
            if refusal.document["error_code"][-4:] in ("0102", "0103") and word[3:4] == "-":
                said = refuse(f"ModelArts.{word[4:]}", refusal.message, status=int(word[:3]))
            raise said from None

    def _taken(self, body: bytes) -> bytes:
        """The body as the emulator takes it. Raises Refusal if the service refuses it."""
        document = checks.parse_object(body)
        for key, is_meant in _REFUSED.items():
            if is_meant(document):
                if self._word(key) == "refused":
                    raise refuse("ModelArts.0104", f"This service refuses it: {key}.")
                left_out = _LEFT_OUT.get(f"{key} {self._word(key)}", ())
                # A null clears where a field that is left out keeps its value.
                blank = {name: None for name in left_out if name in checks.FIELDS}
                document = {k: it for k, it in document.items() if k not in left_out} | blank
        if len(str(document.get("config_name"))) > _LENGTHS.get(self._word("name.max-length"), 64):
            raise refuse("ModelArts.0104", "The name is too long.", field="config_name")
        return json.dumps(document).encode()
