"""The addresses of the service, and which others are allowed."""

from __future__ import annotations

import pytest

from majobctl.errors import ConfigError
from majobctl.target import endpoint_of, iam_endpoint_of, is_loopback


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("HTTPS://ModelArts.Example.COM/", "https://modelarts.example.com"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:8443/gate/", "https://example.com:8443/gate"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_an_address_wins_over_the_region_and_is_normalised(given: str, normalised: str) -> None:
    assert endpoint_of("eu-de", given) == normalised


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://modelarts.example.com", "plain http is allowed only to a loopback address"),
        ("http://127.0.0.1.example.com", "plain http is allowed only to a loopback address"),
        ("http://10.0.0.1", "plain http is allowed only to a loopback address"),
        ("https://user:hunter2@example.com", "must not hold a user or a password"),
        ("https://example.com?a=b", "must not have a query"),
        ("https://example.com?", "must not have a query"),
        ("https://example.com#a", "must not have a query"),
        ("ftp://example.com", "must be an address that starts with https://"),
        ("example.com", "must be an address that starts with https://"),
        ("https://", "must be an address that starts with https://"),
        ("https://example.com:port", "must be an address such as"),
        ("https://[::1", "must be an address such as"),
        ("https://exämple.com", "must have ASCII characters only"),
        ("https://example.com/ a", "must have ASCII characters only"),
        ("https://example.com\n", "must have ASCII characters only"),
    ],
)
@pytest.mark.bad_inputs("addresses", "address")
def test_an_address_that_could_give_credentials_away_is_refused(address: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        endpoint_of(None, address)
    assert "hunter2" not in str(caught.value)


def test_without_region_and_address_both_are_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^no region: set region .* or endpoint, or OS_REGION_NAME in"
    ):
        endpoint_of(None, None)
    with pytest.raises(
        ConfigError, match=r"^no region: set region .* or iam_endpoint, or OS_REGION_NAME in"
    ):
        iam_endpoint_of("", "")


@pytest.mark.parametrize("region", ["eu-de.evil.example", "EU-DE", "eu/de", "-"])
def test_a_region_that_is_none_makes_no_address(region: str) -> None:
    with pytest.raises(ConfigError, match=r'region: must be a name such as "eu-de"'):
        endpoint_of(region, None)


@pytest.mark.parametrize("given", ["https://iam.example.com", "https://iam.example.com/v3/"])
def test_iams_version_is_added_if_it_is_missing(given: str) -> None:
    assert iam_endpoint_of(None, given) == "https://iam.example.com/v3"


def test_a_loopback_address_is_recognised() -> None:
    assert is_loopback("http://127.9.9.9:1/a") and is_loopback("http://[::1]")
    assert not is_loopback("http://128.0.0.1") and not is_loopback("http://localhost.example")
