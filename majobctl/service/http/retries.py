"""Retries a call: which failures are worth another try, and what is known at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from majobctl.errors import ProviderError, TransportError
from majobctl.http import NoResponse, Response
from majobctl.service.http.backoff import Backoff
from majobctl.service.http.responses import Failure

Send = Callable[[], Response | NoResponse]

_STOPPED = NoResponse(reason="stopped while it waited for its turn", was_sent=False, is_final=True)


def call(
    send: Send,
    read: Callable[[Response | NoResponse], dict[str, Any] | Failure],
    *,
    backoff: Backoff,
    retries: int,
    writes: bool = False,
    may_repeat: bool = True,
) -> dict[str, Any]:
    """Sends until there is an answer, or none of ``retries`` further tries is left or could help.
    What may not repeat is sent again only if no earlier try may have been carried out. Raises
    ServiceError, TransportError, and what ``send`` raises."""
    maybe_done, tries = False, 0
    while True:
        tries += 1
        try:
            result = read(send() if backoff.may_send(writes=writes) else _STOPPED)
        except ProviderError as error:
            raise _final_error(error, maybe_done and writes) from None
        if not isinstance(result, Failure):
            return result
        maybe_done = maybe_done or result.maybe_done
        if not (
            result.may_pass
            and (may_repeat or not maybe_done)
            and tries <= retries
            and backoff.pause(tries, result.retry_after, for_all=result.is_throttled)
        ):
            is_unknown = maybe_done and writes and not result.is_refusal
            raise _final_error(result.error, is_unknown, may_pass=result.may_pass)


def _final_error(
    error: ProviderError, is_unknown: bool, *, may_pass: bool = False
) -> ProviderError:
    if is_unknown or (may_pass and isinstance(error, TransportError)):
        final = TransportError(str(error), outcome_unknown=is_unknown, may_pass=may_pass)
        final.is_about_credentials = error.is_about_credentials
        final.status, final.request_id = error.status, error.request_id
        return final
    return error
