"""Reads the lists of the catalog: over the REST interface, or through the official SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from majobctl.errors import TransportError
from majobctl.service.catalog import COLUMNS, Catalog, Entries

if TYPE_CHECKING:
    from majobctl.service.sdk_calls import SdkCalls

Request = Callable[..., dict[str, Any]]


def api_catalog(request: Request) -> Catalog:
    """The catalog over ``Session.request``."""

    def read(name: str) -> tuple[Entries, bool]:
        if name == "algorithms":
            return _read_algorithms(request), True
        path, key = _PATHS[name]
        return entries_in(request("GET", path, query={"job_type": "train"}), key), True

    return Catalog(read)


_PATHS = {"flavors": ("/job/resource-specs", "specs"), "engines": ("/job/ai-engines", "engines")}
_ALGORITHMS_PER_PAGE = 100
_MOST_PAGES = 100


def _read_algorithms(request: Request) -> Entries:
    found: Entries = []
    seen: set[object] = set()
    query = {"per_page": _ALGORITHMS_PER_PAGE, "sortBy": "model_name", "order": "asc"}
    for page in range(1, _MOST_PAGES + 1):
        answer = request("GET", "/built-in-algorithms", query={**query, "page": page})
        models = entries_in(answer, "models")
        new = [model for model in models if repr(model.get("model_id")) not in seen]
        found += new
        seen.update(repr(model.get("model_id")) for model in new)
        # A service that ignores `page` sends the same models again, which ends the loop, too.
        if not new or len(models) < _ALGORITHMS_PER_PAGE:
            return found
    message = f"the list of algorithms does not end: page {page} has new ones"
    raise TransportError(message, outcome_unknown=False)


def entries_in(answer: dict[str, Any], key: str) -> Entries:
    """The list of objects in an answer. Raises TransportError if it is not one."""
    found = answer.get(key)
    if isinstance(found, list) and all(item is None or isinstance(item, dict) for item in found):
        return [item for item in found if item]
    message = f"unreadable answer: {key} is not a list of objects"
    raise TransportError(message, outcome_unknown=False)


def sdk_catalog(calls: SdkCalls) -> Catalog:
    """The catalog over the official SDK, which gives ids for algorithms only."""
    readers: Mapping[str, tuple[str, Callable[[Any], tuple[Entries, bool]]]] = {
        "flavors": ("get_train_instance_types", _sdk_flavors),
        "engines": ("get_framework_list", _sdk_engines),
        "algorithms": ("get_built_in_algorithms", _sdk_algorithms),
    }
    return Catalog(lambda name: calls.ask(*readers[name]))


def _sdk_flavors(answer: Any) -> tuple[Entries, bool]:
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return [{"spec_code": str(code)} for code in answer], True


def _sdk_engines(answer: Any) -> tuple[Entries, bool]:
    columns = COLUMNS["engines"]
    return [{column: entry[key] for key, column in columns.items()} for entry in answer], True


def _sdk_algorithms(answer: Any) -> tuple[Entries, bool]:
    """The models; the official SDK may give only the first page of them."""
    models = [dict(model) for model in answer["models"]]
    return models, len(models) >= int(answer.get("model_total_count") or 0)
