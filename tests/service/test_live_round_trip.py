"""What is sent comes back as it was sent, however the service answers and whatever PUT does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings

from majobctl.emulator import create_adapter, create_app
from majobctl.emulator.faults import Faults
from majobctl.job_config.fields import FIELDS
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.sdk_calls import DONE
from majobctl.service.session import Session
from majobctl.target import EMULATOR_ENDPOINT
from tests.strategies import known_params, names

Params = Mapping[str, Any]


@pytest.fixture(params=["null", "empty", "missing", "mixed"])
def blanks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["plain", "documented"])
def answers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["replace", "merge"])
def provider(
    request: pytest.FixtureRequest,
    blanks: Literal["null", "empty", "missing", "mixed"],
    answers: Literal["plain", "documented"],
) -> Iterator[Provider]:
    app = create_app(faults=Faults(put=request.param, blanks=blanks, answers=answers))
    session = Session(
        "emulator",
        "emulator",
        "emulator",
        endpoint=EMULATOR_ENDPOINT,
        transport=create_adapter(app),
    )
    with Provider(session, Estimator, on_close=app.close) as opened:
        yield opened


def is_read_back(provider: Provider, name: str, params: Params) -> None:
    found = provider.read_job_config(name)
    assert found is not None
    assert (found.params_as(params), found.problems) == (params, ())


@settings(max_examples=20)
@given(names, known_params, known_params)
def test_what_is_sent_is_read_back(
    provider: Provider, name: str, first: Params, second: Params
) -> None:
    assert provider.create_job_config(name, first) == DONE
    is_read_back(provider, name, first)
    assert provider.update_job_config(name, first) == DONE
    is_read_back(provider, name, first)
    cleared = [key for key in FIELDS if key in first and key not in second]
    assert provider.update_job_config(name, second, cleared) == DONE
    is_read_back(provider, name, second)
    assert provider.config_names() == [name]
    assert provider.delete_job_config(name) == DONE
    assert provider.read_job_config(name) is None
