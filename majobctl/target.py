"""Where the service is: the addresses that follow from a region, and the rules for any other, and
for a project's id.

It is light (the settings use it for the target of a plan) and sends nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from majobctl.errors import ConfigError, Problem
from majobctl.text import quoted

EMULATOR_ENDPOINT = "https://emulator.invalid"
"""The address of the emulator that runs in this process; no host can have that name."""

OPEN_TELEKOM_CLOUD = "eu-de"

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """What a state belongs to: the service's address, as ``endpoint_of`` has it, and a project."""

    endpoint: str
    project_id: str


def endpoint_of(region: str | None, endpoint: str | None) -> str:
    """The address of ModelArts: ``endpoint`` normalised, or else the region's.

    Normalised is: scheme and host in lower case, no default port, no slash at the end. Raises
    ConfigError where neither is given or one is not usable; its message goes on where the key's
    name ends.
    """
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
    """``project_id``; it stands in the path of every call, and has no character that means
    something there. Raises ConfigError, as ``endpoint_of`` does, where it cannot be one."""
    if not _PROJECT_ID.fullmatch(project_id):
        wanted = "must be a project's id (1 to 64 letters, digits, _ and -)"
        raise _wrong("project_id", f"{wanted}, not {quoted(project_id)}")
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


def _regional(service: str, region: str | None, key: str) -> str:
    if not region:
        raise _wrong(key, "is missing; set it, or region")
    if not _REGION.fullmatch(region):
        raise _wrong("region", f'must be a name such as "eu-de", not {quoted(region)}')
    if region == OPEN_TELEKOM_CLOUD:
        return f"https://{service}.{region}.otc.t-systems.com"
    return f"https://{service}.{region}.myhuaweicloud.com"


def _normalised(url: str, key: str) -> str:
    problem, parts, port = _examined(url)
    if problem:
        raise _wrong(key, problem)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _examined(url: str) -> tuple[str, SplitResult, int | None]:
    """What is wrong with ``url`` ("" for nothing), its parts and its port.

    A message shows the address only where it cannot hold a password.
    """
    nothing = SplitResult("", "", "", "", "")
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must have ASCII characters only, and no space", nothing, None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "must be an address such as https://modelarts.example.com", nothing, None
    if "@" in url:
        return "must not hold a user or a password", parts, port
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "must not have a query (?) or a fragment (#)", parts, port
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return f"must be an address that starts with https://, not {quoted(url)}", parts, port
    if parts.scheme == "http" and not is_loopback(url):
        return (
            f"must start with https://: plain http goes to a loopback address only, not to"
            f" {quoted(parts.hostname)}",
            parts,
            port,
        )
    return "", parts, port


def _wrong(key: str, message: str) -> ConfigError:
    return ConfigError([Problem("", 0, 0, key, message)])
