"""Lists: configurations in pages, and the catalogue of engines, flavours and algorithms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .client import CONFIGS, Client, connecting, error_of

ENTRY_KEYS = {
    *("config_name", "config_desc", "create_time", "engine_type", "engine_name", "engine_id"),
    *("engine_version", "user_image_url", "user_command"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """A client of an emulator with 25 configurations, job-00 to job-24."""
    with connecting() as connect:
        client = connect()
        for number in range(25):
            engine = {"engine_id": (4, 100, 902)[number % 3]} if number else {}
            client.create(f"job-{number:02}", config_desc=f"{24 - number:02}", **engine)
        yield client


def names(client: Client, **query: Any) -> list[str]:
    return [entry["config_name"] for entry in client.get(CONFIGS, **query)["configs"]]


def test_a_list_entry_has_the_listed_fields_only(shared: Client) -> None:
    entries = shared.get(CONFIGS)["configs"]
    assert all(entry.keys() == ENTRY_KEYS for entry in entries)
    assert entries[0]["engine_version"] == "TF-1.8.0-python3.6"


def test_the_first_ten_in_descending_name_order_are_the_default(shared: Client) -> None:
    answer = shared.get(CONFIGS)
    assert answer["config_total_count"] == 25
    assert names(shared) == [f"job-{number:02}" for number in range(24, 14, -1)]


def test_pages_follow_each_other_without_gap_or_overlap(shared: Client) -> None:
    found: list[str] = []
    for page in range(1, 5):
        found += names(shared, per_page=7, page=page, order="asc")
    assert found == [f"job-{number:02}" for number in range(25)]
    assert names(shared, per_page=7, page=5) == []
    assert len(names(shared, per_page=1000)) == 25


@pytest.mark.parametrize("query", [{"per_page": ""}, {"page": ""}, {"sortBy": ""}, {"order": ""}])
def test_an_empty_query_value_means_the_default(shared: Client, query: dict[str, str]) -> None:
    assert names(shared, **query) == names(shared)


def test_the_search_finds_parts_of_names_in_any_case(shared: Client) -> None:
    assert names(shared, search_content="B-1", order="asc", per_page=3) == [
        *("job-10", "job-11", "job-12")
    ]
    assert shared.get(CONFIGS, search_content="B-1", per_page=3)["config_total_count"] == 10
    assert names(shared, search_content="%") == []


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("config_name", "job-00"),
        ("config_desc", "job-24"),
        ("create_time", "job-00"),
        ("engine_id", "job-00"),
        ("engine_name", "job-00"),
        ("engine_type", "job-00"),
        ("engine_version", "job-00"),
    ],
)
def test_lists_are_sorted_by_the_key_asked_for(shared: Client, key: str, first: str) -> None:
    rising = shared.get(CONFIGS, sortBy=key, order="asc", per_page=100)["configs"]
    assert rising[0]["config_name"] == first
    values = [entry[key] for entry in rising if entry[key] is not None]
    assert values == sorted(values)
    falling = shared.get(CONFIGS, sortBy=key, order="desc", per_page=100)["configs"]
    values = [entry[key] for entry in falling if entry[key] is not None]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("key", "means"),
    [
        ("job_name", "config_name"),
        ("job_desc", "config_desc"),
        ("status", "config_name"),
        ("duration", "config_name"),
    ],
)
@pytest.mark.parametrize("parameter", ["sortBy", "sort_by"])
def test_the_sdks_page_has_other_names_for_them(
    shared: Client, parameter: str, key: str, means: str
) -> None:
    assert names(shared, **{parameter: key}) == names(shared, sortBy=means)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"per_page": "0"}, "0101"),
        ({"per_page": "1001"}, "0101"),
        ({"per_page": "ten"}, "0101"),
        ({"per_page": "-1"}, "0101"),
        ({"per_page": "9" * 5000}, "0101"),
        ({"page": "0"}, "0101"),
        ({"page": "1.5"}, "0101"),
        ({"page": "٣"}, "0101"),
        ({"page": "9999999999"}, "0101"),
        ({"order": "up"}, "0101"),
        ({"config_type": "mine"}, "0101"),
        ({"sortBy": "colour"}, "2790"),
    ],
)
def test_a_query_value_out_of_range_is_refused(
    shared: Client, query: dict[str, str], code: str
) -> None:
    assert error_of(shared.call("GET", CONFIGS, params=query)) == (400, f"ModelArts.{code}")


def test_the_list_of_samples_is_empty(shared: Client) -> None:
    answer = shared.get(CONFIGS, config_type="sample")
    assert (answer["config_total_count"], answer["configs"]) == (0, [])


def test_engines_are_listed_with_their_public_ids(shared: Client) -> None:
    engines = shared.get("job/ai-engines", job_type="train")["engines"]
    ids = {engine["engine_version"]: engine["engine_id"] for engine in engines}
    assert len(ids) == len(engines) == 20
    assert (ids["TF-1.8.0-python3.6"], ids["MXNet-1.2.1-python2.7"]) == (4, 501)
    assert shared.get("job/ai-engines", job_type="inference")["engines"] == []
    answer = shared.call("GET", "job/ai-engines?job_type=play")
    assert error_of(answer) == (400, "ModelArts.0101")


def flavor_codes(client: Client, **query: Any) -> set[str]:
    answer = client.get("job/resource-specs", **query)
    assert answer["spec_total_count"] == len(answer["specs"])
    return {flavor["spec_code"] for flavor in answer["specs"]}


def test_flavours_are_listed_with_all_their_fields(shared: Client) -> None:
    flavors = shared.get("job/resource-specs")["specs"]
    assert len(flavors) == 10
    assert flavors[0] == {
        **{"spec_id": 2, "spec_code": "modelarts.vm.cpu.2u", "core": "2", "cpu": "8"},
        **{"gpu_num": 0, "gpu_type": "", "max_num": 2, "unit_num": 1, "storage": ""},
        **{"interface_type": 1, "no_resource": False},
    }


def test_flavours_are_filtered_by_job_type(shared: Client) -> None:
    everything = flavor_codes(shared, job_type="train", engine_id=0, project_type=0)
    assert flavor_codes(shared, engine_id=4, project_type=1) == everything
    assert flavor_codes(shared, job_type="inference") == set()


@pytest.mark.parametrize(
    ("query", "code"),
    [("engine_id=7", "2780"), ("engine_id=x", "0101"), ("project_type=9", "0101")],
)
def test_a_flavour_filter_that_is_not_known_is_refused(
    shared: Client, query: str, code: str
) -> None:
    answer = shared.call("GET", f"job/resource-specs?{query}")
    assert error_of(answer) == (400, f"ModelArts.{code}")


def test_an_algorithms_parameter_is_json_inside_a_string(shared: Client) -> None:
    models = shared.get("built-in-algorithms", search_content="resnet_v2_50")["models"]
    assert [(model["model_id"], model["engine_id"]) for model in models] == [(4, 501)]
    assert json.loads(models[0]["parameter"])[0] == {
        **{"label": "lr", "value": "0.0001", "required": True}
    }


def test_algorithms_come_in_pages_and_in_the_order_asked_for(shared: Client) -> None:
    found: list[str] = []
    for page in (1, 2, 3):
        query = {"per_page": 4, "page": page, "sortBy": "model_name", "order": "asc"}
        answer = shared.get("built-in-algorithms", **query)
        assert answer["model_total_count"] == 9
        found += [model["model_name"] for model in answer["models"]]
    assert len(found) == 9
    assert found == sorted(found)
    first = shared.get("built-in-algorithms")["models"][0]
    assert first["engine_name"] == "TensorFlow"


@pytest.mark.parametrize(("query", "code"), [("per_page=101", "0101"), ("sortBy=x", "2790")])
def test_an_algorithm_query_out_of_range_is_refused(shared: Client, query: str, code: str) -> None:
    answer = shared.call("GET", f"built-in-algorithms?{query}")
    assert error_of(answer) == (400, f"ModelArts.{code}")
