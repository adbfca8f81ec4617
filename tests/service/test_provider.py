"""What apply is told of each call, whoever makes it."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from majobctl.errors import AuthError, ConfigError, ProviderError, ServiceError, TransportError
from majobctl.job_config.live import LiveConfig
from majobctl.operations.connect import ProviderOptions, connect
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.sdk_calls import DONE, CallResult, CallStatus
from majobctl.service.session import Session
from tests.fake_service import (
    ACCESS_KEY,
    ENGINES,
    IDS,
    MANY_MODELS,
    PASSWORD,
    PROJECT,
    SECRET_KEY,
    SPECS,
    FakeService,
)

PARAMS: dict[str, Any] = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/b/o/",
    "code_dir": "/b/s/",
    "boot_file": "/b/s/boot.py",
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "hyperparameters": {"classes": "10", "lr": "0.1"},
    "inputs": "/b/d/",
}
BUILT_IN: dict[str, Any] = {
    "train_instance_type": "modelarts.vm.cpu.2u",
    "train_instance_count": 1,
    "output_path": "/b/o/",
    "model_name": "model_7",
}
ODD_FLAGS: list[Any] = [None, "true", 1, [], {}, 0]
STAND_IN = Path(__file__).parent / "stand_in"


class Older:
    """An official Estimator that knows few arguments; its call fails after it was sent."""

    def __init__(self, modelarts_session: Any, train_instance_count: int = 1) -> None:
        if train_instance_count < 1:
            raise ValueError("at least 1")

    def update_job_configs(self, config_name: str, inputs: str | None = None) -> Any:
        answer: Any = None
        return answer["is_success"]


class Wrapped(Older):
    def update_job_configs(self, *given: Any, **named: Any) -> Any:
        return super().update_job_configs(*given, **named)


class Half:
    """An official Estimator that creates and does not update."""

    def __init__(self, **_: Any) -> None:
        self.config_name = ""

    def create_job_configs(self, config_name: str) -> Any:
        self.config_name = config_name
        return self

    def update_job_configs(self, **_: Any) -> Any:
        return {"is_success": False, "error_code": "a", "error_msg": "no such data"}


def opened(kind: str, **options: Any) -> Provider:
    return connect(ProviderOptions(kind=kind, **options))


@pytest.fixture
def provider(session: Session) -> Iterator[Provider]:
    with Provider(session, Estimator) as running:
        yield running


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("OS_SECRET_KEY", SECRET_KEY)


class TestAnUpdate:
    def test_sends_the_params_and_clears_what_is_gone(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.configs["x"] = {}
        cleared = ["log_url", "config_desc", "data_source", "model_name"]
        assert provider.update_job_config("x", PARAMS, cleared) == DONE
        assert service.configs["x"] == {
            "spec_id": 70,
            "worker_server_num": 1,
            "train_url": "/b/o/",
            "app_url": "/b/s/",
            "boot_file_url": "/b/s/boot.py",
            "engine_id": 31,
            "model_id": 0,
            "parameter": [{"label": "classes", "value": "10"}, {"label": "lr", "value": "0.1"}],
            "log_url": "",
            "config_desc": "",
            "data_url": "/b/d/",
            "data_source": [],
        }

    def test_clears_all_hyperparameters(self, service: FakeService, provider: Provider) -> None:
        service.configs["x"] = {}
        params = {key: value for key, value in PARAMS.items() if key != "hyperparameters"}
        assert provider.update_job_config("x", params, ["hyperparameters"]) == DONE
        assert service.configs["x"]["parameter"] == []

    def test_that_the_service_refuses_says_why(self, provider: Provider) -> None:
        outcome = provider.update_job_config("x", PARAMS)
        assert outcome == CallResult(
            status=CallStatus.REFUSED,
            code="ModelArts.0102",
            message="x does not exist.",
            http_status=404,
            is_missing=True,
        )

    def test_that_breaks_off_has_no_known_outcome(
        self, service: FakeService, provider: Provider
    ) -> None:
        provider.catalog.unknown_names([("x", PARAMS)])
        service.script.extend([lambda handler: handler.send_raw(b"")] * 6)
        outcome = provider.update_job_config("x", PARAMS)
        message = f"{service.url}: the connection broke: no answer came"
        assert outcome == CallResult(status=CallStatus.UNKNOWN, message=message, may_pass=True)

    @pytest.mark.parametrize("code", ["ModelArts.2799", "APIGW.0308"])
    def test_that_is_throttled_to_the_end_may_pass_later(
        self, code: str, service: FakeService, provider: Provider
    ) -> None:
        provider.catalog.unknown_names([("x", PARAMS)])
        document = {"is_success": False, "error_code": code, "error_msg": "slow down"}
        service.script.extend([lambda handler: handler.answer(429, document)] * 6)
        outcome = provider.update_job_config("x", PARAMS)
        assert outcome == CallResult(
            status=CallStatus.REFUSED,
            code=code,
            message="slow down",
            http_status=429,
            may_pass=True,
        )

    def test_that_ends_in_an_internal_error_has_no_known_outcome(
        self, service: FakeService, provider: Provider
    ) -> None:
        provider.catalog.unknown_names([("x", PARAMS)])
        service.answer_next(500, {"error_code": "ModelArts.0010", "error_msg": "internal"})
        outcome = provider.update_job_config("x", PARAMS)
        assert outcome == CallResult(
            status=CallStatus.UNKNOWN, code="ModelArts.0010", message="internal", http_status=500
        )

    def test_that_was_never_sent_is_a_refusal(self, service: FakeService) -> None:
        with Session(
            account="a",
            username="b",
            password="wrong",
            project_id=PROJECT,
            endpoint=service.url,
            iam_endpoint=service.url,
        ) as session:
            outcome = Provider(session, Estimator).update_job_config("x", PARAMS)
        assert outcome.status is CallStatus.REFUSED
        assert outcome.message.startswith("IAM refused the credentials")

    def test_with_a_service_that_cannot_be_reached_is_a_refusal(self) -> None:
        options: dict[str, Any] = {"endpoint": "https://modelarts.invalid", "retries": 0}
        with Session("a", "b", PROJECT, **options) as session:
            outcome = Provider(session, Estimator).update_job_config("x", PARAMS)
        assert outcome.status is CallStatus.REFUSED
        assert outcome.message.startswith("cannot connect to https://modelarts.invalid:443: ")


class TestUnknownNames:
    def test_are_reported_for_each_job_config_sorted_and_once(self, provider: Provider) -> None:
        wrong = [
            ("b", {**PARAMS, "train_instance_type": "modelarts.vm.gpu.p1000"}),
            ("a", {**PARAMS, "framework_type": "PyTorh"}),
            ("c", {**PARAMS, "framework_version": "PyTorch-1.0.0-python3.7"}),
            ("c", {**PARAMS, "framework_version": "PyTorch-1.0.0-python3.7"}),
            ("d", {**BUILT_IN, "model_name": "nothing like it"}),
            ("e", PARAMS),
            ("f", BUILT_IN),
        ]
        assert provider.catalog.unknown_names(iter(wrong)) == [
            'job_config.a: framework_type "PyTorh" does not exist; did you mean "PyTorch"?',
            'job_config.b: train_instance_type "modelarts.vm.gpu.p1000" does not exist;'
            ' did you mean "modelarts.vm.gpu.p100" or "modelarts.vm.gpu.v100" or'
            ' "modelarts.vm.cpu.2u"?',
            'job_config.c: framework_version "PyTorch-1.0.0-python3.7" does not exist;'
            ' did you mean "PyTorch-1.0.0-python3.6"?',
            'job_config.d: model_name "nothing like it" does not exist;'
            " `majobctl algorithms` lists what there is",
        ]

    def test_are_those_of_the_version_if_an_engine_is_listed_without_one(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.answer_next(
            200, {"is_success": True, "specs": [{"spec_code": PARAMS["train_instance_type"]}]}
        )
        service.answer_next(200, {"is_success": True, "engines": [{"engine_name": "PyTorch"}]})
        assert provider.catalog.unknown_names([("x", PARAMS)]) == [
            'job_config.x: framework_version "PyTorch-1.0.0-python3.6" does not exist;'
            " `majobctl engines` lists what there is"
        ]

    def test_are_looked_for_only_in_the_lists_that_matter(
        self, service: FakeService, provider: Provider
    ) -> None:
        assert provider.catalog.unknown_names([]) == []
        assert service.requests == []
        assert provider.catalog.unknown_names([("x", PARAMS)]) == []
        asked = [item.path.rpartition("/")[2] for item in service.requests]
        assert asked == ["resource-specs", "ai-engines"]

    def test_are_unknown_if_the_service_refuses(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.answer_next(403, {"error_code": "ModelArts.0206", "error_msg": "no such key"})
        with pytest.raises(ServiceError, match=r"^ModelArts\.0206 no such key$"):
            provider.catalog.unknown_names([("x", PARAMS)])
        service.answer_next(200, {"is_success": True, "specs": 5})
        with pytest.raises(TransportError):
            provider.catalog.unknown_names([("x", PARAMS)])


class TestTheNames:
    def test_come_from_one_page_if_they_fit(self, service: FakeService, provider: Provider) -> None:
        assert provider.config_names() == []
        service.configs.update({"b": {}, "a": {}, "B": {}})
        assert provider.config_names() == ["B", "a", "b"]
        assert [item.query for item in service.requests] == 2 * [
            {
                "per_page": "1000",
                "page": "1",
                "sortBy": "config_name",
                "order": "asc",
                "config_type": "custom",
            }
        ]

    @pytest.mark.parametrize("tells_total", [True, False])
    @pytest.mark.parametrize(("count", "calls"), [(1000, (1, 2)), (1001, (2, 2)), (2500, (3, 3))])
    def test_come_from_as_many_pages_as_they_need(
        self,
        count: int,
        calls: tuple[int, int],
        tells_total: bool,
        service: FakeService,
        provider: Provider,
    ) -> None:
        service.tells_total = tells_total
        names = [f"n{number:04}" for number in range(count)]
        service.configs.update({name: {} for name in names})
        assert provider.config_names() == names
        pages = [item.query["page"] for item in service.requests]
        assert pages == [str(page) for page in range(1, calls[not tells_total] + 1)]

    def test_all_come_from_a_service_with_smaller_pages(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.largest_page = 2
        service.configs.update({name: {} for name in "abcde"})
        assert provider.config_names() == list("abcde")

    @pytest.mark.parametrize("tells_total", [True, False])
    def test_end_if_the_service_ignores_the_page(
        self, tells_total: bool, service: FakeService, provider: Provider
    ) -> None:
        service.paged, service.tells_total = False, tells_total
        service.configs.update({f"n{number:04}": {} for number in range(1200)})
        assert len(provider.config_names()) == 1000
        assert len(service.requests) == 2

    @pytest.mark.parametrize(
        "configs", [5, {"a": {"config_name": "a"}}, ["a"], [{}], [{"config_name": None}], [[]]]
    )
    def test_that_cannot_be_read_are_an_error(
        self, configs: object, service: FakeService, provider: Provider
    ) -> None:
        service.answer_next(200, {"is_success": True, "configs": configs})
        with pytest.raises(TransportError, match=r"of get_job_configs_list$"):
            provider.config_names()

    def test_are_refused_with_the_services_reason(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.answer_next(403, {"error_code": "ModelArts.0210", "error_msg": "wrong project"})
        with pytest.raises(ServiceError, match=r"^ModelArts\.0210 wrong project$"):
            provider.config_names()


class TestReading:
    def test_gives_what_was_sent(self, service: FakeService, provider: Provider) -> None:
        service.configs["x"] = {}
        provider.update_job_config("x", PARAMS, ["log_url", "model_name"])
        assert provider.read_job_config("x") == LiveConfig("x", PARAMS)
        provider.update_job_config("x", BUILT_IN)
        assert provider.read_job_config("x") == LiveConfig("x", BUILT_IN)

    def test_asks_for_a_list_only_if_a_name_is_missing(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.configs["x"] = {
            **{"spec_id": 70, "spec_code": "flavor", "engine_id": 31, "worker_server_num": 1},
            **{"engine_name": "PyTorch", "engine_version": "PyTorch-1.0.0-python3.6"},
        }
        live = provider.read_job_config("x")
        assert live is not None
        assert live.params["train_instance_type"] == "flavor"
        assert len(service.requests) == 1

    def test_keeps_what_the_lists_no_longer_have_visible(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.configs["x"] = {"spec_id": 77, "engine_id": 5}
        service.configs["y"] = {"model_id": 900}
        live = provider.read_job_config("x")
        assert live is not None
        assert live.params == {
            "train_instance_type": "(spec_id 77)",
            "framework_type": "(engine_id 5)",
            "framework_version": "(engine_id 5)",
        }
        assert len(live.problems) == 2
        live = provider.read_job_config("y")
        assert live is not None
        assert live.params == {"model_name": "(model_id 900)"}

    def test_keeps_numbers_as_they_were_written(
        self, service: FakeService, provider: Provider
    ) -> None:
        items = b'[{"label": "lr", "value": 1e-5}, {"label": "n", "value": 0.10}]'
        service.answer_next(200, b'{"is_success": true, "parameter": ' + items + b"}")
        assert provider.read_job_config("x") == LiveConfig(
            "x", {"hyperparameters": {"lr": "1e-5", "n": "0.10"}}
        )

    @pytest.mark.parametrize("document", [{}, {"status": "ok"}, {"is_success": True}])
    def test_what_is_not_a_configuration_is_an_error(
        self, document: dict[str, Any], service: FakeService, provider: Provider
    ) -> None:
        service.answer_next(200, document)
        with pytest.raises(TransportError, match=r"unreadable answer .* of get_job_configs_info$"):
            provider.read_job_config("x")
        service.answer_next(200, {**document, "config_name": "x"})
        found = provider.read_job_config("x")
        assert found is not None
        assert found.params == {}

    def test_what_may_exist_all_the_same_is_an_error(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.answer_next(404, b"<html>")
        with pytest.raises(ServiceError, match="unreadable answer"):
            provider.read_job_config("x")
        service.answer_next(500, {"error_code": "ModelArts.0010", "error_msg": "internal"})
        with pytest.raises(ServiceError, match="internal") as raised:
            provider.read_job_config("x")
        assert raised.value.status == 500
        service.script.extend([lambda handler: handler.send_raw(b"")] * 6)
        with pytest.raises(TransportError, match="no answer came"):
            provider.read_job_config("x")


def breaks_off(handler: Any) -> None:
    handler.send_raw(b"")


def loses_the_answer(handler: Any) -> None:
    handler.lose_answer()


def taken(handler: Any) -> None:
    handler.refuse(400, "ModelArts.0103", "x is already in use.")


def is_missing(handler: Any) -> None:
    handler.refuse(404, "ModelArts.0102", "x does not exist.")


def lists_nothing(handler: Any) -> None:
    handler.answer(200, {"is_success": True, "configs": []})


def fails_inside(handler: Any) -> None:
    handler.refuse(500, "ModelArts.0010", "internal")


def refuses(handler: Any) -> None:
    handler.refuse(400, "ModelArts.2781", "Flavor (70) not found.")


def is_busy(handler: Any) -> None:
    handler.refuse(429, "ModelArts.2799", "slow down")


MADE_BY_ANOTHER = CallResult(
    status=CallStatus.REFUSED,
    code="ModelArts.0103",
    message="somebody else has created x in the meantime, with other values",
)


class TestCreating:
    @pytest.fixture(autouse=True)
    def _names_known(self, provider: Provider) -> None:
        """The lists are read before, so that scripts are about the calls alone."""
        assert provider.catalog.unknown_names([("x", PARAMS)]) == []

    def methods(self, service: FakeService) -> str:
        """The calls: a GET without a name is a LIST."""
        configs = [item for item in service.requests if "training-job-configs" in item.path]
        found = [(item.method, item.path.endswith("/training-job-configs")) for item in configs]
        return " ".join("LIST" if it == ("GET", True) else it[0] for it in found)

    def test_sends_the_params_with_the_name(self, service: FakeService, provider: Provider) -> None:
        assert provider.create_job_config("x", PARAMS) == DONE
        assert service.configs["x"] == {
            "config_name": "x",
            "spec_id": 70,
            "worker_server_num": 1,
            "train_url": "/b/o/",
            "app_url": "/b/s/",
            "boot_file_url": "/b/s/boot.py",
            "engine_id": 31,
            "parameter": [{"label": "classes", "value": "10"}, {"label": "lr", "value": "0.1"}],
            "data_url": "/b/d/",
        }
        assert self.methods(service) == "POST"

    def test_that_the_service_refuses_is_not_tried_again(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.append(refuses)
        assert provider.create_job_config("x", PARAMS) == CallResult(
            status=CallStatus.REFUSED,
            code="ModelArts.2781",
            message="Flavor (70) not found.",
            http_status=400,
        )
        assert self.methods(service) == "POST"

    def test_whose_answer_is_lost_is_done_if_it_arrived(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.append(loses_the_answer)
        assert provider.create_job_config("x", PARAMS) == DONE
        assert self.methods(service) == "POST GET"

    @pytest.mark.parametrize("fault", [breaks_off, fails_inside])
    def test_that_did_not_arrive_is_sent_once_more(
        self, fault: Any, service: FakeService, provider: Provider
    ) -> None:
        service.script.append(fault)
        assert provider.create_job_config("x", PARAMS) == DONE
        assert self.methods(service) == "POST GET LIST POST"
        assert "x" in service.configs

    def test_that_arrives_late_is_done(self, service: FakeService, provider: Provider) -> None:
        service.script.extend([loses_the_answer, is_missing, lists_nothing])
        assert provider.create_job_config("x", PARAMS) == DONE
        assert self.methods(service) == "POST GET LIST POST GET"

    def test_of_what_is_there_already_as_it_is_wanted_is_done(
        self, service: FakeService, provider: Provider
    ) -> None:
        provider.create_job_config("x", PARAMS)
        assert provider.create_job_config("x", PARAMS) == DONE
        assert self.methods(service) == "POST POST GET"

    def test_of_what_somebody_else_made_is_refused(
        self, service: FakeService, provider: Provider
    ) -> None:
        provider.create_job_config("x", BUILT_IN)
        assert provider.create_job_config("x", PARAMS) == MADE_BY_ANOTHER
        service.script.append(breaks_off)
        assert provider.create_job_config("x", PARAMS) == MADE_BY_ANOTHER
        assert service.configs["x"]["model_id"] == 7

    def test_of_a_name_that_is_taken_and_free_at_once_is_refused_as_the_service_says(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.append(taken)
        assert provider.create_job_config("x", PARAMS) == CallResult(
            status=CallStatus.REFUSED,
            code="ModelArts.0103",
            message="x is already in use.",
            http_status=400,
        )

    def test_that_stays_unknown_says_what_went_wrong_with_both_calls(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.extend([breaks_off, refuses])
        assert provider.create_job_config("x", PARAMS) == CallResult(
            status=CallStatus.UNKNOWN,
            message=f"{service.url}: the connection broke: no answer came; it could not be read"
            " either: ModelArts.2781 Flavor (70) not found.",
            may_pass=True,
        )
        service.script.extend([taken, refuses])
        outcome = provider.create_job_config("x", PARAMS)
        assert (outcome.status, outcome.code) == (CallStatus.REFUSED, "ModelArts.0103")
        assert "it could not be read either" in outcome.message

    def test_is_not_sent_a_third_time(self, service: FakeService, provider: Provider) -> None:
        service.script.extend([breaks_off, is_missing, lists_nothing, breaks_off])
        outcome = provider.create_job_config("x", PARAMS)
        assert outcome.status is CallStatus.UNKNOWN
        assert self.methods(service) == "POST GET LIST POST"

    def test_stays_unknown_if_the_second_call_is_not_heard(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.extend([breaks_off, is_missing, lists_nothing, *[is_busy] * 6])
        assert provider.create_job_config("x", PARAMS) == CallResult(
            status=CallStatus.UNKNOWN,
            code="ModelArts.2799",
            message="slow down",
            http_status=429,
            may_pass=True,
        )

    def test_is_refused_if_the_second_call_is(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.extend([breaks_off, is_missing, lists_nothing, refuses])
        outcome = provider.create_job_config("x", PARAMS)
        assert (outcome.status, outcome.code) == (CallStatus.REFUSED, "ModelArts.2781")


class TestDeleting:
    def test_removes_the_configuration(self, service: FakeService, provider: Provider) -> None:
        service.configs.update({"x": {}, "y": {}})
        assert provider.delete_job_config("x") == DONE
        assert list(service.configs) == ["y"]

    def test_of_what_is_not_there_is_done(self, service: FakeService, provider: Provider) -> None:
        assert provider.delete_job_config("x") == DONE

    def test_whose_answer_is_lost_is_done(self, service: FakeService, provider: Provider) -> None:
        service.configs["x"] = {}
        service.script.append(loses_the_answer)
        assert provider.delete_job_config("x") == DONE
        assert len(service.asked("DELETE")) == 2

    def test_that_the_service_refuses_says_why(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.configs["x"] = {}
        service.script.append(lambda handler: handler.refuse(400, "ModelArts.0105", "not now"))
        outcome = provider.delete_job_config("x")
        assert outcome == CallResult(
            status=CallStatus.REFUSED, code="ModelArts.0105", message="not now", http_status=400
        )


MISSING = [(404, "ModelArts.0102"), (404, "ModelArts.0015"), (400, "ModelArts.0102")]
OTHERS = [(404, "ModelArts.2786"), (404, "APIGW.0101"), (404, "APIG.0101"), (400, "ModelArts.0105")]
CALLS: dict[str, Callable[[Provider], LiveConfig | CallResult | None]] = {
    "GET": lambda provider: provider.read_job_config("x"),
    "PUT": lambda provider: provider.update_job_config("x", PARAMS),
    "DELETE": lambda provider: provider.delete_job_config("x"),
}


def refused_as(service: FakeService, provider: Provider, method: str, *refusals: Any) -> Any:
    """What comes of a call that is refused like that, and how often the list was asked."""
    assert provider.catalog.unknown_names([("x", PARAMS)]) == []
    service.forget_requests()
    for status, code in refusals:
        service.answer_next(status, {"error_code": code, "error_msg": "as told"})
    try:
        found = CALLS[method](provider)
    except ServiceError as error:
        found = CallResult(status=CallStatus.REFUSED, code=error.code)
    lists = [item for item in service.asked("GET") if item.path.endswith("/training-job-configs")]
    return found, len(lists)


class TestWhatIsMissing:
    @pytest.mark.parametrize("method", CALLS)
    @pytest.mark.parametrize(("status", "code"), [*MISSING, (200, "ModelArts.0102")])
    @pytest.mark.parametrize("is_listed", [False, True])
    def test_is_what_the_list_confirms(
        self,
        method: str,
        status: int,
        code: str,
        is_listed: bool,
        service: FakeService,
        provider: Provider,
    ) -> None:
        service.configs = {"x": {}} if is_listed else {"y": {}}
        found, lists = refused_as(service, provider, method, (status, code))
        assert lists == 1
        if is_listed:
            assert (found.status, found.code, found.is_missing) == (CallStatus.REFUSED, code, False)
        elif method == "PUT":
            assert (found.status, found.is_missing) == (CallStatus.REFUSED, True)
        else:
            assert found == (None if method == "GET" else DONE)

    @pytest.mark.parametrize("method", CALLS)
    @pytest.mark.parametrize(("status", "code"), OTHERS)
    def test_is_nothing_that_another_code_says(
        self, method: str, status: int, code: str, service: FakeService, provider: Provider
    ) -> None:
        found, lists = refused_as(service, provider, method, (status, code))
        assert (found.status, found.code, found.is_missing) == (CallStatus.REFUSED, code, False)
        assert lists == 0

    @pytest.mark.parametrize(("status", "code"), MISSING)
    def test_is_confirmed_after_a_delete_that_was_repeated_too(
        self, status: int, code: str, service: FakeService, provider: Provider
    ) -> None:
        service.configs["x"] = {}
        found, lists = refused_as(service, provider, "DELETE", (503, ""), (status, code))
        assert (found.status, found.code, lists) == (CallStatus.REFUSED, code, 1)

    @pytest.mark.parametrize("method", CALLS)
    def test_is_in_doubt_if_the_list_is_refused(
        self, method: str, service: FakeService, provider: Provider
    ) -> None:
        refusals = [(400, "ModelArts.0102")] * 2
        found, lists = refused_as(service, provider, method, *refusals)
        assert (found.status, found.code, found.is_missing) == (
            CallStatus.REFUSED,
            "ModelArts.0102",
            False,
        )
        assert lists == 1

    def test_is_found_for_many_with_one_list(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.configs = {f"there-{number}": {"config_desc": "a"} for number in range(20)}
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(provider.read_job_config, service.configs))
            assert len(service.requests) == 20
            gone = [f"gone-{number}" for number in range(20)]
            assert list(pool.map(provider.read_job_config, gone)) == [None] * 20
        assert len(service.requests) == 20 + 20 + 1

    def test_is_not_what_was_created_since_the_list_was_read(
        self, service: FakeService, provider: Provider
    ) -> None:
        assert provider.read_job_config("x") is None
        assert provider.create_job_config("x", PARAMS) == DONE
        found, lists = refused_as(service, provider, "GET", (404, "ModelArts.0102"))
        assert (found.code, lists) == ("ModelArts.0102", 1)


class TestOddAnswers:
    def test_a_null_in_a_list_is_no_entry(self, service: FakeService, provider: Provider) -> None:
        service.answer_next(200, {"configs": [None, {"config_name": "x"}, None]})
        assert provider.config_names() == ["x"]
        service.specs = [None, *service.specs]  # type: ignore[list-item]
        assert provider.catalog.unknown_names([("x", PARAMS)]) == []

    @pytest.mark.parametrize("form", [float, str, lambda number: f"0{number}"])
    def test_an_id_in_another_form_is_the_same_number(
        self, form: Callable[[int], Any], service: FakeService, provider: Provider
    ) -> None:
        for items, key in ((service.specs, "spec_id"), (service.engines, "engine_id")):
            items[:] = [{**item, key: form(item[key])} for item in items]
        service.configs["x"] = {}
        assert provider.update_job_config("x", PARAMS) == DONE
        sent = service.configs["x"]
        assert [(sent[key], type(sent[key])) for key in IDS] == [(70, int), (31, int)]
        service.configs["x"].update({key: form(sent[key]) for key in IDS})
        assert provider.read_job_config("x") == LiveConfig("x", PARAMS)

    @pytest.mark.parametrize("status", [200, 204])
    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_an_empty_success_is_one(
        self, method: str, status: int, service: FakeService, provider: Provider
    ) -> None:
        assert provider.catalog.unknown_names([("x", PARAMS)]) == []
        service.answer_next(status, b"")
        assert CALLS[method](provider) == DONE
        service.script.extend([lambda handler: handler.answer(201, b"")] * 6)
        outcome = CALLS[method](provider)
        assert isinstance(outcome, CallResult) and outcome.status is CallStatus.UNKNOWN

    def test_an_empty_configuration_is_no_configuration(
        self, service: FakeService, provider: Provider
    ) -> None:
        service.script.extend([lambda handler: handler.answer(200, b"")] * 6)
        with pytest.raises(TransportError, match="it is empty"):
            provider.read_job_config("x")


class TestWhatTheServiceOffers:
    def test_is_as_the_service_lists_it_and_read_once(
        self, service: FakeService, provider: Provider
    ) -> None:
        for _ in range(2):
            assert provider.catalog.entries("flavors") == SPECS
            assert provider.catalog.entries("engines") == ENGINES
            assert provider.catalog.entries("algorithms") == MANY_MODELS
        assert len(service.requests) == 4

    def test_that_has_no_name_is_passed_over(
        self, service: FakeService, provider: Provider
    ) -> None:
        specs = [{"spec_id": 70}, {"spec_id": 70, "spec_code": ""}, *SPECS]
        service.answer_next(200, {"is_success": True, "specs": specs})
        assert provider.catalog.entries("flavors") == specs
        service.configs["x"] = {"spec_id": 70}
        live = provider.read_job_config("x")
        assert live is not None
        assert live.params == {"train_instance_type": "modelarts.vm.gpu.p100"}
        engines = [{"engine_id": 31, "engine_name": "PyTorch"}, *ENGINES]
        service.answer_next(200, {"is_success": True, "engines": engines})
        assert provider.catalog.entries("engines") == engines
        service.configs["x"] = {"engine_id": 31}
        live = provider.read_job_config("x")
        assert live is not None
        assert live.params["framework_version"] == "PyTorch-1.0.0-python3.6"


def test_a_defect_of_ours_is_not_hidden(session: Session) -> None:
    class Defect:
        def __init__(self, **_: object) -> None:
            raise ZeroDivisionError

        @staticmethod
        def get_job_configs_list(**_: object) -> None:
            raise ZeroDivisionError

    provider = Provider(session, Defect)
    with pytest.raises(ZeroDivisionError):
        provider.update_job_config("x", PARAMS)
    with pytest.raises(ZeroDivisionError):
        provider.config_names()


class TestOpening:
    @pytest.mark.usefixtures("_keys")
    def test_modelarts_calls_the_given_address_whatever_the_environment_says(
        self, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAJOBCTL_ENDPOINT", "https://elsewhere.invalid")
        service.configs["x"] = {}
        with opened("modelarts", endpoint=service.url, project_id=PROJECT) as provider:
            assert provider.update_job_config("x", PARAMS) == DONE
            provider.stop()
        assert repr(provider) == "Provider(majobctl.service.session)"

    @pytest.mark.usefixtures("_keys")
    def test_modelarts_takes_the_project_from_the_environment_but_no_region(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_REGION_NAME", "eu-de")
        with pytest.raises(ConfigError, match="no region: set region"):
            opened("modelarts", project_id=PROJECT)
        with pytest.raises(AuthError, match="no project"):
            opened("modelarts", region="eu-de")
        monkeypatch.setenv("OS_PROJECT_ID", PROJECT)
        opened("modelarts", region="eu-de", auth="aksk").close()
        with pytest.raises(AuthError, match=r"token \(environment\): OS_TOKEN not set"):
            opened("modelarts", region="eu-de", auth="token")

    def test_modelarts_signs_in_with_a_password(
        self, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.configs["x"] = {}
        for name, value in {
            "OS_USERNAME": "someone",
            "OS_PASSWORD": PASSWORD,
            "OS_USER_DOMAIN_NAME": "account",
        }.items():
            monkeypatch.setenv(name, value)
        with opened(
            "modelarts",
            endpoint=service.url,
            iam_endpoint=service.url,
            project_id=PROJECT,
            auth="password",
        ) as provider:
            assert provider.update_job_config("x", PARAMS) == DONE

    def test_an_unknown_kind_names_the_known_ones(self) -> None:
        with pytest.raises(ProviderError, match='"magic" is none of modelarts, emulator, sdk'):
            opened("magic")


class TestTheEmulator:
    SEED = (
        "[job_config.x]\n"
        'train_instance_type = "modelarts.vm.cpu.2u"\n'
        "train_instance_count = 1\n"
        'output_path = "/b/o/"\n'
        'model_name = "ResNet_v2_50"\n'
        'log_url = "/b/log/"\n'
    )

    def test_takes_updates_in_this_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "not-read")
        seed = tmp_path / "cloud.toml"
        seed.write_text(self.SEED)
        data = tmp_path / "data" / "emulator.db"
        with opened("emulator", emulator_data=data, emulator_seed=(seed, "")) as provider:
            assert provider.catalog.unknown_names([("x", PARAMS)]) == []
            cleared = ["log_url", "model_name", "config_desc", "data_source"]
            assert provider.update_job_config("x", PARAMS, cleared) == DONE
            outcome = provider.update_job_config("y", PARAMS)
            assert (outcome.status, outcome.code) == (CallStatus.REFUSED, "ModelArts.0102")
        with opened("emulator", emulator_data=data) as provider:
            assert provider.update_job_config("x", PARAMS) == DONE

    @pytest.mark.parametrize(
        "content", [None, b"not toml", b"a = 1\n", b"[job_config.a]\n", b"\xff"]
    )
    def test_that_has_a_wrong_seed_calls_it_by_its_name(
        self, content: bytes | None, tmp_path: Path
    ) -> None:
        seed = tmp_path / "cloud.toml"
        if content is not None:
            seed.write_bytes(content)
        with pytest.raises(ConfigError) as raised:
            opened("emulator", emulator_seed=(seed, "sub/cloud.toml"))
        assert str(raised.value).startswith("sub/cloud.toml:")
        assert str(tmp_path) not in str(raised.value)


class TestTheOfficialPackage:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.syspath_prepend(str(STAND_IN))
        monkeypatch.setenv("OS_REGION_NAME", "eu-de")
        yield
        for name in ("modelarts", "modelarts.session", "modelarts.estimator"):
            sys.modules.pop(name, None)

    @pytest.fixture
    def official(self, _keys: None) -> Provider:
        return opened("sdk", project_id=PROJECT)

    def test_gets_keys_and_addresses_before_its_session(self, official: Provider) -> None:
        session = official._session
        assert session.endpoints == {
            "iam": "https://iam.eu-de.otc.t-systems.com/v3",
            "obs": None,
            "modelarts": "https://modelarts.eu-de.otc.t-systems.com",
            "region": "eu-de",
        }
        assert (session.access_key, session.secret_key) == (ACCESS_KEY, SECRET_KEY)
        assert session.project_id == PROJECT
        assert repr(official) == "Provider(modelarts.session)"

    def test_gets_the_arguments_that_its_documents_name(self, official: Provider) -> None:
        assert official.update_job_config("x", PARAMS, ["log_url", "config_desc"]) == DONE
        ((name, of_estimator, of_update),) = official._session.calls
        assert name == "x"
        assert of_update == {"config_desc": "", "inputs": "/b/d/"}
        assert of_estimator == {
            **{key: PARAMS[key] for key in PARAMS if key != "inputs"},
            "hyperparameters": [
                {"label": "classes", "value": "10"},
                {"label": "lr", "value": "0.1"},
            ],
            "log_url": "",
        }

    @pytest.mark.parametrize(
        ("name", "outcome"),
        [
            (
                "refused",
                CallResult(
                    status=CallStatus.REFUSED, code="ModelArts.2781", message="no such flavor"
                ),
            ),
            (
                "raises-refused",
                CallResult(
                    status=CallStatus.REFUSED,
                    code="ModelArts.0102",
                    message="does not exist",
                    is_missing=True,
                ),
            ),
            (
                "raises-internal",
                CallResult(
                    status=CallStatus.UNKNOWN,
                    code="ModelArts.0010",
                    message="ApiError: ModelArts.0010: internal error",
                ),
            ),
            (
                "raises",
                CallResult(
                    status=CallStatus.UNKNOWN,
                    message="RuntimeError: cannot reach the service as (sensitive)",
                ),
            ),
            (
                "says-nothing",
                CallResult(
                    status=CallStatus.UNKNOWN,
                    message="unreadable answer (NoneType) of update_job_configs",
                ),
            ),
            (
                "says-html",
                CallResult(
                    status=CallStatus.UNKNOWN,
                    message="unreadable answer (str) of update_job_configs",
                ),
            ),
        ],
    )
    def test_never_ends_a_call_without_an_outcome(
        self, name: str, outcome: CallResult, official: Provider
    ) -> None:
        assert official.update_job_config(name, PARAMS) == outcome

    @pytest.mark.parametrize("name", ["raises-quoting", "answers-quoting"])
    @pytest.mark.parametrize("secret", [SECRET_KEY, ACCESS_KEY, "a-token/that=the+SDK/got"])
    @pytest.mark.parametrize(
        "quoting",
        [
            str,
            lambda text: text[:12],
            lambda text: quote(text, safe=""),
            lambda text: json.dumps({"X-Auth-Token": text}),
            lambda text: b64encode(f"token {text}".encode()).decode(),
        ],
    )
    def test_shows_no_secret_that_is_quoted(
        self, name: str, secret: str, quoting: Callable[[str], str], official: Provider
    ) -> None:
        official._session.token = "a-token/that=the+SDK/got"
        official._session.quoted = quoted = quoting(secret)
        message = official.update_job_config(name, PARAMS).message
        assert "(sensitive)" in message
        assert secret[:8] not in message
        assert quoted[-12:-2] not in message

    def test_reads_names_and_configurations(self, official: Provider) -> None:
        official._session.configs = {f"n{number:04}": {} for number in range(1001)}
        assert len(official.config_names()) == 1001
        official._session.configs = {
            "x": {"spec_id": 2, "spec_code": "modelarts.vm.cpu.2u", "model_id": 4, "data_url": ""},
            "y": {"spec_id": 2, "engine_id": 5, "model_id": 0, "worker_server_num": 1},
        }
        assert official.read_job_config("x") == LiveConfig(
            "x", {"train_instance_type": "modelarts.vm.cpu.2u", "model_name": "ResNet_v2_50"}
        )
        live = official.read_job_config("y")
        assert live is not None
        assert live.params["train_instance_type"] == "(spec_id 2)"
        assert live.params["framework_version"] == "(engine_id 5)"
        assert official.read_job_config("z") is None

    def test_creates_and_deletes(self, official: Provider) -> None:
        official._session.configs = {"raises-taken": {"worker_server_num": 3}}
        assert official.create_job_config("x", PARAMS) == DONE
        assert official._session.calls[-1][0] == "x"
        outcome = official.create_job_config("raises-taken", PARAMS)
        assert (outcome.status, outcome.code) == (CallStatus.REFUSED, "ModelArts.0103")
        assert "somebody else" in outcome.message
        assert official.create_job_config("raises-taken", {"train_instance_count": 3}) == DONE
        assert official.delete_job_config("raises-taken") == DONE
        assert official.delete_job_config("raises-taken") == DONE
        assert official._session.configs == {}

    def test_creates_with_the_arguments_of_that_page_and_updates_with_the_rest(
        self, official: Provider
    ) -> None:
        source = [{"type": "obs", "data_url": "/b/d/"}]
        params = {**PARAMS, "data_source": source}
        del params["inputs"]
        assert official.create_job_config("x", params) == DONE
        assert [it[2] for it in official._session.calls] == [{}, {"data_source": source}]
        refused = official.create_job_config("refused", params)
        assert (refused.status, refused.message) == (CallStatus.REFUSED, "no such flavor")
        assert len(official._session.calls) == 3
        refused = Provider(None, Half, is_official_sdk=True).create_job_config("x", params)
        assert refused.status is CallStatus.REFUSED
        assert refused.message == "created, but without its data_source: no such data"

    @pytest.mark.parametrize(
        ("estimator_class", "params", "status", "message"),
        [
            (Older, {"model_name": "a"}, "refused", "unexpected keyword argument 'model_name'"),
            (Older, {"config_desc": "a"}, "refused", "unexpected keyword argument 'config_desc'"),
            (Wrapped, {"config_desc": "a"}, "refused", "unexpected keyword argument 'config_desc'"),
            (Older, {"train_instance_count": 0}, "refused", "ValueError: at least 1"),
            (object, {}, "refused", "TypeError: "),
            (Older, {"inputs": "/b/"}, "unknown", "TypeError: 'NoneType' object is not"),
            (Wrapped, {"inputs": "/b/"}, "unknown", "TypeError: 'NoneType' object is not"),
        ],
    )
    def test_that_refuses_its_arguments_has_sent_nothing(
        self, estimator_class: Any, params: dict[str, Any], status: str, message: str
    ) -> None:
        outcome = Provider(None, estimator_class, is_official_sdk=True).update_job_config(
            "x", params
        )
        assert (outcome.status.value, outcome.code) == (status, "")
        assert message in outcome.message

    def test_that_fails_to_read_is_an_error_without_secrets(self, official: Provider) -> None:
        with pytest.raises(TransportError) as caught:
            official.read_job_config("raises")
        assert str(caught.value) == (
            "get_job_configs_info failed: RuntimeError: cannot reach the service as (sensitive)"
        )
        assert caught.value.__context__ is None
        with pytest.raises(ServiceError, match=r"^ModelArts\.0010 internal error$"):
            official.read_job_config("raises-internal")
        for name in ("says-nothing", "says-html"):
            with pytest.raises(TransportError, match="unreadable answer"):
                official.read_job_config(name)

    def test_whose_create_fails_with_the_reading_after_it_hides_secrets(
        self, official: Provider
    ) -> None:
        message = "RuntimeError: cannot reach the service as (sensitive)"
        assert official.create_job_config("raises", PARAMS) == CallResult(
            status=CallStatus.UNKNOWN,
            message=f"{message}; it could not be read either: get_job_configs_info failed:"
            f" {message}",
        )
        assert official.delete_job_config("raises") == CallResult(
            status=CallStatus.UNKNOWN, message=message
        )

    def test_tells_what_it_knows_of_the_offers_under_the_services_keys(
        self, official: Provider
    ) -> None:
        for _ in range(2):
            assert official.catalog.entries("flavors") == [{"spec_code": "modelarts.vm.cpu.2u"}]
        assert official._session.lists_read == 1
        assert official.catalog.entries("engines") == [
            {"engine_name": "PyTorch", "engine_version": "PyTorch-1.0.0-python3.6"}
        ]
        assert official.catalog.entries("algorithms") == [
            {"model_id": 4, "model_name": "ResNet_v2_50"}
        ]

    @pytest.mark.usefixtures("_keys")
    def test_hides_secrets_when_no_list_comes(self) -> None:
        with (
            opened("sdk", project_id="unreachable") as provider,
            pytest.raises(TransportError, match=r"failed: OSError: refused \(sensitive\)$"),
        ):
            provider.config_names()

    def test_says_what_the_service_does_not_offer(self, official: Provider) -> None:
        # It gave one of twelve algorithms, so that nothing is known of the others.
        found = official.catalog.unknown_names([("a", PARAMS), ("b", BUILT_IN)])
        assert found == [
            'job_config.a: train_instance_type "modelarts.vm.gpu.p100" does not exist; did you mean'
            ' "modelarts.vm.cpu.2u"?'
        ]

    @pytest.mark.usefixtures("_keys")
    @pytest.mark.parametrize(
        ("project_id", "message"),
        [
            ("unreachable", r"get_train_instance_types failed: OSError: refused \(sensitive\)"),
            ("refusing", r"ModelArts\.0206 no"),
            ("odd", r"unreadable answer \(str\) of get_train_instance_types"),
        ],
    )
    def test_that_gives_no_list_is_an_error(self, project_id: str, message: str) -> None:
        with (
            opened("sdk", project_id=project_id) as provider,
            pytest.raises(ProviderError, match=f"^{message}$"),
        ):
            provider.catalog.unknown_names([("a", PARAMS)])

    @pytest.mark.usefixtures("_keys")
    def test_whose_session_fails_is_an_error_without_secrets(self) -> None:
        with pytest.raises(ProviderError) as caught:
            opened("sdk", project_id="broken")
        assert str(caught.value) == "the official SDK's Session cannot be opened (ValueError)"
        assert caught.value.__context__ is None

    def test_signs_in_with_a_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_NAME"):
            monkeypatch.setenv(name, "someone")
        monkeypatch.setenv("OS_PROJECT_ID", PROJECT)
        session = opened("sdk")._session
        assert (session.username, session.password, session.project_id) == (
            "someone",
            "someone",
            PROJECT,
        )

    def test_finds_its_own_credentials_in_a_notebook(self) -> None:
        session = opened("sdk")._session
        assert session.access_key is None
        with pytest.raises(AuthError, match="no credentials\n"):
            opened("sdk", auth="aksk")

    def test_refuses_a_notebook_of_another_project(self) -> None:
        with pytest.raises(ProviderError, match="the settings name another-project"):
            opened("sdk", project_id="another-project")

    def test_takes_no_token_and_no_temporary_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OS_TOKEN", "t")
        with pytest.raises(AuthError, match="the official SDK cannot use a token"):
            opened("sdk")
        for name in ("OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_SECURITY_TOKEN"):
            monkeypatch.setenv(name, "a")
        with pytest.raises(AuthError, match="the official SDK cannot use a temporary access key"):
            opened("sdk")

    def test_that_is_not_installed_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "modelarts.session", None)
        with pytest.raises(ProviderError, match="needs the official ModelArts SDK"):
            opened("sdk")


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    ("document", "problem"),
    [
        *(({"is_success": flag}, "does not say whether") for flag in ODD_FLAGS),
        *(
            (f'{{"is_success": {first}, "is_success": {last}}}'.encode(), "is_success")
            for first in ("true", "false")
            for last in ("true", "false", "null")
        ),
        (b'{"config_desc": "a", "config_desc": "b"}', "config_desc"),
        (b'{"parameter": [{"label": "a", "label": "b"}]}', "label"),
        ({"is_success": True, "config_name": "X"}, 'asked for x and answered with "X"'),
        ({"is_success": True, "config_name": ["x"]}, "asked for x and answered with"),
    ],
)
def test_an_answer_that_can_be_read_in_two_ways_is_not_taken(
    service: FakeService, document: object, problem: str
) -> None:
    service.answer_next(200, document)
    with (
        opened("modelarts", endpoint=service.url, project_id=PROJECT, retries=0) as provider,
        pytest.raises(TransportError, match=re.escape(problem)),
    ):
        provider.read_job_config("x")
