"""Python arguments of a wrong type: each is a ConfigError, and nothing is sent."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from majobctl.errors import ConfigError
from majobctl.estimator import Estimator
from majobctl.session import Session
from tests.config_repository import JOB
from tests.fake_service import FakeService


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("must not be shown")

    __repr__ = __str__


NO_TEXTS: list[Any] = [1, 0, -1, 1.5, float("nan"), 2**70, True, False, b"x", b"", [], ["x"], {}]
NO_TEXTS += [{"x": 1}, (), object(), Unprintable()]
NO_NUMBERS: list[Any] = [
    "1",
    "",
    b"1",
    None,
    True,
    [],
    {},
    -1,
    float("nan"),
    float("inf"),
    2**70,
    Unprintable(),
]
KEYS: dict[str, Any] = {
    "access_key": "a",
    "secret_key": "b",
    "project_id": "p",
    "region_name": "eu-de",
}
TEXTS = [
    *("access_key", "secret_key", "project_id", "region_name", "account", "username", "password"),
    *("security_token", "token", "auth", "endpoint", "iam_endpoint"),
]
NUMBERS = ["timeout", "retries", "backoff", "connections"]
OWN = {key: value for key, value in JOB.items() if key != "inputs"}
OF_CALL = [*inspect.signature(Estimator.update_job_configs).parameters][1:]


def assert_refused(name: str, call: Any, *arguments: Any, **named: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        call(*arguments, **named)
    assert name in str(raised.value)
    assert all(line.isprintable() for line in str(raised.value).split("\n"))


@pytest.mark.parametrize("name", TEXTS)
def test_of_a_session_that_are_texts(name: str) -> None:
    for value in NO_TEXTS:
        assert_refused(name, Session, **{**KEYS, name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_of_a_session_that_are_numbers(name: str) -> None:
    for value in (*NO_NUMBERS, *([0.5] if name in ("retries", "connections") else [])):
        assert_refused(name, Session, **KEYS, **{name: value})


@pytest.mark.parametrize("name", [*inspect.signature(Session.set_endpoint).parameters])
def test_of_set_endpoint(name: str) -> None:
    for value in NO_TEXTS:
        assert_refused("", Session.set_endpoint, **{name: value})


@pytest.fixture
def untouched(session: Session, service: FakeService) -> Iterator[Session]:
    yield session
    assert [item.path for item in service.requests if "configs" in item.path] == []


NO_LABELS: list[Any] = [1, 0, 1.5, None, True, b"x", ("x",), "", "a\x00", Unprintable()]
NO_VALUES: list[Any] = [None, b"x", [], {}, object(), "\udc80", "\n", Unprintable()]
WRONG: dict[str, list[Any]] = {
    **dict.fromkeys([*OWN, *OF_CALL, "user_image_url", "log_url"], NO_TEXTS),
    "train_instance_count": ["1", b"1", 1.0, True, 0, -1, 2**70, [1], object(), Unprintable()],
    "modelarts_session": [*NO_TEXTS, None, "x"],
    "hyperparameters": [
        *(1, "x", b"x", True, [1], [None], ["x"], [{}], [{"label": "x"}], object()),
        *({label: 1} for label in NO_LABELS),
        *({"x": value} for value in NO_VALUES),
        *([{"label": label, "value": 1}] for label in NO_LABELS),
        *({1: 1, "x": 2}, {b"x": 1, "x": 2}),
    ],
    "data_source": [
        *(1, "x", b"x", True, {"type": "obs"}, [1], [None], ["x"], object()),
        *([{"type": value}] for value in [*NO_TEXTS, None, "s3"]),
        *([{"type": "obs", "data_url": value}] for value in [*NO_TEXTS[:1], b"/b/x/", ["/b/x/"]]),
        *([{"type": "obs", "data_url": "/b/x/", key: 1}] for key in (1, None, b"x", ("x",), "x")),
    ],
}


def blank(value: Any) -> bool:
    """What an Estimator takes for "not given" or "clear it"."""
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def call(method: str, own: dict[str, Any], of_call: dict[str, Any]) -> Any:
    return getattr(Estimator(**own), method)(**of_call)


@pytest.mark.parametrize("method", ["update_job_configs", "create_job_configs"])
@pytest.mark.parametrize("name", WRONG)
def test_of_an_estimator(untouched: Session, name: str, method: str) -> None:
    for value in WRONG[name]:
        own: dict[str, Any] = {"modelarts_session": untouched, **OWN}
        of_call: dict[str, Any] = {"config_name": "x"}
        (of_call if name in OF_CALL else own)[name] = value
        if name == "modelarts_session" or not blank(value):
            assert_refused("", call, method, own, of_call)


@pytest.mark.parametrize("name", ["per_page", "page", "sort_by", "order", "search_content"])
def test_of_a_list(untouched: Session, name: str) -> None:
    for value in NO_NUMBERS if name in ("per_page", "page") else [*NO_TEXTS, "\udc80"]:
        for listed in (Estimator.get_job_configs_list, Estimator.get_job_configs_object_list):
            assert_refused("", listed, untouched, **{name: value})


@pytest.mark.parametrize("value", [*NO_TEXTS, "", ".", "..", "\udc80"], ids=range(21))
def test_of_a_name(untouched: Session, value: Any) -> None:
    own = {"modelarts_session": untouched, "config_name": value}
    for method in ("get_job_configs_info", "delete_job_configs"):
        assert_refused("config_name", call, method, own, {})


@pytest.mark.parametrize("value", [*NO_TEXTS, None, "x"], ids=range(19))
def test_of_a_list_of_names(value: Any) -> None:
    for method in ("get_framework_list", "get_train_instance_types", "get_built_in_algorithms"):
        assert_refused("modelarts_session", getattr(Estimator, method), value)
