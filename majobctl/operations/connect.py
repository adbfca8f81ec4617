"""Opens the provider of each kind; which calls are made over it is the operations' business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from majobctl.errors import ProviderError
from majobctl.job_config.fields import LONGEST_NAME
from majobctl.service.provider import Provider
from majobctl.target import EMULATOR_ENDPOINT, endpoint_of
from majobctl.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """The settings of ``[provider]``, and the emulator's files. ``timeout`` is in seconds;
    ``retries`` counts further tries, ``connections`` those that are kept open. ``emulator_seed``
    is a file, and what messages call it."""

    kind: str
    region: str | None = None
    endpoint: str | None = None
    iam_endpoint: str | None = None
    project_id: str | None = None
    auth: str | None = None
    timeout: float = 30
    retries: int = 5
    connections: int = 10
    emulator_data: Path | None = None
    emulator_seed: tuple[Path, str] | None = None
    emulator_answers: Literal["plain", "documented"] = "plain"


def connect(options: ProviderOptions) -> Provider:
    """The provider; nothing is sent yet. Close it when done. Raises AuthError without credentials
    or a project, ConfigError for a wrong address, ProviderError if the kind cannot be opened."""
    if options.kind not in KINDS:
        raise ProviderError(f"provider {quoted(options.kind)} is none of {', '.join(KINDS)}")
    return KINDS[options.kind](options)


def _open_modelarts(options: ProviderOptions) -> Provider:
    return _provider(
        options,
        project_id=options.project_id,
        region_name=options.region,
        auth=options.auth,
        # Always given, so that the calls go to the plan's target whatever the environment says.
        endpoint=endpoint_of(options.region, options.endpoint),
        iam_endpoint=options.iam_endpoint,
    )


def _open_emulator(options: ProviderOptions) -> Provider:
    project_id = options.project_id or "emulator"
    from majobctl import emulator
    from majobctl.files import refuse_link_out
    from majobctl.operations.seed import read_seed

    seed = options.emulator_seed
    try:
        if data := options.emulator_data:
            refuse_link_out(data, data.parent.parent)
        app = emulator.create_app(
            options.emulator_data,
            seed=partial(read_seed, *seed) if seed else tuple,
            project_id=project_id,
            faults=emulator.Faults(answers=options.emulator_answers),
        )
    except emulator.EmulatorError as error:
        raise ProviderError(str(error)) from error
    except OSError as error:
        raise ProviderError(error.strerror) from error
    return _provider(
        options,
        on_close=app.close,
        access_key="emulator",
        secret_key="emulator",
        project_id=project_id,
        endpoint=EMULATOR_ENDPOINT,
        transport=emulator.create_adapter(app),
    )


def _provider(
    options: ProviderOptions, on_close: Callable[[], None] = lambda: None, **given: Any
) -> Provider:
    from majobctl.service.estimator import Estimator
    from majobctl.service.session import Session

    limits = {name: getattr(options, name) for name in ("timeout", "retries", "connections")}
    session = Session(**given, **limits, max_name_length=LONGEST_NAME)
    return Provider(session, Estimator, on_close=on_close)


def _open_official_sdk(options: ProviderOptions) -> Provider:
    from majobctl.service.official_sdk import open_session

    names = ("region", "endpoint", "iam_endpoint", "project_id", "auth")
    given = {name: getattr(options, name) for name in names}
    session, estimator_class, secrets = open_session(**given)
    return Provider(session, estimator_class, is_official_sdk=True, secrets=secrets)


KINDS: Mapping[str, Callable[[ProviderOptions], Provider]] = {
    "modelarts": _open_modelarts,
    "emulator": _open_emulator,
    "sdk": _open_official_sdk,
}
