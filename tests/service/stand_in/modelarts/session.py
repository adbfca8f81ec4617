from __future__ import annotations

from typing import Any


class Session:
    endpoints: dict[str, Any] = {}  # noqa: RUF012

    @classmethod
    def set_endpoint(
        cls,
        iam_endpoint: str | None = None,
        obs_endpoint: str | None = None,
        modelarts_endpoint: str | None = None,
        region_name: str | None = None,
    ) -> None:
        cls.endpoints = {
            "iam": iam_endpoint,
            "obs": obs_endpoint,
            "modelarts": modelarts_endpoint,
            "region": region_name,
        }

    def __init__(
        self,
        access_key: str | None = None,
        secret_key: str | None = None,
        project_id: str | None = None,
        region_name: str | None = None,
        account: str | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        if project_id == "broken":
            raise ValueError(f"cannot sign in with {secret_key}")
        self.access_key = access_key
        self.secret_key = secret_key
        self.username = username
        self.password = password
        self.project_id = project_id
        self.calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.configs: dict[str, Any] = {}
        self.lists_read = 0
        self.token = ""
        self.quoted = ""
