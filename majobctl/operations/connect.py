"""Opens the session of each kind of provider, with the Estimator class that goes with it.

Which calls are made over them is not known here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from majobctl.errors import ProviderError
from majobctl.service.auth.credentials import region_from_environment
from majobctl.service.provider import Provider
from majobctl.target import EMULATOR_ENDPOINT, endpoint_of
from majobctl.text import quoted


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """What a provider is to be: the settings of ``[provider]``, and the emulator's files.

    ``timeout`` is in seconds, ``retries`` the number of further tries, ``parallelism`` how many
    connections are kept open. Messages call the emulator's seed ``emulator_seed_name``, or else by
    its path.
    """

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


@dataclass(frozen=True, slots=True)
class Connection:
    """A session and its Estimator class: ours, or the official package's, which was given
    ``secrets``. ``on_close`` is to be called once the session is closed."""

    session: Any
    estimator_class: Any
    is_ours: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)
    on_close: Callable[[], None] = lambda: None


def connect(kind: str, wish: ProviderOptions) -> Connection:
    """The session of one kind of ``KINDS``; nothing is sent yet.

    Raises AuthError where credentials or a project are missing, ConfigError for a wrong address,
    ProviderError where what the kind needs is not installed or cannot be opened.
    """
    if kind not in KINDS:
        raise ProviderError(f"provider {quoted(kind)} is none of {', '.join(KINDS)}")
    return KINDS[kind](wish)


def require_werkzeug() -> None:
    """Raises ProviderError where the emulator's one library is not installed."""
    if importlib.util.find_spec("werkzeug") is None:
        raise ProviderError("the emulator needs werkzeug: install it with pip install werkzeug")


def _open_modelarts(wish: ProviderOptions) -> Connection:
    from majobctl.service.estimator import Estimator
    from majobctl.service.session import Session

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
    return Connection(session, Estimator)


def _open_emulator(wish: ProviderOptions) -> Connection:
    from majobctl.service.estimator import Estimator
    from majobctl.service.session import Session

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
    return Connection(session, Estimator, on_close=app.close)


def _open_official(wish: ProviderOptions) -> Connection:
    from majobctl.service.official_sdk import open_session

    session, estimator_class, secrets = open_session(
        wish.region, wish.endpoint, wish.iam_endpoint, wish.project_id, wish.auth
    )
    return Connection(session, estimator_class, is_ours=False, secrets=secrets)


KINDS: Mapping[str, Callable[[ProviderOptions], Connection]] = {
    "modelarts": _open_modelarts,
    "emulator": _open_emulator,
    "sdk": _open_official,
}


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
    """The provider of one kind of ``opening.KINDS``; nothing is sent yet. Close it when done.

    Messages call the emulator's seed ``emulator_seed_name``, or else by its path.

    Raises AuthError where credentials or a project are missing, ConfigError for a wrong address,
    ProviderError where what the kind needs is not installed or cannot be opened.
    """
    wish = ProviderOptions(
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
    opened = connect(kind, wish)
    return Provider(
        opened.session,
        opened.estimator_class,
        is_ours=opened.is_ours,
        secrets=opened.secrets,
        on_close=opened.on_close,
    )
