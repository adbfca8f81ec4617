"""What clients that are not ours do with an emulator, each called as its own documents show. Runs
in their environment: ``python other_clients.py CLIENT URL`` prints the results as JSON."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def openstacksdk(url: str) -> Any:
    """The Open Telekom Cloud's extension of the OpenStack SDK, signed in with a password."""
    connection = import_module("openstack").connect(load_yaml_config=False)
    import_module("otcextensions.sdk").load(connection)
    service = connection.modelartsv1
    fields = {"worker_server_num": 1, "spec_id": 4}
    service.create_training_job_config(config_name="two", **fields)
    service.update_training_job_config("two", **fields, config_desc="Grüße ☃")
    listed = service.training_job_configs(sort_by="config_name", order="asc", search_content="w")
    document = {
        "project": next(connection.identity.projects(name="eu-de")).id,
        "names": [item.config_name for item in listed],
        "described": service.get_training_job_config("two").config_desc,
        "engine": next(service.job_engines()).engine_version,
        "flavor": next(service.job_flavors(job_type="train")).spec_code,
        "algorithm": service.find_builtin_model("ResNet_v1_50").model_name,
    }
    service.delete_training_job_config("two")
    key = connection.identity.create_security_token(duration=900)
    document["left"] = [item.config_name for item in service.training_job_configs()]
    return {**document, "has_key": bool(key.access and key.secret and key.security_token)}


def huaweicloud(url: str) -> Any:
    """Huawei's own core, with an access key: all headers are signed."""
    credentials = import_module("huaweicloudsdkcore.auth.credentials")
    return _huaweicloud(url, credentials.BasicCredentials("emulator", "emulator"))


def huaweicloud_id_token(url: str) -> Any:
    """The same, with temporary keys in exchange for an identity provider's token."""
    file = Path("id_token")
    file.write_text("emulator\n")
    os.environ["HUAWEICLOUD_SDK_IDP_ID"] = "emulator"
    os.environ["HUAWEICLOUD_SDK_ID_TOKEN_FILE"] = str(file)
    provider = import_module("huaweicloudsdkcore.auth.provider").EnvCredentialProvider
    return _huaweicloud(url, provider.get_basic().get_credentials())


def _huaweicloud(url: str, credentials: Any) -> Any:
    client = import_module("huaweicloudsdkcore.client")
    region = import_module("huaweicloudsdkcore.region.region").Region("eu-de", url)
    response = import_module("huaweicloudsdkcore.sdk_response").SdkResponse
    answer = type("Answer", (response,), {"openapi_types": {}, "attribute_map": {}})
    builder = client.ClientBuilder(client.Client).with_region(region)
    built = builder.with_credentials(credentials.with_iam_endpoint(url)).build()

    def call(method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        return built.do_http_request(
            method=method,
            resource_path="/v1/{project_id}/training-job-configs" + path,
            query_params=[("search_content", "Ü o~n")] if method == "GET" else [],
            header_params={"Content-Type": kind},
            body=body,
            response_type=answer,
        ).status_code

    fields = {"worker_server_num": 1, "spec_id": 4}
    return [
        call("POST", "", {**fields, "config_name": "one", "config_desc": "Grüße ☃"}),
        call("GET", ""),
        call("PUT", "/one", fields),
        call("PUT", "/one", json.dumps(fields), "text/plain"),  # the body is not signed
        call("DELETE", "/one"),
    ]


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
