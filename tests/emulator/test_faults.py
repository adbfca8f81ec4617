"""The faults: each does what it says, in its share, and the same way each time."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from majobctl.emulator import create_adapter
from majobctl.emulator.errors import EmulatorError
from majobctl.emulator.faults import Draw, Faults
from tests.config_repository import until

from .client import CONFIGS, Client, Connect, body, error_of


def statuses(client: Client, count: int) -> list[int]:
    return [client.call("GET", CONFIGS).status_code for _ in range(count)]


def test_a_share_of_requests_is_unavailable_the_same_ones_each_time(connect: Connect) -> None:
    faults = Faults(error_rate=0.3, seed=7)
    first, second = (statuses(connect(faults=faults), 60) for _ in range(2))
    assert first == second
    assert set(first) == {200, 503}
    assert 8 <= first.count(503) <= 28
    assert statuses(connect(faults=Faults(error_rate=0.3, seed=8)), 60) != first


def test_an_unavailable_service_has_done_nothing(connect: Connect) -> None:
    client = connect(faults=Faults(error_rate=0.5, seed=1))
    answers = {f"n{number}": client.post(body(config_name=f"n{number}")) for number in range(40)}
    refused = {name for name, answer in answers.items() if not answer.ok}
    assert {error_of(answers[name]) for name in refused} == {(503, "ModelArts.0010")}
    assert 10 <= len(refused) <= 30
    assert refused == {name for name in answers if client.app._store.get(name) is None}


def test_more_requests_than_allowed_are_throttled_with_a_retry_after(
    connect: Connect,
) -> None:
    client = connect(faults=Faults(throttle=1))
    assert client.call("GET", CONFIGS).status_code == 200
    answers = (client.call("GET", CONFIGS) for _ in range(1000))
    throttled = next(answer for answer in answers if not answer.ok)
    assert error_of(throttled) == (429, "ModelArts.2799")
    assert throttled.headers["Retry-After"] == "1"
    until(lambda: client.call("GET", CONFIGS).ok, "the end of the pause")


def test_the_throttle_lets_through_as_many_a_second_as_it_says() -> None:
    now = [0.0]
    draw = Draw(Faults(throttle=5), clock=lambda: now[0])
    passed = 0
    for step in range(1000):
        now[0] = step / 100
        passed += draw.next().refusal is None
    assert passed == pytest.approx(5 + 5 * 9.99, abs=1)


def test_a_throttle_below_one_a_second_asks_for_a_longer_pause() -> None:
    draw = Draw(Faults(throttle=0.25), clock=lambda: 0.0)
    assert draw.next().refusal is None
    refusal = draw.next().refusal
    assert refusal is not None
    assert refusal.headers == {"Retry-After": "4"}


def test_a_share_of_requests_is_throttled_by_the_gateway_without_a_pause(connect: Connect) -> None:
    client = connect(faults=Faults(throttle_rate=0.5, seed=3))
    answers = [client.call("GET", CONFIGS) for _ in range(40)]
    throttled = [answer for answer in answers if not answer.ok]
    assert 10 <= len(throttled) <= 30
    assert {error_of(answer) for answer in throttled} == {(429, "APIGW.0308")}
    assert not any("Retry-After" in answer.headers for answer in throttled)


def test_an_answer_that_is_lost_breaks_the_connection_after_the_work_is_done(
    connect: Connect,
) -> None:
    client = connect(faults=Faults(lose_rate=1))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.post(body(config_name="a"))
    record = client.app._store.get("a")
    assert record is not None
    assert record.fields == body()


def test_an_answer_that_is_lost_in_the_process_is_a_connection_error_too(connect: Connect) -> None:
    client = connect(faults=Faults(lose_rate=0.5, seed=2))
    adapter = create_adapter(client.app)
    client.session.mount("http://", adapter)
    lost = 0
    for number in range(30):
        try:
            assert client.post(body(config_name=f"n{number}")).ok
        except requests.exceptions.ConnectionError:
            lost += 1
    assert 5 <= lost <= 25
    store = client.app._store
    assert all(store.get(f"n{number}") is not None for number in range(30))


def test_latency_holds_every_request_up(connect: Connect) -> None:
    client = connect(faults=Faults(latency_ms=2000))
    with pytest.raises(requests.exceptions.Timeout):
        client.call("GET", CONFIGS, timeout=0.05)
    assert client.call("GET", CONFIGS).ok


def test_faults_reach_the_token_call_too(connect: Connect) -> None:
    client = connect(faults=Faults(error_rate=1))
    answer = client.session.post(f"{client.url}/v3/auth/tokens", json={}, timeout=60)
    assert error_of(answer) == (503, "ModelArts.0010")


@pytest.mark.parametrize(
    "wrong",
    [
        {"put": "append"},
        {"blanks": "none"},
        {"error_rate": 1.1},
        {"throttle_rate": -0.1},
        {"lose_rate": float("nan")},
        {"latency_ms": -1},
        {"throttle": float("inf")},
    ],
)
def test_a_fault_out_of_range_is_an_error_that_names_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(EmulatorError, match=next(iter(wrong))):
        Faults(**wrong)
