"""The way to an address: the proxy and the trusted certificates that the environment names."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field

import requests.utils
from urllib3.util import parse_url

from majobctl.files import at_home, read_file
from majobctl.target import is_loopback

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY = re.compile(
    r"(?:(?P<scheme>https?|socks4a?|socks5h?)://)?(?:[^\s/?#]*@)?"
    r"(?P<host>[^\s/?#@:\[\]]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,4}|[1-6][0-9]{4}))?/?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}


class RouteError(ValueError):
    """A variable does not hold a usable proxy or usable certificates; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """``url`` may hold a user and a password, ``address`` does not; ``variable`` names it."""

    url: str = field(repr=False)
    address: str
    variable: str

    def __str__(self) -> str:
        return f" through the proxy {self.address} ({self.variable})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way to ``address``, such as ``https://modelarts.example.com:443``. ``ca`` is a path of
    certificates to trust, and what names it; "" for those of certifi."""

    address: str
    proxy: Proxy | None = None
    ca: tuple[str, str] = ("", "")


def address_of(url: str) -> str:
    """Scheme, host and port."""
    parts = parse_url(url)
    scheme = parts.scheme or "https"
    return f"{scheme}://{parts.host}:{parts.port or _PORTS[scheme]}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy on the way to ``url``; a loopback address needs none. Raises RouteError."""
    if is_loopback(url):
        return None
    found = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) or ""
    if not found.strip():
        return None
    # Plain http goes to loopback addresses only.
    known = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    named = [name for name in known if os.environ.get(name) == found]
    variable = named[0] if named else "the system's proxy"
    if (match := _PROXY.fullmatch(found.strip())) is None:
        # Not shown: part of it may be a password.
        raise RouteError(
            f"{variable} is not the address of a proxy, such as http://proxy.example.com:3128;"
            " special characters of a user or a password must be percent-encoded (%23 for #)"
        )
    scheme = (match["scheme"] or "http").lower()
    address = f"{scheme}://{match['host']}:{match['port'] or _PORTS.get(scheme, 1080)}"
    return Proxy(url=found.strip(), address=address, variable=variable)


def trusted_certificates(configured: tuple[str, str] | None) -> tuple[str, str]:
    """``configured`` (a path, and what names it), or what the environment names, as Route.ca.
    Raises RouteError if it cannot be used."""
    named = [(os.environ.get(name, ""), name) for name in _CA_VARIABLES]
    for path, origin in [configured or ("", ""), *named]:
        if path:
            path = at_home(path)
            if problem := _problem_of(path):
                raise RouteError(f"{origin} names {path}, {problem}")
            return path, origin
    return "", ""


def _problem_of(path: str) -> str:
    try:
        if os.path.isdir(path):
            is_hashed = any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]", name) for name in os.listdir(path))
            return "" if is_hashed else "a folder that `openssl rehash` has not prepared"
        read_file(path, 16 * 2**20)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "which is not a file of certificates in PEM form"
    except OSError as error:
        return f"which cannot be read: {error.strerror}"
    return ""
