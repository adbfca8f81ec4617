"""The tables that a job config is made of, and the lines of their values."""

from __future__ import annotations

from majobctl.repository.jobs.layers import Layer, Origin, by_label, merged
from majobctl.repository.toml.file import TomlFile

TEXT = """\
[own]
a = 1
m = { lr = [1], b = [2] }
hyperparameters = [
  { label = "x", value = 1 },
  { label = "y", value = 2 },
]
[below]
a = 2
c = 3
[below.hyperparameters]
y = 5
z = 6
"""


def layer(name: str) -> Layer:
    file = TomlFile.parse(TEXT.encode(), "f.toml")
    return Layer(file, (name,), file.data[name])


def test_a_value_is_reported_where_it_is_written() -> None:
    source = Origin((layer("own"), layer("below")))
    paths: dict[tuple[str | int, ...], int] = {
        ("a",): 2,
        ("c",): 10,
        ("hyperparameters",): 4,
        ("hyperparameters", "x"): 5,
        ("hyperparameters", "y"): 6,
        ("hyperparameters", "z"): 13,
        ("missing",): 1,
        (): 1,
    }
    assert {path: source.problem(path, "").line for path in paths} == paths
    assert (source.file, source.line) == ("f.toml", 1)
    assert source.problem(("c",), "wrong").where == "below"


def test_what_a_matrix_gives_is_reported_at_the_matrix() -> None:
    file = TomlFile.parse(TEXT.encode(), "f.toml")
    own = Layer(file, ("own",), {"b": 2, "hyperparameters": {"lr": 1, "x": 1}})
    varied = frozenset({("b",), ("hyperparameters", "lr")})
    source = Origin((own, layer("below")), ("m",), varied)
    assert source.line == 3
    assert source.problem((), "").line == 3
    assert source.problem(("b",), "").line == 3
    assert source.problem(("hyperparameters", "lr"), "").line == 3
    assert source.problem(("hyperparameters", "z"), "").line == 13


def test_tables_are_laid_over_each_other_from_the_last_on() -> None:
    layers = [layer("own"), layer("below")]
    assert merged(layers) == {
        "a": 1,
        "m": {"lr": [1], "b": [2]},
        "c": 3,
        "hyperparameters": {"x": 1, "y": 2, "z": 6},
    }
    assert merged(layers[:1]) is layers[0].table


def test_labels_are_those_of_either_form_that_is_whole() -> None:
    assert by_label({"a": 1}) == by_label([{"label": "a", "value": 1}]) == {"a": 1}
    assert by_label([{"label": "a", "value": 1}] * 2) is None
    assert by_label([{"label": ["a"], "value": 1}]) is None
    assert by_label([5]) is by_label("x") is by_label(None) is None
