"""What goes wrong in the emulator: a file it cannot use, a request it refuses, a lost answer."""

from __future__ import annotations

import http
from typing import Any
from uuid import uuid4

_STATUS = {
    "ModelArts.0010": 500,
    "ModelArts.0102": 404,
    "ModelArts.0201": 401,
    "ModelArts.0202": 401,
    "ModelArts.0203": 401,
    "ModelArts.0206": 403,
    "ModelArts.0210": 403,
    "ModelArts.2799": 429,
}
"""The HTTP status of each code; that of the others is 400."""


class EmulatorError(Exception):
    """A seed, data or log file, or a port, that cannot be used."""


class AnswerLost(Exception):
    """The request was carried out, and its answer must not arrive."""


class Refusal(Exception):
    """A request that is answered with an error: HTTP `status`, JSON `document`, extra `headers`,
    and the wrong REST `field`, if there is one."""

    def __init__(
        self,
        status: int,
        document: dict[str, Any],
        *,
        headers: dict[str, str] | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(status, document)
        self.status = status
        self.document = document
        self.headers = headers or {}
        self.field = field

    @property
    def message(self) -> str:
        """The sentence in the document, whatever its form."""
        return str(self.document.get("error_message") or self.document.get("error_msg") or "")


def refuse(code: str, message: str, *, field: str | None = None, status: int = 0) -> Refusal:
    """The service's own form of a failure: is_success, error_code, error_message."""
    document = {"is_success": False, "error_code": code, "error_message": message}
    return Refusal(status or _STATUS.get(code, 400), document, field=field)


def refuse_at_gateway(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Refusal:
    """The API gateway's form of a failure: error_code, error_msg, request_id."""
    document = {"error_code": code, "error_msg": message, "request_id": uuid4().hex}
    return Refusal(status, document, headers=headers)


def refuse_at_iam(status: int, message: str) -> Refusal:
    """IAM's form of a failure: one `error` object with code, title and message."""
    title = http.HTTPStatus(status).phrase
    return Refusal(status, {"error": {"code": status, "title": title, "message": message}})
