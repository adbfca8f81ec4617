"""The rules for a body, each with the code that breaking it gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.emulator.app import LARGEST_BODY

from .client import CONFIGS, Client, body, connecting, error_of

CODE = {"app_url": "/b/src/", "boot_file_url": "/b/src/x.py"}
NO_LONGS: tuple[Any, ...] = ("", [], "4", False)
LONGS = ("worker_server_num", "spec_id", "engine_id", "model_id")
DATASET = {"dataset_id": "d", "dataset_version_id": "v"}
OBS_ENTRY = {"type": "obs", "data_url": "/b/in/"}
DATASET_ENTRY = {"type": "dataset", "dataset_id": "d", "dataset_version": "v"}


def parameter(*entries: Any) -> dict[str, Any]:
    return body(parameter=list(entries))


def source(*entries: Any) -> dict[str, Any]:
    return body(data_source=list(entries))


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """A client of one emulator for the whole module, with the configuration `a`."""
    with connecting() as connect:
        client = connect()
        client.create("a")
        yield client


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "2787"),
        ("text", "2787"),
        (None, "2787"),
        ({}, "0101"),
        ({"worker_server_num": 1}, "0101"),
        ({"spec_id": 4}, "0101"),
        (body(worker_server_num=0), "0101"),
        (body(worker_server_num=5), "2793"),
        (body(worker_server_num="1"), "2788"),
        (body(worker_server_num=True), "2788"),
        (body(worker_server_num=1.0), "2788"),
        (body(spec_id=3), "2781"),
        (body(spec_id="modelarts.vm.cpu.2u"), "2788"),
        (body(engine_id=2), "2780"),
        (body(engine_id=10**40), "2780"),
        (body(model_id=1), "0101"),
        (body(job_description="x"), "2788"),
        (body(**{"x" * 100: 1}), "2788"),
        (body(config_desc=["x"]), "2788"),
        (body(config_desc="ü" * 257), "0104"),
        (body(train_url="bucket/out"), "2791"),
        (body(train_url="obs://bucket/out/"), "2791"),
        (body(log_url="//log/"), "2791"),
        (body(data_url="/bucket"), "2791"),
        (body(data_url={}), "2788"),
        (body(app_url="/b/src/"), "0104"),
        (body(boot_file_url="/b/src/x.py"), "0104"),
        (body(app_url="/b/src/", boot_file_url="/b/srcx/x.py"), "0104"),
        (body(app_url="/b/src/", boot_file_url="/b/src/"), "0104"),
        *((body(**{key: blank}), "2788") for key in LONGS for blank in NO_LONGS),
        (body(engine_id=0, model_id=0, spec_id=0), "0101"),
        (body(dataset_id="d"), "0104"),
        (body(dataset_version_id="v"), "0104"),
        (body(data_url="/b/in/", **DATASET), "0105"),
        (body(data_url="/b/in/", data_source=[OBS_ENTRY]), "0105"),
        (body(data_source=[OBS_ENTRY], **DATASET), "0105"),
        (body(data_source={}), "2788"),
        (source("x"), "2788"),
        (source({"type": "obs", "dataset_version_id": "v"}), "2788"),
        (source({"type": "obs", "data_url": 1}), "2788"),
        (source({"type": "file", "data_url": "/b/in/"}), "2788"),
        (source({"type": "obs"}), "0104"),
        (source({}), "0104"),
        (source({"type": "obs", "data_url": "in"}), "2791"),
        (source({**OBS_ENTRY, "dataset_id": "d"}), "0105"),
        (source({**DATASET_ENTRY, "data_url": "/b/in/"}), "0105"),
        (source({"type": "dataset", "dataset_id": "d"}), "0104"),
        (source({"type": "dataset"}), "0104"),
        (source(OBS_ENTRY, DATASET_ENTRY), "0105"),
        (body(parameter="x"), "2788"),
        (parameter("x"), "2788"),
        (parameter({"label": "x"}), "2788"),
        (parameter({"label": "x", "value": "1", "required": True}), "2788"),
        (parameter({"label": "", "value": "1"}), "0104"),
        (parameter({"label": 1, "value": "1"}), "0104"),
        (parameter({"label": "x", "value": True}), "2788"),
        (parameter({"label": "x", "value": None}), "2788"),
        (parameter({"label": "x", "value": [1]}), "2788"),
        (parameter({"label": "x", "value": "1"}, {"label": "x", "value": "2"}), "0104"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused(shared: Client, document: Any, code: str) -> None:
    assert error_of(shared.put("a", document)) == (400, f"ModelArts.{code}")
    if isinstance(document, dict):
        answer = shared.post({"config_name": "new", **document})
        assert error_of(answer) == (400, f"ModelArts.{code}")


@pytest.mark.parametrize(
    "document",
    [
        body(),
        body(worker_server_num=4, config_desc="ü" * 256),
        body(engine_id=902, **CODE),
        body(app_url="/b/src", boot_file_url="/b/src/deep/x.py"),
        body(model_id=971),
        body(model_id=4, app_url="", boot_file_url=None, engine_id=0),
        body(model_id=0, engine_id=0, **CODE),
        body(model_id=None, engine_id=None),
        body(user_image_url="swr/x:1", user_command="run"),
        body(data_url="/b/in/"),
        body(data_url="", **DATASET),
        body(data_source=[], data_url="/b/in/"),
        source(OBS_ENTRY, {**OBS_ENTRY, "dataset_id": "", "dataset_version": None}),
        source(DATASET_ENTRY, {"dataset_id": "e", "dataset_version": "w"}),
        source({"data_url": "/b/in/"}),
        parameter({"label": "lr", "value": 1e-5}, {"label": "LR", "value": ""}),
        body(config_desc="\ud800 alone"),
    ],
)
def test_a_body_within_the_rules_is_taken(shared: Client, document: dict[str, Any]) -> None:
    assert shared.put("a", document).json() == {"is_success": True}
    config = shared.config("a")
    kept = {key: value for key, value in document.items() if value not in (None, "", [], 0)}
    kept.pop("data_source", None)
    assert kept == {key: config[key] for key in kept}


def test_a_built_in_algorithm_wins_over_what_stands_beside_it(client: Client) -> None:
    """The documents' samples send the code and the engine with it."""
    beside = {**CODE, "engine_id": 4, "user_image_url": "swr/x:1"}
    client.create("a", model_id=4, **beside)
    config = client.config("a")
    assert (config["model_id"], config["user_image_url"]) == (4, "swr/x:1")
    assert config["app_url"] is config["boot_file_url"] is config["engine_id"] is None
    assert client.put("a", body(model_id=0, **beside)).ok
    assert client.config("a")["app_url"] == CODE["app_url"]


@pytest.mark.parametrize("name", ["", "a b", "ä", "a.b", "x" * 65, 5, None])
def test_an_illegal_name_is_refused(shared: Client, name: Any) -> None:
    assert error_of(shared.post(body(config_name=name))) == (400, "ModelArts.0104")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_illegal_name_in_the_path_is_refused(shared: Client, method: str) -> None:
    answer = shared.call(method, f"{CONFIGS}/a.b", json=body())
    assert error_of(answer) == (400, "ModelArts.0104")


def test_a_name_has_up_to_64_characters(shared: Client) -> None:
    shared.create("-_aZ09" + "x" * 58)


HOSTILE = {
    "nothing": b"",
    "deep": b"[" * 100_000,
    "deep and closed": b'{"data_source":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "not UTF-8": b'{"config_desc": "\xff"}',
    "UTF-16": '{"worker_server_num": 1}'.encode("utf-16"),
    "NaN": b'{"worker_server_num": NaN}',
    "infinity": b'{"worker_server_num": 1e999}',
    "endless number": b'{"worker_server_num": ' + b"9" * 100_000 + b"}",
    "huge": b'{"config_desc": "' + b"x" * LARGEST_BODY + b'"}',
    "very huge": b" " * (5 * LARGEST_BODY),
    "cut off": b'{"worker_server_num": 1',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_as_invalid_json(shared: Client, kind: str) -> None:
    for method, path in (("PUT", f"{CONFIGS}/a"), ("POST", CONFIGS)):
        answer = shared.call(method, path, data=HOSTILE[kind])
        assert error_of(answer) == (400, "ModelArts.2787")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    ["parameter", "data_source", "spec_id", "engine_id", "app_url", "config_desc", "config_name"]
)
almost_bodies = st.dictionaries(field_names, json_values, max_size=4).map(
    lambda fields: json.dumps({**fields, "worker_server_num": 0}).encode()
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200) | almost_bodies)
def test_any_bytes_as_a_body_give_a_json_answer_with_a_4xx_status(
    shared: Client, data: bytes
) -> None:
    for method, path in (("PUT", f"{CONFIGS}/a"), ("POST", CONFIGS)):
        status, _ = error_of(shared.call(method, path, data=data))
        assert status == 400
    answer = shared.session.post(f"{shared.url}/v3/auth/tokens", data=data, timeout=60)
    assert answer.status_code == answer.json()["error"]["code"] == 400
