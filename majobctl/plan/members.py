"""How the members of JSON objects are written and read back, for tables of them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from majobctl.strict_json import Node
from majobctl.text import quoted

_MISSING: Any = object()
_NULL = type(None)


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written, and read from a Node, unless it follows from other values. Values of
    the types ``kinds`` are read as they are, without a Node: a plan has thousands."""

    write: Callable[[Any], Any]
    read: Callable[[Node], Any] | None = None
    kinds: frozenset[type] = frozenset()


class Member:
    """A key of a JSON object, and its attribute if that has another name. If it is "", the form
    writes the object itself, and reads some of its attributes. Reading gives ``default`` if the key
    is missing; writing ``omits`` the key for this value."""

    def __init__(
        self,
        key: str,
        form: Form,
        attribute: str | None = None,
        default: Any = _MISSING,
        omits: bool = False,
    ) -> None:
        self.key, self.form, self.default, self.omits = key, form, default, omits
        attribute = key if attribute is None else attribute
        self.name = attribute.rpartition(".")[2]
        self.get = attrgetter(attribute) if attribute else _itself


def _itself(value: Any) -> Any:
    return value


def write_members(members: Iterable[Member], value: Any) -> dict[str, Any]:
    return {
        member.key: member.form.write(item)
        for member in members
        if (item := member.get(value)) != member.default or not member.omits
    }


def read_members(members: Iterable[Member], node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    table = node.table()
    for member in members:
        form, value = member.form, table.get(member.key, _MISSING)
        if value is _MISSING and member.default is not _MISSING:
            found |= {member.name: member.default} if member.name else member.default
        elif type(value) in form.kinds:
            found[member.name] = value
        elif form.read is not None:
            item = node[member.key] if value is _MISSING else Node(value, node, member.key)
            if member.name:
                found[member.name] = form.read(item)
            else:
                found |= form.read(item)
    return found


def object_of(make: Callable[..., Any], *members: Member) -> Form:
    return Form(
        lambda value: write_members(members, value),
        lambda node: make(**read_members(members, node)),
    )


def plain(read: Callable[[Node], Any], *kinds: type) -> Form:
    """The form of values that are the same in JSON and in Python."""
    return Form(_itself, read, frozenset(kinds))


def path_steps(node: Node) -> tuple[str, ...]:
    if found := node.texts():
        return found
    raise node.wrong("must not be empty")


def one_of(kind: type[enum.Enum]) -> Form:
    by_value = {member.value: member for member in kind}

    def read(node: Node) -> enum.Enum:
        text = node.text()
        if text in by_value:
            return by_value[text]
        known = ", ".join(map(quoted, by_value))
        raise node.wrong(f"must be one of {known}, not {quoted(text)}")

    return Form(attrgetter("value"), read)


def or_null(form: Form) -> Form:
    write = form.write
    return Form(lambda it: None if it is None else write(it), form.read, form.kinds | {_NULL})


ANYTHING = plain(attrgetter("value"), str, int, float, bool, list, dict, _NULL)
TEXT = plain(Node.text, str)
INTEGER = plain(Node.integer, int)
FLAG = plain(Node.flag, bool)
