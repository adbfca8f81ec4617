"""``Session``: where the service is, who calls it, and how a call is sent, repeated and read.

It has the forms of the ModelArts SDK's "Session Authentication". What the calls mean is not known
here. Importing this module is cheap; requests is imported with the first request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from majobctl import __version__
from majobctl.errors import (
    AuthError,
    ConfigError,
    Problem,
    ProviderError,
    ServiceError,
    TransportError,
)
from majobctl.service.auth.credentials import AkSk, Credentials, Password, Sources, Token
from majobctl.service.auth.signing import sign
from majobctl.service.auth.tokens import TokenKeeper, judge_issue, token_request
from majobctl.service.http.backoff import Backoff
from majobctl.service.http.responses import NOT_FOUND, Failure, NoResponse, Response, classify
from majobctl.target import checked_project_id, endpoint_of, iam_endpoint_of

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from majobctl.service.http.transport import Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a call may be repeated: ``always`` after a try that may have been carried out too."""

    writes: bool
    always: bool
    done_if_gone: bool = False


_MANNERS: Mapping[str, _Manner] = {
    "GET": _Manner(writes=False, always=True),
    "PUT": _Manner(writes=True, always=True),
    "POST": _Manner(writes=True, always=False),
    "DELETE": _Manner(writes=True, always=True, done_if_gone=True),
}
_ISSUE_TOKEN = _Manner(writes=False, always=True)


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What ``Session.set_endpoint`` said; the address of OBS is not used."""

    iam_endpoint: str | None = None
    obs_endpoint: str | None = None
    modelarts_endpoint: str | None = None
    region_name: str | None = None


class Session:
    """A connection to ModelArts for one project; safe to use from several threads.

    ``Session()`` takes what the environment and the credential files hold: credentials, project,
    region, and an address in place of the region's in ``MAJOBCTL_ENDPOINT`` (and ``OS_AUTH_URL``
    for IAM). Arguments win over ``set_endpoint``, and that over the environment.

    ``timeout`` is in seconds, ``retries`` the number of further tries, ``backoff`` the first pause
    between tries in seconds, ``connections`` how many are kept open. ``transport`` carries the
    requests for the endpoint in place of the network.

    Raises AuthError where credentials or the project are missing, ConfigError for an address,
    region or project that cannot be one. Nothing is sent before the first request.
    """

    _defaults = _Defaults()

    @classmethod
    def set_endpoint(
        cls,
        iam_endpoint: str | None = None,
        obs_endpoint: str | None = None,
        modelarts_endpoint: str | None = None,
        region_name: str | None = None,
    ) -> None:
        """Sets the addresses and the region of every Session that is made from now on."""
        if modelarts_endpoint or region_name:
            endpoint_of(region_name, modelarts_endpoint)
        if iam_endpoint:
            iam_endpoint_of(None, iam_endpoint)
        Session._defaults = _Defaults(iam_endpoint, obs_endpoint, modelarts_endpoint, region_name)

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
        transport: BaseAdapter | None = None,
    ) -> None:
        sources, defaults = Sources(), Session._defaults
        address = endpoint or defaults.modelarts_endpoint
        region = region_name or defaults.region_name
        if not address:
            region = region or sources.get("region")
            address = sources.get("endpoint")
        self.region_name = region
        self.endpoint = endpoint_of(region, address)
        given = _given(access_key, secret_key, security_token, account, username, password, token)
        self._credentials = given or sources.credentials(auth)
        found_id, found_name = (project_id, None) if project_id else sources.project()
        self._project_id = _checked_project(found_id, found_name, self._credentials)
        self._keeper: TokenKeeper | None = None
        if isinstance(self._credentials, Password):
            address = iam_endpoint or defaults.iam_endpoint or sources.get("iam_endpoint")
            self._iam_endpoint = iam_endpoint_of(region or sources.get("region"), address)
            body = token_request(self._credentials, found_id, found_name)
            self._keeper = TokenKeeper(self._issue_token, body)
        if not timeout > 0:
            raise ConfigError([Problem(where="timeout", message="must be more than 0 seconds")])
        self._timeout, self._connections, self._retries = timeout, connections, retries
        self._ca_file = None if transport else sources.ca_file()
        self._mounted = {self.endpoint: transport} if transport else {}
        self._pacing = Backoff(backoff)
        self._kept: dict[str, Any] = {}
        self._kept_lock = threading.RLock()
        # Taken last: a worker may hold the lock above, or the keeper's, while it opens connections.
        self._lock = threading.Lock()
        self._transport_in_use: Transport | None = None

    def __repr__(self) -> str:
        project = self._project_id or "by name"
        return f"Session(endpoint={self.endpoint!r}, project_id={project!r})"

    @property
    def project_id(self) -> str:
        """The project's id; where only its name is known, IAM is asked for it."""
        if self._project_id is None:
            assert self._keeper is not None
            self._project_id = _checked_project(
                self._keeper.current().project_id, None, self._credentials
            )
        return self._project_id or ""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Makes one call and returns the JSON object of its successful answer.

        ``method`` is GET, PUT, POST or DELETE; ``path`` follows ``/v1/{project_id}`` and is quoted
        already; a ``query`` value of None is left out. Raises ServiceError where the service
        refuses, TransportError where its answer is not known, AuthError where IAM gives no token.
        """
        url = f"{self.endpoint}/v1/{self.project_id}{path}"
        sent = {key: value for key, value in (query or {}).items() if value is not None}
        if sent:
            url += "?" + urlencode(sent, quote_via=quote, safe="~")
        manner = _MANNERS[method]
        send = self._sender(method, url, b"" if body is None else _encoded(body))
        return self._call(manner, send, lambda result: classify(result, writes=manner.writes))

    def once(self, key: str, read: Callable[[], T]) -> T:
        """What ``read`` returns, which is called once a session for each ``key``."""
        with self._kept_lock:
            if key not in self._kept:
                self._kept[key] = read()
            kept: T = self._kept[key]
            return kept

    def stop(self) -> None:
        """Ends the pauses between tries: a call that waits in one fails at once."""
        self._pacing.stop()

    def close(self) -> None:
        """Closes the connections. The session may still be used, and opens new ones."""
        with self._lock:
            if self._transport_in_use:
                self._transport_in_use.close()
                self._transport_in_use = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        manner: _Manner,
        send: Callable[[], Response | NoResponse],
        read: Callable[[Response | NoResponse], dict[str, Any] | Failure],
    ) -> dict[str, Any]:
        """Sends until there is an answer, or no further try is left or may help."""
        maybe_done, tries = False, 0
        while True:
            tries += 1
            try:
                verdict = read(self._send_in_turn(send))
            except ProviderError as error:
                raise _final_error(error, maybe_done and manner.writes) from None
            if not isinstance(verdict, Failure):
                return verdict
            if maybe_done and manner.done_if_gone and _is_gone(verdict):
                return {"is_success": True}
            maybe_done = maybe_done or verdict.maybe_done
            may_repeat = verdict.may_pass and (manner.always or not maybe_done)
            if not (
                may_repeat
                and tries <= self._retries
                and self._pacing.pause(tries, verdict.retry_after, for_all=verdict.is_throttled)
            ):
                is_unknown = maybe_done and manner.writes and not verdict.is_refusal
                raise _final_error(verdict.error, is_unknown, may_pass=verdict.may_pass)

    def _send_in_turn(self, send: Callable[[], Response | NoResponse]) -> Response | NoResponse:
        if self._pacing.wait_for_turn():
            return send()
        return NoResponse("stopped while the service wanted a pause", was_sent=False, is_final=True)

    def _sender(self, method: str, url: str, body: bytes) -> Callable[[], Response | NoResponse]:
        """What sends this request once, with fresh credentials each time it is called."""
        plain = {"Accept": "application/json", **_common_headers()}
        signed = {"Content-Type": "application/json"} if body else {}
        credentials, keeper, transport = self._credentials, self._keeper, self._transport

        def send_signed() -> Response | NoResponse:
            assert isinstance(credentials, AkSk)
            headers = {**signed, "X-Project-Id": self.project_id}
            if credentials.security_token:
                headers["X-Security-Token"] = credentials.security_token
            keys = (credentials.access_key, credentials.secret_key)
            headers |= sign(method, url, headers, body, *keys, datetime.now(timezone.utc))
            return transport.send(method, url, {**plain, **headers}, body)

        def send_with(token: str) -> Response | NoResponse:
            headers = {**plain, **signed, "X-Auth-Token": token}
            return transport.send(method, url, headers, body)

        renewals = [1]

        def send_with_kept_token() -> Response | NoResponse:
            assert keeper is not None
            issued = keeper.current()
            result = send_with(issued.token)
            if isinstance(result, Response) and result.status == 401 and renewals:
                renewals.pop()
                return send_with(keeper.after(issued).token)
            return result

        if isinstance(credentials, Token):
            token = credentials.token
            return lambda: send_with(token)
        return send_signed if isinstance(credentials, AkSk) else send_with_kept_token

    def _issue_token(self, body: bytes) -> dict[str, Any]:
        url = self._iam_endpoint + "/auth/tokens"
        headers = {"Content-Type": "application/json", **_common_headers()}
        return self._call(
            _ISSUE_TOKEN, lambda: self._transport.send("POST", url, headers, body), judge_issue
        )

    @property
    def _transport(self) -> Transport:
        from majobctl.service.http.transport import Transport

        with self._lock:
            if self._transport_in_use is None:
                self._transport_in_use = Transport(
                    timeout=self._timeout,
                    connections=self._connections,
                    ca_file=self._ca_file,
                    mounted=self._mounted,
                )
            return self._transport_in_use


def _given(
    access_key: str | None,
    secret_key: str | None,
    security_token: str | None,
    account: str | None,
    username: str | None,
    password: str | None,
    token: str | None,
) -> Credentials | None:
    if access_key and secret_key:
        return AkSk(access_key, secret_key, security_token)
    if access_key or secret_key:
        raise AuthError("access_key and secret_key go together")
    if username and password:
        # An account's own user has its name.
        return Password(account or username, username, password)
    if username or password or account:
        raise AuthError("account, username and password go together")
    return Token(token) if token else None


def _checked_project(
    project_id: str | None, project_name: str | None, credentials: Credentials
) -> str | None:
    if project_id:
        return checked_project_id(project_id)
    if project_name and isinstance(credentials, Password):
        return None
    hint = " (a project's name will do with a password only)" if project_name else ""
    raise AuthError(f"no project: set project_id, or OS_PROJECT_ID in the environment{hint}")


def _common_headers() -> dict[str, str]:
    return {"User-Agent": f"majobctl/{__version__}", "Accept-Encoding": "identity"}


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "a text has half of a surrogate pair, which is no character"
        raise ConfigError([Problem(message=message)]) from None


def _is_gone(failure: Failure) -> bool:
    return isinstance(failure.error, ServiceError) and failure.error.code == NOT_FOUND


def _final_error(
    error: ProviderError, is_unknown: bool, *, may_pass: bool = False
) -> ProviderError:
    if is_unknown or (may_pass and isinstance(error, TransportError)):
        return TransportError(str(error), outcome_unknown=is_unknown, may_pass=may_pass)
    return error
