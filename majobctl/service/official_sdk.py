"""Opens a Session of the official ModelArts SDK, if that package is installed. Uses only what its
documents show: ``Session``, ``Session.set_endpoint`` and ``Estimator``."""

from __future__ import annotations

import importlib
from typing import Any

from majobctl.errors import AuthError, ProviderError
from majobctl.service.auth.credentials import AkSk, Credentials, Password, Token, secrets_of
from majobctl.service.auth.sources import Sources
from majobctl.target import endpoint_of, iam_endpoint_of
from majobctl.text import printable


def open_session(
    *,
    region: str | None,
    endpoint: str | None,
    iam_endpoint: str | None,
    project_id: str | None,
    auth: str | None,
) -> tuple[Any, Any, set[str]]:
    """The package's session, its Estimator class, and the secrets that were passed to it. If
    majobctl finds no credentials, as in a notebook, the session finds its own. Raises ProviderError
    if the package is missing or fails."""
    session_class, estimator_class = _classes()
    sources = Sources()
    found = _credentials(sources, auth)
    region = region or sources.get("region")
    iam_endpoint = iam_endpoint or sources.get("iam_endpoint")
    places = {
        "iam_endpoint": iam_endpoint_of(region, iam_endpoint) if region or iam_endpoint else None,
        "obs_endpoint": None,
        "modelarts_endpoint": endpoint_of(region, endpoint),
        "region_name": region,
    }
    if found is None:
        session = _opened(session_class, {}, places)
        own = getattr(session, "project_id", None)
        if project_id and own != project_id:
            raise ProviderError(
                f"the notebook's session belongs to the project {printable(str(own))}, the settings"
                f" name {printable(project_id)}; set credentials of that project in the environment"
            )
        return session, estimator_class, set()
    arguments, secrets = _arguments(found)
    project = {"project_id": project_id or sources.get("project_id"), "region_name": region}
    return _opened(session_class, {**arguments, **project}, places), estimator_class, secrets


def _classes() -> tuple[Any, Any]:
    try:
        session = importlib.import_module("modelarts.session")
        estimator = importlib.import_module("modelarts.estimator")
        return session.Session, estimator.Estimator
    except (ImportError, AttributeError):
        raise ProviderError(
            'provider.kind = "sdk" needs the official ModelArts SDK (the package modelarts, which'
            ' the service\'s documents offer for download); or use kind = "modelarts"'
        ) from None


def _opened(
    session_class: Any, arguments: dict[str, str | None], places: dict[str, str | None]
) -> Any:
    try:
        session_class.set_endpoint(**places)
        return session_class(**arguments)
    except Exception as error:
        # Its message stays hidden: it may quote the arguments, which are credentials.
        kind = type(error).__name__
    raise ProviderError(f"the official SDK's Session cannot be opened ({kind})")


def _credentials(sources: Sources, auth: str | None) -> Credentials | None:
    try:
        return sources.credentials(auth)
    except AuthError:
        if auth:
            raise
        return None


def _arguments(found: Credentials) -> tuple[dict[str, str], set[str]]:
    """The credentials as the session's arguments, and the secrets among them."""
    if isinstance(found, AkSk) and not found.security_token:
        keys = {"access_key": found.access_key, "secret_key": found.secret_key}
        return keys, secrets_of(found)
    if isinstance(found, Password) and found.account:
        user = {"account": found.account, "username": found.username, "password": found.password}
        return user, secrets_of(found)
    kinds = {AkSk: "a temporary access key", Password: "an account's id", Token: "a token"}
    what = kinds.get(type(found), "an agency or an ID token")
    raise AuthError(f'the official SDK cannot use {what}; use provider.kind = "modelarts"')
