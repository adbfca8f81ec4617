"""The records of a log as objects of an S3 bucket: ``NAME/000000000042``, written once.

A record is added by a PUT on the condition that its key has no object yet (``If-None-Match: *``).
Whether a server heeds the condition is found by a race, in ``log``. SDKs are not used: they repeat
a PUT whose answer was lost, and take the object of the first try for somebody else's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from majobctl.errors import StateError
from majobctl.files import MOST_BYTES
from majobctl.http import NoResponse, Response
from majobctl.state.backends.aws import find_keys, sign
from majobctl.state.backends.log import LogBackend
from majobctl.target import endpoint_of
from majobctl.text import quoted

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WORD = re.compile("[A-Za-z0-9.-]{1,60}")  # shorter than a signature or a token
_REGION = re.compile("[A-Za-z0-9_-][A-Za-z0-9._-]*")  # of the environment, perhaps
_MOST_XML = 4 * 2**20  # a page of 1,000 names is smaller
_AT_ONCE = 8
_PASSING = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout"}
_CONDITION_REFUSED = {"NotImplemented", "InvalidRequest", "InvalidArgument", "MethodNotAllowed"}
_ADVICE = {
    "AccessDenied": "give these credentials the rights that docs/state-s3.md lists",
    "ExpiredToken": "get new temporary credentials",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID, or the profile, and state.endpoint",
    "InvalidToken": "check AWS_SESSION_TOKEN: it belongs to one access key",
    "NoSuchBucket": "create it, or correct state.bucket, state.region or state.endpoint",
    "RequestTimeTooSkewed": "set this machine's clock: S3 allows it to be 15 minutes off",
    "SignatureDoesNotMatch": "check the secret key and state.region",
    "": "this is not an answer of S3: check state.endpoint and state.path_style",
}


def of_settings(settings: Mapping[str, Any], root: Path) -> LogBackend:
    return LogBackend(S3Store(settings), lease=settings["lease"], keep=settings["keep"])


class S3Store:
    """A ``Store`` of these ``[state]`` settings. A request has ``timeout`` seconds to connect, and
    as many for its complete answer. Raises StateError or ConfigError for what cannot be used."""

    def __init__(self, settings: Mapping[str, Any], timeout: float = 20) -> None:
        from majobctl.http.transport import Transport

        bucket, name, endpoint = (settings[key] for key in ("bucket", "name", "endpoint"))
        self._keys = find_keys(settings["region"], "us-east-1" * bool(endpoint))
        self._is_undated = False
        self._prefix, self._key = f"{name}/", f"{name}/{{:012}}".format
        if not _REGION.fullmatch(region := self._keys.region):
            raise StateError(f"no state in S3: {quoted(region)} is not a region\nset state.region")
        address = endpoint_of(None, endpoint or f"https://s3.{region}.amazonaws.com")
        self.name = f"s3://{bucket}/{name}" + f" at {address}" * bool(endpoint)
        # No certificate is for a.b.s3.example.com.
        in_path = f"{address}/{bucket}/" if settings["path_style"] or "." in bucket else ""
        self._url = in_path or address.replace("://", f"://{bucket}.", 1) + "/"
        bundles = ((os.environ.get(it, ""), it) for it in ("AWS_CA_BUNDLE", "OS_CACERT"))
        ca_file = next((it for it in bundles if it[0]), None)
        self._transport = Transport(
            timeout=timeout, connections=2 * _AT_ONCE, ca_file=ca_file, size_limit=MOST_BYTES
        )

    def add(self, number: int, content: bytes) -> bool:
        return self._ask("PUT", self._key(number), {200, 412}, content).status == 200

    def numbers(self) -> list[tuple[int, float | None]]:
        query = {"delimiter": "/", "list-type": "2", "prefix": self._prefix}
        is_key, found = re.compile(re.escape(self._prefix) + "[0-9]{12}").fullmatch, {}
        while True:
            path = "?" + urlencode(sorted(query.items()), quote_via=quote)
            answer = self._ask("GET", path, {200})
            page = _document(answer)
            for item in page.iterfind("{*}Contents"):
                if is_key(key := item.findtext("{*}Key") or ""):
                    found[int(key[-12:])] = _age(item.findtext("{*}LastModified") or "", answer)
            if page.findtext("{*}IsTruncated") == "false":
                self._is_undated = None in found.values()
                return sorted(found.items())
            token = page.findtext("{*}NextContinuationToken")
            if not token or token == query.get("continuation-token"):
                raise StateError(f"{self.name}: its records cannot be listed\n{_ADVICE['']}")
            query["continuation-token"] = token

    def read(self, number: int) -> bytes | None:
        answer = self._ask("GET", self._key(number), {200, "NoSuchKey"})
        return answer.body if answer.status == 200 else None

    def prune(self, numbers: Iterable[int]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        if self._is_undated:  # whoever reads now may still need what is young
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            paths = map(self._key, numbers)
            list(pool.map(lambda it: self._ask("DELETE", it, {200, 204, "NoSuchKey"}), paths))

    def _ask(self, method: str, path: str, wanted: set[int | str], body: bytes = b"") -> Response:
        """The answer to one try, if its status or its code is ``wanted``. Raises as a Store does
        for any other, or none."""
        url, headers = self._url + path, {"If-None-Match": "*"} if method == "PUT" else {}
        sent = sign(method, url, headers, body, self._keys, datetime.now(timezone.utc))
        secrets = sent["Authorization"] + self._keys.session_token

        def shown(word: str | None) -> str:
            return word if word and _WORD.fullmatch(word) and word not in secrets else ""

        answer = self._transport.send(method, url, sent, body, shown)
        if isinstance(answer, NoResponse):
            error = StateError if answer.is_final else ConnectionError
            raise error(f"{self.name}: {answer.reason}")
        if answer.status in wanted:
            return answer
        text = _document(answer).findtext  # S3's message is not shown: it may quote the request
        if (code := shown(text("{*}Code"))) in wanted:
            return answer
        region = shown(answer.headers.get("x-amz-bucket-region") or text("{*}Region"))
        number = shown(answer.headers.get("x-amz-request-id"))
        raise self._failure(
            method, answer.status, code, region, f", request id {number}" * bool(number)
        )

    def _failure(self, method: str, status: int, code: str, region: str, number: str) -> Exception:
        told = f"{self.name}: HTTP status {status}" + f", {code}" * bool(code) + number
        if status in (408, 425, 429) or code in _PASSING or 500 <= status != 501:
            return ConnectionError(told)
        mend = _ADVICE.get(code, "nothing was done")
        if status in (301, 307) or code == "AuthorizationHeaderMalformed":
            told += f": the bucket is not in region {quoted(self._keys.region)}"
            mend = f"set state.region to {quoted(region)}" if region else "correct state.region"
        elif method == "PUT" and (status == 501 or code in _CONDITION_REFUSED):
            told += ": the store refuses If-None-Match, which keeps applies apart"
            mend = "use a store that docs/state-s3.md names, or the backend postgres, http or git"
        return StateError(f"{told}\n{mend}")


def _document(answer: Response) -> Element:
    """The root of an answer in XML; an empty one for others, and for any that defines entities."""
    from xml.etree import ElementTree

    with suppress(ValueError, ElementTree.ParseError):
        if len(answer.body) <= _MOST_XML and "<!" not in (text := answer.body.decode()):
            return ElementTree.fromstring(text)
    return ElementTree.Element("")


def _age(modified: str, answer: Response) -> float | None:
    """By the store's clock, which is 15 minutes from ours at most: it accepted our signature."""
    with suppress(ValueError, TypeError, OverflowError):
        now = parsedate_to_datetime(answer.headers.get("date", ""))
        if abs((now - datetime.now(timezone.utc)).total_seconds()) <= 900:
            then = datetime.fromisoformat(modified.replace("Z", "+00:00"))
            return max(0.0, (now - then).total_seconds())
    return None
