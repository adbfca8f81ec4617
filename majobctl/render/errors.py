"""An error as a JSON document: what a command with --format json prints in place of its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from majobctl.errors import MajobctlError, Problem, ServiceError
from majobctl.plan.document import HEAD


def error_document(
    kind: str,
    exit_code: int,
    text: str,
    problems: Sequence[Problem] = (),
    warnings: Iterable[Problem] = (),
    service: ServiceError | None = None,
) -> dict[str, Any]:
    """``text`` is the message: a summary line, then what to do about it."""
    message, _, advice = text.partition("\n")
    error: dict[str, Any] = {"kind": kind, "exit_code": exit_code}
    error |= {"message": message, "advice": advice.split("\n") if advice else []}
    error["problems"] = list(map(asdict, problems))
    error["warnings"] = list(map(asdict, warnings))
    if service:
        details = {"code": service.code, "status": service.status}
        error["service"] = {**details, "request_id": service.request_id}
    return {**HEAD, "error": error}


def kind_of(error: MajobctlError) -> str:
    """The kind of ``error``, or of its cause, if that says more."""
    cause = error.__cause__
    if isinstance(cause, MajobctlError) and error.kind in ("error", "service"):
        error = cause
    is_refused = isinstance(error, ServiceError) and error.is_about_credentials
    return "credentials" if is_refused else error.kind
