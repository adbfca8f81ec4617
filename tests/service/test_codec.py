"""What a job config would say, from what the service answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.job_config.fields import FIELDS
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.values import as_text
from majobctl.service.codec import live_config
from majobctl.service.http.responses import read_object

BLANKS: tuple[Any, ...] = (None, "", [], {})
COMPUTED = {
    "config_name": "x",
    "config_type": "custom",
    "spec_code": "flavor-b",
    "core": "8",
    "cpu": "64",
    "gpu_num": 1,
    "gpu_type": "v100",
    "engine_type": 10,
    "dataset_name": "d",
    "dataset_version_name": "v",
    "pool_id": "p",
    "pool_name": "q",
    "pool_type": "SYSTEM_DEFINED",
    "volumes": None,
    "nas_type": "efs",
    "nas_mount_path": None,
    "nas_share_addr": "",
    "flavor": {"code": "flavor-b"},
    "create_time": 1524189990635,
    "is_success": True,
}


class Listed:
    """A catalogue of two flavors, one engine and one algorithm."""

    def names_of(self, name: str, number: str) -> tuple[str, ...] | None:
        return {
            ("flavors", "2"): ("flavor-a",),
            ("flavors", "70"): ("flavor-b",),
            ("engines", "31"): ("PyTorch", "PyTorch-1.0.0"),
            ("algorithms", "4"): ("ResNet_v2_50",),
        }.get((name, number))


def live(**document: Any) -> LiveConfig:
    return live_config("x", document, Listed())


def params(**document: Any) -> Mapping[str, Any]:
    found = live(**document)
    assert found.problems == ()
    return found.params


def written(text: str) -> Mapping[str, Any]:
    """The params of an answer as it came over the wire."""
    return params(**read_object(text.encode()))


class TestACompleteAnswer:
    def test_has_the_sdk_names_in_the_documented_order_and_nothing_computed(self) -> None:
        found = live(
            **COMPUTED,
            data_url="obs://b/data/",
            config_desc="d",
            log_url="/b/log/",
            parameter=[{"label": "lr", "value": "0.1"}, {"label": "classes", "value": "10"}],
            user_command="bash run.sh",
            user_image_url="swr/image:1",
            engine_id=31,
            boot_file_url="/b/s/boot.py",
            app_url="/b/s/",
            train_url="/b/o/",
            worker_server_num=2,
            spec_id=70,
        )
        assert found == LiveConfig(
            "x",
            {
                "train_instance_type": "flavor-b",
                "train_instance_count": 2,
                "output_path": "/b/o/",
                "code_dir": "/b/s/",
                "boot_file": "/b/s/boot.py",
                "framework_type": "PyTorch",
                "framework_version": "PyTorch-1.0.0",
                "user_image_url": "swr/image:1",
                "user_command": "bash run.sh",
                "hyperparameters": {"classes": "10", "lr": "0.1"},
                "log_url": "/b/log/",
                "config_desc": "d",
                "inputs": "/b/data/",
            },
        )
        assert list(found.params) == [key for key in FIELDS if key in found.params]
        assert list(found.params["hyperparameters"]) == ["classes", "lr"]

    @pytest.mark.parametrize(
        ("answered", "names"),
        [
            ({"volumes": [{"nfs": {"id": "x"}}]}, ["volumes"]),
            ({"nas_share_addr": "a:/", "nas_type": "nfs"}, ["nas_share_addr"]),
            ({"nas_mount_path": "/m"}, ["nas_mount_path"]),
            ({"what_is_to_come": {"a": 1}}, ["what_is_to_come"]),
            ({"is_private": True, "is_new": False, "level": 0}, ["is_private"]),
            ({"data_source": [{"data_url": "/b/x/", "split": "1"}]}, ["data_source.split"]),
            ({"parameter": [{"label": "a", "value": "1", "unit": "s"}]}, ["parameter.unit"]),
            ({"z": 1, "a\n": 1}, ["a\\n", "z"]),
            *(({"what_is_to_come": blank}, []) for blank in BLANKS),
        ],
    )
    def test_names_the_fields_that_no_key_can_say(
        self, answered: dict[str, Any], names: list[str]
    ) -> None:
        found = live(**COMPUTED | answered)
        assert found.unknown_fields == tuple(names)
        assert [text for text in found.problems if "no key of a job config" in text] == [
            f"the service has {', '.join(names)}, which no key of a job config can express; a call"
            f" may remove {'it' if len(names) == 1 else 'them'}, and needs --overwrite"
            for _ in names[:1]
        ]

    @pytest.mark.parametrize("blank", BLANKS, ids=repr)
    def test_of_blank_values_only_says_nothing(self, blank: object) -> None:
        keys = {field.rest for field in FIELDS.values() if field.rest}
        computed = ("spec_code", "engine_name", "engine_version")
        assert live(**dict.fromkeys((*keys, *computed), blank)) == LiveConfig("x", {})

    def test_that_is_empty_says_nothing(self) -> None:
        assert live() == LiveConfig("x", {})


URL, OTHER = "/usr/data/", "/usr/other/"
MANIFEST = "/usr/annotation/V002/v1.manifest"
OBS, DATASET = {"type": "obs", "data_url": URL}, {"type": "dataset", "dataset_id": "d"}
DATASET |= {"dataset_version": "v"}
IDS = {"dataset_id": "d", "dataset_version_id": "v"}
CODE = {"app_url": "/usr/app/", "boot_file_url": "/usr/app/boot.py"}
IMAGE = {"user_image_url": "swr/image:1"}
ENGINE = {"framework_type": "TensorFlow", "framework_version": "TF-1.4.0"}
DEFAULT_ENGINE = {"engine_id": 1, "engine_name": "TensorFlow", "engine_version": "TF-1.4.0"}


class TestAnAnswerThatNamesMoreThanWasSet:
    @pytest.mark.parametrize("wanted", ["inputs", "dataset_id", "data_source", "log_url"])
    @pytest.mark.parametrize(
        ("answer", "plain", "entries"),
        [
            ({"data_url": URL, "data_source": [OBS]}, {"inputs": URL}, [OBS]),
            ({"data_url": URL}, {"inputs": URL}, [OBS]),
            ({"data_url": "obs:/" + URL, "data_source": [OBS]}, {"inputs": URL}, [OBS]),
            ({**IDS, "data_url": MANIFEST}, IDS, [DATASET]),
            ({**IDS, "data_url": MANIFEST, "data_source": [DATASET]}, IDS, [DATASET]),
            ({**IDS, "data_url": URL, "data_source": [OBS]}, IDS, [DATASET]),
            ({**IDS, "data_source": [{**DATASET, "data_url": MANIFEST}]}, IDS, [DATASET]),
        ],
    )
    def test_has_its_data_once_and_in_the_words_that_are_wanted(
        self,
        wanted: str,
        answer: dict[str, Any],
        plain: Mapping[str, Any],
        entries: list[dict[str, str]],
    ) -> None:
        expected = {"data_source": entries} if wanted == "data_source" else plain
        assert live(**answer).params_as({wanted: {"$sensitive": "h"}}) == expected
        assert live(**answer).params == plain

    def test_is_in_the_words_that_say_the_same_or_else_in_those_of_the_state(self) -> None:
        state, same, edited = {"inputs": URL}, {"data_source": [OBS]}, {"data_source": [DATASET]}
        for answer in ({"data_url": URL}, {"data_source": [OBS]}, {"data_url": URL} | same):
            assert live(**answer).params_as(same, state) == same
            assert live(**answer).params_as(edited, state) == state
            assert live(**answer).params_as(edited, {"log_url": ""}) == same

    @pytest.mark.parametrize("wanted", ["inputs", "dataset_id"])
    def test_has_one_entry_in_the_words_that_are_wanted(self, wanted: str) -> None:
        for entry, plain in ((OBS, {"inputs": URL}), (DATASET, IDS)):
            found = live(data_source=[entry])
            assert found.params_as({wanted: ""}) == plain
            assert found.params_as() == found.params == {"data_source": [entry]}

    @pytest.mark.parametrize(
        ("answer", "kept"),
        [
            # Two sources are not one, and what contradicts itself stays in sight.
            ({"data_source": [OBS, {**OBS, "data_url": OTHER}], "data_url": URL}, ["data_source"]),
            ({"data_source": [OBS], "data_url": OTHER}, ["inputs", "data_source"]),
            (
                {**IDS, "data_source": [{**DATASET, "dataset_id": "e"}]},
                ["dataset_id", "dataset_version_id", "data_source"],
            ),
            ({"data_source": [DATASET, {**DATASET, "dataset_id": "e"}], **IDS}, ["data_source"]),
            ({"data_source": [DATASET], "data_url": MANIFEST}, ["data_source"]),
            ({**IDS, "data_source": [OBS]}, ["dataset_id", "dataset_version_id", "data_source"]),
            ({"dataset_id": "d", "data_url": MANIFEST}, ["dataset_id"]),
            ({"data_source": "x", "data_url": URL}, ["inputs", "data_source"]),
            # An algorithm overrules code, engine and image.
            ({"model_id": 4, **CODE, **DEFAULT_ENGINE, **IMAGE}, ["model_name"]),
            ({"model_id": 4, **CODE, "user_command": "c", "engine_id": 31}, ["model_name"]),
            ({"model_id": 0, **CODE}, ["code_dir", "boot_file"]),
            ({**CODE, **IMAGE}, ["code_dir", "boot_file", "user_image_url"]),
            # A dedicated pool has its own flavor; the public one is nobody's choice.
            ({"pool_id": "p", "spec_id": 2, "pool_type": "USER_DEFINED"}, ["pool_id"]),
            ({"pool_id": "p", "spec_code": "flavor-a", "pool_type": ""}, ["pool_id"]),
            (
                {"pool_id": "p", "spec_id": 2, "pool_type": "SYSTEM_DEFINED"},
                ["train_instance_type"],
            ),
        ],
    )
    def test_keeps_what_decides(self, answer: dict[str, Any], kept: list[str]) -> None:
        found = live(**answer)
        assert (list(found.params), found.problems) == (kept, ())
        assert list(found.params_as({"log_url": ""})) == kept

    @pytest.mark.parametrize(
        ("answer", "wanted", "is_seen"),
        [
            (DEFAULT_ENGINE, {}, False),
            (DEFAULT_ENGINE, {"framework_type": "", "framework_version": ""}, True),
            ({**DEFAULT_ENGINE, "engine_id": None}, {}, False),
            ({**DEFAULT_ENGINE, "engine_id": "1"}, {}, False),
            # Somebody must have set another one than the documented default.
            ({**DEFAULT_ENGINE, "engine_id": 31}, {}, True),
        ],
    )
    def test_has_an_engine_beside_an_image_if_somebody_named_it(
        self, answer: dict[str, Any], wanted: Mapping[str, Any], is_seen: bool
    ) -> None:
        found = live(**IMAGE, **answer).params_as(wanted)
        assert found == {**(ENGINE if is_seen else {}), **IMAGE}
        assert live(**answer).params_as() == ENGINE


class TestAFlavor:
    @pytest.mark.parametrize(
        ("answer", "name"),
        [
            ({"flavor": {"code": "a"}}, "a"),
            ({"flavor_code": "b", "flavor": {"code": "a"}}, "b"),
            ({"spec_id": 77, "flavor": {"code": "a"}}, "a"),
            ({"spec_code": "c", "flavor_code": "b"}, "c"),
            ({"spec_id": 2, "flavor": "a"}, "flavor-a"),
            ({"spec_id": 2, "flavor": {"code": None}, "flavor_code": ""}, "flavor-a"),
        ],
    )
    def test_may_come_as_a_code_of_another_form(self, answer: dict[str, Any], name: str) -> None:
        assert params(**answer) == {"train_instance_type": name}

    def test_is_the_name_that_the_service_adds(self) -> None:
        assert params(spec_id=2, spec_code="renamed") == {"train_instance_type": "renamed"}

    @pytest.mark.parametrize("spec_id", [2, "2"])
    @pytest.mark.parametrize("spec_code", BLANKS, ids=repr)
    def test_is_looked_up_if_it_adds_none(self, spec_id: object, spec_code: object) -> None:
        found = params(spec_id=spec_id, spec_code=spec_code)
        assert found == {"train_instance_type": "flavor-a"}

    @pytest.mark.parametrize("unset", [0, "0"])
    def test_with_the_id_0_is_none_unless_it_has_a_name(self, unset: object) -> None:
        assert params(spec_id=unset) == {}
        assert params(spec_id=unset, spec_code="a") == {"train_instance_type": "a"}

    @pytest.mark.parametrize(
        ("spec_id", "shown"), [(77, "77"), ("77", "77"), (True, "true"), ([1], "[1]")]
    )
    def test_that_is_gone_stays_visible(self, spec_id: object, shown: str) -> None:
        assert live(spec_id=spec_id) == LiveConfig(
            "x",
            {"train_instance_type": f"(spec_id {shown})"},
            (f"train_instance_type: the service has no flavor with spec_id {shown} any more",),
        )


class TestAnEngine:
    NAMED: Mapping[str, Any] = {"framework_type": "PyTorch", "framework_version": "PyTorch-1.0.0"}

    def test_is_the_name_that_the_service_adds(self) -> None:
        assert params(engine_id=5, engine_name="PyTorch", engine_version="PyTorch-1.0.0") == (
            self.NAMED
        )

    @pytest.mark.parametrize("half", [{"engine_name": "A"}, {"engine_version": "B"}, {}])
    def test_is_looked_up_if_it_adds_no_complete_one(self, half: dict[str, str]) -> None:
        assert params(engine_id=31, **half) == self.NAMED

    def test_may_come_without_its_id(self) -> None:
        assert params(engine_name="PyTorch", engine_version="PyTorch-1.0.0") == self.NAMED
        assert params(engine_name="PyTorch") == {}

    @pytest.mark.parametrize("unset", [0, "0"])
    def test_with_the_id_0_is_none(self, unset: object) -> None:
        assert params(engine_id=unset, engine_name="A", engine_version="B") == {}

    def test_that_is_gone_stays_visible_in_both_keys_and_is_reported_once(self) -> None:
        assert live(engine_id=5) == LiveConfig(
            "x",
            {"framework_type": "(engine_id 5)", "framework_version": "(engine_id 5)"},
            ("framework_type: the service has no engine with engine_id 5 any more",),
        )


class TestABuiltInAlgorithm:
    def test_is_looked_up_and_its_engine_is_its_own(self) -> None:
        found = params(model_id=4, engine_id=5, engine_name="MXNet", engine_version="M")
        assert found == {"model_name": "ResNet_v2_50"}

    @pytest.mark.parametrize("unset", [0, "0", *BLANKS])
    def test_with_the_id_0_is_none(self, unset: object) -> None:
        assert params(model_id=unset, engine_id=31) == TestAnEngine.NAMED

    def test_that_is_gone_stays_visible(self) -> None:
        assert live(model_id=9, engine_id=5) == LiveConfig(
            "x",
            {"model_name": "(model_id 9)"},
            ("model_name: the service has no built-in algorithm with model_id 9 any more",),
        )

    def test_is_printed_without_acting_on_the_terminal(self) -> None:
        (problem,) = live(model_id="\x1b[2J").problems
        assert problem.endswith(r"with model_id \x1b[2J any more")


class TestANodeCount:
    @pytest.mark.parametrize(
        ("value", "count"),
        [
            (2, 2),
            ("2", 2),
            ("007", 7),
            (0, 0),
            ("-2", "-2"),
            ("two", "two"),
            ("2" * 30, "2" * 30),
            (True, "true"),
            (2**63, str(2**63)),
            ([2], "[2]"),
        ],
    )
    def test_is_a_number_if_it_can_be_one(self, value: object, count: object) -> None:
        found = params(worker_server_num=value)["train_instance_count"]
        assert (found, type(found)) == (count, type(count))

    def test_that_is_a_float_stays_as_it_was_written(self) -> None:
        assert written('{"worker_server_num": 2.50}') == {"train_instance_count": "2.50"}


class TestHyperparameters:
    def test_numbers_and_booleans_become_the_text_they_were_written_as(self) -> None:
        values = ["1e-5", "0.10", "10", "-3", "1E400", "true", "false", "1.0", str(10**40)]
        items = ", ".join(f'{{"label": "{text}", "value": {text}}}' for text in values)
        found = written(f'{{"parameter": [{items}]}}')["hyperparameters"]
        assert found == {text: text for text in values}

    @pytest.mark.parametrize("item", [{"label": "a", "value": None}, {"label": "a"}])
    def test_without_a_value_are_empty(self, item: dict[str, Any]) -> None:
        assert params(parameter=[item]) == {"hyperparameters": {"a": ""}}

    def test_that_are_blank_altogether_are_none(self) -> None:
        assert params(parameter=[{"label": "", "value": None}, {}]) == {}

    def test_may_come_as_an_object(self) -> None:
        assert params(parameter={"b": 1, "a": "2"}) == {"hyperparameters": {"a": "2", "b": "1"}}

    @pytest.mark.parametrize(
        "form", [json.dumps, lambda items: [None, *items], lambda items: json.dumps([None, *items])]
    )
    def test_may_come_as_json_text_or_with_nulls(self, form: Callable[[Any], Any]) -> None:
        found = live(parameter=form([{"label": "a", "value": "2"}, {"label": "b", "value": 1}]))
        assert (found.params, found.problems) == ({"hyperparameters": {"a": "2", "b": "1"}}, ())
        text = '{"lr": 1e-5, "n": 0.10}'
        assert params(parameter=text) == {"hyperparameters": {"lr": "1e-5", "n": "0.10"}}

    def test_of_another_form_stay_visible(self) -> None:
        items = [{"label": 1, "value": [2, {"x": None}]}, {"value": "v"}]
        assert params(parameter=items)["hyperparameters"] == {"": "v", "1": '[2, {"x": null}]'}

    @pytest.mark.parametrize("parameter", [[5, {"label": "a", "value": "1"}], "[5]", "{", 5, True])
    def test_that_are_no_list_of_objects_are_one_text_and_reported(self, parameter: Any) -> None:
        found = live(parameter=parameter)
        assert found.params == {"hyperparameters": as_text(parameter)}
        assert found.problems == (
            "hyperparameters: the service does not have a list of labels and values",
        )

    def test_with_a_repeated_label_are_reported_without_the_values(self) -> None:
        found = live(parameter=[{"label": "a", "value": "1"}, {"label": "a", "value": "2"}])
        assert found.params == {"hyperparameters": {"a": "2"}}
        assert found.problems == ('hyperparameters: the label "a" is there twice',)


@pytest.mark.parametrize("scheme", ["obs://", "s3://", "/"])
def test_an_obs_path_has_one_form(scheme: str) -> None:
    keys = {"train_url": "output_path", "app_url": "code_dir", "boot_file_url": "boot_file"}
    keys |= {"log_url": "log_url", "data_url": "inputs"}
    assert params(**dict.fromkeys(keys, f"{scheme}b/s3://x/")) == dict.fromkeys(
        keys.values(), "/b/s3://x/"
    )
    entry = {"type": "obs", "data_url": f"{scheme}b/x/"}
    assert params(data_source=[entry]) == {"data_source": [{"type": "obs", "data_url": "/b/x/"}]}


class TestADataSource:
    def test_gets_the_type_that_it_lacks_and_loses_blank_and_foreign_keys(self) -> None:
        obs = [{"data_url": "obs://b/x/", "dataset_id": None, "type": "", "size": 5}]
        assert live(data_source=obs).params == {
            "data_source": [{"type": "obs", "data_url": "/b/x/"}]
        }
        dataset = [{"dataset_version": "v", "dataset_id": "d", "data_url": ""}]
        assert params(data_source=dataset) == {
            "data_source": [{"type": "dataset", "dataset_id": "d", "dataset_version": "v"}]
        }

    def test_of_blank_entries_is_none(self) -> None:
        assert params(data_source=[{"type": None, "data_url": ""}, {}]) == {}

    def test_keeps_what_contradicts_itself(self) -> None:
        entry = {"type": "obs", "dataset_id": 5}
        assert params(data_source=[entry]) == {"data_source": [{"type": "obs", "dataset_id": "5"}]}

    @pytest.mark.parametrize("value", [[5], {"type": "obs"}, [{"type": "obs"}, 0]])
    def test_of_another_form_stays_visible(self, value: object) -> None:
        assert params(data_source=value) == {"data_source": json.dumps(value)}


def test_text_of_another_type_stays_visible() -> None:
    found = params(config_desc=5, log_url=["/b/"], dataset_id=False, train_url={"é": None})
    assert found == {
        "config_desc": "5",
        "log_url": '["/b/"]',
        "dataset_id": "false",
        "output_path": '{"é": null}',
    }


def test_a_value_that_json_cannot_hold_is_reported_as_unreadable() -> None:
    loop: list[Any] = []
    loop.append(loop)
    found = params(config_desc=loop, dataset_id={(1, 2): 3}, log_url=10**5000)
    assert set(found.values()) == {"(unreadable)"}


def test_half_of_a_surrogate_pair_is_shown_as_an_escape() -> None:
    found = params(config_desc="a\ud800", parameter=[{"label": "\udfff", "value": "é"}])
    assert found == {"config_desc": "a\\ud800", "hyperparameters": {"\\udfff": "é"}}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.text(st.characters(categories=["Cs"]), max_size=2)
    | st.sampled_from(["obs", "dataset", "obs://b/x", "0", 0, 2, "label", 2**70])
)
_keys = st.sampled_from(
    ["label", "value", "type", "data_url", "dataset_id", "dataset_version"]
) | st.text(max_size=3)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from(
    sorted(
        {field.rest for field in FIELDS.values() if field.rest}
        | {"spec_code", "engine_name", "engine_version"}
    )
)
_documents = st.dictionaries(_fields | st.text(max_size=3), _json, max_size=12)


@given(_documents)
@example({"parameter": [{"label": [], "value": {}}]})
def test_any_object_at_all_is_read(document: dict[str, Any]) -> None:
    found = live_config("x", document, Listed())
    text = json.dumps(found.params, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode("utf-8")) == found.params
    assert [key for key in FIELDS if key in found.params] == list(found.params)
    assert isinstance(found.params.get("hyperparameters", {}), (dict, str))
    assert all(problem.isprintable() for problem in found.problems)
    assert not any(value in BLANKS for value in found.params.values())


@given(_documents, st.data())
def test_blank_values_of_every_form_are_the_same(
    document: dict[str, Any], data: st.DataObject
) -> None:
    bare = {key: value for key, value in document.items() if value not in BLANKS}
    other = dict(bare)
    for key in sorted({field.rest for field in FIELDS.values() if field.rest}):
        if key not in bare and data.draw(st.booleans()):
            other[key] = data.draw(st.sampled_from(BLANKS))
    expected = live_config("x", bare, Listed())
    assert live_config("x", document, Listed()) == expected
    assert live_config("x", other, Listed()) == expected
