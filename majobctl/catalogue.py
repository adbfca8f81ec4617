"""What the service offers by name: flavors, engines and built-in algorithms, and their ids.

The ids differ between deployments, so that each is looked up; every list is read once a session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from majobctl.errors import ConfigError, Problem, TransportError, nearest, quoted
from majobctl.session import Session

ALGORITHMS_PER_PAGE = 100


class Catalogue:
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
    raise ConfigError([Problem("", 0, 0, "", missing(key, value, ids))])
