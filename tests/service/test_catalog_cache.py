from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.service.catalog import COLUMNS, ids_in, plain_items
from majobctl.service.catalog_cache import CachedList, load_lists, save_lists
from majobctl.target import Target

TARGET = Target("https://modelarts.example.com", "project-1")
AT = "2026-11-23T12:00:00Z"
FLAVOR = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "core": "8",
    "cpu": "64",
    "gpu_num": 1,
    "gpu_type": "nvidia-p100",
    "max_num": 4,
    "no_resource": False,
}
ENGINE = {"framework_type": "PyTorch", "framework_version": "PyTorch-1.0.0-python3.6"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def document(**changed: Any) -> dict[str, Any]:
    """A whole cache of one flavor, with these keys laid over it."""
    return {
        "format_version": 1,
        "target": {"endpoint": TARGET.endpoint, "project_id": TARGET.project_id},
        "flavors": {"read_at": AT, "items": [FLAVOR]},
        **changed,
    }


def written(tmp_path: Path, content: bytes | Mapping[str, Any]) -> Path:
    path = tmp_path / "catalogue.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def reason_for(tmp_path: Path, content: bytes | Mapping[str, Any]) -> str:
    """Why the file cannot be used; it then gives no list."""
    lists, reason = load_lists(written(tmp_path, content), TARGET)
    assert bool(lists) is not bool(reason)
    return reason


# What the service tells, as plain items


def test_an_entry_becomes_an_item_with_known_columns_only() -> None:
    entry = {
        "spec_id": 951,
        "spec_code": "modelarts.vm.gpu.p100",
        "core": "8",
        "cpu": "64",
        "gpu_num": 1,
        "gpu_type": "nvidia-p100",
        "max_num": 4,
        "unit_num": 1,
        "no_resource": False,
    }
    (item,) = plain_items("flavors", [entry])
    assert item == FLAVOR
    assert list(item) == list(FLAVOR)


def test_what_is_unknown_is_none() -> None:
    (item,) = plain_items("flavors", [{"spec_code": "a"}])
    assert item == dict.fromkeys(FLAVOR) | {"train_instance_type": "a"}


def test_a_value_that_is_not_plain_counts_as_unknown() -> None:
    entry = {"spec_code": "a", "core": ["8"], "cpu": {}, "gpu_num": float("inf"), "gpu_type": 1.5}
    (item,) = plain_items("flavors", [entry])
    assert item == dict.fromkeys(FLAVOR) | {"train_instance_type": "a", "gpu_type": 1.5}


@pytest.mark.parametrize(
    ("told", "number"),
    [(4, 4), ("4", 4), ("", None), ("four", None), (True, None), (4.5, None), ([], None)],
)
def test_the_most_nodes_are_an_integer_or_unknown(told: object, number: int | None) -> None:
    (item,) = plain_items("flavors", [{"spec_code": "a", "max_num": told}])
    assert item["max_num"] == number


@pytest.mark.parametrize("name", [None, "", 5, ["a"]])
def test_an_entry_without_a_name_is_left_out(name: object) -> None:
    assert plain_items("flavors", [{"spec_code": name}]) == []
    assert plain_items("engines", [{"engine_name": "PyTorch", "engine_version": name}]) == []
    assert plain_items("algorithms", [{"model_name": name}]) == []


def test_items_are_sorted_with_numbers_by_their_size_and_each_is_there_once() -> None:
    versions = ["TF-1.13.1", "TF-2.1.0", "TF-1.4.0", "TF-1.4.0", "tf-1.8.0"]
    entries = [{"engine_name": "TensorFlow", "engine_version": version} for version in versions]
    entries.append({"engine_name": "Caffe", "engine_version": "Caffe-1.0.0"})
    items = plain_items("engines", entries)
    assert [item["framework_version"] for item in items] == [
        "Caffe-1.0.0",
        "TF-1.4.0",
        "tf-1.8.0",
        "TF-1.13.1",
        "TF-2.1.0",
    ]


@given(st.permutations(["a1", "a01", "a10", "A2", "b", "", "1", "٣", "a" * 40 + "9" * 5000]))
def test_the_order_of_the_entries_does_not_count(names: list[str]) -> None:
    items = plain_items("flavors", [{"spec_code": name} for name in names])
    assert items == plain_items("flavors", [{"spec_code": name} for name in sorted(names)])
    assert len(items) == len(names) - 1


@pytest.mark.parametrize(
    ("told", "labelled"),
    [
        ('[{"label":"lr","value":"0.0001","required":true}]', {"lr": "0.0001"}),
        ('[{"label":"lr","value":1e-5},{"label":"n","value":10}]', {"lr": "1e-5", "n": "10"}),
        ('[{"label":"on","value":true},{"label":"x","value":null}]', {"on": "true", "x": ""}),
        ('[{"label":"lr"}]', {"lr": ""}),
        ([{"label": "lr", "value": 0.5}], {"lr": "0.5"}),
        ("[]", {}),
        ('[{"value":"0.0001"}]', None),
        ("[5]", None),
        ("5", None),
        ("", None),
        ("[" * 100_000, None),
        ('[{"label":["a"],"value":"b"}]', None),
        (None, None),
        (5, None),
    ],
    ids=range(14),
)
def test_hyperparameters_are_read_from_the_text_that_they_come_in(
    told: object, labelled: dict[str, str] | None
) -> None:
    (item,) = plain_items("algorithms", [{"model_name": "yolo_v3", "parameter": told}])
    assert item["hyperparameters"] == labelled


@given(
    st.lists(st.dictionaries(st.sampled_from(["spec_code", "spec_id", "model_name", "core"]), JSON))
)
def test_any_entries_make_items_that_survive_save_and_load(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    def cached(name: str) -> CachedList:
        return CachedList(AT, plain_items(name, entries), ids_in(name, entries))

    path = tmp_path / "catalogue.json"
    for name in COLUMNS:
        save_lists(path, TARGET, {name: cached(name)})
    lists, reason = load_lists(path, TARGET)
    assert reason == ""
    assert list(lists) == list(COLUMNS)
    for name in COLUMNS:
        assert lists[name] == cached(name)


# The file


def test_a_list_that_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "catalogue.json"
    ids = ids_in("flavors", [{"spec_id": "4", "spec_code": FLAVOR["train_instance_type"]}])
    save_lists(path, TARGET, {"flavors": CachedList(AT, [FLAVOR], ids)})
    assert load_lists(path, TARGET) == ({"flavors": CachedList(AT, [FLAVOR], ids)}, "")
    entry = {"spec_id": 4, "spec_code": "modelarts.vm.gpu.p100"}
    flavors = {"read_at": AT, "items": [FLAVOR], "ids": [entry], "is_incidental": False}
    assert json.loads(path.read_bytes()) == document(flavors=flavors)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(path.parent)) == [".gitignore", "catalogue.json"]


def test_the_other_lists_of_the_same_target_stay(tmp_path: Path) -> None:
    path = written(tmp_path, document())
    later = "2026-11-24T12:00:00Z"
    save_lists(path, TARGET, {"engines": CachedList(later, [ENGINE])})
    lists, _ = load_lists(path, TARGET)
    assert lists == {"flavors": CachedList(AT, [FLAVOR]), "engines": CachedList(later, [ENGINE])}
    save_lists(path, TARGET, {"flavors": CachedList(later, [])})
    lists, _ = load_lists(path, TARGET)
    assert lists == {"flavors": CachedList(later, []), "engines": CachedList(later, [ENGINE])}


def test_the_lists_of_another_target_are_not_used_and_go_with_the_next_write(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, document())
    for other in (Target(TARGET.endpoint, "other"), Target("https://other", TARGET.project_id)):
        assert load_lists(path, other) == ({}, "")
    save_lists(path, other, {"engines": CachedList(AT, [ENGINE])})
    assert load_lists(path, other)[0].keys() == {"engines"}
    assert load_lists(path, TARGET) == ({}, "")


def test_a_missing_file_has_no_lists_and_needs_no_reason(tmp_path: Path) -> None:
    assert load_lists(tmp_path / "catalogue.json", TARGET) == ({}, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\xff", "it is not UTF-8: byte 0"),
        (b"[" * 100_000, "it is nested too deeply"),
        (
            json.dumps(document(x=float("nan"))).encode(),
            "it is not JSON: NaN is not a number",
        ),
        (b"[]", "it is not a JSON object"),
        (b"{}", "format_version is missing"),
        (document(format_version=2), "format_version is of another majobctl"),
        (document(format_version=True), "format_version must be an integer, not a boolean"),
        (document(format_version="1"), "format_version must be an integer, not a string"),
        (document(target=None), "target must be an object, not null"),
        (document(flavors=[]), "flavors must be an object, not an array"),
        (document(engines={"items": []}), "engines.read_at is missing"),
        (
            document(engines={"read_at": 5, "items": []}),
            "engines.read_at must be a string, not an integer",
        ),
        (
            document(engines={"read_at": AT + "\n", "items": []}),
            "engines.read_at must be a time such as 2026-11-23T12:00:00Z",
        ),
        (document(engines={"read_at": AT}), "engines.items is missing"),
        (
            document(engines={"read_at": AT, "items": [ENGINE, 5]}),
            "engines.items[1] must be an object, not an integer",
        ),
    ],
    ids=range(16),
)
def test_a_damaged_file_has_a_reason(
    tmp_path: Path, content: bytes | Mapping[str, Any], reason: str
) -> None:
    assert reason_for(tmp_path, content) == f"it is damaged: {reason}"


def test_a_number_that_is_too_long_is_a_reason(tmp_path: Path) -> None:
    # Whether Python reads such a number depends on its version; it is not an object anyhow.
    assert reason_for(tmp_path, b"9" * 5000).startswith("it is damaged: ")


def test_a_damaged_file_is_made_again_by_the_next_write(tmp_path: Path) -> None:
    path = written(tmp_path, b"damage")
    save_lists(path, TARGET, {"engines": CachedList(AT, [ENGINE])})
    assert load_lists(path, TARGET) == ({"engines": CachedList(AT, [ENGINE])}, "")


def test_what_a_later_version_added_is_passed_over(tmp_path: Path) -> None:
    later = {"read_at": AT, "items": [{**FLAVOR, "price": 5}], "more": 1}
    path = written(tmp_path, document(flavors=later, datasets={}))
    assert load_lists(path, TARGET) == ({"flavors": CachedList(AT, [FLAVOR])}, "")


def test_a_file_that_is_not_regular_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    os.mkfifo(path)
    assert load_lists(path, TARGET) == ({}, "it cannot be read: it is not a regular file")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert load_lists(path, TARGET) == ({}, "it cannot be read: it is not a regular file")


def test_a_path_below_a_file_cannot_be_read_or_written(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_bytes(b"")
    lists, reason = load_lists(folder / "catalogue.json", TARGET)
    assert lists == {}
    assert reason.startswith("it cannot be read: ")
    with pytest.raises(OSError, match="exists"):
        save_lists(folder / "catalogue.json", TARGET, {"flavors": CachedList(AT, [])})
    assert folder.read_bytes() == b""


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_reason(tmp_path: Path, content: bytes) -> None:
    assert reason_for(tmp_path, content).isprintable()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "format_version": st.just(1) | JSON,
            "target": st.just(document()["target"]) | JSON,
            "flavors": st.fixed_dictionaries(
                {}, optional={"read_at": st.just(AT) | JSON, "items": st.lists(JSON) | JSON}
            ),
            "engines": JSON,
        },
    )
)
def test_any_document_gives_lists_or_a_reason(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = written(tmp_path, document(**changed))
    lists, reason = load_lists(path, TARGET)
    assert not (lists and reason)
    save_lists(path, TARGET, {"algorithms": CachedList(AT, [])})
    assert load_lists(path, TARGET) == ({**lists, "algorithms": CachedList(AT, [])}, "")
