"""What the service offers by name, whichever SDK asks it: flavors, engines, built-in algorithms.

The official package tells less of each than the service does. Job configs are not known here but
for the keys that hold such names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from majobctl.catalogue import Catalogue, missing
from majobctl.live import as_text
from majobctl.sdk_calls import SdkCalls

Entries = list[dict[str, Any]]


class Offers:
    """The three lists, each read once; safe to use from several threads.

    Every method may raise ProviderError, where the service cannot be asked.
    """

    def __init__(self, calls: SdkCalls) -> None:
        self._calls = calls
        self._found: dict[str, tuple[Entries, bool]] = {}
        self._lock = threading.Lock()

    def flavors(self) -> Entries:
        """The resource flavors, as the service lists them."""
        return self._listed("get_train_instance_types", Catalogue.flavors, _flavors)

    def engines(self) -> Entries:
        """The versions of the AI engines, as the service lists them."""
        return self._listed("get_framework_list", Catalogue.engines, _engines)

    def algorithms(self) -> Entries:
        """The built-in algorithms, as the service lists them."""
        return self._listed("get_built_in_algorithms", Catalogue.algorithms, _algorithms)

    def flavor(self, spec_id: str) -> str | None:
        """The code of a flavor; None where none with this id is listed."""
        entry = _with_id(self.flavors(), "spec_id", spec_id, ("spec_code",))
        return entry[0] if entry else None

    def engine(self, engine_id: str) -> tuple[str, str] | None:
        """Name and version of an engine; None where none with this id is listed."""
        keys = ("engine_name", "engine_version")
        entry = _with_id(self.engines(), "engine_id", engine_id, keys)
        return (entry[0], entry[1]) if entry else None

    def algorithm(self, model_id: str) -> str | None:
        """The name of a built-in algorithm; None where none with this id is listed."""
        entry = _with_id(self.algorithms(), "model_id", model_id, ("model_name",))
        return entry[0] if entry else None

    def unknown_names(self, job_configs: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """As ``Provider.unknown_names``."""
        wanted = list(job_configs)
        found: set[str] = set()
        for key, check in (
            ("train_instance_type", self._unknown_flavor),
            ("framework_type", self._unknown_engine),
            ("model_name", self._unknown_algorithm),
        ):
            for name, params in wanted:
                if key in params and (text := check(params)):
                    found.add(f"job_config.{name}: {text}")
        return sorted(found)

    def _unknown_flavor(self, params: Mapping[str, Any]) -> str:
        return _unless_in(self.flavors(), "spec_code", params, "train_instance_type")

    def _unknown_engine(self, params: Mapping[str, Any]) -> str:
        engines, name = self.engines(), params["framework_type"]
        of_type = [engine for engine in engines if engine.get("engine_name") == name]
        if not of_type:
            return _unless_in(engines, "engine_name", params, "framework_type")
        return _unless_in(of_type, "engine_version", params, "framework_version")

    def _unknown_algorithm(self, params: Mapping[str, Any]) -> str:
        algorithms = self.algorithms()
        # The official package may give the first page only: what it lacks may exist all the same.
        is_whole = self._found["get_built_in_algorithms"][1]
        return _unless_in(algorithms, "model_name", params, "model_name") if is_whole else ""

    def _listed(
        self,
        call: str,
        ours: Callable[[Catalogue], Entries],
        read: Callable[[Any], tuple[Entries, bool]],
    ) -> Entries:
        with self._lock:
            if call not in self._found:
                if self._calls.is_ours:
                    self._found[call] = ours(Catalogue(self._calls.session)), True
                else:
                    self._found[call] = self._calls.ask(call, read)
            return self._found[call][0]


def _with_id(entries: Entries, key: str, wanted: str, names: tuple[str, ...]) -> list[str] | None:
    for entry in entries:
        found = [entry.get(name) for name in names]
        texts = [text for text in found if isinstance(text, str) and text]
        if len(texts) == len(names) and as_text(entry.get(key)) == wanted:
            return texts
    return None


def _unless_in(entries: Entries, name: str, params: Mapping[str, Any], key: str) -> str:
    known = [entry.get(name) for entry in entries]
    return "" if params[key] in known else missing(key, params[key], known)


def _flavors(answer: Any) -> tuple[Entries, bool]:
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return [{"spec_code": str(code)} for code in answer], True


def _engines(answer: Any) -> tuple[Entries, bool]:
    keys = {"engine_name": "framework_type", "engine_version": "framework_version"}
    return [{key: entry[own] for key, own in keys.items()} for entry in answer], True


def _algorithms(answer: Any) -> tuple[Entries, bool]:
    """The models, and whether these are all of them."""
    models = [dict(model) for model in answer["models"]]
    return models, len(models) >= int(answer.get("model_total_count") or 0)
