"""What the service offers by name: flavors, engines and built-in algorithms, and their ids.

The ids differ between deployments, so that each is looked up; every list is read once a session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from majobctl.errors import ConfigError, Problem, TransportError
from majobctl.service.codec import as_text
from majobctl.service.sdk_calls import SdkCalls
from majobctl.service.session import Session
from majobctl.text import nearest, quoted

ALGORITHMS_PER_PAGE = 100


class Catalog:
    """The lists of one session, as the service answers them (the ModelArts API reference).

    Every method may raise ServiceError, TransportError or AuthError.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def flavors(self) -> list[dict[str, Any]]:
        """The resource flavors: each has ``spec_id``, ``spec_code``, ``max_num`` and more."""
        return self._list("/job/resource-specs", "specs")

    def engines(self) -> list[dict[str, Any]]:
        """The AI engines: each has ``engine_id``, ``engine_name`` and ``engine_version``."""
        return self._list("/job/ai-engines", "engines")

    def algorithms(self) -> list[dict[str, Any]]:
        """The built-in algorithms: each has ``model_id``, ``model_name`` and more."""
        return self._session.once("models", self._read_algorithms)

    def spec_id(self, train_instance_type: str) -> Any:
        """The id of a flavor; ConfigError where the service does not offer it."""
        ids = _ids(self.flavors(), "spec_code", "spec_id")
        return _known_id(ids, train_instance_type, "train_instance_type")

    def engine_id(self, framework_type: str, framework_version: str) -> Any:
        """The id of an engine's version; ConfigError where the service does not offer it."""
        engines = self.engines()
        names = {engine.get("engine_name"): None for engine in engines}
        _known_id(names, framework_type, "framework_type")
        of_type = [engine for engine in engines if engine.get("engine_name") == framework_type]
        ids = _ids(of_type, "engine_version", "engine_id")
        return _known_id(ids, framework_version, "framework_version")

    def model_id(self, model_name: str) -> Any:
        """The id of a built-in algorithm; ConfigError where the service does not offer it."""
        ids = _ids(self.algorithms(), "model_name", "model_id")
        return _known_id(ids, model_name, "model_name")

    def _list(self, path: str, key: str) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            return entries(self._session.request("GET", path, query={"job_type": "train"}), key)

        return self._session.once(key, read)

    def _read_algorithms(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        seen: set[object] = set()
        page = 1
        while True:
            query = {
                "per_page": ALGORITHMS_PER_PAGE,
                "page": page,
                "sortBy": "model_name",
                "order": "asc",
            }
            answer = self._session.request("GET", "/built-in-algorithms", query=query)
            models = entries(answer, "models")
            new = [model for model in models if repr(model.get("model_id")) not in seen]
            found += new
            seen.update(repr(model.get("model_id")) for model in new)
            # A service that pays no heed to `page` sends the same models again, and ends it too.
            if not new or len(models) < ALGORITHMS_PER_PAGE:
                return found
            page += 1


def entries(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of tables in an answer. Raises TransportError where there is none."""
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        message = f"unreadable answer: {key} is missing or no list of objects"
        raise TransportError(message, outcome_unknown=False)
    return found


def missing(key: str, value: str, known: Iterable[object]) -> str:
    """The sentence for a name that the service does not offer."""
    names = sorted({name for name in known if isinstance(name, str)})
    return f"{key} {quoted(value)} does not exist{nearest(value, names)}"


def _ids(items: Iterable[dict[str, Any]], name: str, identity: str) -> dict[object, Any]:
    """Names to ids; of two with one name the first counts."""
    found: dict[object, Any] = {}
    for item in items:
        if isinstance(item.get(name), str) and isinstance(item.get(identity), (int, str)):
            found.setdefault(item[name], item[identity])
    return found


def _known_id(ids: dict[Any, Any], value: str, key: str) -> Any:
    if value in ids:
        return ids[value]
    raise ConfigError([Problem(message=missing(key, value, ids))])


Entries = list[dict[str, Any]]


class CachedCatalog:
    """The three lists, each read once; safe to use from several threads.

    Every method may raise ProviderError, where the service cannot be asked.
    """

    def __init__(self, calls: SdkCalls) -> None:
        self._calls = calls
        self._found: dict[str, tuple[Entries, bool]] = {}
        self._lock = threading.Lock()

    def flavors(self) -> Entries:
        """The resource flavors, as the service lists them."""
        return self._listed("get_train_instance_types", Catalog.flavors, _flavors)

    def engines(self) -> Entries:
        """The versions of the AI engines, as the service lists them."""
        return self._listed("get_framework_list", Catalog.engines, _engines)

    def algorithms(self) -> Entries:
        """The built-in algorithms, as the service lists them."""
        return self._listed("get_built_in_algorithms", Catalog.algorithms, _algorithms)

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
        ours: Callable[[Catalog], Entries],
        read: Callable[[Any], tuple[Entries, bool]],
    ) -> Entries:
        with self._lock:
            if call not in self._found:
                if self._calls.is_ours:
                    self._found[call] = ours(Catalog(self._calls.session)), True
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
