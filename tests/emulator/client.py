"""A thin client of the emulator for these tests: one keep-alive session, signed requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from majobctl.emulator import create_app, start
from majobctl.emulator.app import Emulator

from .signer import Signer

CONFIGS = "training-job-configs"


def body(**fields: Any) -> dict[str, Any]:
    """The smallest body that the service takes, with these fields laid over it."""
    return {"worker_server_num": 1, "spec_id": 4, **fields}


@dataclass
class Client:
    """Requests to one project of an emulator. Paths are below /v1/{project}."""

    app: Emulator
    session: requests.Session
    url: str
    project: str = "emulator"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        url = f"{self.url}/v1/{self.project}/{path}"
        return self.session.request(method, url, **{"timeout": 60, **options})

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def put(self, name: str, document: Any, **options: Any) -> requests.Response:
        return self.call("PUT", f"{CONFIGS}/{name}", json=document, **options)

    def post(self, document: Any) -> requests.Response:
        return self.call("POST", CONFIGS, json=document)

    def create(self, name: str, **fields: Any) -> None:
        answer = self.post(body(config_name=name, **fields))
        assert answer.json() == {"is_success": True}, answer.text

    def config(self, name: str) -> dict[str, Any]:
        return self.get(f"{CONFIGS}/{name}")


Connect = Callable[..., Client]


@contextmanager
def connecting() -> Iterator[Connect]:
    """Gives a function that makes clients; ends all of their emulators and sessions."""
    with ExitStack() as stack:

        def connect(**options: Any) -> Client:
            app = stack.enter_context(create_app(**options))
            server = stack.enter_context(start(app))
            session = stack.enter_context(requests.Session())
            session.auth = Signer()
            return Client(app, session, server.url, options.get("project_id", "emulator"))

        yield connect


def error_of(answer: requests.Response) -> tuple[int, str]:
    """The status and code of a failure, once its form is found to be right."""
    document = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    if document["error_code"].startswith("APIGW."):
        assert document.keys() == {"error_code", "error_msg", "request_id"}
    else:
        assert document.keys() == {"is_success", "error_code", "error_message"}
        assert document["is_success"] is False
        assert document["error_message"]
    return answer.status_code, document["error_code"]
