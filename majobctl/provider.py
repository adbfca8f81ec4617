"""What apply talks to: one adapter over any Session and Estimator, ours or the official package's.

Each call ends in an outcome. Plans, states and files are not known here.
"""

from __future__ import annotations

import enum
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from majobctl.catalogue import missing
from majobctl.credentials import region_from_environment
from majobctl.endpoints import EMULATOR_ENDPOINT, endpoint_of
from majobctl.errors import (
    MajobctlError,
    ProviderError,
    ServiceError,
    TransportError,
    printable,
    quoted,
)
from majobctl.fields import FIELDS, Kind

T = TypeVar("T")

INTERNAL_ERROR = "ModelArts.0010"
THROTTLED = frozenset({"ModelArts.2799", "APIGW.0308"})


class Ending(enum.Enum):
    """How a call ended; ``UNKNOWN``: it may have been carried out all the same."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended, with the service's code ("" where it gave none) and message.

    ``may_pass``: the call failed for a reason that has nothing to do with what it sent, and may
    succeed a while later.
    """

    ending: Ending
    code: str = ""
    message: str = ""
    may_pass: bool = False


DONE = Outcome(Ending.DONE)


class Provider:
    """A service that takes update_job_configs calls; safe to use from several threads.

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
        self._estimator_class = estimator_class
        self._is_ours = is_ours
        self._secrets = tuple(secrets)
        self._on_close = on_close

    def __repr__(self) -> str:
        return f"Provider({type(self._session).__module__})"

    def unknown_names(self, job_configs: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """A sentence for each flavor, engine and algorithm that the service does not offer.

        ``job_configs`` are names with normalised params. Sorted, each with the nearest names, such
        as ``job_config.x: train_instance_type "a.b" does not exist; did you mean "a.c"?``. Raises
        ProviderError where the service cannot be asked.
        """
        wanted = list(job_configs)
        found: set[str] = set()
        for key, is_known in (
            ("train_instance_type", self._flavors),
            ("framework_type", self._engines),
            ("model_name", self._algorithms),
        ):
            if any(key in params for _, params in wanted):
                check = is_known()
                for name, params in wanted:
                    if key in params:
                        found.update(f"job_config.{name}: {text}" for text in check(params))
        return sorted(found)

    def update_job_config(
        self, name: str, params: Mapping[str, Any], cleared: Iterable[str] = ()
    ) -> Outcome:
        """Sends one update_job_configs call, and says how it ended.

        ``params`` are normalised as those of a JobConfig; the keys in ``cleared`` are sent blank.
        """
        arguments = {**_blank(cleared), **_as_arguments(params)}
        of_update = {key: arguments.pop(key) for key in list(arguments) if FIELDS[key].of_update}

        def call() -> Any:
            estimator = self._estimator_class(modelarts_session=self._session, **arguments)
            return estimator.update_job_configs(config_name=name, **of_update)

        return self._outcome(call)

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

    def _outcome(self, call: Callable[[], Any]) -> Outcome:
        try:
            answer = call()
        except TransportError as error:
            ending = Ending.UNKNOWN if error.outcome_unknown else Ending.REFUSED
            return Outcome(ending, "", str(error), may_pass=error.may_pass)
        except MajobctlError as error:
            return Outcome(Ending.REFUSED, "", str(error))
        except Exception as error:
            if self._is_ours:
                raise
            return self._outcome_of_foreign(error)
        return self._outcome_of(answer)

    def _outcome_of(self, answer: object) -> Outcome:
        if not isinstance(answer, Mapping) or not isinstance(answer.get("is_success"), bool):
            kind = type(answer).__name__
            return Outcome(Ending.UNKNOWN, "", f"unreadable answer ({kind}) of update_job_configs")
        if answer["is_success"]:
            return DONE
        code, message = self._shown(answer.get("error_code")), _message_of(answer)
        # An internal error says nothing for sure about what was done.
        is_internal = code == INTERNAL_ERROR or answer.get("http_status", 0) >= 500
        ending = Ending.UNKNOWN if is_internal else Ending.REFUSED
        return Outcome(ending, code, self._shown(message), may_pass=code in THROTTLED)

    def _outcome_of_foreign(self, error: Exception) -> Outcome:
        code = self._shown(getattr(error, "error_code", None))
        if code and code != INTERNAL_ERROR:
            message = getattr(error, "error_msg", None) or str(error)
            return Outcome(Ending.REFUSED, code, self._shown(message))
        return Outcome(Ending.UNKNOWN, code, self._described(error))

    def _described(self, error: Exception) -> str:
        return f"{type(error).__name__}: {self._shown(error)}"

    def _shown(self, value: object) -> str:
        text = "" if value is None else str(value)
        for secret in self._secrets:
            text = text.replace(secret, "(sensitive)")
        return printable(text)

    def _flavors(self) -> Callable[[Mapping[str, Any]], list[str]]:
        codes = self._asked("get_train_instance_types", _texts)
        return lambda params: _unless_known(params, "train_instance_type", codes)

    def _engines(self) -> Callable[[Mapping[str, Any]], list[str]]:
        versions = self._asked("get_framework_list", _versions_by_type)

        def check(params: Mapping[str, Any]) -> list[str]:
            of_type = versions.get(params["framework_type"])
            if of_type is None:
                return _unless_known(params, "framework_type", versions)
            return _unless_known(params, "framework_version", of_type)

        return check

    def _algorithms(self) -> Callable[[Mapping[str, Any]], list[str]]:
        names, is_whole = self._asked("get_built_in_algorithms", _model_names)
        # The official package may give the first page only: what it lacks may exist all the same.
        return lambda params: _unless_known(params, "model_name", names) if is_whole else []

    def _asked(self, call: str, read: Callable[[Any], T]) -> T:
        """What ``read`` makes of the answer to one of the SDK's calls.

        Raises ProviderError where there is no such answer.
        """
        try:
            answer = getattr(self._estimator_class, call)(modelarts_session=self._session)
        except Exception as error:
            if self._is_ours:
                raise
            message = f"{call} failed: {self._described(error)}"
        else:
            if isinstance(answer, Mapping) and answer.get("is_success", True) is not True:
                reason = self._shown(_message_of(answer))
                raise ServiceError(self._shown(answer.get("error_code")), reason, status=0)
            try:
                return read(answer)
            except (KeyError, TypeError, ValueError, AttributeError):
                message = f"unreadable answer ({type(answer).__name__}) of {call}"
        raise TransportError(message, outcome_unknown=False)


def _do_nothing() -> None:
    """For a session that has nothing to stop or close."""


def _blank(keys: Iterable[str]) -> dict[str, Any]:
    arrays = (Kind.HYPERPARAMETERS, Kind.DATA_SOURCE)
    return {key: [] if FIELDS[key].kind in arrays else "" for key in keys}


def _as_arguments(params: Mapping[str, Any]) -> dict[str, Any]:
    """Normalised params as the SDK documents its arguments."""
    arguments = dict(params)
    labelled = arguments.get("hyperparameters")
    if labelled is not None:
        arguments["hyperparameters"] = [
            {"label": label, "value": value} for label, value in labelled.items()
        ]
    return arguments


def _message_of(answer: Mapping[str, Any]) -> object:
    return answer.get("error_msg") or answer.get("error_message") or "no reason given"


def _texts(answer: Any) -> list[str]:
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return [str(item) for item in answer]


def _versions_by_type(answer: Any) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for engine in answer:
        versions.setdefault(engine["framework_type"], []).append(engine["framework_version"])
    return versions


def _model_names(answer: Any) -> tuple[list[str], bool]:
    """The names, and whether these are all of them."""
    names = [model["model_name"] for model in answer["models"]]
    return names, len(names) >= int(answer.get("model_total_count") or 0)


def _unless_known(params: Mapping[str, Any], key: str, known: Iterable[object]) -> list[str]:
    value = params[key]
    names = list(known)
    return [] if value in names else [missing(key, value, names)]


@dataclass(frozen=True, slots=True)
class Wish:
    """The arguments of ``open_provider``."""

    region: str | None
    endpoint: str | None
    iam_endpoint: str | None
    project_id: str | None
    auth: str | None
    timeout: float
    retries: int
    parallelism: int
    emulator_data: Path | None
    emulator_seed: Path | None
    emulator_seed_name: str


def open_provider(
    kind: str,
    *,
    region: str | None = None,
    endpoint: str | None = None,
    iam_endpoint: str | None = None,
    project_id: str | None = None,
    auth: str | None = None,
    timeout: float = 30,
    retries: int = 5,
    parallelism: int = 10,
    emulator_data: Path | None = None,
    emulator_seed: Path | None = None,
    emulator_seed_name: str = "",
) -> Provider:
    """The provider of one kind of ``PROVIDERS``; nothing is sent yet. Close it when done with it.

    Messages call the emulator's seed ``emulator_seed_name``, or else by its path.

    Raises AuthError where credentials or a project are missing, ConfigError for a wrong address,
    ProviderError where what the kind needs is not installed or cannot be opened.
    """
    if kind not in PROVIDERS:
        raise ProviderError(f"provider {quoted(kind)} is none of {', '.join(PROVIDERS)}")
    wish = Wish(
        region or None,
        endpoint or None,
        iam_endpoint or None,
        project_id or None,
        auth or None,
        timeout,
        retries,
        parallelism,
        emulator_data,
        emulator_seed,
        emulator_seed_name,
    )
    return PROVIDERS[kind](wish)


def require_werkzeug() -> None:
    """Raises ProviderError where the emulator's one library is not installed."""
    if importlib.util.find_spec("werkzeug") is None:
        raise ProviderError(
            'the emulator needs werkzeug: install it with pip install "majobctl[emulator]"'
        )


def _open_modelarts(wish: Wish) -> Provider:
    from majobctl.estimator import Estimator
    from majobctl.session import Session

    region = wish.region or region_from_environment()
    session = Session(
        project_id=wish.project_id,
        region_name=region,
        auth=wish.auth,
        # Always given, so that the calls go to the target of the plan whatever the environment.
        endpoint=endpoint_of(region, wish.endpoint),
        iam_endpoint=wish.iam_endpoint,
        timeout=wish.timeout,
        retries=wish.retries,
        connections=wish.parallelism,
    )
    return Provider(session, Estimator)


def _open_emulator(wish: Wish) -> Provider:
    from majobctl.estimator import Estimator
    from majobctl.session import Session

    project_id = wish.project_id or "emulator"
    require_werkzeug()
    from majobctl import emulator

    try:
        app = emulator.create_app(
            wish.emulator_data,
            seed=wish.emulator_seed,
            seed_name=wish.emulator_seed_name,
            project_id=project_id,
        )
    except emulator.EmulatorError as error:
        raise ProviderError(str(error)) from error
    session = Session(
        "emulator",
        "emulator",
        project_id,
        endpoint=EMULATOR_ENDPOINT,
        timeout=wish.timeout,
        retries=wish.retries,
        connections=wish.parallelism,
        transport=emulator.create_adapter(app),
    )
    return Provider(session, Estimator, on_close=app.close)


def _open_official(wish: Wish) -> Provider:
    from majobctl.official_sdk import open_session

    session, estimator_class, secrets = open_session(
        wish.region, wish.endpoint, wish.iam_endpoint, wish.project_id, wish.auth
    )
    return Provider(session, estimator_class, is_ours=False, secrets=secrets)


PROVIDERS: Mapping[str, Callable[[Wish], Provider]] = {
    "modelarts": _open_modelarts,
    "emulator": _open_emulator,
    "sdk": _open_official,
}
