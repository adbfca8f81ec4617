"""An emulator on a loopback port that keeps what it was asked and can be interfered with, and a
console of its own beside it: somebody else, who changes configurations behind our back."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import requests

from majobctl.emulator import create_adapter, create_app, start
from majobctl.emulator.app import Emulator
from majobctl.emulator.errors import AnswerLost
from majobctl.emulator.faults import Faults
from majobctl.operations.seed import read_seed
from tests.config_repository import JOB, toml_of
from tests.emulator.signer import Signer

CONFIGS = "training-job-configs"
PROJECT = "emulator"
ENVIRONMENT = {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}
Document = dict[str, Any]


class Asked(NamedTuple):
    """One request: its method, and the configuration's name; "" for the list, None elsewhere."""

    method: str
    name: str | None


class Reply(NamedTuple):
    """An answer in place of the emulator's own."""

    status: int
    document: Document


LOST = Reply(0, {})
"""Nothing is carried out, and no answer comes."""


@dataclass
class Cloud:
    """``before`` is called for each request about configurations, before it is carried out, and
    ``after`` once it is; where they give a reply, that is the answer."""

    console: Console
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    before: Callable[[Asked], Reply | None] = lambda asked: None
    after: Callable[[Asked], Reply | None] = lambda asked: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        return ENVIRONMENT

    def settings(self, extra: str = "", provider: str = "retries = 0") -> str:
        """A majobctl.toml for this cloud; ``extra`` are further tables."""
        return (
            f'[provider]\nkind = "modelarts"\nendpoint = "{self.url}"\n'
            f'project_id = "{PROJECT}"\n{provider}\n{extra}\n'
        )

    def take(self) -> Counter[str]:
        """How often each was asked since the last time: ``GET list``, ``GET alpha``, ``PUT beta``.

        What is asked of the catalogue does not count.
        """
        with self._lock:
            asked, self.asked = self.asked, []
        told = (item for item in asked if item.name is not None)
        return Counter(f"{item.method} {item.name or 'list'}" for item in told)

    def writes(self) -> list[str]:
        """All that changed something since the last ``take``, in order."""
        return [f"{item.method} {item.name}" for item in self.asked if item.method != "GET"]

    def serve(self, app: Emulator) -> Callable[..., Iterable[bytes]]:
        def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
            asked = _asked(environ)
            with self._lock:
                self.asked.append(asked)
            reply = self.before(asked) if asked.name is not None else None
            if reply is None:
                body = app(environ, start_response)
                reply = self.after(asked) if asked.name is not None else None
            if reply is None:
                return body
            if not reply.status:
                raise AnswerLost
            content = json.dumps(reply.document).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
            start_response(f"{reply.status} Whatever", headers)
            return [content]

        return answer


def _asked(environ: Any) -> Asked:
    parts = environ["PATH_INFO"].split("/")
    if len(parts) < 4 or parts[3] != CONFIGS:
        return Asked(environ["REQUEST_METHOD"], None)
    name = parts[4] if len(parts) > 4 else ""
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        name = json.loads(body)["config_name"]
    return Asked(environ["REQUEST_METHOD"], name)


class Console:
    """What somebody else does to the same configurations; REST names, not counted."""

    def __init__(self, app: Emulator) -> None:
        self._session = requests.Session()
        self._session.auth = Signer()
        self._session.mount("http://console", create_adapter(app))

    def change(self, name: str, **fields: Any) -> None:
        """Sets these fields and leaves the others; "" takes one out."""
        self._call("PUT", f"/{name}", fields)

    def create(self, name: str, **fields: Any) -> None:
        self._call(
            "POST", "", {"spec_id": 4, "worker_server_num": 1, "config_name": name, **fields}
        )

    def delete(self, name: str) -> None:
        self._call("DELETE", f"/{name}")

    def names(self) -> list[str]:
        configs = self._call("GET", "?per_page=1000&order=asc")["configs"]
        return [item["config_name"] for item in configs]

    def config(self, name: str) -> Document:
        """The fields that are set."""
        document = self._call("GET", f"/{name}")
        return {key: value for key, value in document.items() if value is not None}

    def close(self) -> None:
        self._session.close()

    def _call(self, method: str, path: str, body: Document | None = None) -> Document:
        url = f"http://console/v1/{PROJECT}/{CONFIGS}{path}"
        answer = self._session.request(method, url, json=body)
        assert answer.status_code == 200, answer.text
        return cast(Document, answer.json())


def seed_of(*names: str, **params: Any) -> str:
    return "".join(toml_of(name, {**JOB, **params}) for name in names)


@contextmanager
def running(folder: Path, seed: str = "", faults: Faults | None = None) -> Iterator[Cloud]:
    """A cloud that begins with the job configs of ``seed``, and has ``faults``; its console has
    none, and changes single fields."""
    (folder / "seed.toml").write_text(seed)
    data = folder / "cloud.db"
    with (
        create_app(
            data, seed=partial(read_seed, folder / "seed.toml"), faults=faults or Faults()
        ) as app,
        create_app(data, faults=Faults(put="merge")) as other,
    ):
        cloud = Cloud(Console(other))
        server = start(cast(Emulator, cloud.serve(app)))
        cloud.url = server.url
        try:
            yield cloud
        finally:
            server.stop()
            cloud.console.close()
