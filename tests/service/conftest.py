from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from majobctl.service.session import Session
from tests.fake_service import ACCESS_KEY, PROJECT, SECRET_KEY, FakeService


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, proxies or certificates of whoever runs the tests; an empty home."""
    starts = ("OS_", "HW_", "HUAWEICLOUD_", "MAJOBCTL_")
    ends = ("_PROXY", "_CA_BUNDLE", "SSL_CERT_FILE")
    for name in os.environ:
        if name.startswith(starts) or name.upper().endswith(ends):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


@pytest.fixture
def session(service: FakeService) -> Iterator[Session]:
    with Session(
        ACCESS_KEY, SECRET_KEY, PROJECT, endpoint=service.url, timeout=30, backoff=0.002
    ) as opened:
        yield opened
