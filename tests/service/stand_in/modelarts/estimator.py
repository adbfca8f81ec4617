from __future__ import annotations

from typing import Any

from .session import Session


class ApiError(Exception):
    def __init__(self, error_code: str, error_msg: str) -> None:
        super().__init__(f"{error_code}: {error_msg}")
        self.error_code = error_code
        self.error_msg = error_msg


class Created:
    def __init__(self, config_name: str) -> None:
        self.config_name = config_name


class Estimator:
    def __init__(self, modelarts_session: Session, **parameters: Any) -> None:
        self.session = modelarts_session
        self.parameters = parameters

    def update_job_configs(
        self,
        config_name: str,
        config_desc: Any = None,
        inputs: Any = None,
        dataset_id: Any = None,
        dataset_version_id: Any = None,
        data_source: Any = None,
    ) -> Any:
        values = (config_desc, inputs, dataset_id, dataset_version_id, data_source)
        return self._called(config_name, values)

    def create_job_configs(
        self,
        config_name: str,
        config_desc: Any = None,
        inputs: Any = None,
        dataset_id: Any = None,
        dataset_version_id: Any = None,
    ) -> Any:
        answer = self._called(config_name, (config_desc, inputs, dataset_id, dataset_version_id))
        return Created(config_name) if answer == {"is_success": True} else answer

    def get_job_configs_info(self) -> Any:
        name = self.parameters["config_name"]
        answer = self._answered(name)
        if answer != {"is_success": True}:
            return answer
        if name not in self.session.configs:
            raise ApiError("ModelArts.0102", "does not exist")
        return self.session.configs[name]

    def delete_job_configs(self) -> Any:
        name = self.parameters["config_name"]
        if name not in self.session.configs and name != "raises":
            return {"is_success": False, "error_code": "ModelArts.0102", "error_msg": "gone"}
        if name == "raises":
            return self._answered(name)
        del self.session.configs[name]
        return {"is_success": True}

    def _called(self, name: str, values: tuple[Any, ...]) -> Any:
        keys = ("config_desc", "inputs", "dataset_id", "dataset_version_id", "data_source")
        parameters = {key: it for key, it in zip(keys, values) if it is not None}  # noqa: B905
        self.session.calls.append((name, self.parameters, parameters))
        if name == "raises-taken":
            raise ApiError("ModelArts.0103", "is taken")
        return self._answered(name)

    def _answered(self, name: str) -> Any:
        if name == "raises":
            raise RuntimeError(f"cannot reach the service as {self.session.secret_key}")
        if name == "raises-quoting":
            raise RuntimeError(self.session.quoted)
        if name == "answers-quoting":
            return {"is_success": False, "error_code": "a", "error_msg": self.session.quoted}
        if name == "raises-refused":
            raise ApiError("ModelArts.0102", "does not exist")
        if name == "raises-internal":
            raise ApiError("ModelArts.0010", "internal error")
        answers: dict[str, Any] = {
            "says-nothing": None,
            "says-html": "<html>",
            "refused": {
                "is_success": False,
                "error_code": "ModelArts.2781",
                "error_message": "no such flavor",
            },
        }
        return answers.get(name, {"is_success": True})

    @staticmethod
    def get_job_configs_list(modelarts_session: Session, per_page: int = 10, page: int = 1) -> Any:
        if modelarts_session.project_id == "unreachable":
            raise OSError(f"refused {modelarts_session.secret_key}")
        names = sorted(modelarts_session.configs)[per_page * (page - 1) : per_page * page]
        return {
            "config_total_count": len(modelarts_session.configs),
            "configs": [{"config_name": name} for name in names],
        }

    @staticmethod
    def get_train_instance_types(modelarts_session: Session) -> Any:
        if modelarts_session.project_id == "unreachable":
            raise OSError(f"refused {modelarts_session.secret_key}")
        if modelarts_session.project_id == "refusing":
            return {"error_code": "ModelArts.0206", "error_msg": "no", "is_success": False}
        if modelarts_session.project_id == "odd":
            return "modelarts.vm.cpu.2u"
        modelarts_session.lists_read += 1
        return ["modelarts.vm.cpu.2u"]

    @staticmethod
    def get_framework_list(modelarts_session: Session) -> Any:
        return [{"framework_type": "PyTorch", "framework_version": "PyTorch-1.0.0-python3.6"}]

    @staticmethod
    def get_built_in_algorithms(modelarts_session: Session) -> Any:
        return {
            "is_success": True,
            "model_total_count": 12,
            "models": [{"model_id": 4, "model_name": "ResNet_v2_50"}],
        }
