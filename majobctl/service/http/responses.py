"""Reads one HTTP answer of the service: a success, or a failure and what may be done about it.

Nothing here sends anything. The codes and forms are those of the ModelArts API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from majobctl.errors import ServiceError, TransportError
from majobctl.job_config.values import WrittenFloat
from majobctl.text import printable

NOT_FOUND = "ModelArts.0102"
"""The service's code for a resource that does not exist."""
LONGEST_PAUSE = 60.0
"""Seconds that a Retry-After is followed for, at most."""

EXCERPT_LENGTH = 200

_RETRIED_STATUSES = (502, 503, 504)
_NO_WORD_OF_BEFORE = frozenset({401, 403, 408, 409, 423, 425})


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: ``body`` is whole; ``headers`` has names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoResponse:
    """Why nothing (whole) came back.

    ``was_sent`` is false where the service surely got nothing; ``is_final`` is true where another
    try would end the same way.
    """

    reason: str
    was_sent: bool
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that failed.

    ``may_pass`` says that another try may do better, ``maybe_done`` that the request may have been
    carried out all the same, ``is_refusal`` that the service surely did not, at an earlier try
    neither; ``retry_after`` is the pause that the service asked for, in seconds, ``is_throttled``
    that it wants fewer calls.
    """

    error: ServiceError | TransportError
    may_pass: bool = False
    maybe_done: bool = False
    is_refusal: bool = False
    retry_after: float | None = None
    is_throttled: bool = False


def classify(result: Response | NoResponse, *, writes: bool) -> dict[str, Any] | Failure:
    """The JSON object of a successful answer, or the failure.

    A call that ``writes`` succeeds only where the answer says ``"is_success": true``.
    """
    if isinstance(result, NoResponse):
        error = TransportError(result.reason, outcome_unknown=writes and result.was_sent)
        return Failure(error, may_pass=not result.is_final, maybe_done=result.was_sent)
    if 300 <= result.status < 400:
        return _redirected(result, writes)
    try:
        document = read_object(result.body)
    except ValueError as error:
        return _unreadable(result, str(error), writes)
    flag = document.get("is_success")
    has_code = bool(document.get("error_code"))
    if not 200 <= result.status < 300 or flag is False or (has_code and flag is not True):
        return _refused(result, document)
    if flag is True or (flag is None and not writes):
        return document
    return _unreadable(result, "it does not say whether the call succeeded", writes)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is; ValueError, with what is wrong, where it is none.

    Its floats remember how they were written.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        document = json.loads(text, parse_float=WrittenFloat, parse_constant=_refuse_constant)
        # A half of a surrogate pair can be escaped in JSON, and no file or terminal takes it.
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise ValueError("it has half of a surrogate pair in a text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document


def read_retry_after(value: str, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks to wait, at most ``LONGEST_PAUSE``.

    It is a number of seconds or an HTTP date; None where it is neither.
    """
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return min(float(value), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_PAUSE)


def excerpt(body: bytes) -> str:
    """The beginning of ``body``, safe to print."""
    text = " ".join(body[: 4 * EXCERPT_LENGTH].decode("utf-8", "replace").split())
    return printable(text)[:EXCERPT_LENGTH]


def _redirected(answer: Response, writes: bool) -> Failure:
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname or "the same host"
    except ValueError:
        host = "an address that is none"
    text = (
        f"the service points elsewhere (HTTP status {answer.status}, to {host}), and a redirect is"
        " not followed with credentials; check the endpoint"
    )
    # After 303 See Other the request itself is done; the other kinds ask for it again.
    maybe_done = answer.status == 303
    error = TransportError(text, outcome_unknown=writes and maybe_done)
    return Failure(error, maybe_done=maybe_done)


def _unreadable(answer: Response, problem: str, writes: bool) -> Failure:
    # What the service itself wrote may hold a configuration's secrets; a page of others tells
    # what stands in the way.
    is_own = answer.body.lstrip()[:1] == b"{"
    shown = f"{len(answer.body)} bytes" if is_own else excerpt(answer.body)
    text = f"unreadable answer (HTTP status {answer.status}): {problem}"
    if shown:
        text += f": {shown}"
    if 400 <= answer.status < 500:
        # The status alone says that the request was refused, whatever wrote the page.
        return _with_status(answer, ServiceError("", text, status=answer.status))
    error = TransportError(text, outcome_unknown=writes)
    return Failure(error, may_pass=True, maybe_done=True, retry_after=_asked_pause(answer))


def _refused(answer: Response, document: Mapping[str, Any]) -> Failure:
    code = _text(document.get("error_code"))
    reason = _text(document.get("error_msg")) or _text(document.get("error_message"))
    request_id = _text(document.get("request_id")) or answer.headers.get("x-request-id", "")
    if not reason and not code:
        reason = f"HTTP status {answer.status}: {excerpt(answer.body)}"
    error = ServiceError(code, reason, status=answer.status, request_id=request_id)
    return _with_status(answer, error)


def _with_status(answer: Response, error: ServiceError) -> Failure:
    status = answer.status
    if status == 429:
        pause = _asked_pause(answer)
        return Failure(error, may_pass=True, retry_after=pause, is_throttled=True)
    if status in _RETRIED_STATUSES:
        return Failure(error, may_pass=True, maybe_done=True, retry_after=_asked_pause(answer))
    # An internal error (500) says nothing for sure about what was done; one without a code is not
    # even the service's own. Who may not call (401, 403) is told nothing of an earlier try.
    # Nor is he who meets a lock, or a page that the service itself did not write.
    is_refusal = status < 500 and bool(error.code) and status not in _NO_WORD_OF_BEFORE
    return Failure(error, maybe_done=status >= 500 and not error.code, is_refusal=is_refusal)


def _asked_pause(answer: Response) -> float | None:
    if answer.status not in (429, 503):
        return None
    return read_retry_after(answer.headers.get("retry-after", ""), datetime.now(timezone.utc))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
