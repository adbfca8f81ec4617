"""Requests to a server that keeps states for Terraform, above all GitLab, and its answers."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

from majobctl import __version__
from majobctl.errors import ConfigError, StateError
from majobctl.files import MOST_BYTES
from majobctl.http import NoResponse, Response
from majobctl.state.backends import Holder
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.target import endpoint_of
from majobctl.text import printable

_GITLAB = re.compile(r"/api/v4/projects/[^/]+/terraform/state/[^/]+$")
_ID = re.compile(r"(\w+) (\S+) ([0-9]{1,10}) (.*?)@(\S*): (.*)")
_ADVICE = {
    3: "it leads to another address, which is not followed: correct state.address",
    401: "set TF_HTTP_USERNAME and TF_HTTP_PASSWORD; for GitLab, a token with the scope api",
    403: "GitLab lets the role Developer read a state, and Maintainer write it: docs/state-http.md",
    404: "check state.address; GitLab says this, too, to those who may not see the project",
    405: "this server has no lock: set TF_HTTP_LOCK_ADDRESS and TF_HTTP_LOCK_METHOD as it wants",
    413: "the state is larger than the server allows; an administrator of GitLab can change that",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What the server keeps. ``serial`` grows with each write: GitLab shows the highest, and takes
    none twice. ``by`` is the lock of the writer. The others are texts, since GitLab limits how many
    values a document has."""

    serial: int = 0
    by: str = ""
    state: str = ""
    journal: str = ""
    history: str = ""

    @classmethod
    def load(cls, content: bytes, name: str) -> Document:
        try:
            node = Node(parse_object(content))
            serial = node["serial"].integer()
            if node.get("format_version"):  # a state that somebody put there
                return cls(serial=serial, state=content.decode())
            texts = {it: node[it].text() for it in ("by", "state", "journal")}
            history = node.get("history")
            return cls(serial=serial, **texts, history=history.text() if history else "")
        except JsonError as error:
            raise StateError(
                f"{name} does not answer with a state of majobctl: {printable(str(error))}\n"
                "nothing was done; check state.address: it may be Terraform's, or a page to sign in"
            ) from error


class Server:
    """The server of ``address``, with what ``TF_HTTP_*`` say. Raises StateError, or ConnectionError
    if the answer may be another one the next time."""

    def __init__(self, address: str, timeout: float = 30) -> None:
        from majobctl.http.transport import Transport

        self._url = place = _checked("state.address", address)
        self.name, self.is_gitlab = place.partition("?")[0], bool(_GITLAB.search(place))
        self._lock, self._unlock = (
            (
                os.environ.get(f"TF_HTTP_{it}_METHOD") or (method if self.is_gitlab else it),
                _checked(f"TF_HTTP_{it}_ADDRESS", place + "/lock" * self.is_gitlab),
            )
            for it, method in (("LOCK", "POST"), ("UNLOCK", "DELETE"))
        )
        user, password = (os.environ.get(f"TF_HTTP_{it}", "") for it in ("USERNAME", "PASSWORD"))
        self._as = "for TF_HTTP_USERNAME" if user or password else "without credentials"
        token, own = (os.environ.get(it, "") for it in ("CI_JOB_TOKEN", "CI_API_V4_URL"))
        # For no other server than its own.
        if not (user or password) and token and self.is_gitlab and place.startswith(f"{own}/"):
            user, password, self._as = "gitlab-ci-token", token, "for CI_JOB_TOKEN"
        secret = b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Content-Type": "application/json"}
        self._headers |= {"Authorization": f"Basic {secret}"} if user or password else {}
        self._transport = Transport(timeout=timeout, connections=4, size_limit=MOST_BYTES)

    def fetch(self) -> Document:
        body = self._ask("GET", self._url, (204, 404)).body
        return Document.load(body, self.name) if body else Document()

    def update(self, document: Document) -> None:
        content = json.dumps(asdict(document), indent=2, ensure_ascii=False)
        self._ask("POST", self._url, (204,), content, document.by)

    def take(self, holder: Holder) -> Holder | None:
        """Takes the lock unless it is taken; returns who has it already."""
        answer = self._ask(*self._lock, (409, 423), _lock_of(holder))
        if answer.status < 300:
            return None
        with suppress(JsonError):
            return holder_of(parse_object(answer.body, is_ours=False))
        return holder_of({})

    def free(self, holder: Holder) -> None:
        """Frees the lock, if ``holder`` has it."""
        self._ask(*self._unlock, (204, 404, 409, 423), _lock_of(holder), id_of(holder))

    def _ask(
        self, method: str, url: str, more: tuple[int, ...], body: str = "", lock: str = ""
    ) -> Response:
        """The answer, if its status is 200, 201 or one of ``more``; without a body for 404."""
        url += ("&" if "?" in url else "?") + f"ID={quote(lock, safe='')}" if lock else ""
        sent = body.encode()
        answer = self._transport.send(method, url, self._headers, sent, lambda text: text)
        if isinstance(answer, NoResponse):
            raise (StateError if answer.is_final else ConnectionError)(answer.reason)
        status, number = answer.status, answer.request_id
        is_hidden = status == 404 and self.is_gitlab and b"roject" in answer.body
        if status in (200, 201, *more) and not is_hidden:
            return replace(answer, body=b"") if status == 404 else answer
        told = f"{self.name}: HTTP status {status} {self._as}"
        told += f", request id {number}" * bool(number)
        if status in (408, 425, 429) or 500 <= status != 501:
            raise ConnectionError(told)
        known = 3 if status < 400 else 405 if status == 501 else status
        raise StateError(f"{told}\n{_ADVICE.get(known, 'nothing was done')}")


def _checked(name: str, address: str) -> str:
    """What the variable ``name`` says, or else ``address``. Raises StateError for a wrong one."""
    place, mark, query = (os.environ.get(name) or address).partition("?")
    try:
        return endpoint_of(None, place) + mark + query
    except ConfigError as error:
        raise StateError(f"{name} {error.problems[0].message}") from error


def id_of(holder: Holder) -> str:
    """The ID of its lock: GitLab takes 255 characters, and tells others nothing else."""
    who = f"{holder.user}@{holder.host}: {holder.command}"
    return f"{holder.id} {holder.since} {holder.pid} {who}"[:255] if holder.pid else holder.id


def holder_of(table: Mapping[str, Any]) -> Holder:
    """Who has a lock; a process 0, if it is not majobctl's."""
    keys = ("ID", "Who", "Operation", "Created")
    text, user, command, since = (printable(str(table.get(it, "?")))[:300] for it in keys)
    pid, host = "0", "?"
    if match := _ID.fullmatch(text):
        text, since, pid, user, host, command = match.groups()
    return Holder(id=text, user=user, host=host, pid=int(pid), command=command, since=since)


def _lock_of(holder: Holder) -> str:
    table = {"ID": id_of(holder), "Operation": holder.command, "Info": "", "Path": ""}
    who = f"{holder.user}@{holder.host}"
    return json.dumps({**table, "Who": who, "Version": __version__, "Created": holder.since})
