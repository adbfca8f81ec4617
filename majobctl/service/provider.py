"""What apply talks to: one adapter over any Session and Estimator, ours or the official package's.

Each call that changes something ends in an outcome. Plans, states and files are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from majobctl.errors import ProviderError, ServiceError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.live import LiveConfig
from majobctl.service.catalog import CachedCatalog
from majobctl.service.codec import as_arguments, blank_arguments, live_config
from majobctl.service.http.responses import NOT_FOUND
from majobctl.service.sdk_calls import DONE, CallResult, CallStatus, SdkCalls

DUPLICATE = "ModelArts.0103"
NAMES_PER_PAGE = 1000
"""The largest page of the service's list."""


class Provider:
    """A service that keeps training job configurations; safe to use from several threads.

    ``session`` and ``estimator_class`` have the surface of the SDK's documents. Where ``is_ours``
    is false no exception of theirs passes through, and none of ``secrets`` is in a message.
    """

    def __init__(
        self,
        session: Any,
        estimator_class: Any,
        *,
        is_ours: bool = True,
        secrets: Iterable[str] = (),
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._calls = SdkCalls(session, estimator_class, is_ours=is_ours, secrets=secrets)
        self._offers = CachedCatalog(self._calls)
        self._on_close = on_close

    def __repr__(self) -> str:
        return f"Provider({type(self._session).__module__})"

    def unknown_names(self, job_configs: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """A sentence for each flavor, engine and algorithm that the service does not offer.

        ``job_configs`` are names with normalised params. Sorted, each with the nearest names, such
        as ``job_config.x: train_instance_type "a.b" does not exist; did you mean "a.c"?``. Raises
        ProviderError where the service cannot be asked.
        """
        return self._offers.unknown_names(job_configs)

    def flavors(self) -> list[dict[str, Any]]:
        """The resource flavors: ``spec_code``, ``max_num``, ``core``, ``cpu``, ``gpu_num``, ....

        The official SDK tells ``spec_code`` only. Raises ProviderError.
        """
        return self._offers.flavors()

    def engines(self) -> list[dict[str, Any]]:
        """The versions of the AI engines: ``engine_name``, ``engine_version`` and more.

        The official SDK tells these two only. Raises ProviderError.
        """
        return self._offers.engines()

    def algorithms(self) -> list[dict[str, Any]]:
        """The built-in algorithms: ``model_name``, ``engine_name`` and more. Raises ProviderError.

        The official SDK may tell the first of them only.
        """
        return self._offers.algorithms()

    def config_names(self) -> list[str]:
        """The names of all configurations, sorted. Raises ProviderError."""
        # The SDK has two words for the key to sort by; its default is the same key.
        order = {"sort_by": "config_name", "order": "asc"} if self._calls.is_ours else {}
        found: set[str] = set()
        page = 0
        while True:
            page += 1
            place = {"per_page": NAMES_PER_PAGE, "page": page, **order}
            size, names, total = self._calls.ask("get_job_configs_list", _listed_names, **place)
            is_new = not names <= found
            found |= names
            # A service that pays no heed to `page` sends the same names again, and ends it too.
            if not is_new or (len(found) >= total if total else size < NAMES_PER_PAGE):
                return sorted(found)

    def read_job_config(self, name: str) -> LiveConfig | None:
        """The configuration as the service has it; None where it does not exist.

        Raises ProviderError where that cannot be told.
        """

        def call() -> Any:
            return self._calls.estimator(config_name=name).get_job_configs_info()

        try:
            document = self._calls.answer("get_job_configs_info", call, _configuration)
        except ServiceError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        return live_config(name, document, self._offers)

    def update_job_config(
        self, name: str, params: Mapping[str, Any], cleared: Iterable[str] = ()
    ) -> CallResult:
        """Sends one update_job_configs call, and says how it ended.

        ``params`` are normalised as those of a JobConfig; the keys in ``cleared`` are sent blank.
        """
        return self._send(
            "update_job_configs", name, {**blank_arguments(cleared), **as_arguments(params)}
        )

    def create_job_config(self, name: str, params: Mapping[str, Any]) -> CallResult:
        """Sends one create_job_configs call, and says how it ended.

        ``params`` are normalised as those of a JobConfig. Safe to repeat: where the outcome is not
        known, or the name is taken, the configuration is read. One that is equal to ``params`` is
        the one that was to be created; where there is none, the call is made once more.
        """
        outcome = self._create(name, params)
        if outcome.ending is not CallStatus.UNKNOWN:
            return self._unless_taken(outcome, name, params)
        try:
            live = self.read_job_config(name)
        except ProviderError as error:
            return _unread(outcome, error)
        if live is not None:
            return _taken_by(live, name, params)
        again = self._unless_taken(self._create(name, params), name, params)
        if again.ending is CallStatus.REFUSED and again.may_pass:
            # It says nothing of the first call, which may still be under way.
            return replace(again, ending=CallStatus.UNKNOWN)
        return again

    def delete_job_config(self, name: str) -> CallResult:
        """Sends one delete_job_configs call; one that finds nothing is done, too."""

        def call() -> Any:
            return self._calls.estimator(config_name=name).delete_job_configs()

        outcome = self._calls.outcome("delete_job_configs", call)
        return DONE if outcome.code == NOT_FOUND else outcome

    def stop(self) -> None:
        """Ends the pauses between tries, where the session can."""
        getattr(self._session, "stop", _do_nothing)()

    def close(self) -> None:
        """Closes the connections, where the session can."""
        getattr(self._session, "close", _do_nothing)()
        self._on_close()

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call_name: str, name: str, arguments: Mapping[str, Any]) -> CallResult:
        of_call = {key: value for key, value in arguments.items() if FIELDS[key].of_update}
        own = {key: value for key, value in arguments.items() if key not in of_call}

        def call() -> Any:
            estimator = self._calls.estimator(**own)
            return getattr(estimator, call_name)(config_name=name, **of_call)

        return self._calls.outcome(call_name, call)

    def _create(self, name: str, params: Mapping[str, Any]) -> CallResult:
        return self._send("create_job_configs", name, as_arguments(params))

    def _unless_taken(
        self, outcome: CallResult, name: str, params: Mapping[str, Any]
    ) -> CallResult:
        """``outcome``, or what it means where it says that the name is taken."""
        if outcome.code != DUPLICATE:
            return outcome
        try:
            live = self.read_job_config(name)
        except ProviderError as error:
            return _unread(outcome, error)
        return outcome if live is None else _taken_by(live, name, params)


def _do_nothing() -> None:
    """For a session that has nothing to stop or close."""


def _taken_by(live: LiveConfig, name: str, params: Mapping[str, Any]) -> CallResult:
    if live.params == params:
        return DONE
    message = f"somebody else created {name} meanwhile, and with other values"
    return CallResult(CallStatus.REFUSED, DUPLICATE, message)


def _unread(outcome: CallResult, error: ProviderError) -> CallResult:
    message = f"{outcome.message}; it could not be read either: {error}"
    return replace(outcome, message=message)


def _configuration(answer: Any) -> Mapping[str, Any]:
    """``answer``, unless nothing in it says that it is the service's."""
    keys = ("is_success", *(field.rest for field in FIELDS.values()))
    if not isinstance(answer, Mapping) or not any(key in answer for key in keys):
        raise TypeError("not a configuration")
    return answer


def _listed_names(answer: Any) -> tuple[int, set[str], int]:
    """The size of a page, the names on it, and how many there are in all (0: it is not said)."""
    # An empty list may be null, or left out, as any other field.
    configs = answer.get("configs") or []
    names = {config["config_name"] for config in configs}
    if not isinstance(configs, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("not a list of names")
    total = answer.get("config_total_count")
    return len(configs), names, total if isinstance(total, int) else 0
