"""What to do about a refusal of the service, by its code."""

from __future__ import annotations

from collections.abc import Mapping

from majobctl.service.http.responses import NOT_FOUND

MISSING = (
    "create it in ModelArts, or set apply.create_missing = true (and check the project); then apply"
    " again"
)
ADVICE: Mapping[str, str] = {
    NOT_FOUND: MISSING,
    "ModelArts.0103": "majobctl plan --refresh shows what the service has",
    "ModelArts.0201": "sign in again: the token is missing",
    "ModelArts.0202": "sign in again: the token has expired",
    "ModelArts.0203": "sign in again: the token is not valid",
    "ModelArts.2784": "sign in again: the token is not valid",
    "ModelArts.6401": "sign in again: the token is not valid",
    "ModelArts.0206": "check OS_ACCESS_KEY and OS_SECRET_KEY",
    "ModelArts.0210": "check provider.project_id against the credentials",
    "APIGW.0301": "check OS_ACCESS_KEY, OS_SECRET_KEY and this machine's clock",
    "APIG.0301": "check OS_ACCESS_KEY, OS_SECRET_KEY and this machine's clock",
    "ModelArts.2780": "choose an engine that the service offers",
    "ModelArts.2781": "choose a flavor that the service offers",
    "ModelArts.2782": "check dataset_version_id",
    "ModelArts.2783": "check dataset_id",
    "ModelArts.2791": "check that the OBS paths exist",
    "ModelArts.2793": "lower train_instance_count, or choose another flavor",
    "ModelArts.2799": "the service is busy: apply again later, or with less --parallelism",
    "APIGW.0308": "the service is busy: apply again later, or with less --parallelism",
    "ModelArts.0010": "an error inside the service: apply again later",
}


def advice_on(code: str, is_about_credentials: bool) -> str:
    """The advice on a code of the service; "" if there is none."""
    return ADVICE.get(code) or ("check the credentials" if is_about_credentials else "")
