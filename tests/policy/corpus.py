"""Every word of a rule, with values that it allows and values that it does not, as TOML."""

from __future__ import annotations

from typing import NamedTuple

TEXT, COUNT, ARRAY, LABEL = (
    *("config_desc", "train_instance_count"),
    *("data_source", "hyperparameters.x"),
)


class Row(NamedTuple):
    """A condition for a key, what it says of the ``bad`` values, and ``no_numbers``, of which it
    says that it wants a number."""

    key: str
    words: str
    says: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    no_numbers: tuple[str, ...] = ()


def items(count: int) -> str:
    return f"[{', '.join([_ITEM] * count)}]"


_ITEM = '{ type = "obs", data_url = "/ml/x/" }'
NO_NUMBERS = ('"adam"', "true", '"1e"', '"0x10"', '"1_0"', '"1 "', '"٣"', "nan", "inf", '"--1"')
TWO = ('"ab"', '"éé"', '"👩👩"')
ROWS = [
    Row(TEXT, "{}", "", ('"a"', '"${"'.replace("${", "$${")), ()),
    Row(TEXT, '{ const = "a" }', 'allows only "a"', ('"a"',), ('"A"', '"ab"', '"1"')),
    Row(TEXT, '{ enum = ["a", "b"] }', 'allows only "a" or "b"', ('"a"', '"b"'), ('"c"', '"ab"')),
    Row(TEXT, '{ enum = ["a", "b", "c"] }', 'allows only "a", "b" or "c"', ('"c"',), ('"d"',)),
    Row(TEXT, "{ pattern = '^[ab]+$' }", "allows only what matches '^[ab]+$'", TWO[:1], ('"abc"',)),
    Row(TEXT, "{ pattern = '\\d' }", "allows only what matches '\\d'", ('"x1"',), ('"x"', '"٣"')),
    Row(TEXT, "{ minLength = 2 }", "allows at least 2 characters", TWO, ('"a"', '"👩"')),
    Row(TEXT, "{ maxLength = 2 }", "allows at most 2 characters", TWO, ('"abc"', '"ééé"')),
    Row(TEXT, '{ not = { const = "a" } }', 'does not allow "a"', ('"b"',), ('"a"',)),
    Row(TEXT, '{ not = { enum = ["a", "b"] } }', 'does not allow "a" or "b"', ('"c"',), ('"b"',)),
    Row(TEXT, "{ not = { pattern = 'a' } }", "does not allow what matches 'a'", ('"b"',), TWO[:1]),
    Row(TEXT, "{ not = { minLength = 2 } }", "does not allow 2 or more characters", ('"a"',), TWO),
    Row(
        TEXT, "{ not = { maxLength = 2 } }", "does not allow 2 or fewer characters", ('"abc"',), TWO
    ),
    Row(
        TEXT,
        "{ not = { pattern = 'a', maxLength = 1 } }",
        "does not allow what matches 'a' and 1 or fewer characters",
        ('"ab"', '"b"'),
        ('"a"',),
    ),
    Row(
        TEXT, "{ minLength = 2, pattern = 'a' }", "allows at least 2 characters", TWO[:1], ('"b"',)
    ),
    Row(COUNT, "{ const = 2 }", "allows only 2", ("2",), ("1", "3")),
    Row(COUNT, "{ const = 2.0 }", "allows only 2.0", ("2",), ("1", "3")),
    Row(COUNT, "{ enum = [1, 4] }", "allows only 1 or 4", ("1", "4"), ("2",)),
    Row(COUNT, "{ minimum = 2 }", "allows at least 2", ("2", "3"), ("1",)),
    Row(COUNT, "{ minimum = 1.5 }", "allows at least 1.5", ("2",), ("1",)),
    Row(COUNT, "{ maximum = 2 }", "allows at most 2", ("1", "2"), ("3", "2147483647")),
    Row(COUNT, "{ exclusiveMinimum = 2 }", "allows only more than 2", ("3",), ("1", "2")),
    Row(COUNT, "{ exclusiveMaximum = 2 }", "allows only less than 2", ("1",), ("2", "3")),
    Row(COUNT, "{ multipleOf = 4 }", "allows only multiples of 4", ("4", "8"), ("1", "6")),
    Row(COUNT, "{ not = { const = 2 } }", "does not allow 2", ("1",), ("2",)),
    Row(COUNT, "{ not = { enum = [1, 2] } }", "does not allow 1 or 2", ("3",), ("1", "2")),
    Row(COUNT, "{ not = { minimum = 2 } }", "does not allow 2 or more", ("1",), ("2", "3")),
    Row(COUNT, "{ not = { maximum = 2 } }", "does not allow 2 or less", ("3",), ("1", "2")),
    Row(COUNT, "{ not = { exclusiveMinimum = 2 } }", "does not allow more than 2", ("2",), ("3",)),
    Row(COUNT, "{ not = { exclusiveMaximum = 2 } }", "does not allow less than 2", ("2",), ("1",)),
    Row(COUNT, "{ not = { multipleOf = 2 } }", "does not allow multiples of 2", ("3",), ("4",)),
    Row(ARRAY, "{}", "", (items(1),), ()),
    Row(ARRAY, "{ minItems = 2 }", "allows at least 2 items", (items(2), items(3)), (items(1),)),
    Row(ARRAY, "{ maxItems = 2 }", "allows at most 2 items", (items(1), items(2)), (items(3),)),
    Row(
        ARRAY,
        "{ not = { minItems = 2 } }",
        "does not allow 2 or more items",
        (items(1),),
        (items(2),),
    ),
    Row(
        ARRAY,
        "{ not = { maxItems = 2 } }",
        "does not allow 2 or fewer items",
        (items(3),),
        (items(1),),
    ),
    Row(LABEL, "{}", "", ("1", '"a"', "true"), ()),
    Row(
        LABEL,
        "{ const = 0.1 }",
        "allows only 0.1",
        ("0.1", "0.10", '"0.10"', "1e-1", '"1E-1"', '"+.1"'),
        ("0.2", '"0.11"', '"x"', "true"),
    ),
    Row(LABEL, '{ const = "0.10" }', 'allows only "0.10"', ("0.1", '"0.1"'), ("0.11", '"0,10"')),
    Row(
        LABEL, "{ const = true }", "allows only true", ("true", '"true"'), ("false", "1", '"True"')
    ),
    Row(LABEL, '{ const = "adam" }', 'allows only "adam"', ('"adam"',), ('"Adam"', "1", "true")),
    Row(
        LABEL,
        "{ const = 9007199254740993 }",
        "allows only 9007199254740993",
        ("9007199254740993", '"9007199254740993"'),
        ("9007199254740992", '"9007199254740994"'),
    ),
    Row(
        LABEL,
        '{ enum = [1, "adam", true] }',
        'allows only 1, "adam" or true',
        ("1", '"1.0"', '"adam"', "true", "1e0"),
        ("2", '"sgd"', "false", '"true "'),
    ),
    Row(
        LABEL,
        "{ pattern = '^1e' }",
        "allows only what matches '^1e'",
        ("1e-5", '"1e-5"', '"1e"'),
        ("0.00001", "1", "true"),
    ),
    Row(LABEL, "{ minLength = 2 }", "allows at least 2 characters", ("10", '"ab"'), ("1", '"a"')),
    Row(
        LABEL,
        "{ maxLength = 3 }",
        "allows at most 3 characters",
        ("100", '"adm"'),
        ("1000", "true"),
    ),
    Row(
        LABEL,
        "{ minimum = 1e-5 }",
        "allows at least 1e-5",
        ("1e-5", '"1e-5"', "0.00001", '"+1"', '"1."', "2_000"),
        ("9e-6", '"0"', "-1", '"-1e299"'),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ maximum = 0.1 }",
        "allows at most 0.1",
        ("0.1", '"0.10"', "-5", "1e-5"),
        ("0.11", '"1e-0"', "9223372036854775807"),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ exclusiveMinimum = 0 }",
        "allows only more than 0",
        ("1", '"1e-300"'),
        ("0", "-0.0"),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ exclusiveMaximum = 1 }",
        "allows only less than 1",
        ("0", '".9"'),
        ("1", '"1.0"'),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ multipleOf = 8 }",
        "allows only multiples of 8",
        ("64", '"64.0"', "6.4e1", "0"),
        ("63", '"4"'),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ multipleOf = 0.01 }",
        "allows only multiples of 0.01",
        ("0.1", "19.99"),
        ("0.001",),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ not = { const = 1 } }",
        "does not allow 1",
        ("2", '"x"', "true"),
        ("1", '"1.0"', "1e0"),
    ),
    Row(
        LABEL,
        "{ not = { minimum = 1 } }",
        "does not allow 1 or more",
        ("0.9",),
        ("1", '"1e9"'),
        NO_NUMBERS,
    ),
    Row(
        LABEL,
        "{ minimum = 1, maxLength = 3 }",
        "allows at most 3 characters",
        ("100", "1e9"),
        ("1000", '"1.000"'),
        ('"adam"', "true"),
    ),
]
