"""The requests that resolved job configs make: what ``update_job_configs`` sends, without
credentials. Ids come from the lists of the service that are cached, so nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import is_masked
from majobctl.operations.catalog_check import cached_lists
from majobctl.operations.resolving import Resolution
from majobctl.service.catalog import IDS, Catalog
from majobctl.service.catalog_cache import CachedList
from majobctl.service.codec import rest_body
from majobctl.service.estimator import path_of
from majobctl.service.session import encoded, headers_of
from majobctl.text import in_short, quoted


def requests_of(
    resolution: Resolution, shown: Callable[[Any], Any], warn: Callable[[object], None]
) -> list[str]:
    """HTTP messages. ``shown`` makes texts of masks. ``warn`` gets a warning for each list whose
    ids are not known: such a message has a note in place of the id."""
    ids, place = _CachedIds(cached_lists(resolution.settings)[0]), urlsplit(resolution.address)

    def message(config: JobConfig) -> str:
        params = {key: it for key, it in config.params.items() if key not in config.unsent}
        content = encoded(shown(rest_body(params, ids)))
        headers = {"Host": place.netloc, **headers_of(content)}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        start = f"PUT {place.path}{path_of(config.name)} HTTP/1.1"
        return "\n".join([start, *lines, "", content.decode(), ""])

    messages = [*map(message, resolution.configs)]
    for name, missing in ids.missing.items():
        what = f"{IDS[name]} of {in_short(sorted(missing))} is not known here"
        warn(Problem(message=f"{what}: `majobctl {name}` reads the service's list"))
    return messages


class _CachedIds:
    """The ids in the cached lists. ``missing`` are the names without, by list."""

    def __init__(self, lists: Mapping[str, CachedList]) -> None:
        self.missing: dict[str, set[str]] = {}
        self._catalog = Catalog(lambda name: ([*lists[name].ids] if name in lists else [], False))

    def id_of(self, name: str, *wanted: Any) -> Any:
        if masked := next(filter(is_masked, wanted), None):
            return masked
        try:
            return self._catalog.id_of(name, *wanted)
        except ConfigError:
            named = " ".join(map(quoted, wanted))
            self.missing.setdefault(name, set()).add(named)
            return f"({IDS[name]} of {named})"
