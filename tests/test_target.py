"""Addresses: what follows from a region, how one is normalised, and which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.strict_json import JsonError, Node
from majobctl.target import REGIONS, Target, endpoint_of, iam_endpoint_of, is_loopback


def refusal(address: str) -> str:
    with pytest.raises(ConfigError) as raised:
        endpoint_of(None, address)
    return str(raised.value)


OWNERS = {
    **dict.fromkeys(("eu-de", "eu-nl"), ("otc.t-systems.com", "iam")),
    "eu-ch2": ("sc.otc.t-systems.com", "iam-pub"),
    "eu-west-101": ("myhuaweicloud.eu", "iam"),
    **dict.fromkeys(
        REGIONS.keys() - {"eu-de", "eu-nl", "eu-ch2", "eu-west-101"}, ("myhuaweicloud.com", "iam")
    ),
}


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_a_known_region_has_the_addresses_of_its_owner(region: str) -> None:
    domain, iam = OWNERS[region]
    assert endpoint_of(region, "") == f"https://modelarts.{region}.{domain}"
    assert iam_endpoint_of(region, "") == f"https://{iam}.{region}.{domain}/v3"


def test_every_region_of_huawei_cloud_is_outside_other_companies_clouds() -> None:
    assert len(OWNERS) == 20 and "eu-west-0" not in REGIONS
    assert {name for name in REGIONS if name.startswith("eu-")} == {
        *("eu-de", "eu-nl", "eu-ch2", "eu-west-101")
    }


@pytest.mark.parametrize("region", ["eu-west-0", "eu-west-1", "eu-de2", "de", "na-mexico-1"])
def test_an_unknown_region_has_no_address_and_says_what_to_set(region: str) -> None:
    for address_of, key in ((endpoint_of, "endpoint, and iam_endpoint"), (iam_endpoint_of, "iam")):
        with pytest.raises(ConfigError) as raised:
            address_of(region, None)
        unknown = f'region: "{region}" has no address that majobctl knows'
        assert str(raised.value).startswith(unknown)
        assert f"; set {key}" in str(raised.value)
    assert endpoint_of(region, "https://h.example") == "https://h.example"
    assert iam_endpoint_of(region, "https://h.example") == "https://h.example/v3"


@pytest.mark.parametrize("region", ["EU-DE", "eu_de", "eu-de.evil.example", "-", "eu-de\n", "é"])
def test_a_region_that_could_change_the_address_is_refused(region: str) -> None:
    for address_of in (endpoint_of, iam_endpoint_of):
        with pytest.raises(ConfigError, match=r'^region: must be a name such as "eu-de", not "'):
            address_of(region, None)


@pytest.mark.parametrize("nothing", [None, ""])
def test_neither_region_nor_endpoint_is_refused_with_what_to_set(nothing: str | None) -> None:
    with pytest.raises(
        ConfigError, match=r"^no region: set region .* or endpoint, or OS_REGION_NAME in"
    ):
        endpoint_of(nothing, nothing)
    with pytest.raises(
        ConfigError, match=r"^no region: set region .* or iam_endpoint, or OS_REGION_NAME in"
    ):
        iam_endpoint_of(nothing, nothing)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("https://modelarts.example.com/", "https://modelarts.example.com"),
        ("HTTPS://ModelArts.Example.COM", "https://modelarts.example.com"),
        ("https://modelarts.example.com:443", "https://modelarts.example.com"),
        ("https://modelarts.example.com:8443//", "https://modelarts.example.com:8443"),
        ("https://gateway.example.com/ModelArts/", "https://gateway.example.com/ModelArts"),
        ("http://localhost:80", "http://localhost"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
    ],
)
def test_an_address_has_one_form(written: str, normalised: str) -> None:
    assert endpoint_of("eu-de", written) == normalised
    assert endpoint_of(None, normalised) == normalised


@pytest.mark.parametrize(
    "address",
    [
        "http://modelarts.example.com",
        "HTTP://modelarts.example.com:443",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://2130706433",
        "http://[2001:db8::1]",
    ],
)
@pytest.mark.bad_inputs("addresses", "address")
def test_plain_http_goes_to_a_loopback_address_only(address: str) -> None:
    assert "must start with https://: plain http is allowed only to a loopback" in refusal(address)
    assert not is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:geheim@modelarts.example.com",
        "https://geheim@modelarts.example.com",
        "https://:geheim@modelarts.example.com",
        "user:geheim@modelarts.example.com",
        "ftp://user:geheim@modelarts.example.com",
        "https://modelarts.example.com/?token=geheim",
        "https://modelarts.example.com/#geheim",
        "https://modelarts.example.com geheim",
        "https://geheim@[::1",
        "https://modelarts.example.com:geheim",
    ],
)
@pytest.mark.bad_inputs("addresses", "address")
def test_an_address_with_a_password_is_refused_without_showing_it(address: str) -> None:
    assert "geheim" not in refusal(address)


@pytest.mark.parametrize(
    "address",
    [
        "modelarts.example.com",
        "ftp://modelarts.example.com",
        "//modelarts.example.com",
        "https://",
        "https:///path",
        "https://:443",
        "https://modelarts.example.com:99999",
        "https://[::1",
        "https://modelarts.example.com\n",
        "https://mödelarts.example.com",
        "https://modelarts.example.com?",
        "file:///etc/passwd",
    ],
)
@pytest.mark.bad_inputs("addresses", "address")
def test_what_is_no_address_is_refused(address: str) -> None:
    told = refusal(address)
    assert told.startswith("endpoint: must ")
    assert told.isprintable()


@pytest.mark.parametrize("address", ["https://iam.example.com", "https://iam.example.com/v3/"])
def test_an_iam_address_ends_with_its_version(address: str) -> None:
    assert iam_endpoint_of(None, address) == "https://iam.example.com/v3"


@given(st.text(max_size=30) | st.text("htps:/[]@.#?%1:x", max_size=20).map("https://".__add__))
def test_any_text_is_an_address_in_its_one_form_or_a_config_error(address: str) -> None:
    try:
        normalised = endpoint_of("eu-de", address)
    except ConfigError as error:
        assert str(error).isprintable()
    else:
        assert endpoint_of(None, normalised) == normalised


def test_a_target_has_one_form_for_people_and_one_for_documents() -> None:
    target = Target("https://h.example\x1b", "p")
    assert str(target) == "https://h.example\\x1b, project p"
    assert Target.of_document(Node(target.document())) == target


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "target.endpoint is missing"),
        ({"endpoint": "e", "project_id": 5}, "target.project_id must be a string, not an integer"),
        ([], "target must be an object, not an array"),
    ],
)
def test_what_is_not_a_target_is_told_with_its_path(document: object, told: str) -> None:
    with pytest.raises(JsonError, match=f"^{told}$"):
        Target.of_document(Node(document, Node({}), "target"))


ONE_HOST = [
    *("modelarts.example.com", "a_b.local", "xn--e1afmkfd.com", "1a.2b", "h", "10.0.0.1", "a" * 63),
    *("[2001:db8::1]", "[::1]", "h:8443", "[::1]:8443", "10.0.0.1:8443", "A.B"),
]
NOT_ONE_HOST = [
    *("a%2eb.com", "a.com%00.b.com", "good.com\\.evil.com", "good.com\\evil.com", "a.com%2f.b"),
    *("[::1]evil.com", "evil[::1]", "[::1%25eth0]", "[fe80::1%eth0]", "[v1.a]", "[127.0.0.1]"),
    *("[::1", "::1]", "::1", "[]", "[:::]", "[1:2:3:4:5:6:7:8:9]"),
    *(
        "0177.0.0.1",
        "0x7f.1",
        "127.1",
        "2130706433",
        "1.2.3.4.5",
        "1.2.3.04",
        "a.1",
        "a.0x",
        "256.1.1.1",
    ),
    *("a..b", "a.com.", ".a.com", "-a.com", "a-.com", "a" * 64 + ".com", "."),
    *(f"a{char}b" for char in ";,'\"{}|^`<>!$&()*+=~"),
    *("h:80:90", "h:-1", "h:99999", "h:x", "h:+80"),
    *("h//evil.example", "h/a\\b", "h/\\evil.example"),
]


@pytest.mark.parametrize("host", ONE_HOST)
def test_an_address_of_one_host_is_taken(host: str) -> None:
    for place in (host, f"{host}/", f"{host}/path/v3"):
        assert endpoint_of(None, f"https://{place}").startswith(f"https://{host.lower()}")


@pytest.mark.parametrize("host", NOT_ONE_HOST)
@pytest.mark.bad_inputs("addresses", "host")
def test_an_address_that_two_readers_take_for_two_hosts_is_refused(host: str) -> None:
    for scheme in ("https", "http", "HTTPS"):
        for address_of in (endpoint_of, iam_endpoint_of):
            with pytest.raises(ConfigError) as raised:
                address_of(None, f"{scheme}://{host}/")
            assert str(raised.value).isprintable()
