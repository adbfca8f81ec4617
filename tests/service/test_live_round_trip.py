"""What is sent comes back as it was sent, however the service answers and whatever PUT does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.emulator import create_adapter, create_app
from majobctl.emulator.catalog import ALGORITHMS, ENGINES, FLAVORS
from majobctl.emulator.faults import Faults
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.sdk_calls import DONE
from majobctl.service.session import Session
from majobctl.target import EMULATOR_ENDPOINT
from tests.strategies import hyperparameters, names, texts

Params = Mapping[str, Any]

_some_text = texts.filter(bool)
_paths = st.builds(
    "{}b-1/{}{}".format,
    st.sampled_from(["/", "obs://"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/$."), max_size=9),
    st.sampled_from(["/", "/a b.py/"]),
).filter(lambda path: "//" not in path.removeprefix("obs://"))


def _both(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


_node = st.sampled_from(sorted(FLAVORS)).flatmap(
    lambda spec_id: st.fixed_dictionaries(
        {
            "train_instance_type": st.just(FLAVORS[spec_id].spec_code),
            "train_instance_count": st.integers(1, FLAVORS[spec_id].max_num),
        }
    )
)
_code = _paths.map(lambda path: {"code_dir": path, "boot_file": path + "é boot.py"})
_engine = st.sampled_from(
    [
        {"framework_type": engine.engine_name, "framework_version": engine.engine_version}
        for engine in ENGINES.values()
    ]
)
_image = st.fixed_dictionaries({"user_image_url": _some_text}, optional={"user_command": texts})
_model = st.sampled_from([{"model_name": model.model_name} for model in ALGORITHMS.values()])
_algorithm = _model | _both(_code, _engine) | _image | _both(_image, _code, _engine)
_data: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"inputs": _paths}),
    st.fixed_dictionaries({"dataset_id": _some_text, "dataset_version_id": _some_text}),
    st.fixed_dictionaries(
        {
            "data_source": st.lists(
                st.fixed_dictionaries({"type": st.just("obs"), "data_url": _paths}), max_size=2
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "data_source": st.lists(
                st.fixed_dictionaries(
                    {
                        "type": st.just("dataset"),
                        "dataset_id": _some_text,
                        "dataset_version": _some_text,
                    }
                ),
                max_size=2,
            )
        }
    ),
)
_rest = st.fixed_dictionaries(
    {"output_path": _paths},
    optional={
        "hyperparameters": hyperparameters,
        "log_url": _paths | st.just(""),
        "config_desc": texts,
        "job_description": texts,
    },
)
_params: st.SearchStrategy[Params] = _both(_node, _algorithm, _data, _rest).map(
    lambda raw: JobConfig.of("x", raw).params
)


@pytest.fixture(params=["null", "empty", "missing", "mixed"])
def blanks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["replace", "merge"])
def provider(
    request: pytest.FixtureRequest, blanks: Literal["null", "empty", "missing", "mixed"]
) -> Iterator[Provider]:
    app = create_app(faults=Faults(put=request.param, blanks=blanks))
    session = Session(
        "emulator",
        "emulator",
        "emulator",
        endpoint=EMULATOR_ENDPOINT,
        transport=create_adapter(app),
    )
    with Provider(session, Estimator, on_close=app.close) as opened:
        yield opened


@settings(max_examples=30)
@given(names, _params, _params)
def test_what_is_sent_is_read_back(
    provider: Provider, name: str, first: Params, second: Params
) -> None:
    assert provider.create_job_config(name, first) == DONE
    assert provider.read_job_config(name) == LiveConfig(name, first)
    assert provider.update_job_config(name, first) == DONE
    assert provider.read_job_config(name) == LiveConfig(name, first)
    cleared = [key for key in FIELDS if key in first and key not in second]
    assert provider.update_job_config(name, second, cleared) == DONE
    assert provider.read_job_config(name) == LiveConfig(name, second)
    assert provider.config_names() == [name]
    assert provider.delete_job_config(name) == DONE
    assert provider.read_job_config(name) is None
