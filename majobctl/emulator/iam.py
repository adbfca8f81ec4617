"""IAM for the emulator's one account, as IAM's API reference has it: tokens for a password or an
identity provider's ID token, temporary access keys, the project and the catalogue."""

from __future__ import annotations

import re
import threading
import time
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import uuid4

from majobctl.emulator.auth import Pieces, check_signature
from majobctl.emulator.checks import parse_object
from majobctl.emulator.errors import Refusal, refuse, refuse_at_gateway, refuse_at_iam

NAME = "emulator"
"""Of all that a caller names: account, user, password, keys, agency, identity provider, token."""
REGION = "eu-de"
_REGION = re.compile(r"[a-z]{2}-[a-z]+\d*(-\d+)?")
"""The name of a region is also that of the project in it."""
TOKEN_LIFE = timedelta(hours=24)

Document = dict[str, Any]
Answer = tuple[int, Document, dict[str, str]]

_ACCOUNT = {"id": NAME, "name": NAME}


class _Issued(NamedTuple):
    """A token, which may have a project, or what belongs to a temporary access key."""

    expires: datetime
    project: str | None = None
    secret_key: str = ""
    security_token: str = ""


class Iam:
    """Issues tokens and keys, valid while the process runs, and checks those of a request; safe in
    several threads. Each call has a method, which the application's routes name."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._issued: dict[str, _Issued] = {}
        self._lock = threading.Lock()

    def answer(self, endpoint: str, pieces: Pieces, base: str) -> Answer:
        """Answers one call: status, document, headers. ``base`` is the emulator's own address.
        Raises Refusal in IAM's form, or in the gateway's."""
        try:
            return getattr(self, endpoint)(pieces, base)  # type: ignore[no-any-return]
        except Refusal as refusal:
            if "error_message" not in refusal.document:
                raise
            is_bad = refusal.document["error_code"] == "ModelArts.2787"
            raise refuse_at_iam(400 if is_bad else 401, refusal.message) from None

    def check_caller(self, pieces: Pieces, project: str | None = None) -> None:
        """Raises Refusal unless the request is signed, or carries a token, and may use ``project``:
        ModelArts.0201 no token, 0202 expired, 0203 never issued, 0210 another project."""
        headers, allowed = pieces.headers, self._project_id
        if "authorization" in headers and "x-auth-token" not in headers:
            check_signature(pieces, time.time(), self._find_key)
        else:
            allowed = self._check_token(headers.get("x-auth-token", "")).project or ""
        if project is not None and {project, headers.get("x-project-id", project)} != {allowed}:
            raise refuse("ModelArts.0210", "The project does not match the token.")

    def expire_all(self) -> None:
        """From now on every token and key issued so far counts as expired."""
        with self._lock:
            self._issued = {key: it._replace(expires=_now()) for key, it in self._issued.items()}

    def show_version(self, pieces: Pieces, base: str) -> Answer:
        """GET /v3, where clients of OpenStack begin."""
        links = [{"rel": "self", "href": f"{base}/v3/"}]
        return 200, {"version": {"id": "v3.6", "status": "stable", "links": links}}, {}

    def issue_token(self, pieces: Pieces, base: str) -> Answer:
        """POST /v3/auth/tokens, with a password."""
        auth = _dig(parse_object(pieces.body), "auth")
        if _dig(auth, "identity", "methods") != ["password"]:
            raise refuse_at_iam(400, 'auth.identity.methods must be ["password"].')
        user = _dig(auth, "identity", "password", "user")
        if [_name(_dig(user, "domain")), _dig(user, "name"), _dig(user, "password")] != [NAME] * 3:
            raise refuse_at_iam(401, "The account, user name or password is wrong.")
        about: Document = {"methods": ["password"], "user": {**_ACCOUNT, "domain": _ACCOUNT}}
        if not dict(parse_qsl(pieces.query)).get("nocatalog"):
            about["catalog"] = self._catalog(base)
        return self._issue(_dig(auth, "scope"), about)

    def exchange_id_token(self, pieces: Pieces, base: str) -> Answer:
        """POST /v3.0/OS-AUTH/id-token/tokens: the token of a federated user."""
        auth = _dig(parse_object(pieces.body), "auth")
        if pieces.headers.get("x-idp-id") != NAME:
            raise _refuse(404, "IAM.0004", "Could not find the identity provider.")
        if _dig(auth, "id_token", "id") != NAME:
            raise _refuse(401, "IAM.0001", "The request you have made requires authentication.")
        user = {"id": NAME, "name": "FederationUser", "domain": _ACCOUNT}
        return self._issue(_dig(auth, "scope"), {"methods": ["mapped"], "user": user})

    def issue_key(self, pieces: Pieces, base: str) -> Answer:
        """POST /v3.0/OS-CREDENTIAL/securitytokens: a temporary key, of an agency or for a token."""
        identity = _dig(parse_object(pieces.body), "auth", "identity")
        method = _dig(identity, "methods")
        given = _dig(identity, "token") or _dig(identity, "assume_role")
        seconds = _dig(given, "duration_seconds") or 900
        if type(seconds) is not int or not 900 <= seconds <= 86400:
            method = None
        if method == ["token"]:
            self._check_token(pieces.headers.get("x-auth-token") or str(_dig(given, "id") or ""))
        elif method == ["assume_role"]:
            self.check_caller(pieces)
            # The page's table calls it agency_name, its sample xrole_name.
            agency = _dig(given, "agency_name") or _dig(given, "xrole_name")
            if [agency, _dig(given, "domain_name") or _dig(given, "domain_id")] != [NAME] * 2:
                raise _refuse(404, "IAM.0004", "Could not find the agency.")
        else:
            raise _refuse(400, "IAM.0011", "Request body is invalid.")
        access, secret, token = (f"EMULATOR{uuid4().hex}" for _ in range(3))
        expires = _now() + timedelta(seconds=seconds)
        with self._lock:
            self._issued[access] = _Issued(expires, None, secret, token)
        credential = {"access": access, "secret": secret, "securitytoken": token}
        return 201, {"credential": {**credential, "expires_at": _write_time(expires)}}, {}

    def show_catalog(self, pieces: Pieces, base: str) -> Answer:
        """GET /v3/auth/catalog."""
        self.check_caller(pieces)
        return 200, {"catalog": self._catalog(base), "links": {"self": base + pieces.path}}, {}

    def list_projects(self, pieces: Pieces, base: str) -> Answer:
        """GET /v3/projects: the one project, by the name in the query if it has that."""
        self.check_caller(pieces)
        name = dict(parse_qsl(pieces.query)).get("name", REGION)
        ids = {"id": self._project_id, "parent_id": NAME, "domain_id": NAME}
        about = {"name": name, "is_domain": False, "description": "", "enabled": True}
        found = [{**ids, **about}] if self._is_project(name) else []
        links = {"self": base + pieces.path, "previous": None, "next": None}
        return 200, {"projects": found, "links": links}, {}

    def _is_project(self, name: str) -> bool:
        return name in (self._project_id, NAME) or bool(_REGION.fullmatch(name))

    def _catalog(self, base: str) -> list[Document]:
        where = {"region": REGION, "region_id": REGION, "interface": "public"}
        path = f"/v1/{self._project_id}"
        # The Open Telekom Cloud's own client looks for the type modelartsv1.
        kinds = {"identity": "/v3", "modelarts": path, "modelartsv1": path}
        found = []
        for kind in kinds:
            endpoint = {**where, "id": kind, "url": base + kinds[kind]}
            found.append({"id": kind, "type": kind, "name": kind, "endpoints": [endpoint]})
        return found

    def _issue(self, scope: Any, about: Document) -> Answer:
        """A token for the project, or else the account, in ``scope``; it may have neither."""
        issued, token, project = _now(), f"emulator-{uuid4().hex}{uuid4().hex}", None
        expires = issued + TOKEN_LIFE
        if (wanted := _dig(scope, "project")) is not None:
            if _name(wanted) is None:
                raise refuse_at_iam(400, "auth.scope.project needs an id or a name.")
            project, name = self._project_id, str(wanted.get("name", REGION))
            if wanted.get("id", project) != project or not self._is_project(name):
                raise refuse_at_iam(401, "The project is not known to this account.")
            about["project"] = {"id": project, "name": name, "domain": _ACCOUNT}
        elif scope and _name(_dig(scope, "domain")) != NAME:
            raise refuse_at_iam(401, "The account is not known.")
        with self._lock:
            self._issued[token] = _Issued(expires, project)
        times = {"expires_at": _write_time(expires), "issued_at": _write_time(issued)}
        return 201, {"token": {"roles": [], **about, **times}}, {"X-Subject-Token": token}

    def _check_token(self, token: str) -> _Issued:
        if not token:
            raise refuse("ModelArts.0201", "The request carries no token.")
        with self._lock:
            found = self._issued.get(token)
        if found is None or found.secret_key:
            raise refuse("ModelArts.0203", "Invalid token.")
        if found.expires <= _now():
            raise refuse("ModelArts.0202", "The token has expired.")
        return found

    def _find_key(self, access_key: str, security_token: str | None) -> str | None:
        if access_key == NAME:
            return NAME if security_token in (None, NAME) else None
        with self._lock:
            found = self._issued.get(access_key)
        if found is None or found.security_token != security_token:
            return None
        if found.expires <= _now():  # No document shows this answer.
            raise refuse_at_gateway(401, "APIGW.0301", "The security token has expired.")
        return found.secret_key


def _refuse(status: int, code: str, message: str) -> Refusal:
    """A failure in the form of IAM's own calls, those of version 3.0."""
    return Refusal(status, {"error_code": code, "error_msg": message})


_now = partial(datetime.now, timezone.utc)


def _write_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _name(value: Any) -> Any:
    return _dig(value, "name") or _dig(value, "id")


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
