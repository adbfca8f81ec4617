"""Makes one call of the SDK, ours or the official package's, and says how it ended.

What the calls mean is not known here; their answers have the form of "Modifying a Training Job
Configuration" (table 4).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from majobctl.errors import MajobctlError, ProviderError, ServiceError, TransportError
from majobctl.text import printable

T = TypeVar("T")

INTERNAL_ERROR = "ModelArts.0010"
THROTTLED = frozenset({"ModelArts.2799", "APIGW.0308"})


class CallStatus(enum.Enum):
    """How a call ended; ``UNKNOWN``: it may have been carried out all the same."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended, with the service's code ("" where it gave none) and message.

    ``may_pass``: the call failed for a reason that has nothing to do with what it sent, and may
    succeed a while later.
    """

    ending: CallStatus
    code: str = ""
    message: str = ""
    may_pass: bool = False


DONE = CallResult(CallStatus.DONE)


class SdkCalls:
    """A Session and the Estimator class that goes with it; safe to use from several threads.

    Where ``is_ours`` is false no exception of theirs passes through, and none of ``secrets`` is in
    a message.
    """

    def __init__(
        self, session: Any, estimator_class: Any, *, is_ours: bool, secrets: Iterable[str]
    ) -> None:
        self.session = session
        self.is_ours = is_ours
        self._estimator_class = estimator_class
        self._secrets = tuple(secrets)

    def estimator(self, **arguments: Any) -> Any:
        """An Estimator of this session."""
        return self._estimator_class(modelarts_session=self.session, **arguments)

    def outcome(self, name: str, call: Callable[[], Any]) -> CallResult:
        """How ``call`` ended, which changes something; messages call it ``name``."""
        try:
            answer = call()
        except TransportError as error:
            ending = CallStatus.UNKNOWN if error.outcome_unknown else CallStatus.REFUSED
            return CallResult(ending, "", str(error), may_pass=error.may_pass)
        except MajobctlError as error:
            return CallResult(CallStatus.REFUSED, "", str(error))
        except Exception as error:
            if self.is_ours:
                raise
            return self._outcome_of_foreign(error)
        return self._outcome_of(answer, name)

    def ask(self, name: str, read: Callable[[Any], T], **arguments: Any) -> T:
        """What ``read`` makes of the answer to the Estimator class's call ``name``.

        Raises ProviderError as ``answer``.
        """

        def call() -> Any:
            return getattr(self._estimator_class, name)(modelarts_session=self.session, **arguments)

        return self.answer(name, call, read)

    def answer(self, name: str, call: Callable[[], Any], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of what ``call`` answers, which changes nothing.

        Raises ServiceError where the service refuses, TransportError where there is no answer or
        one that ``read`` cannot take, AuthError where IAM gives no token.
        """
        problem: ProviderError
        try:
            answer = call()
        except Exception as error:
            if self.is_ours:
                raise
            problem = self._problem_of_foreign(name, error)
        else:
            if isinstance(answer, Mapping) and answer.get("is_success", True) is not True:
                raise self._refusal(answer)
            try:
                return read(answer)
            except (KeyError, TypeError, ValueError, AttributeError):
                message = f"unreadable answer ({type(answer).__name__}) of {name}"
            problem = TransportError(message, outcome_unknown=False)
        # Raised out here, so that no exception of theirs hangs on it.
        raise problem

    def _outcome_of(self, answer: object, name: str) -> CallResult:
        if not isinstance(answer, Mapping) or not isinstance(answer.get("is_success"), bool):
            kind = type(answer).__name__
            return CallResult(CallStatus.UNKNOWN, "", f"unreadable answer ({kind}) of {name}")
        if answer["is_success"]:
            return DONE
        refusal = self._refusal(answer)
        # An internal error says nothing for sure about what was done.
        is_internal = refusal.code == INTERNAL_ERROR or refusal.status >= 500
        ending = CallStatus.UNKNOWN if is_internal else CallStatus.REFUSED
        return CallResult(ending, refusal.code, refusal.reason, may_pass=refusal.code in THROTTLED)

    def _refusal(self, answer: Mapping[str, Any]) -> ServiceError:
        reason = answer.get("error_msg") or answer.get("error_message") or "no reason given"
        code, status = self._shown(answer.get("error_code")), answer.get("http_status")
        return ServiceError(
            code, self._shown(reason), status=status if isinstance(status, int) else 0
        )

    def _outcome_of_foreign(self, error: Exception) -> CallResult:
        code, message = self._of_foreign(error)
        if code and code != INTERNAL_ERROR:
            return CallResult(CallStatus.REFUSED, code, message)
        return CallResult(CallStatus.UNKNOWN, code, self._described(error))

    def _problem_of_foreign(self, name: str, error: Exception) -> ProviderError:
        code, message = self._of_foreign(error)
        if code:
            return ServiceError(code, message, status=0)
        message = f"{name} failed: {self._described(error)}"
        return TransportError(message, outcome_unknown=False)

    def _of_foreign(self, error: Exception) -> tuple[str, str]:
        """The service's code ("" where it is told none) and message in an exception of theirs."""
        message = getattr(error, "error_msg", None) or str(error)
        return self._shown(getattr(error, "error_code", None)), self._shown(message)

    def _described(self, error: Exception) -> str:
        return f"{type(error).__name__}: {self._shown(error)}"

    def _shown(self, value: object) -> str:
        text = "" if value is None else str(value)
        for secret in self._secrets:
            text = text.replace(secret, "(sensitive)")
        return printable(text)
