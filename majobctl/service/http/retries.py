"""Retries a call: which failures are worth another try, and what is known at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.errors import ProviderError, ServiceError, TransportError
from majobctl.service.http.backoff import Backoff
from majobctl.service.http.responses import NOT_FOUND, Failure, NoResponse, Response

Send = Callable[[], Response | NoResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """When to repeat a call: ``always``, or only if no earlier try may have been carried out."""

    writes: bool
    always: bool
    done_if_gone: bool = False


RETRY_RULES: Mapping[str, RetryRule] = {
    "GET": RetryRule(writes=False, always=True),
    "PUT": RetryRule(writes=True, always=True),
    "POST": RetryRule(writes=True, always=False),
    "DELETE": RetryRule(writes=True, always=True, done_if_gone=True),
}
ISSUE_TOKEN = RetryRule(writes=False, always=True)


class Retries:
    """The retries of one session's calls: at most ``retries`` further tries for each."""

    def __init__(self, retries: int, backoff: Backoff) -> None:
        self._retries = retries
        self._backoff = backoff

    def call(
        self,
        rule: RetryRule,
        send: Send,
        read: Callable[[Response | NoResponse], dict[str, Any] | Failure],
    ) -> dict[str, Any]:
        """Sends until there is an answer, or no further try is left or could help. Raises
        ServiceError, TransportError, and what ``send`` raises."""
        maybe_done, tries = False, 0
        while True:
            tries += 1
            try:
                result = read(self._send_in_turn(send))
            except ProviderError as error:
                raise _final_error(error, maybe_done and rule.writes) from None
            if not isinstance(result, Failure):
                return result
            if maybe_done and rule.done_if_gone and _is_gone(result):
                return {"is_success": True}
            maybe_done = maybe_done or result.maybe_done
            may_repeat = result.may_pass and (rule.always or not maybe_done)
            if not (
                may_repeat
                and tries <= self._retries
                and self._backoff.pause(tries, result.retry_after, for_all=result.is_throttled)
            ):
                is_unknown = maybe_done and rule.writes and not result.is_refusal
                raise _final_error(result.error, is_unknown, may_pass=result.may_pass)

    def _send_in_turn(self, send: Send) -> Response | NoResponse:
        if self._backoff.wait_for_turn():
            return send()
        reason = "stopped while the service wanted a pause"
        return NoResponse(reason=reason, was_sent=False, is_final=True)


def _is_gone(failure: Failure) -> bool:
    return isinstance(failure.error, ServiceError) and failure.error.code == NOT_FOUND


def _final_error(
    error: ProviderError, is_unknown: bool, *, may_pass: bool = False
) -> ProviderError:
    if is_unknown or (may_pass and isinstance(error, TransportError)):
        final = TransportError(str(error), outcome_unknown=is_unknown, may_pass=may_pass)
        final.is_about_credentials = error.is_about_credentials
        return final
    return error
