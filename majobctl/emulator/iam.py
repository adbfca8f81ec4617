"""IAM for the emulator's one account, as IAM's API reference has it: tokens for a password or for an
identity provider's ID token, temporary access keys, the project and the catalogue."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from majobctl.emulator.auth import Pieces, check_signature
from majobctl.emulator.checks import parse_object
from majobctl.emulator.errors import Refusal, refuse, refuse_at_iam

NAME = "emulator"
"""Of all that a caller names: account, user, password, access key, secret key, security token,
agency, identity provider and its ID token."""
REGION = "eu-de"
"""The region of the catalogue. A project has the name of its region."""
TOKEN_LIFE = timedelta(hours=24)

Document = dict[str, Any]
Answer = tuple[int, Document, dict[str, str]]

_ACCOUNT = {"id": NAME, "name": NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
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
            answer: Answer = getattr(self, endpoint)(pieces, base)
        except Refusal as refusal:
            if "error_message" not in refusal.document:
                raise
            is_bad = refusal.document["error_code"] == "ModelArts.2787"
            status, title = (400, "Bad Request") if is_bad else (401, "Unauthorized")
            raise refuse_at_iam(status, title, refusal.message) from None
        return answer

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
            self._issued = {key: replace(it, expires=_now()) for key, it in self._issued.items()}

    def show_version(self, pieces: Pieces, base: str) -> Answer:
        """GET /v3, where clients of OpenStack begin."""
        links = [{"rel": "self", "href": f"{base}/v3/"}]
        return 200, {"version": {"id": "v3.6", "status": "stable", "links": links}}, {}

    def issue_token(self, pieces: Pieces, base: str) -> Answer:
        """POST /v3/auth/tokens, with a password."""
        auth = _dig(parse_object(pieces.body), "auth")
        if _dig(auth, "identity", "methods") != ["password"]:
            raise refuse_at_iam(400, "Bad Request", 'auth.identity.methods must be ["password"].')
        user = _dig(auth, "identity", "password", "user")
        if [_name(_dig(user, "domain")), _dig(user, "name"), _dig(user, "password")] != [NAME] * 3:
            message = "The account, user name or password is wrong."
            raise refuse_at_iam(401, "Unauthorized", message)
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
        federation = {"identity_provider": {"id": NAME}, "protocol": {"id": "oidc"}, "groups": []}
        user = {"id": NAME, "name": "FederationUser", "domain": _ACCOUNT}
        about = {"methods": ["mapped"], "user": {**user, "OS-FEDERATION": federation}}
        return self._issue(_dig(auth, "scope"), about)

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
            self._issued[access] = _Issued(expires=expires, secret_key=secret, security_token=token)
        credential = {"access": access, "secret": secret, "securitytoken": token}
        return 201, {"credential": {**credential, "expires_at": _write_time(expires)}}, {}

    def show_catalog(self, pieces: Pieces, base: str) -> Answer:
        """GET /v3/auth/catalog."""
        self.check_caller(pieces)
        links = {"self": f"{base}/v3/auth/catalog"}
        return 200, {"catalog": self._catalog(base), "links": links}, {}

    def list_projects(self, pieces: Pieces, base: str) -> Answer:
        """GET /v3/projects: the one project, by the name in the query if it has that."""
        self.check_caller(pieces)
        name = dict(parse_qsl(pieces.query)).get("name", REGION)
        links = {"self": f"{base}/v3/projects/{self._project_id}"}
        ids = {"id": self._project_id, "parent_id": NAME, "domain_id": NAME}
        about = {"name": name, "is_domain": False, "description": "", "enabled": True}
        found = [{**ids, **about, "links": links}] if name in self._names() else []
        around = {"self": base + pieces.path, "previous": None, "next": None}
        return 200, {"projects": found, "links": around}, {}

    def _names(self) -> set[str]:
        return {self._project_id, NAME, REGION}

    def _catalog(self, base: str) -> list[Document]:
        where = {"region": REGION, "region_id": REGION, "interface": "public"}
        path = f"/v1/{self._project_id}"
        # The Open Telekom Cloud's own client looks for the type modelartsv1.
        kinds = {"identity": "/v3", "modelarts": path, "modelartsv1": path}
        return [
            {
                **{"id": kind, "type": kind, "name": kind},
                "endpoints": [{**where, "id": kind, "url": base + kinds[kind]}],
            }
            for kind in kinds
        ]

    def _issue(self, scope: Any, about: Document) -> Answer:
        """A token for the project, or else the account, in ``scope``; it may have neither."""
        issued, token = _now(), f"emulator-{uuid4().hex}{uuid4().hex}"
        expires, project = issued + TOKEN_LIFE, None
        if (wanted := _dig(scope, "project")) is not None:
            about["project"] = self._project(wanted)
            project = self._project_id
        elif scope:
            if _name(_dig(scope, "domain")) != NAME:
                raise refuse_at_iam(401, "Unauthorized", "The account is not known.")
            about["domain"] = _ACCOUNT
        with self._lock:
            self._issued[token] = _Issued(expires=expires, project=project)
        times = {"expires_at": _write_time(expires), "issued_at": _write_time(issued)}
        return 201, {"token": {"roles": [], **about, **times}}, {"X-Subject-Token": token}

    def _project(self, wanted: Any) -> Document:
        if _name(wanted) is None:
            raise refuse_at_iam(400, "Bad Request", "auth.scope.project needs an id or a name.")
        name = wanted.get("name", REGION)
        if wanted.get("id", self._project_id) != self._project_id or name not in self._names():
            raise refuse_at_iam(401, "Unauthorized", "The project is not known to this account.")
        return {"id": self._project_id, "name": name, "domain": _ACCOUNT}

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
        if found and found.security_token == security_token and found.expires > _now():
            return found.secret_key
        return None


def _refuse(status: int, code: str, message: str) -> Refusal:
    """A failure in the form of IAM's own calls, those of version 3.0."""
    return Refusal(status, {"error_code": code, "error_msg": message})


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _write_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _name(value: Any) -> Any:
    return _dig(value, "name") or _dig(value, "id")


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
