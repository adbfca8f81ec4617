"""The service as the operations see it: one adapter over a Session and an Estimator, majobctl's own
or the official SDK's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from majobctl.errors import ProviderError, ServiceError, TransportError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.live import LiveConfig
from majobctl.service.catalog_readers import sdk_catalog
from majobctl.service.codec import live_config, sdk_arguments
from majobctl.service.codes import DUPLICATE, MISSING_CODES
from majobctl.service.sdk_calls import DONE, CallResult, CallStatus, SdkCalls
from majobctl.text import quoted
from majobctl.waiting import awaiting

NAMES_PER_PAGE = 1000
"""The largest page of the service's list."""
MOST_PAGES = 1000
MOST_NAMES = 100_000
_LONGEST_NAME = 1000


class Provider:
    """A service that keeps training job configurations; safe to use from several threads.
    ``session`` and ``estimator_class`` have the surface of the SDK's documents. If they are the
    official SDK's, none of its exceptions passes through, and no message holds one of
    ``secrets``."""

    def __init__(
        self,
        session: Any,
        estimator_class: Any,
        *,
        is_official_sdk: bool = False,
        secrets: Iterable[str] = (),
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._calls = SdkCalls(
            session, estimator_class, is_official_sdk=is_official_sdk, secrets=secrets
        )
        self.catalog = sdk_catalog(self._calls) if is_official_sdk else session.catalog
        self._on_close = on_close
        self._listed: set[str] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Provider({type(self._session).__module__})"

    def config_names(self) -> list[str]:
        """The names of all configurations, sorted. Raises ProviderError."""
        # The SDK has two words for the key to sort by; its default is the same key.
        own = {"sort_by": "config_name", "order": "asc"}
        order = {} if self._calls.is_official_sdk else own
        found: set[str] = set()
        for page in range(1, MOST_PAGES + 1):
            place = {"per_page": NAMES_PER_PAGE, "page": page, **order}
            size, names, total = self._calls.ask("get_job_configs_list", _listed_names, **place)
            is_new = not names <= found
            found |= names
            # A service that ignores `page` sends the same names again, which ends the loop, too.
            if not is_new or (len(found) >= total if total else size < NAMES_PER_PAGE):
                self._listed = found
                return sorted(found)
            if len(found) > MOST_NAMES:
                break
        message = f"the list of configurations does not end: page {page} has new names"
        raise TransportError(message, outcome_unknown=False)

    def read_job_config(self, name: str) -> LiveConfig | None:
        """The configuration as the service has it; None if it does not exist, which the service's
        list has confirmed. Raises ProviderError if it cannot be read."""
        own = {"config_name": name}
        try:
            document = self._calls.ask_estimator("get_job_configs_info", _configuration, own)
        except ServiceError as error:
            if error.code in MISSING_CODES and self._lacks(name):
                return None
            raise
        # What a cache mixed up must not pass for what is overwritten.
        if (other := document.get("config_name") or name) != name:
            message = f"the service was asked for {name} and answered with {quoted(str(other))}"
            raise TransportError(message, outcome_unknown=False)
        return live_config(name, document, self.catalog)

    def update_job_config(
        self, name: str, params: Mapping[str, Any], cleared: Iterable[str] = ()
    ) -> CallResult:
        """Sends one call; ``params`` are a JobConfig's, the keys in ``cleared`` are sent blank."""
        result = self._send("update_job_configs", name, sdk_arguments(params, cleared))
        return self._confirmed(name, result)

    def create_job_config(self, name: str, params: Mapping[str, Any]) -> CallResult:
        """Sends one call, safe to repeat: if the result is unknown or the name is taken, the
        configuration is read. One that equals ``params``, a JobConfig's, counts as the created one;
        if there is none, the call is made once more."""
        result = self._create(name, params)
        if result.status is not CallStatus.UNKNOWN:
            return self._unless_taken(result, name, params)
        if found := self._found(result, name, params):
            return found
        again = self._unless_taken(self._create(name, params), name, params)
        if again.status is CallStatus.REFUSED and again.may_pass:
            # This leaves open what became of the first call.
            return replace(again, status=CallStatus.UNKNOWN)
        return again

    def delete_job_config(self, name: str) -> CallResult:
        """Sends one delete_job_configs call, which is done, too, if there is nothing to delete."""
        result = self._calls.outcome("delete_job_configs", {"config_name": name})
        with self._lock:
            self._listed = None  # only a list from now on proves that it is gone
        result = self._confirmed(name, result)
        return DONE if result.is_missing else result

    def request(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """``Session.request``. Raises ProviderError, also because the official SDK has none."""
        if self._calls.is_official_sdk:
            raise ProviderError('the official SDK hides answers: set provider.kind = "modelarts"')
        with awaiting("Asking the service", f"{method} {path}"):
            answer: dict[str, Any] = self._session.request(method, path, **content)
        return answer

    def ask_before_writes(self, may_write: Callable[[], bool]) -> None:
        """Before each try of a call that writes, if the session can."""
        getattr(self._session, "ask_before_writes", lambda it: None)(may_write)

    def stop(self) -> None:
        """Ends the pauses between tries, if the session can."""
        getattr(self._session, "stop", lambda: None)()

    def close(self) -> None:
        """Closes the connections, if the session can."""
        getattr(self._session, "close", lambda: None)()
        self._on_close()

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call_name: str, name: str, arguments: Mapping[str, Any]) -> CallResult:
        of_call = {key: value for key, value in arguments.items() if FIELDS[key].of_update}
        own = {key: value for key, value in arguments.items() if key not in of_call}
        if self._calls.is_official_sdk and not own.get("pool_id"):
            own.pop("pool_id", None)  # an older package does not know it
        result = self._calls.outcome(call_name, own, config_name=name, **of_call)
        if self._listed is not None and result.status is not CallStatus.REFUSED:
            self._listed.add(name)
        return result

    def _create(self, name: str, params: Mapping[str, Any]) -> CallResult:
        arguments = sdk_arguments(params)
        # The SDK's page on creating does not list it; the one on modifying does.
        rest = self._calls.is_official_sdk and arguments.pop("data_source", None)
        result = self._send("create_job_configs", name, arguments)
        if rest and result.status is CallStatus.DONE:
            result = self._send("update_job_configs", name, {**arguments, "data_source": rest})
            if result.status is CallStatus.REFUSED:
                message = f"created, but without its data_source: {result.message}"
                return replace(result, message=message)
        return result

    def _confirmed(self, name: str, result: CallResult) -> CallResult:
        """``result``, and whether it means that ``name`` is missing."""
        if result.status is not CallStatus.REFUSED or result.code not in MISSING_CODES:
            return result
        try:
            return replace(result, is_missing=self._lacks(name))
        except ProviderError as error:
            return _unread(result, error)

    def _lacks(self, name: str) -> bool:
        """Whether the service's list lacks ``name``; one list answers for all that it lacks. The
        code of a refusal alone does not prove that: it is a missing workspace's, too."""
        with self._lock:
            if self._listed is None or name in self._listed:
                self.config_names()
            return name not in (self._listed or ())

    def _unless_taken(self, result: CallResult, name: str, params: Mapping[str, Any]) -> CallResult:
        """``result``, or what it means if it says that the name is taken."""
        if result.code != DUPLICATE:
            return result
        return self._found(result, name, params) or result

    def _found(self, result: CallResult, name: str, params: Mapping[str, Any]) -> CallResult | None:
        """What ``result`` means, by what the service has; None if it has no such configuration."""
        try:
            live = self.read_job_config(name)
        except ProviderError as error:
            return _unread(result, error)
        if live is None or live.params_as(params) == params:
            return DONE if live else None
        message = f"somebody else has created {name} in the meantime, with other values"
        return CallResult(status=CallStatus.REFUSED, code=DUPLICATE, message=message)


def _unread(result: CallResult, error: ProviderError) -> CallResult:
    return replace(
        result,
        message=f"{result.message}; it could not be read either: {error}",
        is_about_credentials=error.is_about_credentials,
    )


def _configuration(answer: Any) -> Mapping[str, Any]:
    """``answer``; TypeError if nothing in it shows that it is a configuration."""
    keys = ("config_name", *(field.rest for field in FIELDS.values()))
    if not isinstance(answer, Mapping) or not any(key in answer for key in keys):
        raise TypeError("not a configuration")
    return answer


def _listed_names(answer: Any) -> tuple[int, set[str], int]:
    """The size of a page, the names on it, and the total (0 if unknown)."""
    # An empty list may be null or missing, as any other field.
    configs = answer.get("configs") or []
    names = {config["config_name"] for config in configs if config is not None}
    if not isinstance(configs, list) or not all(
        isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names
    ):
        raise TypeError("not a list of names")
    total = answer.get("config_total_count")
    return len(configs), names, total if isinstance(total, int) else 0
