"""The samples on the SDK's public pages: 12 on the six about training job configurations
(modelarts_04_0174 to 0179), 3 on those about what the service offers (0190 to 0192), and 4 ways to
open a session (0123, 0154, 0155). Where a page has ``***``, they have the emulator's values."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

EXAMPLES = Path(__file__).parents[2] / "examples" / "sdk"
_UPDATE = (EXAMPLES / "update_with_obs.py").read_text()
_ESTIMATOR = _UPDATE[_UPDATE.index("estimator = Estimator(") : _UPDATE.index("update_info")]
_IMPORTS = "from modelarts.session import Session\nfrom modelarts.estimator import Estimator\n"
_FOUND = "estimator = Estimator(modelarts_session=session, config_name='my_job_config')\n"
_PAGE = 'per_page=10, page=1, sort_by="create_time", order="asc", search_content="configname")\n'
_DATASET = "dataset_id='4AZNvFkN7KYr5EdhFkH', dataset_version_id='UOF9BIeSGArwVt0oI6T'"
_CREATED = (
    f"{_ESTIMATOR}job_config_instance = estimator.create_job_configs("
    "config_name='my_job_config', inputs='/bucket/data/train/', config_desc='my job config')\n"
)
_LISTED = (
    "job_config_instance_list = Estimator.get_job_configs_object_list("
    f"modelarts_session=session, is_show=True, {_PAGE}"
)
_INFO = "'is_success': True, 'config_name': 'my_"
_DONE = "{'is_success': True}\n"


class Sample(NamedTuple):
    """What follows the opening of a session, the result's name, and a part of what it shows."""

    text: str
    result: str
    shows: str

    def script(self, session: str) -> str:
        """For the SDK, with ``session`` as the statements that open one."""
        return f"{_IMPORTS}{session}{self.text}print({self.result})\n"


SAMPLES = {
    "0174 create with OBS": Sample(_CREATED, "job_config_instance.config_name", "my_job_config\n"),
    "0174 create with a dataset": Sample(
        f"{_ESTIMATOR}job_config_instance = estimator.create_job_configs("
        f"config_name='my_job_config', {_DATASET}, config_desc='my job config')\n",
        "job_config_instance",
        _DONE,
    ),
    "0175 objects": Sample(_LISTED, "job_config_instance_list", "(config_name='my_configname')"),
    "0176 list": Sample(
        f"job_paras_list = Estimator.get_job_configs_list(modelarts_session=session, {_PAGE}",
        "job_paras_list",
        "'config_total_count': 1, 'configs': [{'config_name': 'my_configname'",
    ),
    "0177 details 1": Sample(
        f"{_FOUND}job_paras_info = estimator.get_job_configs_info()\n", "job_paras_info", _INFO
    ),
    "0177 details 2": Sample(
        f"{_CREATED}job_paras_info = job_config_instance.get_job_configs_info()\n",
        "job_paras_info",
        _INFO,
    ),
    "0177 details 3": Sample(
        f"{_LISTED}job_paras_info = job_config_instance_list[0].get_job_configs_info()\n",
        "job_paras_info",
        _INFO,
    ),
    "0178 update with OBS": Sample(
        f"{_ESTIMATOR}update_info = estimator.update_job_configs("
        "config_name='my_job_config', inputs='/bucket/dataset/', config_desc='update')\n",
        "update_info",
        _DONE,
    ),
    "0178 update with a dataset": Sample(
        f"{_ESTIMATOR}update_info = estimator.update_job_configs("
        f"config_name='my_job_config', {_DATASET}, config_desc='update')\n",
        "update_info",
        _DONE,
    ),
    "0179 delete 1": Sample(f"{_FOUND}status = estimator.delete_job_configs()\n", "status", _DONE),
    "0179 delete 2": Sample(
        f"{_CREATED}status = job_config_instance.delete_job_configs()\n", "status", _DONE
    ),
    "0179 delete 3": Sample(
        f"{_LISTED}status = job_config_instance_list[0].delete_job_configs()\n", "status", _DONE
    ),
    "0190 algorithms": Sample(
        "algo_info = Estimator.get_built_in_algorithms(modelarts_session=session)\n",
        "algo_info",
        "'model_name': 'ResNet_v2_50'",
    ),
    "0191 flavors": Sample(
        "algo_info = Estimator.get_train_instance_types(modelarts_session=session)\n",
        "algo_info",
        "'modelarts.vm.gpu.p100'",
    ),
    "0192 engines": Sample(
        "engine_list = Estimator.get_framework_list(modelarts_session=session)\n",
        "engine_list",
        "{'framework_type': 'PyTorch', 'framework_version': 'PyTorch-1.0.0-python3.6'}",
    ),
}
ENDPOINT = (
    "Session.set_endpoint(iam_endpoint='{url}', obs_endpoint='{url}', modelarts_endpoint='{url}',"
    " region_name='eu-de')\n"
)
_REGION, _PROJECT = "region_name='eu-de'", "project_id='emulator'"
_USER = "username='emulator', password='emulator'"
SESSIONS = {
    "0123 nothing": "session = Session()\n",
    "0154 user": f"{ENDPOINT}session = Session(account='emulator', {_USER}, {_REGION},"
    f" {_PROJECT})\n",
    "0155 key": f"{ENDPOINT}session = Session(access_key='emulator', secret_key='emulator',"
    f" {_PROJECT}, {_REGION})\n",
    "0154 account": f"{ENDPOINT}session = Session({_USER}, {_REGION}, {_PROJECT})\n",
}
WITHOUT_PROJECT = f"{ENDPOINT}session = Session({_USER}, {_REGION})\n"
"""An older page's: the project is the region's."""
