"""A connection that fails is told once, and leaves nothing in doubt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config_repository import Repository
from tests.fake_service import FakeService
from tests.network import HOST, listening, make_certificate, says, secure, tunnels_to

REFUSES = says(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")


@pytest.fixture
def many(on_rest: Repository, rest: FakeService) -> Repository:
    """60 job configs for a service behind a proxy."""
    on_rest.settings(rest.settings().replace(rest.url, f"https://{HOST}"))
    for number in range(60):
        on_rest.job(f"job-{number}")
    return on_rest


@pytest.mark.parametrize("refresh", ["--refresh=changed", "--refresh=none"])
def test_a_proxy_that_refuses_is_told_once(many: Repository, refresh: str) -> None:
    with listening(REFUSES) as there:
        many.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{there.port}"
        ran = many.run("apply", "--auto-approve", refresh)
    assert ran.code == 1
    assert ran.stderr.count("cannot connect to") == ran.stderr.count("HTTP status 407") == 1
    assert len(there.heads) == 1
    assert not many.state_path.exists()


@pytest.mark.parametrize("then", [REFUSES, says(b"rubbish\r\n\r\n"), says(b"")])
def test_calls_without_a_connection_leave_nothing_pending(
    then: Callable[..., None],
    on_rest: Repository,
    rest: FakeService,
    tmp_path: Path,
) -> None:
    certificate = make_certificate(tmp_path / "certificate", HOST)
    on_rest.settings(rest.settings("retries = 0").replace(rest.url, f"https://{HOST}"))
    for name in ("one", "two", "three"):
        on_rest.job(name)
    on_rest.environment["OS_CACERT"] = str(certificate)
    # Each request opens a connection: two lists of names, then the calls.
    with secure(rest, certificate, "HTTP/1.0") as port:
        with listening(tunnels_to(port, then, after=2)) as there:
            on_rest.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{there.port}"
            ran = on_rest.run("apply", "--auto-approve", "--refresh=none")
        assert ran.code == 3, ran
        assert len(rest.asked("GET")) == 2 and not rest.puts
        assert ran.stderr.count(f"failed: cannot connect to https://{HOST}:443 through") == 3
        assert not on_rest.state_path.exists() or not on_rest.state["job_configs"]
        with listening(tunnels_to(port)) as there:
            on_rest.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{there.port}"
            assert " 3 added" in on_rest.apply("--refresh=none").last_line
    assert len(rest.puts) == 3


def test_no_credentials_are_a_list_of_what_was_looked_for(on_rest: Repository) -> None:
    on_rest.environment = {"OS_SECRET_KEY": "hunter2"}
    on_rest.job("one")
    ran = on_rest.run("plan", "--refresh", code=1)
    lines = ran.stderr.splitlines()
    assert "  access key (environment): OS_SECRET_KEY set; OS_ACCESS_KEY not set" in lines
    assert "  clouds.yaml: OS_CLOUD not set" in lines
    assert "hunter2" not in ran.stderr
