"""The service's error codes: what majobctl does at each, and what a user can do about it.

From "Error Codes" of the ModelArts API reference (2025) and of API Gateway, which says APIG or
APIGW.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from majobctl.errors import ServiceError

NOT_FOUND = "ModelArts.0102"
DUPLICATE = "ModelArts.0103"
INTERNAL_ERROR = "ModelArts.0010"
MISSING_CODES = (NOT_FOUND, "ModelArts.0015")
"""The resource does not exist; or its workspace does not, so that the list must confirm it."""
THROTTLED = ("ModelArts.2799", "APIG.0308", "APIGW.0308")

MISSING = (
    "create it in ModelArts, or set apply.create_missing = true (and check the project); then apply"
    " again"
)
_INVALID = "sign in again: the token is not valid"
_PROJECT = "check provider.project_id against the credentials"
_KEYS = "check the keys (OS_ACCESS_KEY and OS_SECRET_KEY, or a credential file)"
_BUSY = "the service is busy: apply again later, or with less --parallelism"
_LISTED = "the service lists it all the same: check the project and its workspace"
_NO_API = "this region has no training job configurations: check the region, or the endpoint"
_RIGHTS = "ask your administrator for the right to do this in ModelArts, in this workspace"
TOKEN_CODES = {
    "ModelArts.0201": "sign in again: the token is missing",
    "ModelArts.0202": "sign in again: the token has expired",
    **dict.fromkeys(("ModelArts.0203", "ModelArts.2784", "ModelArts.6401"), _INVALID),
}
_OF_CREDENTIALS = {
    **TOKEN_CODES,
    "ModelArts.0206": _KEYS,
    **dict.fromkeys(("ModelArts.0210", "ModelArts.2786"), _PROJECT),
    **dict.fromkeys(("APIG.0301", "APIGW.0301"), f"{_KEYS} and this machine's clock"),
}
ADVICE: Mapping[str, str] = {
    **_OF_CREDENTIALS,
    **dict.fromkeys(MISSING_CODES, _LISTED),
    **dict.fromkeys(THROTTLED, _BUSY),
    **dict.fromkeys(("APIG.0101", "APIGW.0101"), _NO_API),
    **dict.fromkeys(("ModelArts.0108", "ModelArts.0112"), _RIGHTS),
    DUPLICATE: "majobctl plan --refresh shows what the service has",
    INTERNAL_ERROR: "an error inside the service: apply again later",
    "ModelArts.0118": "the quota is used up: delete what is not needed, or ask for a higher one",
    "ModelArts.2780": "choose an engine that the service offers",
    "ModelArts.2781": "choose a flavor that the service offers",
    "ModelArts.2782": "check dataset_version_id",
    "ModelArts.2783": "check dataset_id",
    "ModelArts.2785": "authorize ModelArts: set its agency on the Settings page of its console",
    "ModelArts.2791": "check that the OBS paths exist",
    "ModelArts.2793": "lower train_instance_count, or choose another flavor",
}


def advice_on(code: str, is_about_credentials: bool) -> str:
    """The advice on a code of the service; "" if there is none."""
    return ADVICE.get(code) or ("check the credentials" if is_about_credentials else "")


def service_error(code: str, reason: str, *, status: int, **about: Any) -> ServiceError:
    """A refusal. Any 401 is about the credentials, whatever its code; any other 403 is about one
    configuration, or about what the caller may do."""
    error = ServiceError(code, reason, status=status, **about)
    error.is_about_credentials = status == 401 or code in _OF_CREDENTIALS
    return error
