"""``Estimator``: the ModelArts SDK's calls for training job configurations. Parameters and answers
are those of "Modifying a Training Job Configuration" (tables 1 to 4) and its sibling pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import quote

from majobctl.errors import ConfigError, Problem, ServiceError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.scalars import SURROGATE
from majobctl.job_config.values import is_blank
from majobctl.service.arguments import require_numbers, require_texts
from majobctl.service.catalog import COLUMNS
from majobctl.service.catalog_readers import entries_in
from majobctl.service.codec import rest_body
from majobctl.service.session import Session
from majobctl.text import harmless_in_job_log, table_text

T = TypeVar("T")

Answer = dict[str, Any]

_CONFIGS = "/training-job-configs"
_VOLUMES = ("nas_type", "nas_share_addr", "nas_mount_path")
_OF_CALL = ("config_desc", "inputs", "dataset_id", "dataset_version_id", "data_source")
_SHOWN_COLUMNS = ("config_name", "config_desc", "engine_name", "engine_version", "create_time")


@dataclass(eq=False, repr=False)
class Estimator:
    """A training job; its attributes may be changed until it is sent.

    None means that a parameter is not given. A blank one (``""``, ``[]``) is sent blank, which
    clears it in an existing configuration.

    A failure of the service is the answer ``{"is_success": False, "error_code": ..., "error_msg":
    ...}``. Raises ConfigError, before anything is changed, for a wrong argument and for a flavor,
    engine or algorithm that the service does not offer; TransportError if the outcome is unknown or
    nothing could be sent; AuthError if IAM refuses."""

    modelarts_session: Session
    train_instance_count: int | None = None
    code_dir: str | None = None
    boot_file: str | None = None
    model_name: str | None = None
    output_path: str | None = None
    hyperparameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None
    log_url: str | None = None
    train_instance_type: str | None = None
    framework_type: str | None = None
    framework_version: str | None = None
    job_description: str | None = None
    user_image_url: str | None = None
    user_command: str | None = None
    config_name: str | None = None
    nas_type: str | None = None
    nas_share_addr: str | None = None
    nas_mount_path: str | None = None
    pool_id: str | None = None

    def __post_init__(self) -> None:
        _session(self.modelarts_session)

    def __repr__(self) -> str:
        return f"Estimator(config_name={self.config_name!r})"

    def update_job_configs(
        self,
        config_name: str | None = None,
        config_desc: str | None = None,
        inputs: str | None = None,
        dataset_id: str | None = None,
        dataset_version_id: str | None = None,
        data_source: Sequence[Mapping[str, Any]] | None = None,
    ) -> Answer:
        """Modifies an existing configuration: ``{"is_success": True}``, or the failure (table 4).
        ``config_name`` is by default the Estimator's own."""
        name = self._name_or(config_name)
        given = self._given(name, config_desc, inputs, dataset_id, dataset_version_id, data_source)
        return _answered(lambda: self._send("PUT", path_of(name), self._body(given)))

    def create_job_configs(
        self,
        config_name: str | None = None,
        config_desc: str | None = None,
        inputs: str | None = None,
        dataset_id: str | None = None,
        dataset_version_id: str | None = None,
        data_source: Sequence[Mapping[str, Any]] | None = None,
    ) -> CreatedConfig | Answer:
        """Creates a configuration, whose name is the date if there is none; a success has the calls
        that follow. Arguments and answer are otherwise those of ``update_job_configs``."""
        name = self.config_name if config_name is None else config_name
        name = _name_of_now() if name in (None, "") else self._name_or(name)
        given = self._given(name, config_desc, inputs, dataset_id, dataset_version_id, data_source)

        def create() -> Answer:
            self._send("POST", _CONFIGS, {"config_name": name, **self._body(given)})
            created = copy(self)  # a class of the user's may have another constructor
            created.config_name = name
            return CreatedConfig(created)

        return _answered(create)

    def get_job_configs_info(self) -> Answer:
        """The configuration ``config_name`` as the service answers, with REST names."""
        path = path_of(self._name_or(None))
        query = {"config_type": "custom"}
        return _answered(lambda: self.modelarts_session.request("GET", path, query=query))

    def delete_job_configs(self) -> Answer:
        """Deletes the configuration ``config_name``."""
        path = path_of(self._name_or(None))
        return _answered(lambda: self._send("DELETE", path, None))

    @staticmethod
    def get_job_configs_list(
        modelarts_session: Session,
        per_page: int = 10,
        page: int = 1,
        sort_by: str = "config_name",
        order: str = "asc",
        search_content: str = "",
        sortBy: str | None = None,
    ) -> Answer:
        """One page of the configurations: ``config_total_count`` and ``configs``. ``per_page`` is 1
        to 1000, ``page`` counts from 1, ``order`` is "asc" or "desc". ``sortBy`` is the SDK's other
        name for ``sort_by``."""
        _session(modelarts_session)
        require_numbers(int, per_page=per_page, page=page)
        require_texts(sort_by=sort_by, order=order, search_content=search_content, sortBy=sortBy)
        if any(map(SURROGATE.search, (sort_by, order, search_content, sortBy or ""))):
            raise ConfigError([Problem(message="what to list must be Unicode text")])
        query = {
            "per_page": per_page,
            "page": page,
            "sortBy": sortBy or sort_by,
            "order": order,
            "search_content": search_content or None,
            "config_type": "custom",
        }
        return _answered(lambda: modelarts_session.request("GET", _CONFIGS, query=query))

    @staticmethod
    def get_job_configs_object_list(
        modelarts_session: Session,
        is_show: bool = True,
        per_page: int = 10,
        page: int = 1,
        sort_by: str = "config_name",
        order: str = "asc",
        search_content: str = "",
        sortBy: str | None = None,
    ) -> list[Estimator] | Answer:
        """The same page as Estimators, each with ``config_name``; printed if ``is_show``."""
        answer = Estimator.get_job_configs_list(
            modelarts_session, per_page, page, sort_by, order, search_content, sortBy
        )
        if answer.get("is_success") is False:
            return answer
        configs = entries_in(answer, "configs")
        if is_show:
            rows = [[str(it.get(key) or "") for key in _SHOWN_COLUMNS] for it in configs]
            print(harmless_in_job_log(table_text(_SHOWN_COLUMNS, rows)), end="")
        return [_listed(modelarts_session, config) for config in configs]

    @staticmethod
    def get_framework_list(modelarts_session: Session) -> list[dict[str, str]] | Answer:
        """The engines: a list of ``{framework_type, framework_version}``."""
        _session(modelarts_session)
        columns = COLUMNS["engines"].items()
        return _answered(
            lambda: [
                {key: engine.get(column, "") for key, column in columns}
                for engine in modelarts_session.catalog.entries("engines")
            ]
        )

    @staticmethod
    def get_train_instance_types(modelarts_session: Session) -> list[str] | Answer:
        """The flavors: a list of their codes."""
        catalog = _session(modelarts_session).catalog
        return _answered(
            lambda: [flavor.get("spec_code", "") for flavor in catalog.entries("flavors")]
        )

    @staticmethod
    def get_built_in_algorithms(modelarts_session: Session) -> Answer:
        """All built-in algorithms: ``model_total_count`` and ``models``."""

        catalog = _session(modelarts_session).catalog

        def read() -> Answer:
            models = catalog.entries("algorithms")
            return {"is_success": True, "model_total_count": len(models), "models": models}

        return _answered(read)

    def _name_or(self, config_name: object) -> str:
        name = self.config_name if config_name is None else config_name
        if not isinstance(name, str) or not name.strip(".") or SURROGATE.search(name):
            raise ConfigError([Problem(message="config_name must be a name")])
        return name

    def _given(self, name: str, *of_call: Any) -> dict[str, Any]:
        """The given parameters by SDK name: normalised, or blank; ``of_call`` are ``_OF_CALL``."""
        raw = {key: getattr(self, key) for key, field in FIELDS.items() if not field.of_update}
        raw.update(zip(_OF_CALL, of_call, strict=True))
        given = {key: value for key, value in raw.items() if value is not None}
        params = JobConfig.of(name, given, self.modelarts_session.max_name_length).params
        blank = {key: "" for key, value in given.items() if is_blank(value)}
        return {**blank, **params}

    def _body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        volumes = {key: getattr(self, key) for key in _VOLUMES}
        require_texts(**volumes)
        given_volumes = {key: value for key, value in volumes.items() if value is not None}
        return rest_body(given, self.modelarts_session.catalog) | given_volumes

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        self.modelarts_session.request(method, path, body=body)
        return {"is_success": True}


class CreatedConfig(Answer):
    """``{"is_success": True}``, and the configuration that was created."""

    def __init__(self, estimator: Estimator) -> None:
        super().__init__(is_success=True)
        self.config_name = estimator.config_name
        self.get_job_configs_info = estimator.get_job_configs_info
        self.update_job_configs = estimator.update_job_configs
        self.delete_job_configs = estimator.delete_job_configs


class Refused(Answer):
    """A failure of the service, with its HTTP status, which the SDK does not give."""

    def __init__(self, answer: Answer, error: ServiceError) -> None:
        super().__init__(answer)
        self.http_status = error.status


def _name_of_now() -> str:
    """The date and the time, to a tenth of a millisecond."""
    return f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}"[:20]


def _session(session: object) -> Session:
    """``session``; ConfigError if it is something else."""
    if not isinstance(session, Session):
        raise ConfigError([Problem(where="modelarts_session", message="must be a Session")])
    return session


def path_of(config_name: str) -> str:
    """Where a configuration is, below the project."""
    return f"{_CONFIGS}/{quote(config_name, safe='')}"


def _answered(call: Callable[[], T]) -> T | Answer:
    try:
        return call()
    except ServiceError as error:
        reason = error.reason or str(error)
        answer = {"is_success": False, "error_code": error.code, "error_msg": reason}
        if error.request_id:
            answer["request_id"] = error.request_id
        # In addition to the SDK's keys: after 500 and more, the call may have been carried out, and
        # a 401 refuses the credentials whatever its code.
        is_needed = error.status >= 500 or error.status == 401
        return Refused({**answer, "http_status": error.status} if is_needed else answer, error)


def _listed(session: Session, config: Mapping[str, Any]) -> Estimator:
    keys = {key: key for key in ("user_image_url", "user_command", "config_name")}
    keys |= COLUMNS["engines"]
    return Estimator(session, **{key: config.get(column) for key, column in keys.items()})
