"""``Session``: where the service is, who calls it, and the sending of a call. Its forms are those
of the ModelArts SDK's "Session Authentication"; requests is imported with the first request."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from majobctl import __version__
from majobctl.errors import ConfigError, Problem
from majobctl.http import NoResponse, Response
from majobctl.job_config.fields import LONGEST_NAME, NAME_LENGTH
from majobctl.service.arguments import require_numbers, require_texts
from majobctl.service.auth.credentials import AkSk, Token, secrets_of
from majobctl.service.auth.sources import Sources, checked_project, given_credentials
from majobctl.service.auth.tokens import AuthMethod, IamRequest, IssuedAuth, auth_method
from majobctl.service.catalog_readers import api_catalog
from majobctl.service.http.backoff import Backoff
from majobctl.service.http.quoting import QuoteFilter
from majobctl.service.http.responses import Failure, classify
from majobctl.service.http.retries import Send, call
from majobctl.target import checked_project_id, endpoint_of, iam_endpoint_of
from majobctl.waiting import awaiting

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from majobctl.http.transport import Transport


class Session:
    """A connection to ModelArts for one project; safe to use from several threads, and in processes
    that are forked.

    ``Session()`` takes what the environment and the credential files hold: credentials, project,
    region, and an address in place of the region's in ``MAJOBCTL_ENDPOINT`` (and ``OS_AUTH_URL``
    for IAM). Arguments win over ``set_endpoint``, and that over the environment. With a password,
    the project is by default the one that has the region's name.

    ``timeout`` is in seconds, ``retries`` the number of further tries, ``backoff`` the first pause
    between tries in seconds, ``connections`` how many are kept open, ``max_name_length`` the limit
    for names of configurations. ``transport`` carries the requests in place of the network.

    Raises AuthError if credentials or the project are missing, ConfigError for an invalid address,
    region or project. Nothing is sent before the first request."""

    _defaults: Mapping[str, str | None] = {}

    @classmethod
    def set_endpoint(
        cls,
        iam_endpoint: str | None = None,
        obs_endpoint: str | None = None,
        modelarts_endpoint: str | None = None,
        region_name: str | None = None,
    ) -> None:
        """Sets the addresses and the region of all later Sessions; majobctl does not call OBS."""
        given = {"iam": iam_endpoint, "modelarts": modelarts_endpoint, "region": region_name}
        require_texts(obs=obs_endpoint, **given)
        if modelarts_endpoint or region_name:
            endpoint_of(region_name, modelarts_endpoint)
        if iam_endpoint:
            iam_endpoint_of(None, iam_endpoint)
        Session._defaults = given

    def __init__(
        self,
        access_key: str | None = None,
        secret_key: str | None = None,
        project_id: str | None = None,
        region_name: str | None = None,
        account: str | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        security_token: str | None = None,
        token: str | None = None,
        auth: str | None = None,
        endpoint: str | None = None,
        iam_endpoint: str | None = None,
        timeout: float = 30,
        retries: int = 5,
        backoff: float = 0.5,
        connections: int = 10,
        max_name_length: int = NAME_LENGTH,
        transport: BaseAdapter | None = None,
    ) -> None:
        keys = {"access_key": access_key, "secret_key": secret_key}
        keys |= {"security_token": security_token, "token": token}
        given = {**keys, "account": account, "username": username, "password": password}
        require_texts(**given, project_id=project_id, region_name=region_name, auth=auth)
        require_texts(endpoint=endpoint, iam_endpoint=iam_endpoint)
        require_numbers(int, float, timeout=timeout, backoff=backoff)
        counts = {"retries": retries, "connections": connections}
        require_numbers(int, **counts, max_name_length=max_name_length)
        if not timeout > 0:
            raise ConfigError([Problem(where="timeout", message="must be more than 0 seconds")])
        sources, defaults = Sources(), Session._defaults
        # First of all: no address may lead them to another company.
        credentials = given_credentials(given) or sources.credentials(auth)
        address = endpoint or defaults.get("modelarts")
        region = region_name or defaults.get("region")
        if not address:
            region = region or sources.get("region")
            address = sources.get("endpoint")
        self.region_name = region
        self.endpoint = endpoint_of(region, address)
        project = (project_id, None) if project_id else sources.project()
        self._iam_endpoint = ""
        if not isinstance(credentials, (AkSk, Token)):
            address = iam_endpoint or defaults.get("iam") or sources.get("iam_endpoint")
            region = region or sources.get("region")
            self._iam_endpoint = iam_endpoint_of(region, address)
            project = project if any(project) else (None, region)
        self._project_id = checked_project(*project, credentials)
        self._auth = auth_method(credentials, project, self._ask_iam)
        self._credentials = credentials
        self._timeout, self._connections = timeout, max(connections, 1)
        self._ca_file = None if transport else sources.ca_file()
        self._adapter = transport
        self.max_name_length = min(max_name_length, LONGEST_NAME)
        self._backoff = Backoff(backoff)
        self._call = partial(call, backoff=self._backoff, retries=retries)
        self.catalog = api_catalog(self.request)
        # Taken last: a worker may hold the catalog's lock, or the token's, as it opens connections.
        self._lock = threading.Lock()
        self._transport_in_use: Transport | None = None
        _SESSIONS.add(self)

    def __repr__(self) -> str:
        project = self._project_id or "by name"
        return f"Session(endpoint={self.endpoint!r}, project_id={project!r})"

    @property
    def project_id(self) -> str:
        """The project's id; if only its name is known, IAM is asked for it."""
        if self._project_id is None:
            self._project_id = checked_project_id(self._auth.project_id)
        return self._project_id

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Makes one call and returns the JSON object of its successful response. ``method`` is GET,
        PUT, POST or DELETE; ``path`` follows ``/v1/{project_id}`` and is quoted already; a
        ``query`` value of None is left out. Raises ServiceError if the service refuses,
        TransportError if its answer is not known, AuthError if IAM does not issue a token."""
        url = f"{self.endpoint}/v1/{self.project_id}{path}"
        sent = {key: value for key, value in (query or {}).items() if value is not None}
        if sent:
            url += "?" + urlencode(sent, quote_via=quote, safe="~")
        writes, may_repeat = method != "GET", method != "POST"
        quotes = QuoteFilter(secrets_of(self._credentials))
        content = b"" if body is None else encoded(body)
        send = self._sender(method, url, content, quotes, self._auth, {})

        def read(result: Response | NoResponse) -> dict[str, Any] | Failure:
            found = classify(result, writes=writes, may_be_empty=writes and may_repeat)
            return quotes.checked(found, data=not writes)

        return self._call(send, read, writes=writes, may_repeat=may_repeat)

    def ask_before_writes(self, may_write: Callable[[], bool]) -> None:
        """Asks before each try of a call that writes, and does not send it if the answer is no."""
        self._backoff.may_write = may_write

    def stop(self) -> None:
        """Ends the pauses between tries: a call that waits fails at once."""
        self._backoff.stop()

    def close(self) -> None:
        """Closes the connections; a later call opens new ones."""
        with self._lock:
            if self._transport_in_use:
                self._transport_in_use.close()
                self._transport_in_use = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_iam(self, request: IamRequest) -> dict[str, Any]:
        url, quotes = self._iam_endpoint + request.path, QuoteFilter(secrets_of(self._credentials))
        send = self._sender("POST", url, request.body, quotes, request.caller, request.headers)
        with awaiting(f"Signing in to {urlsplit(url).netloc}"):
            return self._call(send, lambda it: quotes.checked(request.read(it), data=False))

    def _sender(
        self,
        method: str,
        url: str,
        body: bytes,
        quotes: QuoteFilter,
        auth: AuthMethod | None,
        more: Mapping[str, str],
    ) -> Send:
        """Sends this request once each time it is called, with fresh headers."""
        issued = auth if isinstance(auth, IssuedAuth) else None

        def send() -> Response | NoResponse:
            nonlocal issued
            headers = auth.headers(method, url, body) if auth else {}
            quotes.add(headers)
            result = transport.send(method, url, {**plain, **headers}, body, quotes.shown)
            if issued and isinstance(result, Response) and issued.renew(headers, result):
                issued = None
                return send()
            return result

        plain, transport = {**headers_of(body), **more}, self._transport
        return send

    @property
    def _transport(self) -> Transport:
        from majobctl.http.transport import Transport

        with self._lock:
            if self._transport_in_use is None:
                self._transport_in_use = Transport(
                    timeout=self._timeout,
                    connections=self._connections,
                    ca_file=self._ca_file,
                    adapter=self._adapter,
                )
            return self._transport_in_use


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    """In the new process: the connections are the parent's, and so is whoever holds a lock."""
    for session in _SESSIONS:
        session._transport_in_use = None
        caller = getattr(session._auth, "caller", None)
        for owner in (session, session._auth, caller, session._backoff, session.catalog):
            if owner is not None and hasattr(owner, "_lock"):
                owner._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def headers_of(body: bytes) -> dict[str, str]:
    """The headers of a request, without those that authorize it."""
    content = {"Content-Type": "application/json"} if body else {}
    return {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"majobctl/{__version__}",
        **content,
    }


def encoded(body: Mapping[str, Any]) -> bytes:
    """``body`` as it is sent. Raises ConfigError for half of a surrogate pair."""
    try:
        return json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "a string has half of a surrogate pair, which is not a character"
        raise ConfigError([Problem(message=message)]) from None
