"""Requests to a forge's REST interface: retried, without redirects, the token never shown."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from majobctl import __version__
from majobctl.errors import ConfigError, MajobctlError
from majobctl.http import NoResponse, Response
from majobctl.http.retry_after import read_retry_after
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.target import endpoint_of
from majobctl.text import cut, printable

if TYPE_CHECKING:
    from majobctl.http.transport import Transport

PER_PAGE = 50
_MOST_PAGES = 1_000
_SIZE_LIMIT = 2**27
"""Of a page: GitLab's comments may have a million characters each."""
_TRIES = 5
_MOST_SECONDS = 120.0
_SECRET = ("Authorization", "PRIVATE-TOKEN")
_NEXT = re.compile(r'<[^<>?]*\?([!-~]*)>\s*;[^,<]*\brel="?next\b')
_LIMITED = re.compile(rb"rate limit|abuse detection", re.IGNORECASE)


class UnansweredError(MajobctlError):
    """A request that creates something, and nobody knows whether it did."""


@contextmanager
def documented(forge: str) -> Iterator[None]:
    """Raises MajobctlError for a document that lacks what it should have."""
    try:
        yield
    except JsonError as error:
        text = f"{forge} answers in another form than documented: {printable(str(error))}"
        raise MajobctlError(text) from error


class Rest:
    """The REST interface at ``address``, which the variable ``origin`` names; ``advice`` is what to
    do about an HTTP status."""

    def __init__(
        self, origin: str, address: str, headers: Mapping[str, str], advice: Mapping[int, str]
    ) -> None:
        try:
            self._address = endpoint_of(None, address)
        except ConfigError as error:
            raise MajobctlError(f"{origin} {error.problems[0].message}") from error
        own = {"User-Agent": f"majobctl/{__version__}", "Content-Type": "application/json"}
        self._headers, self._advice = {**own, **headers}, advice
        self._secrets = [
            value.rpartition(" ")[2] for name, value in headers.items() if name in _SECRET
        ]

    def ask(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        but: tuple[int, ...] = (),
    ) -> Node:
        """The answer's document; null for a status of ``but``. Raises UnansweredError for a POST
        that may have been carried out, MajobctlError otherwise."""
        return self._document(method, path, self._answer(method, path, document), but)

    def pages(self, path: str) -> Iterator[Node]:
        """The items of a list that has pages. Only the query of the next page's address counts: the
        token goes nowhere else."""
        place, _, query = path.partition("?")
        query = f"{query}&per_page={PER_PAGE}" if query else f"per_page={PER_PAGE}"
        for _ in range(_MOST_PAGES):
            answer = self._answer("GET", f"{place}?{query}", None)
            yield from self._document("GET", place, answer).items()
            match = _NEXT.search(answer.headers.get("link", ""))
            if match is None:
                return
            query = match[1]
        raise MajobctlError(f"{self._shown('GET', place)}: more than {_MOST_PAGES} pages")

    def _document(
        self, method: str, path: str, answer: Response, but: tuple[int, ...] = ()
    ) -> Node:
        status, shown = answer.status, self._shown(method, path)
        if status in but:
            return Node(None)
        if not 200 <= status < 300:
            advice = self._advice.get(status if status >= 400 else 300, "")
            text = f"{shown}: HTTP status {status}{self._said(answer)}"
            raise MajobctlError(f"{text}\n{advice}" if advice else text)
        try:
            # parse_object takes objects alone, and lists are answers, too.
            wrapped = b'{"answer": %b}' % (answer.body.strip() or b"null")
            return Node(parse_object(wrapped, is_ours=False))["answer"]
        except JsonError as error:
            text = f"{shown}: the answer is unreadable: {printable(str(error))}"
            raise (UnansweredError if method == "POST" else MajobctlError)(text) from error

    def _answer(self, method: str, path: str, document: Mapping[str, Any] | None) -> Response:
        content, shown = json.dumps(document).encode() if document else b"", ""
        for tries in range(1, _TRIES + 1):
            answer = self._transport.send(
                method, self._address + path, self._headers, content, lambda text: text
            )
            shown, pause = self._shown(method, path), _pause(answer)
            if isinstance(answer, NoResponse):
                shown, maybe_done = f"{shown}: {answer.reason}", answer.was_sent
                if answer.is_final:
                    raise MajobctlError(shown)
            else:
                maybe_done = answer.status >= 500
                if not maybe_done and pause is None:
                    return answer
                shown = f"{shown}: HTTP status {answer.status}{self._said(answer)}"
            if maybe_done and method == "POST":
                raise UnansweredError(shown)
            if pause is None or pause > _MOST_SECONDS or tries == _TRIES:
                break
            time.sleep(pause or random.uniform(0.5, 1) * 2 ** (tries - 1))
        raise MajobctlError(f"{shown}\nrun the job again later")

    @cached_property
    def _transport(self) -> Transport:
        from majobctl.http.transport import Transport

        return Transport(timeout=30, connections=1, size_limit=_SIZE_LIMIT)

    def _said(self, answer: Response) -> str:
        """What the forge says about a failure, safe to print: it may quote the request."""
        texts = _messages(answer)
        for secret in self._secrets:
            texts = [it.replace(secret, "(token)") for it in texts]
        return "".join(f": {printable(cut(it, 200))}" for it in texts)

    def _shown(self, method: str, path: str) -> str:
        return f"{method} {printable(self._address + path.partition('?')[0])}"


def _pause(answer: Response | NoResponse) -> float | None:
    """The seconds to wait before the next try, 0 for a pause of our own; None if it is no use."""
    if isinstance(answer, NoResponse):
        return 0.0
    headers, now = answer.headers, datetime.now(timezone.utc)
    is_empty = headers.get("x-ratelimit-remaining") == "0"
    is_limited = answer.status == 429 or (
        answer.status == 403
        and ("retry-after" in headers or is_empty or _LIMITED.search(answer.body))
    )
    if not is_limited and answer.status not in (500, 502, 503, 504):
        return None
    asked = read_retry_after(headers.get("retry-after", ""), now, most=10_000.0)
    reset = headers.get("x-ratelimit-reset", "")
    if asked is None and is_empty and re.fullmatch("[0-9]{1,12}", reset):
        asked = max(0.0, int(reset) - now.timestamp()) + 1
    # GitHub asks for a minute if it names no time.
    return asked if asked is not None else 60.0 if is_limited else 0.0


def _messages(answer: Response) -> list[str]:
    try:
        document = parse_object(answer.body, is_ours=False)
    except JsonError:
        return []
    found = document.get("message") or document.get("error") or ""
    errors = document.get("errors")
    listed = errors if isinstance(errors, list) else []
    more = [it["message"] for it in listed if isinstance(it, dict) and "message" in it]
    text = found if isinstance(found, str) else json.dumps(found)
    return [str(it) for it in [text, *more[:3]] if it]
