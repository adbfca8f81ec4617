"""A recording stand-in for the surface of the ModelArts SDK. It makes no connection, and writes no
value of a credential."""

from __future__ import annotations

import re
from copy import copy
from typing import Any

from majobctl.capture.answer import Answer
from majobctl.capture.recorder import WITHHELD, Place, Recorder, fit

_PUBLIC = re.compile(r"region.*|project.*|.*account|.*name|.*endpoint|config_file|verify.*")
"""The arguments of a Session that are no credentials."""
_SECRET = re.compile(r"_*[as]k|.*(key|secret|token|pass|pwd|auth|cred).*", re.IGNORECASE)
"""The attributes of a Session that are credentials, if a script sets them."""
_OF_CALLER = {
    *("modelarts_session", "session", "config_name", "job_name"),
    *("job_id", "pre_version_id", "wait", "logs"),
}
"""Arguments and attributes that are no part of a configuration."""


class Session:
    """Holds what it was given. ``recorder`` is that of the running script."""

    recorder: Recorder

    def __init__(self, *arguments: Any, **named: Any) -> None:
        lines, (here, _) = self.recorder.lines(named), self.recorder.caller()
        for name, value in [*(("an argument", it) for it in arguments), *named.items()]:
            if not (name in named and _PUBLIC.fullmatch(name)):
                self._hide(name, value, lines.get(name, here))
        self.__dict__.update(named)

    def __setattr__(self, name: str, value: Any) -> None:
        if _SECRET.fullmatch(name) and not _PUBLIC.fullmatch(name):
            self._hide(name, value, self.recorder.caller()[0])
        self.__dict__[name] = value

    def _hide(self, name: str, value: Any, at: Place) -> None:
        if isinstance(value, (bytes, bytearray)):
            value = value.decode(errors="backslashreplace")
        if isinstance(value, str) and value:
            if value != WITHHELD:
                self.recorder.write("credential", name=name, at=at)
            self.recorder.hide(value)

    @classmethod
    def set_endpoint(cls, *arguments: Any, **named: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return Answer().__getattr__(name)


class _Unknown(type):
    """What only the service could answer, such as ``Estimator.get_job_list``."""

    def __getattr__(cls, name: str) -> Any:
        return Answer().__getattr__(name)


class Estimator(metaclass=_Unknown):
    """Records each call that would configure or start a job; attributes may be set at any time."""

    def __init__(self, modelarts_session: Any = None, **named: Any) -> None:
        self.__dict__.update(named, _lines=Session.recorder.lines(named))

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        # Not in place: an estimator that was copied has the same.
        self.__dict__["_lines"] = {**self._known_lines(), name: Session.recorder.caller()[0]}

    def _known_lines(self) -> dict[str, Place]:
        return dict(self.__dict__.get("_lines", {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("create_", "update_")):
            # Its call would otherwise fail as one of None.
            raise AttributeError(f"'Estimator' object has no attribute {name!r}")
        answer = Answer().__getattr__(name)
        return answer if name.startswith(("get_", "stop_", "delete_")) else None

    def update_job_configs(self, config_name: Any = None, *given: Any, **named: Any) -> Any:
        self._record("update_job_configs", config_name or self.config_name, given, named)
        return Answer(is_success=True)

    def create_job_configs(self, config_name: Any = None, *given: Any, **named: Any) -> Any:
        created = copy(self)
        name = config_name or self.config_name
        name = self._record("create_job_configs", name, given, named)
        created.__dict__["config_name"] = name
        answer = Answer(is_success=True)
        answer.__dict__.update(
            config_name=name,
            update_job_configs=created.update_job_configs,
            delete_job_configs=created.delete_job_configs,
        )
        return answer

    def delete_job_configs(self) -> Any:
        place = Session.recorder.caller()[0]
        Session.recorder.write("delete", name=Session.recorder.plain(self.config_name), at=place)
        return Answer(is_success=True)

    def fit(self, inputs: Any = None, **named: Any) -> Any:
        name = self._record("fit", named.get("job_name"), (None, inputs), named)
        return Answer(is_success=True, job_id=name, version_id="1")

    def create_job_version(self, job_id: Any = None, **named: Any) -> Any:
        versions = Session.recorder.versions
        base = "job" if isinstance(job_id, Answer) else fit(str(job_id))
        versions[base] = number = versions.get(base, 1) + 1
        self._record("create_job_version", f"{base}-v{number}", (), named)
        return Answer(is_success=True, job_id=base, version_id=str(number))

    def _record(self, method: str, name: Any, given: tuple[Any, ...], named: Any) -> Any:
        """Records a call, and returns the name of its job config."""
        recorder, (here, _) = Session.recorder, Session.recorder.caller()
        is_named = name is not None and name != "" and not isinstance(name, Answer)
        name = recorder.plain(name if is_named else recorder.new_name())
        of_call = ("config_desc", "inputs", "dataset_id", "dataset_version_id", "data_source")
        call = {**dict(zip(of_call, given, strict=False)), **named}
        lines = {**self._known_lines(), **recorder.lines(named)}
        if "job_desc" in call:
            call["job_description"] = call.pop("job_desc")
            lines["job_description"] = lines["job_desc"]
        own = {key: it for key, it in self.__dict__.items() if key[:1] != "_"}
        every = {**own, **{key: it for key, it in call.items() if it is not None}}
        params = {
            key: recorder.plain(value)
            for key, value in every.items()
            if value is not None and key not in _OF_CALLER
        }
        at = {key: lines.get(key, here) for key in params}
        more = {"is_named": is_named, "params": params, "lines": at}
        recorder.write("config", method=method, name=name, at=here, **more)
        return name
