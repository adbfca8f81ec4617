"""Makes one call of majobctl's own Estimator or the official SDK's, and classifies its outcome. The
answers have the form of "Modifying a Training Job Configuration" (table 4)."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from majobctl.errors import MajobctlError, ProviderError, ServiceError, TransportError
from majobctl.job_config.redaction import without_traces
from majobctl.job_config.secrets import looks_secret
from majobctl.service.codes import INTERNAL_ERROR, THROTTLED, service_error
from majobctl.service.http.responses import RETRIED_STATUSES
from majobctl.text import printable
from majobctl.waiting import awaiting

T = TypeVar("T")


class CallStatus(enum.Enum):
    """How a call ended; after ``UNKNOWN`` it may have been carried out."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """How a call ended, with the service's code ("" if it gave none) and message. ``may_pass``: the
    reason has nothing to do with what was sent, so a later call may succeed.
    ``is_about_credentials``: they were refused, so every other call would fail, too.
    ``is_missing``: the service does not have the configuration, as its list confirms.
    ``http_status`` and ``request_id`` are 0 and "" if there was no answer."""

    status: CallStatus
    code: str = ""
    message: str = ""
    http_status: int = 0
    request_id: str = ""
    may_pass: bool = False
    is_about_credentials: bool = False
    is_missing: bool = False


DONE = CallResult(status=CallStatus.DONE)


class SdkCalls:
    """A Session and the Estimator class that goes with it; safe to use from several threads. If
    they are the official SDK's, none of its exceptions passes through, and no message holds one of
    ``secrets``."""

    def __init__(
        self, session: Any, estimator_class: Any, *, is_official_sdk: bool, secrets: Iterable[str]
    ) -> None:
        self.session = session
        self.is_official_sdk = is_official_sdk
        self._estimator_class = estimator_class
        self._secrets = tuple(secrets)

    def outcome(self, name: str, own: Mapping[str, Any], **arguments: Any) -> CallResult:
        """How the call ``name`` of an Estimator with the parameters ``own`` ended."""
        estimator = None
        try:
            estimator = self._estimator(own)
            with awaiting(_job_config(arguments or own), name):
                answer = getattr(estimator, name)(**arguments)
        except ProviderError as error:
            is_unknown = isinstance(error, TransportError) and error.outcome_unknown
            return _failed(error, str(error), is_unknown=is_unknown)
        except MajobctlError as error:
            return CallResult(status=CallStatus.REFUSED, message=str(error))
        except Exception as error:
            if not self.is_official_sdk:
                raise
            # The constructor sends nothing, nor does a call that does not take its arguments.
            is_unsent = estimator is None or _refuses_arguments(error, name)
            return self._outcome_of_official(error, is_unknown=not is_unsent)
        return self._outcome_of(answer, name)

    def ask(self, name: str, read: Callable[[Any], T], **arguments: Any) -> T:
        """The result of ``read`` for the answer of the Estimator class's call ``name``. Raises
        ServiceError if the service refuses, TransportError if there is no answer or ``read`` cannot
        take it, AuthError if IAM does not issue a token."""

        def call() -> Any:
            return getattr(self._estimator_class, name)(modelarts_session=self.session, **arguments)

        with awaiting("Reading from the service", name):
            return self._answer(name, call, read)

    def ask_estimator(self, name: str, read: Callable[[Any], T], own: Mapping[str, Any]) -> T:
        """As ``ask``, for an Estimator with the parameters ``own``."""
        with awaiting(_job_config(own), name):
            return self._answer(name, lambda: getattr(self._estimator(own), name)(), read)

    def _estimator(self, own: Mapping[str, Any]) -> Any:
        return self._estimator_class(modelarts_session=self.session, **own)

    def _answer(self, name: str, call: Callable[[], Any], read: Callable[[Any], T]) -> T:
        problem: ProviderError
        try:
            answer = call()
        except Exception as error:
            if not self.is_official_sdk:
                raise
            problem = self._problem_of_official(name, error)
        else:
            flag = answer.get("is_success", True) if isinstance(answer, Mapping) else True
            if flag is False:
                raise self._refusal(answer)
            try:
                if flag is True:
                    return read(answer)
            except (KeyError, TypeError, ValueError, AttributeError):
                pass
            message = f"unreadable answer ({type(answer).__name__}) of {name}"
            problem = TransportError(message, outcome_unknown=False)
        # Raised here, so that no exception of the official SDK is its context.
        raise problem

    def _outcome_of(self, answer: object, name: str) -> CallResult:
        if name == "create_job_configs" and getattr(answer, "config_name", None):
            return DONE
        if not isinstance(answer, Mapping) or not isinstance(answer.get("is_success"), bool):
            message = f"unreadable answer ({type(answer).__name__}) of {name}"
            return CallResult(status=CallStatus.UNKNOWN, message=message)
        if answer["is_success"]:
            return DONE
        refusal = self._refusal(answer)
        # An internal error leaves open what was done.
        is_internal = refusal.code == INTERNAL_ERROR or refusal.status >= 500
        return _failed(refusal, refusal.reason, is_unknown=is_internal)

    def _refusal(self, answer: Mapping[str, Any]) -> ServiceError:
        reason = answer.get("error_msg") or answer.get("error_message") or "no reason given"
        code = self._shown(answer.get("error_code"))
        status = getattr(answer, "http_status", None) or answer.get("http_status")
        status = status if isinstance(status, int) else 0
        may_pass = code in THROTTLED or status in RETRIED_STATUSES
        about = {"request_id": self._shown(answer.get("request_id")), "may_pass": may_pass}
        return service_error(code, self._shown(reason), status=status, **about)

    def _outcome_of_official(self, error: Exception, *, is_unknown: bool) -> CallResult:
        code, message = self._of_official(error)
        if code and code != INTERNAL_ERROR:
            return _failed(service_error(code, message, status=0), message)
        status = CallStatus.UNKNOWN if is_unknown else CallStatus.REFUSED
        return CallResult(status=status, code=code, message=self._described(error))

    def _problem_of_official(self, name: str, error: Exception) -> ProviderError:
        code, message = self._of_official(error)
        if code:
            return service_error(code, message, status=0)
        return TransportError(f"{name} failed: {self._described(error)}", outcome_unknown=False)

    def _of_official(self, error: Exception) -> tuple[str, str]:
        """The service's code ("" if there is none) and message in an exception of the SDK."""
        message = getattr(error, "error_msg", None) or str(error)
        return self._shown(getattr(error, "error_code", None)), self._shown(message)

    def _described(self, error: Exception) -> str:
        return f"{type(error).__name__}: {self._shown(error)}"

    def _shown(self, value: object) -> str:
        # The official session gets tokens of its own.
        own = getattr(self.session, "__dict__", {}) if self.is_official_sdk else {}
        found = {text for key, text in own.items() if isinstance(text, str) and looks_secret(key)}
        return printable(
            without_traces("" if value is None else str(value), {*self._secrets, *found})
        )


def _job_config(given: Mapping[str, Any]) -> str:
    return f"job_config.{given.get('config_name')}"


def _refuses_arguments(error: Exception, name: str) -> bool:
    """Whether Python raised ``error`` as the method ``name`` was called, possibly by a wrapper."""
    if not isinstance(error, TypeError | AttributeError):
        return False
    is_here = error.__traceback__ is not None and error.__traceback__.tb_next is None
    return is_here or bool(re.search(rf"\b{name}\(\) (got|missing|takes) ", str(error)))


def _failed(error: ProviderError, message: str, *, is_unknown: bool = False) -> CallResult:
    return CallResult(
        status=CallStatus.UNKNOWN if is_unknown else CallStatus.REFUSED,
        code=error.code if isinstance(error, ServiceError) else "",
        message=message,
        http_status=error.status,
        request_id=error.request_id,
        may_pass=error.may_pass,
        is_about_credentials=error.is_about_credentials,
    )
