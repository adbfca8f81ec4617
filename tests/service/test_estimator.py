"""The SDK's calls: what they send, and what they answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from majobctl.errors import ConfigError, TransportError
from majobctl.service.catalog import Catalog
from majobctl.service.estimator import Estimator
from majobctl.service.session import Session
from tests.fake_service import (
    ACCESS_KEY,
    ENGINES,
    MANY_MODELS,
    PROJECT,
    SECRET_KEY,
    SPECS,
    FakeService,
)

OK = {"is_success": True}
SAMPLE: dict[str, Any] = {
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "code_dir": "/bucket/src/",
    "boot_file": "/bucket/src/pytorch_sentiment.py",
    "log_url": "/bucket/log/",
    "hyperparameters": [{"label": "lr", "value": "0.001"}, {"label": "classes", "value": 10}],
    "output_path": "/bucket/output/",
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
}
SAMPLE_BODY = {
    "spec_id": 70,
    "worker_server_num": 1,
    "train_url": "/bucket/output/",
    "app_url": "/bucket/src/",
    "boot_file_url": "/bucket/src/pytorch_sentiment.py",
    "engine_id": 31,
    "parameter": [{"label": "classes", "value": "10"}, {"label": "lr", "value": "0.001"}],
    "log_url": "/bucket/log/",
}


def estimator(session: Session, **changes: Any) -> Estimator:
    return Estimator(session, **{**SAMPLE, **changes})


def sent(service: FakeService) -> Any:
    return service.asked("PUT")[-1].document


class TestUpdating:
    def test_sends_the_complete_description_by_its_rest_names(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["my_job_config"] = {}
        answer = Estimator(modelarts_session=session, **SAMPLE).update_job_configs(
            config_name="my_job_config", inputs="obs://bucket/dataset/", config_desc="update"
        )
        assert answer == OK
        assert sent(service) == {
            **SAMPLE_BODY,
            "data_url": "/bucket/dataset/",
            "config_desc": "update",
        }
        assert service.asked("PUT")[0].path.endswith("/training-job-configs/my_job_config")

    def test_sends_a_dataset_or_a_list_of_sources(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        dataset: dict[str, Any] = {"dataset_id": "4AZN", "dataset_version_id": "UOF9"}
        assert estimator(session).update_job_configs("x", **dataset) == OK
        assert sent(service) == {**SAMPLE_BODY, **dataset}
        source = [{"type": "dataset", "dataset_id": "a", "dataset_version": "b"}]
        assert estimator(session).update_job_configs("x", data_source=source) == OK
        assert sent(service) == {**SAMPLE_BODY, "data_source": source}

    def test_finds_a_built_in_algorithm_on_any_page(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        built_in = Estimator(
            session, 2, None, None, "model_105", "/b/o/", train_instance_type="modelarts.vm.cpu.2u"
        )
        assert built_in.update_job_configs("x") == OK
        assert sent(service) == {
            "spec_id": 2,
            "worker_server_num": 2,
            "train_url": "/b/o/",
            "model_id": 105,
        }
        pages = [item.query for item in service.asked("GET", "built-in-algorithms")]
        assert [page["page"] for page in pages] == ["1", "2"]
        assert {(page["sortBy"], page["order"]) for page in pages} == {("model_name", "asc")}

    def test_sends_a_custom_image(self, service: FakeService, session: Session) -> None:
        service.configs["x"] = {}
        image = Estimator(
            session,
            train_instance_count=1,
            output_path="/b/o/",
            train_instance_type="modelarts.vm.cpu.2u",
            user_image_url="swr.example.com/a/b:1.0",
            user_command="bash run.sh",
            job_description="not sent",
        )
        assert image.update_job_configs("x") == OK
        assert sent(service) == {
            "spec_id": 2,
            "worker_server_num": 1,
            "train_url": "/b/o/",
            "user_image_url": "swr.example.com/a/b:1.0",
            "user_command": "bash run.sh",
        }

    def test_sends_a_blank_argument_as_blank_and_leaves_out_none(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        blank = estimator(session, hyperparameters=[], log_url="", model_name="", user_command=None)
        assert blank.update_job_configs("x", config_desc="", data_source=[], inputs="/b/d/") == OK
        body = {key: SAMPLE_BODY[key] for key in SAMPLE_BODY if key not in ("log_url", "parameter")}
        assert sent(service) == {
            **body,
            "parameter": [],
            "log_url": "",
            "model_id": 0,
            "config_desc": "",
            "data_source": [],
            "data_url": "/b/d/",
        }

    def test_follows_attributes_that_were_changed(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        changed = estimator(session, config_name="x")
        changed.train_instance_count = 4
        assert changed.update_job_configs() == OK
        assert sent(service)["worker_server_num"] == 4

    def test_answers_a_refusal_as_the_sdk_does(
        self, service: FakeService, session: Session
    ) -> None:
        assert estimator(session).update_job_configs("x") == {
            "is_success": False,
            "error_code": "ModelArts.0102",
            "error_msg": "x does not exist.",
        }

    def test_answers_a_refusal_without_a_reason_too(
        self, service: FakeService, session: Session
    ) -> None:
        estimator(session).update_job_configs("x")
        service.answer_next(400, {"error_code": "ModelArts.0101"})
        assert estimator(session).update_job_configs("x") == {
            "is_success": False,
            "error_code": "ModelArts.0101",
            "error_msg": "ModelArts.0101",
        }

    def test_raises_if_the_outcome_is_not_known(
        self, service: FakeService, session: Session
    ) -> None:
        estimator(session).update_job_configs("x")
        service.script.extend([lambda handler: handler.send_raw(b"")] * 6)
        with pytest.raises(TransportError) as caught:
            estimator(session).update_job_configs("x")
        assert caught.value.outcome_unknown

    def test_with_wrong_arguments_names_them_all_and_sends_nothing(
        self, service: FakeService, session: Session
    ) -> None:
        wrong = estimator(session, train_instance_count=0, boot_file="/elsewhere/boot.py")
        with pytest.raises(ConfigError) as caught:
            wrong.update_job_configs("not a name!", inputs="/b/d/", dataset_id="a")
        text = str(caught.value)
        for part in ("a name has 1 to 20", "at least 1", "inside code_dir", "dataset_id"):
            assert part in text
        assert service.requests == []

    @pytest.mark.parametrize("name", ["", "..", 5, None])
    def test_needs_a_name(self, name: Any, service: FakeService, session: Session) -> None:
        with pytest.raises(ConfigError, match=r"^config_name must be a name$"):
            estimator(session).update_job_configs(name)
        with pytest.raises(ConfigError):
            Estimator(session, config_name=name).delete_job_configs()
        assert service.requests == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"train_instance_type": "modelarts.vm.gpu.p1000"},
                'train_instance_type "modelarts.vm.gpu.p1000" does not exist;'
                ' did you mean "modelarts.vm.gpu.p100"',
            ),
            (
                {"framework_type": "PyTorh"},
                'framework_type "PyTorh" does not exist; did you mean "PyTorch"',
            ),
            (
                {"framework_version": "MXNet-1.2.1-python2.7"},
                'framework_version "MXNet-1.2.1-python2.7" does not exist',
            ),
        ],
    )
    def test_stops_at_a_name_that_the_service_does_not_offer(
        self, changes: dict[str, str], message: str, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        with pytest.raises(ConfigError) as caught:
            estimator(session, **changes).update_job_configs("x")
        assert str(caught.value).startswith(message)
        assert service.asked("PUT") == []

    def test_stops_at_an_algorithm_that_the_service_does_not_offer(self, session: Session) -> None:
        built_in = Estimator(
            session,
            train_instance_count=1,
            output_path="/b/o/",
            train_instance_type="modelarts.vm.cpu.2u",
            model_name="model_1000",
        )
        with pytest.raises(ConfigError, match=r'model_name "model_1000" does not exist; did you'):
            built_in.update_job_configs("x")


class TestTheOtherCalls:
    def test_create_read_and_delete_a_configuration(
        self, service: FakeService, session: Session
    ) -> None:
        created = estimator(session, config_name="x")
        assert created.create_job_configs(config_name="x", config_desc="new") == OK
        assert service.asked("POST")[0].document == {
            "config_name": "x",
            **SAMPLE_BODY,
            "config_desc": "new",
        }
        info = Estimator(session, config_name="x").get_job_configs_info()
        assert (info["is_success"], info["config_desc"]) == (True, "new")
        assert service.requests[-1].query == {"config_type": "custom"}
        assert Estimator(session, config_name="x").delete_job_configs() == OK
        gone = Estimator(session, config_name="x").delete_job_configs()
        assert gone["error_code"] == "ModelArts.0102"
        assert Estimator(session, config_name="x").get_job_configs_info()["is_success"] is False

    def test_a_creation_answers_its_configuration(
        self, service: FakeService, session: Session
    ) -> None:
        job = estimator(session)
        created: Any = job.create_job_configs("x", inputs="/b/d/")
        job.train_instance_count = 5
        assert (created, dict(created), repr(created)) == (OK, OK, "{'is_success': True}")
        assert created.config_name == "x"
        assert created.get_job_configs_info()["data_url"] == "/b/d/"
        assert created.update_job_configs(config_desc="b") == OK
        assert service.configs["x"]["config_desc"] == "b"
        assert sent(service)["worker_server_num"] == 1
        assert created.delete_job_configs() == OK
        assert service.configs == {}

    def test_a_class_with_another_constructor_creates_as_well(
        self, service: FakeService, session: Session
    ) -> None:
        class Own(Estimator):
            def __init__(self, count: int) -> None:
                super().__init__(session, **{**SAMPLE, "train_instance_count": count})

        created: Any = Own(1).create_job_configs("x")
        assert created.get_job_configs_info()["worker_server_num"] == 1
        assert created.delete_job_configs() == OK

    def test_a_refused_creation_has_no_configuration_to_delete(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        refused = estimator(session).create_job_configs("x")
        assert refused["error_code"] == "ModelArts.0103"
        assert not hasattr(refused, "delete_job_configs")

    @pytest.mark.parametrize(
        ("own", "given"), [(None, None), ("", None), (None, ""), ("", ""), ("x", "")]
    )
    def test_a_blank_name_is_the_date_of_the_creation(
        self, own: Any, given: Any, service: FakeService, session: Session
    ) -> None:
        created: Any = estimator(session, config_name=own).create_job_configs(given)
        assert re.fullmatch(r"20\d{6}-\d{6}-\d{4}", created.config_name)
        assert list(service.configs) == [created.config_name]

    @pytest.mark.parametrize("name", ["..", 5, 0, [], "x" * 21])
    def test_a_creation_takes_no_other_name(
        self, name: Any, service: FakeService, session: Session
    ) -> None:
        with pytest.raises(ConfigError):
            estimator(session).create_job_configs(name)
        assert service.requests == []

    def test_a_session_may_allow_longer_names(self, service: FakeService, session: Session) -> None:
        with pytest.raises(ConfigError, match=r"; Session\(max_name_length=64\) allows it$"):
            estimator(session).update_job_configs("x" * 64)
        with Session(
            ACCESS_KEY, SECRET_KEY, PROJECT, endpoint=service.url, max_name_length=64
        ) as session:
            assert estimator(session).create_job_configs("x" * 64) == OK
            assert estimator(session).update_job_configs("x" * 64) == OK
            with pytest.raises(ConfigError, match="1 to 64 characters"):
                estimator(session).update_job_configs("x" * 65)

    def test_send_a_volume_as_it_is_given(self, service: FakeService, session: Session) -> None:
        volume = {"nas_type": "nfs", "nas_share_addr": "192.0.2.1:/", "nas_mount_path": "/n"}
        estimator(session, **volume).create_job_configs("x")
        assert service.configs["x"].items() >= volume.items()
        assert estimator(session, nas_type=None, nas_mount_path="").update_job_configs("x") == OK
        assert sent(service) == {**SAMPLE_BODY, "nas_mount_path": ""}
        with pytest.raises(ConfigError, match="nas_type: must be a string"):
            estimator(session, nas_type=5).update_job_configs("x")

    def test_quote_a_name_that_only_the_service_could_have(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["a/b ü"] = {"config_desc": "odd"}
        info = Estimator(session, config_name="a/b ü").get_job_configs_info()
        assert info["config_desc"] == "odd"
        assert service.requests[0].path.endswith("/training-job-configs/a%2Fb%20%C3%BC")

    def test_list_one_page_and_always_say_how_it_is_sorted(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs = {"b": {}, "a": {}}
        answer = Estimator.get_job_configs_list(modelarts_session=session)
        assert answer["config_total_count"] == 2
        Estimator.get_job_configs_list(session, 5, 2, "create_time", "desc", "text")
        Estimator.get_job_configs_list(session, sortBy="create_time")
        common = {"config_type": "custom"}
        assert [item.query for item in service.requests] == [
            {"per_page": "10", "page": "1", "sortBy": "config_name", "order": "asc", **common},
            {
                "per_page": "5",
                "page": "2",
                "sortBy": "create_time",
                "order": "desc",
                "search_content": "text",
                **common,
            },
            {"per_page": "10", "page": "1", "sortBy": "create_time", "order": "asc", **common},
        ]

    def test_list_objects_and_show_them(
        self, service: FakeService, session: Session, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configs = [
            {
                "config_name": "long-name",
                "config_desc": "\x1b[2J",
                "engine_name": "MXNet",
                "engine_version": "v",
            },
            {"config_name": "b", "config_desc": None, "create_time": 5},
        ]
        for _ in range(2):
            service.answer_next(200, {**OK, "configs": configs})
        found = Estimator.get_job_configs_object_list(modelarts_session=session)
        assert isinstance(found, list)
        assert [repr(item) for item in found] == [
            "Estimator(config_name='long-name')",
            "Estimator(config_name='b')",
        ]
        assert (found[0].framework_type, found[0].framework_version) == ("MXNet", "v")
        assert capsys.readouterr().out.splitlines() == [
            "config_name  config_desc  engine_name  engine_version  create_time",
            "long-name    \\x1b[2J      MXNet        v",
            "b                                                                5",
        ]
        assert Estimator.get_job_configs_object_list(session, is_show=False)
        assert capsys.readouterr().out == ""

    def test_list_objects_answers_a_refusal(self, service: FakeService, session: Session) -> None:
        service.answer_next(400, {"is_success": False, "error_code": "ModelArts.2790"})
        answer = Estimator.get_job_configs_object_list(session)
        assert isinstance(answer, dict) and answer["error_code"] == "ModelArts.2790"

    def test_say_what_the_service_offers(self, service: FakeService, session: Session) -> None:
        assert Estimator.get_framework_list(modelarts_session=session) == [
            {"framework_type": item["engine_name"], "framework_version": item["engine_version"]}
            for item in ENGINES
        ]
        assert Estimator.get_train_instance_types(modelarts_session=session) == [
            item["spec_code"] for item in SPECS
        ]
        answer = Estimator.get_built_in_algorithms(modelarts_session=session)
        assert answer == {**OK, "model_total_count": 105, "models": MANY_MODELS}
        queries = [item.query for item in service.requests[:2]]
        assert queries == [{"job_type": "train"}] * 2

    @pytest.mark.parametrize(
        "call",
        [
            Estimator.get_framework_list,
            Estimator.get_train_instance_types,
            Estimator.get_built_in_algorithms,
        ],
    )
    def test_answer_a_refusal(
        self, call: Callable[..., Any], service: FakeService, session: Session
    ) -> None:
        service.answer_next(403, {"error_code": "ModelArts.0206", "error_msg": "no"})
        assert call(modelarts_session=session) == {
            "is_success": False,
            "error_code": "ModelArts.0206",
            "error_msg": "no",
        }


class TestTheCatalogue:
    def test_is_read_once_a_session_by_all_workers(
        self, service: FakeService, session: Session
    ) -> None:
        names = [f"config-{number}" for number in range(12)]
        service.configs = {name: {} for name in names}

        def update(name: str) -> Any:
            return estimator(session).update_job_configs(name)

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(update, names)) == [OK] * 12
        assert len(service.asked("GET")) == 2

    def test_is_read_again_after_a_failure(self, service: FakeService, session: Session) -> None:
        service.answer_next(500, {"error_code": "ModelArts.0010"})
        assert isinstance(Estimator.get_train_instance_types(session), dict)
        assert isinstance(Estimator.get_train_instance_types(session), list)

    def test_ends_if_the_service_ignores_pages(
        self, service: FakeService, session: Session
    ) -> None:
        service.paged = False
        assert len(session.catalog.entries("algorithms")) == 100
        assert len(service.requests) == 2

    @pytest.mark.parametrize("specs", [None, 5, {"a": "b"}, ["a"]])
    def test_that_is_not_a_list_is_an_unreadable_answer(
        self, specs: object, service: FakeService, session: Session
    ) -> None:
        service.answer_next(200, {**OK, "specs": specs})
        with pytest.raises(TransportError, match="specs is not a list") as caught:
            Estimator.get_train_instance_types(session)
        assert not caught.value.outcome_unknown

    def test_skips_entries_without_a_name_or_an_id(
        self, service: FakeService, session: Session
    ) -> None:
        specs = [{}, {"spec_code": "a"}, {"spec_code": ["a"], "spec_id": 1}]
        specs += [{"spec_code": "a", "spec_id": 2}, {"spec_code": "a", "spec_id": 3}]
        service.answer_next(200, {**OK, "specs": specs})
        assert session.catalog.id_of("flavors", "a") == 2

    def test_looks_for_a_name_and_for_an_id_once(self) -> None:
        class Counted(list[dict[str, Any]]):
            passes = 0

            def __iter__(self) -> Iterator[dict[str, Any]]:
                self.passes += 1
                return super().__iter__()

        entries = Counted([{"spec_code": "a", "spec_id": 2}])
        catalog = Catalog(lambda name: (entries, True))
        for _ in range(3):
            assert catalog.id_of("flavors", "a") == 2
            assert catalog.names_of("flavors", "2") == ("a",)
            with pytest.raises(ConfigError):
                catalog.id_of("flavors", "b")
        assert entries.passes == 2 + 3


def test_the_fake_checks_signatures_for_these_tests(service: FakeService) -> None:
    with Session("TESTAK00000000000001", "wrong", "p", endpoint=service.url) as session:
        answer = Estimator.get_job_configs_list(session)
    assert answer["error_code"] == "APIGW.0301"
