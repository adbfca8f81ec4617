"""Classifies one HTTP response of the service: a success, or a failure and whether to retry it. The
codes and forms are those of the ModelArts API reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from majobctl.errors import ServiceError, TransportError
from majobctl.http import NoResponse, Response
from majobctl.http.retry_after import read_retry_after
from majobctl.job_config.values import WrittenFloat
from majobctl.service.codes import THROTTLED, service_error
from majobctl.strict_json import JsonError, parse_object
from majobctl.text import printable

EXCERPT_LENGTH = 200

RETRIED_STATUSES = (502, 503, 504)
_SILENT_ABOUT_EARLIER_TRIES = frozenset({401, 403, 408, 409, 423, 425})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A try that failed. ``may_pass``: another may succeed. ``maybe_done``: the request may have
    been carried out all the same. ``is_refusal``: it certainly was not, in this try or an earlier
    one. ``retry_after``: the pause, in seconds, that the service asks for. ``is_throttled``: it
    wants fewer calls."""

    error: ServiceError | TransportError
    may_pass: bool = False
    maybe_done: bool = False
    is_refusal: bool = False
    retry_after: float | None = None
    is_throttled: bool = False


def classify(
    result: Response | NoResponse, *, writes: bool, may_be_empty: bool = False
) -> dict[str, Any] | Failure:
    """The JSON object of a successful response, or the failure. A call that ``writes`` succeeds
    only if the response says ``"is_success": true``, or nothing if it ``may_be_empty``."""
    if isinstance(result, NoResponse):
        error = TransportError(result.reason, outcome_unknown=writes and result.was_sent)
        return Failure(error=error, may_pass=not result.is_final, maybe_done=result.was_sent)
    if result.status == 407:
        text = "a proxy on the way wants a user and a password (HTTP status 407)"
        return Failure(error=TransportError(text, outcome_unknown=False))
    if 300 <= result.status < 400:
        return _redirected(result, writes)
    if may_be_empty and result.status in (200, 204) and not result.body.strip():
        return {"is_success": True}
    try:
        document = read_object(result.body)
    except JsonError as error:
        return _unreadable(result, str(error), writes)
    flag = document.get("is_success")
    is_failure = bool(document.get("error_code") or document.get("error"))
    if not 200 <= result.status < 300 or flag is False or (is_failure and flag is not True):
        return _refused(result, document)
    if flag is True or ("is_success" not in document and not writes):
        return document
    return _unreadable(result, "it does not say whether the call succeeded", writes)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; its floats remember how they were written. Raises JsonError."""
    return parse_object(body, parse_float=WrittenFloat, is_ours=False)


def told_in(document: Mapping[str, Any]) -> tuple[str, str]:
    """The code and the message of a failure, in ModelArts' form, its gateway's, or IAM's
    (``{"error": {"code", "message"}}``, in which a number is the HTTP status)."""
    inner = document.get("error")
    other = inner if isinstance(inner, Mapping) else {}
    code = other.get("code")
    own = code if isinstance(code, str) and not code.isdecimal() else None
    reasons = (document.get("error_msg"), document.get("error_message"), other.get("message"))
    reason = next((it for it in reasons if isinstance(it, str) and it), "")
    return _text(document.get("error_code") or own), reason


def excerpt(body: bytes) -> str:
    """The beginning of ``body``, safe to print."""
    text = " ".join(body[: 4 * EXCERPT_LENGTH].decode("utf-8", "replace").split())
    return printable(text)[:EXCERPT_LENGTH]


def _redirected(response: Response, writes: bool) -> Failure:
    try:
        host = urlsplit(response.headers.get("location", "")).hostname or "the same host"
    except ValueError:
        host = "an invalid address"
    text = (
        f"the service redirects (HTTP status {response.status}, to {host}); majobctl never follows"
        " a redirect with credentials: check the endpoint"
    )
    # 303 See Other means that the request was carried out; the other statuses ask for it again.
    maybe_done = response.status == 303
    error = TransportError(text, outcome_unknown=writes and maybe_done)
    return Failure(error=error, maybe_done=maybe_done)


def _unreadable(response: Response, problem: str, writes: bool) -> Failure:
    # The service's own JSON may hold a configuration's secrets. A proxy's page may be shown.
    is_own = response.body.lstrip()[:1] == b"{"
    shown = f"{len(response.body)} bytes" if is_own else excerpt(response.body)
    text = f"unreadable answer (HTTP status {response.status}): {problem}"
    if shown:
        text += f": {shown}"
    if 400 <= response.status < 500:
        # The status alone says that the request was refused, whoever wrote the page.
        return _with_status(response, _error(response, "", text))
    text += f" (request id {response.request_id})" if response.request_id else ""
    error = TransportError(text, outcome_unknown=writes)
    error.status, error.request_id = response.status, response.request_id
    pause = _requested_pause(response)
    return Failure(error=error, may_pass=True, maybe_done=True, retry_after=pause)


def _refused(response: Response, document: Mapping[str, Any]) -> Failure:
    code, reason = told_in(document)
    if not reason and not code:
        reason = f"HTTP status {response.status}: {excerpt(response.body)}"
    return _with_status(response, _error(response, code, reason))


def _error(response: Response, code: str, reason: str) -> ServiceError:
    return service_error(code, reason, status=response.status, request_id=response.request_id)


def _with_status(response: Response, error: ServiceError) -> Failure:
    status, pause = response.status, _requested_pause(response)
    if status == 429 or error.code in THROTTLED:
        return Failure(error=error, may_pass=True, retry_after=pause, is_throttled=True)
    if status in RETRIED_STATUSES:
        return Failure(error=error, may_pass=True, maybe_done=True, retry_after=pause)
    # An internal error (500) leaves open what was done. One without a code does not even come from
    # the service itself. A caller without permission (401, 403) learns nothing about an earlier
    # try, and neither does one who meets a lock or a page that the service did not write.
    is_refusal = status < 500 and bool(error.code) and status not in _SILENT_ABOUT_EARLIER_TRIES
    return Failure(error=error, maybe_done=status >= 500 and not error.code, is_refusal=is_refusal)


def _requested_pause(response: Response) -> float | None:
    if response.status not in (429, 503):
        return None
    value = response.headers.get("retry-after", "")
    return read_retry_after(value, datetime.now(timezone.utc))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
