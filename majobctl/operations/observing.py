"""Asks the service what its documents leave open, row by row of assumptions.toml."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from majobctl.errors import ServiceError
from majobctl.service.provider import Provider

Document = Mapping[str, Any]

LENGTHS = {65: "over-64", 64: "64", 21: "21"}
"""Of names that are tried, and what is said if one is taken."""
_CONFIGS = "/training-job-configs"
_READ_IN_FULL = 5
_REFUSAL = "(refusal)"
_RULES = frozenset(["0101", "0104", "0105", "2780", "2787", "2788", "2790", "2791", "2793"])
"""The codes of a refusal that is about the body, and not about what exists or who asks."""
_TEXTS = (
    *("app_url", "boot_file_url", "train_url", "log_url", "user_image_url", "user_command"),
    *("config_desc", "data_url", "dataset_id", "dataset_version_id"),
)
_CODE = ("app_url", "boot_file_url", "engine_id")
_PATH = "/majobctl-probe/"
_A, _B = {"label": "a", "value": "0.10"}, {"label": "b", "value": "1e-5"}
_JOB = "job_description"
_ABSENT = object()


class Observer:
    """Makes the calls, as long as it should not stop, and keeps the configurations it reads. The
    one that it makes has ``name`` and ``body``; ``reason`` is why it cannot be made."""

    def __init__(self, provider: Provider, should_stop: Callable[[], bool]) -> None:
        self.provider = provider
        self.should_stop = should_stop
        self.name = self.reason = ""
        self.body: Document = {}
        self._documents: list[Document] = []
        self._statuses: list[int] = []

    def ask(self, method: str, name: str = "", **content: Any) -> Document:
        """The answer; ``refusal_in`` tells a refusal. Raises KeyboardInterrupt."""
        if self.should_stop():
            raise KeyboardInterrupt
        path = f"{_CONFIGS}/{quote(name, safe='')}" if name else _CONFIGS
        try:
            return self.provider.request(method, path, **content)
        except ServiceError as error:
            if error.is_about_credentials or error.may_pass or error.status >= 500:
                raise
            self._statuses.append(error.status)
            word = f"{error.status}-{error.code.rpartition('.')[2]}"
            return {_REFUSAL: word, "reason": str(error)}

    def names(self, **query: Any) -> list[str]:
        listed = self.ask("GET", query={"sortBy": "config_name", **query}).get("configs")
        rows = listed if isinstance(listed, list) else []
        return [str(it.get("config_name")) for it in rows if isinstance(it, Mapping)]

    def entries(self, name: str) -> list[Any]:
        return [it for it in self.provider.catalog.entries(name) if isinstance(it, Mapping)]

    def read(self) -> dict[str, str]:
        """What can be observed without changing anything."""
        up = self.names(order="asc", per_page=10)
        down, own = self.names(order="desc", per_page=10), self.names(per_page=10)
        total = self.ask("GET", query={"per_page": 1}).get("config_total_count")
        answers = [self.ask("GET", name) for name in up[:_READ_IN_FULL]]
        self._documents += [answer for answer in answers if not refusal_in(answer)]
        codes = [it.get("spec_code") for it in self.entries("flavors")]
        words = {
            "not-found.code": refusal_in(self.ask("GET", f"majobctl-none-{secrets.token_hex(3)}")),
            "catalog.names": _any((not isinstance(code, str) for code in codes), "number text"),
            "catalog.ids": _any((codes.count(it) > 1 for it in codes), "repeated unique"),
        }
        if len(up) > 1:
            has_all = isinstance(total, int) and total >= len(up)
            words["list.total"] = "absent" if total is None else "all" if has_all else "page"
        if up != down:
            words["list.default-order"] = {0: "ascending", 1: "descending"}.get(
                [up, down, own].index(own), "neither"
            )
        return words

    def seen(self) -> dict[str, str]:
        """What all answers so far have in common."""
        codes = {str(it.get("spec_id")): it.get("spec_code") for it in self.entries("flavors")}
        said = [(it.get("spec_code"), codes.get(str(it.get("spec_id")))) for it in self._documents]
        computed = [own != known for own, known in said if own and known]
        values = [it[key] for it in self._documents for key in _TEXTS if it.get(key)]
        unset = [it.get(key, _ABSENT) for it in self._documents for key in _TEXTS]
        forms = {"missing": _ABSENT in unset, "null": None in unset, "blank": "" in unset}
        found = [form for form, is_seen in forms.items() if is_seen]
        return {
            "error.status-200": _any((status < 300 for status in self._statuses), "seen unseen"),
            "response.computed": _any(computed, "wrong same") or _any(self._documents, "absent -"),
            "response.numbers": _any((not isinstance(it, str) for it in values), "number text"),
            "response.unset": "mixed" if len(found) > 1 else "".join(found),
            "response.derived": _any(map(_says_twice, self._documents), "yes no"),
        }

    def write(self, name: str) -> dict[str, str]:
        """What only a change can show, of the configuration ``name``, which nobody has, and of
        longer names. Each observation begins with a new one. Without any, it cannot be made."""
        self.name = name
        for body in _bodies(self):
            self.body = body
            words = {"update.missing-name": refusal_in(self.send("PUT")) or "created"}
            if not refusal_in(made := self.fresh()):
                break
            self.reason = made["reason"]
        else:
            return words
        self._documents.append(self.ask("GET", name))
        words["duplicate.code"] = refusal_in(self.send("POST")) or "accepted"
        if refusal_in(self.send("DELETE")):
            return words  # whoever cannot delete must make no more
        for key, observation in _observations(self).items():
            words[key] = self.observe(*observation)
        self.send("DELETE")
        words["delete.missing"] = refusal_in(self.send("DELETE")) or "done"
        words["name.max-length"] = "20"
        for length, word in LENGTHS.items():
            long = name.ljust(length, "x")
            if not refusal_in(self.ask("POST", body={"config_name": long, **self.body})):
                words["name.max-length"] = word
                self.ask("DELETE", long)
                break
        return words

    def send(self, method: str, **changes: Any) -> Document:
        """A call about the own configuration, with ``changes`` laid over its body."""
        body = {key: it for key, it in {**self.body, **changes}.items() if it is not _ABSENT}
        if method == "POST":
            return self.ask("POST", body={"config_name": self.name, **body})
        content = {"body": body} if method == "PUT" else {}
        return self.ask(method, self.name, **content)

    def fresh(self, **changes: Any) -> Document:
        self.send("DELETE")
        return self.send("POST", **changes)

    def observe(
        self, method: str, changes: Mapping[str, Any], key: str = "", words: str = "kept cleared"
    ) -> str:
        """Creates or updates with ``changes``; the first word if the field ``key`` is still as it
        was sent, or else the second. "" if the refusal has nothing to do with the change."""
        sent = changes.get(key, self.body.get(key)) if method == "POST" else self.body.get(key)
        answer = self.fresh(**(changes if method == "POST" else {}))
        if method == "PUT":
            answer = self.send("PUT", **changes)
        if refusal := refusal_in(answer):
            return "refused" if refusal.rpartition("-")[2] in _RULES else ""
        if not key:
            return "accepted"
        if refusal_in(live := self.send("GET")):
            return ""
        value = live.get(key)
        return words.split()[not (value and (value == sent or sent is _ABSENT))]


def refusal_in(answer: Document) -> str:
    """Status and code of a refusal, such as ``404-0102``; "" for a success."""
    return str(answer.get(_REFUSAL, ""))


def _bodies(observer: Observer) -> Iterator[dict[str, Any]]:
    """What the service may take: what a configuration of the project has, if there is one that runs
    code, and what the lists offer."""
    wanted = ("spec_id", "worker_server_num", "train_url", *_CODE)
    flavor, engine = ([{}, *observer.entries(it)][-1] for it in ("flavors", "engines"))
    own = (flavor.get("spec_id"), 1, _PATH, _PATH, f"{_PATH}run.py", engine.get("engine_id"))
    models = [
        it
        for it in observer._documents
        if all(map(it.get, wanted)) and not any(map(it.get, ("model_id", "user_image_url")))
    ]
    for model in [*models[:1], dict(zip(wanted, own, strict=True))]:
        body = {key: model[key] for key in wanted}
        paths = dict.fromkeys(("data_url", "log_url"), body["train_url"])
        about = {"config_desc": "of majobctl probe, which deletes it", "parameter": [_A, _B]}
        yield {**body, **paths, **about}


def _observations(observer: Observer) -> dict[str, tuple[Any, ...]]:
    """The arguments of ``observe`` by the ids of the rows."""
    image = {"user_image_url": "majobctl/probe:1"}
    found: dict[str, tuple[Any, ...]] = {
        "update.replaces": ("PUT", {"log_url": _ABSENT}, "log_url", "merge replace"),
        "update.blank": ("PUT", {"log_url": ""}, "log_url"),
        "update.null": ("PUT", {"log_url": None}, "log_url"),
        "update.blank-list": ("PUT", {"parameter": []}, "parameter"),
        "long.blank": ("PUT", {**image, "engine_id": ""}, "engine_id"),
        "long.zero": ("PUT", {**image, "engine_id": 0}, "engine_id"),
        "field.job-description": ("POST", {_JOB: "x"}, _JOB, "kept ignored"),
        "hyperparameters.values": ("POST", {}, "parameter", "same changed"),
        "hyperparameters.order": ("POST", {"parameter": [_B, _A]}, "parameter", "kept sorted"),
        "image.beside-code": ("POST", image),
        "output.required": ("POST", {"train_url": _ABSENT}),
        "data.required": ("POST", {"data_url": _ABSENT}),
        "data-source.type": ("POST", {"data_url": _ABSENT, "data_source": [{"data_url": _PATH}]}),
        "path.form": ("POST", {}, "train_url", "same changed"),
    }
    flavors = {str(it.get("spec_id")): it.get("max_num") for it in observer.entries("flavors")}
    if isinstance(most := flavors.get(str(observer.body["spec_id"])), int):
        found["flavor.max-nodes"] = ("POST", {"worker_server_num": most + 1})
    for algorithm in observer.entries("algorithms")[:1]:
        model = {"model_id": algorithm.get("model_id")}
        alone = {**model, **dict.fromkeys(_CODE, _ABSENT)}
        found["algorithm.beside-image"] = ("POST", {**alone, **image})
        found["algorithm.beside-code"] = ("POST", model, "app_url", "code algorithm")
        found["algorithm.own-engine"] = ("POST", alone, "engine_id", "named absent")
    return found


def _says_twice(document: Document) -> bool:
    """Whether it names its data, or its algorithm, in two ways."""
    sources = [it for it in ("data_url", "dataset_id", "data_source") if document.get(it)]
    return len(sources) > 1 or bool(document.get("model_id") and document.get("app_url"))


def _any(found: Iterable[object], words: str) -> str:
    """The first word if any is true, the second if none is, "" if there is nothing."""
    seen = list(found)
    return words.split()[not any(seen)] if seen else ""
