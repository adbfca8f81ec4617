"""Where the service is: a region's addresses, and the rules for others and for project ids."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from majobctl.errors import ConfigError, Problem
from majobctl.strict_json import Node
from majobctl.text import nearest, printable, quoted

EMULATOR_ENDPOINT = "https://emulator.invalid"
"""The address of the emulator that runs in this process. No host can have that name."""

_OTC, _HUAWEI_CLOUD = "otc.t-systems.com", "myhuaweicloud.com"
REGIONS: Mapping[str, str] = {
    **{"eu-de": _OTC, "eu-nl": _OTC, "eu-ch2": f"sc.{_OTC}", "eu-west-101": "myhuaweicloud.eu"},
    **dict.fromkeys(("af-south-1", "cn-east-3", "cn-south-1", "cn-southwest-2"), _HUAWEI_CLOUD),
    **dict.fromkeys((f"cn-north-{number}" for number in (1, 2, 4, 9)), _HUAWEI_CLOUD),
    **dict.fromkeys((f"ap-southeast-{number}" for number in (1, 2, 3, 4)), _HUAWEI_CLOUD),
    **dict.fromkeys(("la-north-2", "la-south-2", "me-east-1", "sa-brazil-1"), _HUAWEI_CLOUD),
}
"""The domain of each region. Open Telekom Cloud's are those of its clients; Huawei Cloud's are in
both of its lists, ModelArts' (``modelarts_region.py`` of its SDK) and IAM's ("Endpoints" of its API
reference). Any other region may be another company's."""

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(
    rf"(\[[0-9a-f:.]+\]|{_LABEL}(?:\.{_LABEL})*)(?::[0-9]*)?", re.ASCII | re.IGNORECASE
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """What a state belongs to: an address as of ``endpoint_of``, and a project. Passwords go to
    ``iam_endpoint``, "" for the region's own, whatever state is used."""

    endpoint: str
    project_id: str
    iam_endpoint: str = field(default="", compare=False)

    def __str__(self) -> str:
        return printable(f"{self.endpoint}, project {self.project_id}")

    def document(self) -> dict[str, str]:
        """The target as a JSON object."""
        iam = {"iam_endpoint": self.iam_endpoint} if self.iam_endpoint else {}
        return {"endpoint": self.endpoint, "project_id": self.project_id, **iam}

    @classmethod
    def of_document(cls, node: Node) -> Target:
        """The target that ``document`` gave. Raises JsonError for anything else."""
        iam = node.get("iam_endpoint")
        return cls(node["endpoint"].text(), node["project_id"].text(), iam.text() if iam else "")


def endpoint_of(region: str | None, endpoint: str | None) -> str:
    """The address of ModelArts: ``endpoint`` with scheme and host in lower case, without a default
    port or a slash at the end; or else the region's. Raises ConfigError if neither is given or one
    is invalid; its message continues after the key's name."""
    if endpoint:
        return _normalised(endpoint, "endpoint")
    return _regional("modelarts", region, "endpoint")


def iam_endpoint_of(region: str | None, iam_endpoint: str | None) -> str:
    """The address of IAM's version 3, such as ``https://iam.eu-de.otc.t-systems.com/v3``."""
    if not iam_endpoint:
        return _regional("iam", region, "iam_endpoint") + "/v3"
    address = _normalised(iam_endpoint, "iam_endpoint")
    return address if address.endswith("/v3") else address + "/v3"


def checked_project_id(project_id: str) -> str:
    """``project_id``, which is part of every request's path. Raises ConfigError, as
    ``endpoint_of`` does, if a character has a meaning there."""
    if not _PROJECT_ID.fullmatch(project_id):
        wanted = "must be a project's id (1 to 64 letters, digits, _ and -)"
        raise _refusal("project_id", f"{wanted}, not {quoted(project_id)}")
    return project_id


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine by a loopback address or as ``localhost``."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_region(region: str) -> str:
    """``region``, which need not be one of REGIONS. Raises ConfigError, as ``endpoint_of`` does."""
    if not _REGION.fullmatch(region):
        raise _refusal("region", f'must be a name such as "eu-de", not {quoted(region)}')
    return region


def _regional(service: str, region: str | None, key: str) -> str:
    if not region:
        settings = f"region (region_name= in Python) or {key}"
        raise _refusal("", f"no region: set {settings}, or OS_REGION_NAME in the environment")
    if checked_region(region) not in REGIONS:
        also = "" if key == "iam_endpoint" else ", and iam_endpoint to sign in with a password"
        unknown = f"{quoted(region)} has no address that majobctl knows"
        raise _refusal("region", f"{unknown}; set {key}{also}{nearest(region, REGIONS)}")
    name = "iam-pub" if (service, region) == ("iam", "eu-ch2") else service
    return f"https://{name}.{region}.{REGIONS[region]}"


def _normalised(url: str, key: str) -> str:
    if wrong := _wrong_address(url):
        raise _refusal(key, wrong)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None and parts.port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{parts.port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _wrong_address(url: str) -> str | None:
    """Why ``url`` cannot be the service's address; shows it only if it cannot hold a password."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must have ASCII characters only, and no space"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "must be an address such as https://modelarts.example.com"
    if "@" in url:
        return "must not hold a user or a password"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "must not have a query (?) or a fragment (#)"
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return f"must be an address that starts with https://, not {quoted(url)}"
    if parts.scheme == "http" and not is_loopback(url):
        return (
            "must start with https://: plain http is allowed only to a loopback address, not to"
            f" {quoted(parts.hostname)}"
        )
    if not _is_one_host(parts.netloc) or "\\" in url or parts.path.rstrip("/").startswith("//"):
        return "must name one host: letters, digits, hyphens and dots, or a complete IP address"
    return None


def _is_one_host(place: str) -> bool:
    """Whether every reader of ``place`` finds the same host: no escapes, and no number that one
    reads as a name and another as an IP address."""
    match = _HOST.fullmatch(place)
    host = match[1] if match else ""
    is_address = host.startswith("[") or _NUMBER.fullmatch(host.rpartition(".")[2])
    try:
        return bool(not is_address or ipaddress.ip_address(host.strip("[]"))) and bool(host)
    except ValueError:
        return False


def _refusal(key: str, message: str) -> ConfigError:
    return ConfigError([Problem(where=key, message=message)])
