"""Reading many configurations at once, over HTTP."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from majobctl.errors import ProviderError, ServiceError
from majobctl.job_config.live import LiveConfig
from majobctl.operations.refresh import read_live
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.session import Session
from tests.fake_service import (
    ACCESS_KEY,
    PROJECT,
    SECRET_KEY,
    FakeService,
    Handler,
)

NAMES = [f"n{number:02}" for number in range(20)]
Reply = Callable[[Handler], None]


@pytest.fixture
def service(service: FakeService) -> FakeService:
    service.configs.update({name: {"config_desc": name} for name in NAMES})
    return service


def opened(service: FakeService, backoff: float = 0.002) -> Provider:
    session = Session(
        *(ACCESS_KEY, SECRET_KEY, PROJECT),
        endpoint=service.url,
        timeout=10,
        retries=3,
        backoff=backoff,
        connections=20,
    )
    return Provider(session, Estimator)


@pytest.fixture
def provider(service: FakeService) -> Iterator[Provider]:
    with opened(service) as found:
        yield found


@pytest.fixture(autouse=True)
def _leaves_no_threads_behind() -> Iterator[None]:
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith("read-")] == []


def details(service: FakeService) -> list[str]:
    paths = [item.path for item in service.asked("GET", "/training-job-configs/")]
    return sorted(path.rpartition("/")[2] for path in paths)


def as_live(name: str) -> LiveConfig:
    return LiveConfig(name, {"config_desc": name})


def serve(handler: Handler) -> None:
    handler.serve(handler.received)


def after_the_list(*replies: Reply) -> list[Reply]:
    """A script that begins with the list as it is."""
    return [serve, *replies]


def refuse(handler: Handler) -> None:
    handler.refuse(403, "ModelArts.0210", "wrong project")


def refuse_as_busy(handler: Handler) -> None:
    handler.refuse(503, "X.503", "busy")


@pytest.mark.parametrize("parallelism", [1, 3, 50])
def test_all_are_read_in_the_order_of_the_names(
    parallelism: int, provider: Provider, service: FakeService
) -> None:
    names = NAMES[::-1]
    live = read_live(provider, iter(names), parallelism=parallelism)
    assert list(live.items()) == [(name, as_live(name)) for name in names]
    assert details(service) == NAMES
    assert len(service.requests) == len(NAMES) + 1


def test_only_what_is_asked_for_and_there_is_read(provider: Provider, service: FakeService) -> None:
    live = read_live(provider, ["gone", "n07", "n07", "away", "n03"], parallelism=2)
    assert live == {"gone": None, "n07": as_live("n07"), "away": None, "n03": as_live("n03")}
    assert details(service) == ["n03", "n07"]


def test_no_names_need_no_call(provider: Provider, service: FakeService) -> None:
    assert read_live(provider, [], parallelism=2) == {}
    assert service.requests == []


def test_what_was_not_read_is_not_taken_for_missing(provider: Provider) -> None:
    with pytest.raises(ProviderError, match=r"^only 1 of 21 configurations could be read$"):
        read_live(provider, ["gone", *NAMES], parallelism=0)


@dataclass
class Large:
    """A provider that has ``live`` under every name, and counts the reads."""

    live: LiveConfig
    reads: int = 0

    def read_job_config(self, name: str) -> LiveConfig:
        self.reads += 1
        return self.live

    def stop(self) -> None:
        pass


TEXT, NUMBERS = "x" * 10_000_000, [f"{number:050}" for number in range(180_000)]


@pytest.mark.parametrize(
    ("live", "kept"),
    [
        (LiveConfig("n", {"config_desc": TEXT}), 19),
        (LiveConfig("n", {"hyperparameters": {TEXT: ""}}), 19),
        (LiveConfig("n", {"hyperparameters": dict.fromkeys(NUMBERS, "")}), 19),
        (LiveConfig("n", {"data_source": [{"type": "obs", "data_url": TEXT}]}), 19),
        (LiveConfig("n", {}, (TEXT,)), 19),
        (LiveConfig("n", {}, (), (TEXT,)), 19),
        (LiveConfig("n", {}, (), tuple(NUMBERS)), 20),
    ],
)
def test_so_much_is_kept(live: LiveConfig, kept: int) -> None:
    provider: Any = Large(live)
    names = [f"n{number}" for number in range(kept)]
    assert len(read_live(provider, names, parallelism=1, listed=names)) == kept
    provider.reads, names = 0, [f"n{number}" for number in range(1000)]
    wanted = "the 1000 configurations have more than 200,000,000 characters in the service"
    with pytest.raises(ProviderError, match=f"^{wanted}; select fewer of them$"):
        read_live(provider, names, parallelism=3, listed=names)
    assert kept < provider.reads <= kept + 3


def test_what_is_deleted_after_the_list_is_missing(
    provider: Provider, service: FakeService
) -> None:
    def gone(handler: Handler) -> None:
        service.configs.pop("n01", None)
        handler.refuse(404, "ModelArts.0102", "gone")

    service.script.extend(after_the_list(gone))
    assert read_live(provider, ["n01"], parallelism=2) == {"n01": None}


def test_what_is_refused_as_missing_and_still_listed_ends_the_reading(
    provider: Provider, service: FakeService
) -> None:
    def workspace(handler: Handler) -> None:
        handler.refuse(400, "ModelArts.0102", "The workspace does not exist.")

    service.script.extend(after_the_list(workspace))
    with pytest.raises(ProviderError, match=r"^job_config\.n01: ModelArts\.0102 The workspace"):
        read_live(provider, ["n01"], parallelism=2)


def test_the_count_grows_to_the_number_of_names(provider: Provider) -> None:
    counts: list[tuple[int, int]] = []
    here = threading.get_ident()

    def observe(done: int, total: int) -> None:
        assert threading.get_ident() == here
        counts.append((done, total))

    read_live(provider, ["gone", *NAMES], parallelism=4, observe=observe)
    total = len(NAMES) + 1
    assert counts == [(done, total) for done in range(1, total + 1)]
    counts.clear()
    read_live(provider, ["gone"], parallelism=4, observe=observe)
    assert counts == [(1, 1)]


def test_as_many_as_parallelism_are_read_at_once(provider: Provider, service: FakeService) -> None:
    meeting = threading.Barrier(4, timeout=30)

    def meet(handler: Handler) -> None:
        meeting.wait()
        handler.answer(200, {"is_success": True, "config_desc": ""})

    service.script.extend(after_the_list(*[meet] * 8))
    live = read_live(provider, NAMES[:8], parallelism=4)
    assert live == {name: LiveConfig(name, {}) for name in NAMES[:8]}


def test_an_error_names_its_job_config_and_ends_the_reading(
    provider: Provider, service: FakeService
) -> None:
    service.script.extend(after_the_list(refuse))
    with pytest.raises(
        ProviderError, match=r"^job_config\.n05: ModelArts\.0210 wrong project$"
    ) as caught:
        read_live(provider, ["n05", *NAMES], parallelism=1)
    assert isinstance(caught.value.__cause__, ServiceError)
    assert details(service) == ["n05"]


def test_an_error_cuts_the_pauses_of_the_others_short(service: FakeService) -> None:
    both = threading.Barrier(2, timeout=30)

    def busy(handler: Handler) -> None:
        both.wait()
        refuse_as_busy(handler)

    def refused(handler: Handler) -> None:
        both.wait()
        refuse(handler)

    service.script.extend(after_the_list(busy, refused))
    with (
        ThreadPoolExecutor(1) as pool,
        opened(service, backoff=60) as provider,
        pytest.raises(ProviderError, match=r"ModelArts\.0210"),
    ):
        pool.submit(read_live, provider, NAMES, parallelism=2).result(timeout=20)


def test_a_list_that_cannot_be_had_is_an_error(provider: Provider, service: FakeService) -> None:
    service.script.append(refuse)
    with pytest.raises(ServiceError, match="wrong project"):
        read_live(provider, NAMES, parallelism=2)
    assert details(service) == []


def test_a_name_that_no_path_can_hold_is_an_error(provider: Provider, service: FakeService) -> None:
    service.configs[".."] = {}
    with pytest.raises(ProviderError, match=r"^job_config\.\.\.: config_name must be a name$"):
        read_live(provider, [".."], parallelism=2)


def test_a_defect_is_raised_as_it_is(service: FakeService) -> None:
    class Defect(Estimator):
        def get_job_configs_info(self) -> Any:
            raise ZeroDivisionError

    with opened(service) as working:
        provider = Provider(working._session, Defect)
        with pytest.raises(ZeroDivisionError):
            read_live(provider, NAMES, parallelism=2)


def test_an_interruption_between_two_results_stops_the_reading(
    provider: Provider, service: FakeService
) -> None:
    is_interrupted = threading.Event()

    def observe(done: int, total: int) -> None:
        if done == 3:
            is_interrupted.set()
            raise KeyboardInterrupt

    def hold(handler: Handler) -> None:
        assert is_interrupted.wait(30)
        serve(handler)

    service.script.extend(after_the_list(serve, serve, serve, *[hold] * len(NAMES)))
    with pytest.raises(KeyboardInterrupt):
        read_live(provider, NAMES, parallelism=2, observe=observe)
    assert len(details(service)) <= 5


def test_an_interruption_while_the_service_is_busy_stops_the_reading_at_once(
    service: FakeService,
) -> None:
    waiting = threading.Event()

    def busy(handler: Handler) -> None:
        refuse_as_busy(handler)
        waiting.set()

    def interrupt() -> None:
        assert waiting.wait(timeout=30)
        os.kill(os.getpid(), signal.SIGINT)

    service.script.extend(after_the_list(*[busy] * 20))
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with opened(service, backoff=60) as provider, pytest.raises(KeyboardInterrupt):
        read_live(provider, NAMES, parallelism=2)
    interrupter.join()
    assert len(details(service)) <= 2
