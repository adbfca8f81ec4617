"""Where credentials are found, and that none is ever shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from majobctl.emulator import create_app, start
from majobctl.errors import AuthError, ConfigError
from majobctl.service.auth.credentials import Agency, AkSk, Credentials, IdToken, Password, Token
from majobctl.service.auth.sources import Sources
from majobctl.service.auth.tokens import token_request
from majobctl.service.session import Session

SECRET = "s3cret-not-a-real-one"


def find(auth: str | None = None) -> Credentials:
    return Sources().credentials(auth)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def write_huawei_file(home: Path, text: str) -> Path:
    path = home / ".huaweicloud" / "credentials"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "b"}, AkSk("a", "b")),
        (
            {"OS_ACCESS_KEY": "a", "OS_SECRET_KEY": " b\n", "OS_SECURITY_TOKEN": "c"},
            AkSk("a", "b", "c"),
        ),
        (
            {
                "HUAWEICLOUD_SDK_AK": "a",
                "HUAWEICLOUD_SDK_SK": "b",
                "HUAWEICLOUD_SDK_SECURITY_TOKEN": "c",
            },
            AkSk("a", "b", "c"),
        ),
        (
            {"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "b", "HW_SECURITY_TOKEN": "c"},
            AkSk("a", "b", "c"),
        ),
        (
            {"OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_USER_DOMAIN_NAME": "d"},
            Password("d", "u", "p"),
        ),
        ({"OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_DOMAIN_NAME": "d"}, Password("d", "u", "p")),
        (
            {"HW_USER_NAME": "u", "HW_USER_PASSWORD": "p", "HW_DOMAIN_NAME": "d"},
            Password("d", "u", "p"),
        ),
        (
            {"HW_USER_NAME": "u", "HW_USER_PASSWORD": "p", "HW_DOMAIN_ID": "i"},
            Password("", "u", "p", "i"),
        ),
        ({"OS_TOKEN": "t"}, Token("t")),
        ({"OS_AUTH_TOKEN": "t"}, Token("t")),
        ({"HW_AUTH_TOKEN": "t"}, Token("t")),
        (
            {"HW_ASSUME_ROLE_IDP_ID": "ci", "HW_ASSUME_ROLE_ID_TOKEN": "e.y.j\n"},
            IdToken("ci", "e.y.j"),
        ),
        (
            {"HW_ASSUME_ROLE_IDP_ID": "ci", "HW_ASSUME_ROLE_ID_TOKEN_FILE": "id-token"},
            IdToken("ci", "from.the.file"),
        ),
        (
            {"HUAWEICLOUD_SDK_IDP_ID": "ci", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "id-token"},
            IdToken("ci", "from.the.file"),
        ),
        (
            {
                **{"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "b"},
                **{"HW_ASSUME_ROLE_AGENCY_NAME": "n", "HW_ASSUME_ROLE_DOMAIN_ID": "i"},
            },
            Agency(name="n", account="", account_id="i", caller=AkSk("a", "b")),
        ),
        (
            {
                **{"OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_DOMAIN_NAME": "d"},
                **{"OS_AGENCY_NAME": "n", "OS_AGENCY_DOMAIN_NAME": "other"},
            },
            Agency(name="n", account="other", account_id="", caller=Password("d", "u", "p")),
        ),
    ],
)
def test_each_family_of_variables_is_read(
    variables: dict[str, str], expected: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("id-token").write_text("from.the.file\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find() == expected


def test_the_order_is_id_token_access_key_password_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_TOKEN", "t")
    assert find() == Token("t")
    for name in ("OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_NAME"):
        monkeypatch.setenv(name, "x")
    assert find() == Password("x", "x", "x")
    monkeypatch.setenv("HW_ACCESS_KEY", "a")
    monkeypatch.setenv("HW_SECRET_KEY", "b")
    assert find() == AkSk("a", "b")
    monkeypatch.setenv("HW_ASSUME_ROLE_IDP_ID", "ci")
    monkeypatch.setenv("HW_ASSUME_ROLE_ID_TOKEN", "i")
    assert find() == IdToken("ci", "i")
    assert find("aksk") == AkSk("a", "b")
    assert find("token") == Token("t")
    assert find("password") == Password("x", "x", "x")


def test_the_keys_of_a_pair_are_never_taken_from_two_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OS_ACCESS_KEY", "first")
    monkeypatch.setenv("HW_ACCESS_KEY", "second")
    monkeypatch.setenv("HW_SECRET_KEY", "second-secret")
    monkeypatch.setenv("OS_SECURITY_TOKEN", "of-the-first")
    assert find() == AkSk("second", "second-secret")


@pytest.mark.parametrize(
    ("variables", "expected", "iam_endpoint"),
    [
        ({"HW_USER_PASSWORD": SECRET, "OS_USERNAME": "u", "OS_DOMAIN_NAME": "d"}, None, "os"),
        ({"OS_PASSWORD": SECRET, "HW_USER_NAME": "u", "HW_DOMAIN_NAME": "d"}, None, "os"),
        (
            {"OS_PASSWORD": SECRET, "OS_USERNAME": "u", "OS_DOMAIN_NAME": "d"},
            Password("d", "u", SECRET),
            "os",
        ),
        (
            {"HW_USER_PASSWORD": SECRET, "HW_USER_NAME": "u", "HW_DOMAIN_NAME": "d"},
            Password("d", "u", SECRET),
            "hw",
        ),
        (
            {"HW_ASSUME_ROLE_IDP_ID": "ci", "HW_ASSUME_ROLE_ID_TOKEN": SECRET},
            IdToken("ci", SECRET),
            "hw",
        ),
        (
            {"HUAWEICLOUD_SDK_IDP_ID": "ci", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "id-token"},
            IdToken("ci", SECRET),
            None,
        ),
    ],
)
def test_what_goes_to_iam_goes_to_that_of_its_own_source(
    variables: dict[str, str],
    expected: Credentials | None,
    iam_endpoint: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never one cloud's password, or another's user, to a third one's address."""
    Path("id-token").write_text(SECRET)
    for name, value in {"OS_AUTH_URL": "os", "HW_AUTH_URL": "hw", **variables}.items():
        monkeypatch.setenv(name, value)
    sources = Sources()
    assert sources.get("iam_endpoint") == "os"
    if expected is None:
        with pytest.raises(AuthError):
            sources.credentials()
    else:
        assert sources.credentials() == expected
    assert sources.get("iam_endpoint") == iam_endpoint


OTC, HUAWEI = "otc.t-systems.com", "cn-north-4.myhuaweicloud.com"
OF_OS = {"OS_USERNAME": "u", "OS_PASSWORD": SECRET, "OS_DOMAIN_NAME": "d"}
OF_HW = {"HW_USER_NAME": "u", "HW_USER_PASSWORD": SECRET, "HW_DOMAIN_NAME": "d"}
OF_CLOUD = {"OS_CLOUD": "otc"}
OF_ARGUMENTS = {"username": "u", "password": SECRET}
IN_EU_DE, IN_CHINA = {"OS_REGION_NAME": "eu-de"}, {"HW_REGION_NAME": "cn-north-4"}


@pytest.mark.parametrize(
    ("variables", "arguments", "host"),
    [
        (OF_OS | IN_EU_DE | IN_CHINA, {}, f"eu-de.{OTC}"),
        (OF_HW | IN_EU_DE | IN_CHINA, {}, HUAWEI),
        (OF_HW | IN_EU_DE, {}, f"eu-de.{OTC}"),  # the name that the message of none tells
        (OF_CLOUD | IN_CHINA, {}, f"eu-nl.{OTC}"),
        (OF_CLOUD | IN_EU_DE, {}, f"eu-de.{OTC}"),
        (OF_HW | OF_CLOUD | IN_CHINA, {}, HUAWEI),
        (OF_HW | OF_CLOUD, {}, "cn-north-1.myhuaweicloud.com"),
        (OF_OS | IN_CHINA, {}, None),
        (OF_OS, {}, None),
        ({"OS_TOKEN": SECRET} | IN_CHINA, {}, None),
        (IN_CHINA, OF_ARGUMENTS, None),
        (IN_CHINA | IN_EU_DE, OF_ARGUMENTS, f"eu-de.{OTC}"),
        (IN_CHINA, OF_ARGUMENTS | {"endpoint": f"https://modelarts.eu-de.{OTC}"}, None),
    ],
)
def test_what_one_vendors_cloud_has_issued_never_goes_to_anothers(
    variables: dict[str, str],
    arguments: dict[str, str],
    host: str | None,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor to that of a file of Huawei Cloud's tools which was left in the home folder."""
    pytest.importorskip("yaml")
    user = f"{{username: u, password: {SECRET}, user_domain_name: d}}"
    Path("clouds.yaml").write_text(f"clouds: {{otc: {{region_name: eu-nl, auth: {user}}}}}")
    write_huawei_file(home, "[basic]\niam_endpoint = https://iam.example.com\n")
    (home / ".hcloud").mkdir()
    profiles = {"current": "x", "profiles": [{"name": "x", "region": "cn-north-1"}]}
    (home / ".hcloud/config.json").write_text(json.dumps(profiles))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if host is None:
        with pytest.raises(ConfigError, match=r"^no region"):
            Session(project_id="p", **arguments)  # type: ignore[arg-type]
    else:
        session = Session(project_id="p", **arguments)  # type: ignore[arg-type]
        found = (session.endpoint, session._iam_endpoint)
        assert found == (f"https://modelarts.{host}", f"https://iam.{host}/v3")


def test_an_agency_needs_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_AGENCY_NAME"):
        monkeypatch.setenv(name, "x")
    assert message().startswith('the agency "x" needs its account: set OS_AGENCY_DOMAIN_NAME, ')


def test_an_id_tokens_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW_ASSUME_ROLE_IDP_ID", "ci")
    monkeypatch.setenv("HW_ASSUME_ROLE_ID_TOKEN_FILE", "/none/id-token")
    assert message() == "/none/id-token: cannot be read: No such file or directory"


AKSK = {"name": "work", "mode": "AKSK", "accessKeyId": "a", "secretAccessKey": SECRET}
STS = {"accessKeyId": "b", "secretAccessKey": SECRET, "securityToken": "t"}
SSO = {"name": "sso", "mode": "SSO", "projectId": "p2", "ssoAuth": {"stsToken": STS}}
PROFILES = {"current": "work", "profiles": [{**AKSK, "projectId": "p", "region": "eu-de"}, SSO]}


class TestAProfileOfKooCli:
    """Of Huawei Cloud's command line, in ~/.hcloud/config.json."""

    @pytest.fixture
    def path(self, home: Path) -> Path:
        path = home / ".hcloud" / "config.json"
        path.parent.mkdir()
        return path

    @pytest.mark.parametrize(
        ("changes", "variables", "expected", "project_id"),
        [
            ({}, {}, AkSk("a", SECRET), "p"),
            ({}, {"HW_PROFILE": "sso"}, AkSk("b", SECRET, "t"), "p2"),
            ({"current": "sso"}, {}, AkSk("b", SECRET, "t"), "p2"),
            ({"current": "sso"}, {"HW_PROFILE": "work"}, AkSk("a", SECRET), "p"),
            ({}, {"OS_ACCESS_KEY": "o", "OS_SECRET_KEY": "s"}, AkSk("o", "s"), "p"),
            ({"authEncrypt": "false"}, {}, AkSk("a", SECRET), "p"),
            (
                {"profiles": [{**AKSK, "agencyName": "n", "agencyDomainName": "d"}]},
                {},
                Agency(name="n", account="d", account_id="", caller=AkSk("a", SECRET)),
                None,
            ),
            ({"authEncrypt": "true"}, {}, None, "p"),
            ({"authEncrypt": True}, {"HW_PROFILE": "sso"}, None, "p2"),
            ({"current": "gone"}, {}, None, None),
            ({"profiles": {}}, {}, None, None),
            ({"profiles": [5, {"name": "work", "accessKeyId": 5, "mode": []}]}, {}, None, None),
            ({"profiles": [{**SSO, "name": "work", "ssoAuth": 5}]}, {}, None, "p2"),
        ],
    )
    def test_is_read(
        self,
        path: Path,
        changes: dict[str, Any],
        variables: dict[str, str],
        expected: Credentials | None,
        project_id: str | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path.write_text(json.dumps({**PROFILES, **changes}))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert Sources().get("project_id") == project_id
        if expected is None:
            assert message().startswith("no credentials")
        else:
            assert find() == expected

    def test_may_be_in_another_file(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.with_name("other.json").write_text(json.dumps(PROFILES))
        monkeypatch.setenv("HW_SHARED_CONFIG_FILE", "~/.hcloud/other.json")
        assert find() == AkSk("a", SECRET)
        monkeypatch.setenv("HW_SHARED_CONFIG_FILE", "none.json")
        assert "access key (none.json, which does not exist): accessKeyId, " in message()

    def test_that_only_its_own_tool_can_read_says_so(self, path: Path) -> None:
        path.write_text(json.dumps({**PROFILES, "authEncrypt": "true"}))
        assert "(~/.hcloud/config.json, whose keys are encrypted): accessKeyId, " in message()

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (f'{{"{SECRET}": ', "it is not JSON (line 1, column "),
            ("[]", "it is not a JSON object"),
            (json.dumps(PROFILES), 'there is no profile "x", to which HW_PROFILE is set'),
        ],
    )
    def test_that_cannot_be_read_is_named_and_not_quoted(
        self, path: Path, text: str, problem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.write_text(text)
        monkeypatch.setenv("HW_PROFILE", "x")
        assert message().startswith(f"{path}: {problem}")


ID_TOKEN = {"HW_ASSUME_ROLE_IDP_ID": "emulator", "HW_ASSUME_ROLE_ID_TOKEN": "emulator"}
AGENCY = {"HW_ASSUME_ROLE_AGENCY_NAME": "emulator", "HW_ASSUME_ROLE_DOMAIN_NAME": "emulator"}


@pytest.mark.parametrize(
    "variables",
    [
        ID_TOKEN,
        {"HW_USER_NAME": "emulator", "HW_USER_PASSWORD": "emulator", "HW_DOMAIN_ID": "emulator"},
        {**ID_TOKEN, **AGENCY},
        {"HW_ACCESS_KEY": "emulator", "HW_SECRET_KEY": "emulator", **AGENCY},
        {
            **{"HW_USER_NAME": "emulator", "HW_USER_PASSWORD": "emulator"},
            **{"HW_DOMAIN_NAME": "emulator", **AGENCY},
        },
        {
            **{"OS_USERNAME": "emulator", "OS_PASSWORD": "emulator", "OS_DOMAIN_NAME": "emulator"},
            **{"OS_AGENCY_NAME": "emulator", "OS_AGENCY_DOMAIN_NAME": "emulator"},
        },
    ],
)
def test_short_lived_credentials_are_issued_once_and_renewed(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with (
        create_app(request_log=log) as app,
        start(app) as server,
        Session(
            project_id="emulator", endpoint=server.url, iam_endpoint=server.url, backoff=0.01
        ) as session,
    ):
        for _ in range(2):
            assert session.request("GET", "/job/ai-engines")["is_success"]
        issued = [line for line in log.read_text().splitlines() if "/v3" in line]
        app.expire_tokens()
        assert session.request("GET", "/job/ai-engines")["is_success"]
    is_signed, is_role = "HW_ACCESS_KEY" in variables, any("AGENCY" in name for name in variables)
    assert len(issued) == (2 if is_role and not is_signed else 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"HW_ASSUME_ROLE_ID_TOKEN": SECRET}, "401): IAM.0001 The request you have made requires"),
        ({"HW_ASSUME_ROLE_IDP_ID": "other"}, "404): IAM.0004 Could not find the identity provider"),
        (
            {**AGENCY, "HW_ASSUME_ROLE_AGENCY_NAME": "other"},
            "404): IAM.0004 Could not find the agency",
        ),
    ],
)
def test_what_iam_refuses_is_said_without_the_token(
    changes: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ID_TOKEN, **changes}.items():
        monkeypatch.setenv(name, value)
    with (
        create_app() as app,
        start(app) as server,
        Session(project_id="emulator", endpoint=server.url, iam_endpoint=server.url) as session,
        pytest.raises(AuthError) as caught,
    ):
        session.request("GET", "/job/ai-engines")
    assert f"IAM refused the credentials (HTTP status {reason}" in str(caught.value)
    assert SECRET not in f"{caught.value} {session!r}"


def test_huawei_clouds_own_file_is_read(home: Path) -> None:
    write_huawei_file(
        home,
        f"[basic]\nak = a\nsk = 100%{SECRET}\nsecurity_token = t\nproject_id = p\n"
        "iam_endpoint = https://iam.example.com\n",
    )
    sources = Sources()
    assert sources.credentials() == AkSk("a", f"100%{SECRET}", "t")
    assert sources.get("project_id") == "p"
    assert sources.get("iam_endpoint") == "https://iam.example.com"


def test_a_file_without_the_section_holds_nothing(home: Path) -> None:
    write_huawei_file(home, "[global]\nak = a\n")
    assert Sources().get("project_id") is None


@pytest.mark.parametrize("text", [f"sk = {SECRET}\n", f"[basic]\n{SECRET}\n"])
def test_a_damaged_file_is_named_and_not_quoted(text: str, home: Path) -> None:
    path = write_huawei_file(home, text)
    with pytest.raises(AuthError) as caught:
        find()
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(home: Path) -> None:
    (home / ".huaweicloud" / "credentials").mkdir(parents=True)
    with pytest.raises(AuthError, match=r"credentials: cannot be read: Is a directory"):
        find()


def test_a_damaged_file_does_no_harm_if_it_is_not_needed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_huawei_file(home, "damaged")
    monkeypatch.setenv("OS_ACCESS_KEY", "a")
    monkeypatch.setenv("OS_SECRET_KEY", "b")
    monkeypatch.setenv("OS_PROJECT_ID", "p")
    assert find() == AkSk("a", "b")
    assert Sources().get("project_id") == "p"
    assert Sources().get("region") is None


NOT_SET = """no credentials
  ID token (environment): HUAWEICLOUD_SDK_IDP_ID, HUAWEICLOUD_SDK_ID_TOKEN_FILE not set
  ID token (environment): HW_ASSUME_ROLE_IDP_ID, HW_ASSUME_ROLE_ID_TOKEN not set
  access key (environment): OS_ACCESS_KEY, OS_SECRET_KEY not set
  access key (environment): HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK not set
  access key (environment): HW_ACCESS_KEY, HW_SECRET_KEY not set
  access key (~/.huaweicloud/credentials, which does not exist): ak, sk not set
  access key (~/.hcloud/config.json, which does not exist): accessKeyId, secretAccessKey not set
  password (environment): OS_USERNAME, OS_PASSWORD, OS_USER_DOMAIN_NAME not set
  password (environment): HW_USER_NAME, HW_USER_PASSWORD, HW_DOMAIN_NAME not set
  token (environment): OS_TOKEN not set
  token (environment): HW_AUTH_TOKEN not set
  clouds.yaml: OS_CLOUD not set
set OS_ACCESS_KEY and OS_SECRET_KEY in the environment, or complete another of these"""


def message(auth: str | None = None) -> str:
    with pytest.raises(AuthError) as caught:
        find(auth)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_nothing_at_all_says_what_was_looked_for_where() -> None:
    assert message() == NOT_SET
    lines = NOT_SET.splitlines()
    advice = "set OS_TOKEN in the environment, or complete another of these"
    assert message("token").splitlines() == [lines[0], *lines[-4:-1], advice]


@pytest.mark.parametrize(
    ("variables", "line", "missing"),
    [
        (
            {"OS_SECRET_KEY": SECRET},
            "OS_SECRET_KEY set; OS_ACCESS_KEY not set",
            "OS_ACCESS_KEY",
        ),
        (
            {"OS_ACCESS_KEY": SECRET, "OS_SECRET_KEY": ""},
            "OS_ACCESS_KEY set; OS_SECRET_KEY empty",
            "OS_SECRET_KEY",
        ),
        (
            {"HW_ACCESS_KEY": SECRET},
            "HW_ACCESS_KEY set; HW_SECRET_KEY not set",
            "HW_SECRET_KEY",
        ),
        (
            {"OS_USERNAME": "someone", "OS_PASSWORD": " ", "OS_DOMAIN_ID": "d"},
            "OS_USERNAME, OS_DOMAIN_ID set; OS_PASSWORD empty",
            "OS_PASSWORD",
        ),
        (
            {"OS_PASSWORD": SECRET, "OS_DOMAIN_NAME": ""},
            "OS_PASSWORD set; OS_DOMAIN_NAME empty; OS_USERNAME not set",
            "OS_DOMAIN_NAME and OS_USERNAME",
        ),
        ({"OS_TOKEN": ""}, "OS_TOKEN empty", "OS_TOKEN"),
    ],
)
def test_what_is_half_set_is_named_without_its_value(
    variables: dict[str, str], line: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes first."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = message().splitlines()
    assert found[1].endswith(f" (environment): {line}")
    assert found[-1] == f"set {missing} in the environment, or complete another of these"
    assert not {*found[2:-1]} - {*NOT_SET.splitlines()}
    assert len(found) == len(NOT_SET.splitlines())


def test_half_of_huawei_clouds_own_file_is_named(home: Path) -> None:
    write_huawei_file(home, f"[basic]\nsk = {SECRET}\n")
    _, line, *_, advice = message().splitlines()
    assert line == "  access key (~/.huaweicloud/credentials): sk set; ak not set"
    assert advice == "set ak in ~/.huaweicloud/credentials, or complete another of these"


def test_an_account_may_have_an_id_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_ID"):
        monkeypatch.setenv(name, name)
    user = Password("", "OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_ID")
    assert find() == user
    domain = {"id": "OS_USER_DOMAIN_ID"}
    sent = json.loads(token_request(user, None).body)["auth"]["identity"]["password"]["user"]
    assert sent["domain"] == domain
    # A name is what IAM's own page has.
    monkeypatch.setenv("OS_DOMAIN_NAME", "account")
    assert find() == Password("account", "OS_USERNAME", "OS_PASSWORD")


def test_without_a_home_directory_the_environment_is_enough(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "sys.modules['pwd'] = None\n"
        "from majobctl.service.auth.sources import Sources\n"
        "print(Sources().credentials() is not None, Sources().get('project_id'))\n"
        "del os.environ['OS_ACCESS_KEY']\n"
        "try:\n    Sources().credentials()\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    keys = {"OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "b", "PATH": ""}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=keys, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "True None\nAuthError\n", done.stderr


def test_an_unknown_kind_of_credentials_is_a_wrong_setting() -> None:
    with pytest.raises(
        ConfigError, match=r'auth is "oidc", "aksk", "password" or "token", not "magic"'
    ):
        find("magic")


@pytest.mark.parametrize(
    "credentials",
    [
        AkSk(SECRET, SECRET, SECRET),
        Token(SECRET),
        IdToken("ci", SECRET),
        Agency(name="n", account="a", account_id="", caller=IdToken("ci", SECRET)),
    ],
)
def test_no_secret_is_shown(credentials: Credentials) -> None:
    assert SECRET not in f"{credentials} {credentials!r}"


def test_a_password_is_not_shown_and_its_user_is() -> None:
    shown = repr(Password("account", "user", SECRET))
    assert shown == "Password(account='account', username='user', account_id='')"


@pytest.mark.parametrize("secret", ["s3crét", "s3cr\net", " s3cret"])
def test_a_secret_that_no_header_can_carry_is_refused_without_being_shown(secret: str) -> None:
    for make in (lambda: Token(secret), lambda: AkSk("a", "b", secret), lambda: AkSk(secret, "b")):
        with pytest.raises(AuthError) as caught:
            make()
        assert secret not in str(caught.value)


def test_the_project_comes_from_the_first_source_that_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Sources().project() == (None, None)
    monkeypatch.setenv("HUAWEICLOUD_SDK_PROJECT_ID", "second")
    assert Sources().project() == ("second", None)
    monkeypatch.setenv("OS_PROJECT_NAME", "eu-de")
    assert Sources().project() == (None, "eu-de")


def test_looking_for_a_project_imports_nothing_costly() -> None:
    code = (
        "import sys; from majobctl.service.auth import sources;"
        "sources.Sources().get('project_id');"
        "from majobctl import target, session, estimator; from majobctl.service import provider;"
        "print(sorted({'requests', 'urllib3', 'yaml', 'werkzeug'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class TestCloudsYaml:
    CLOUDS = f"""
clouds:
  otc:
    region_name: eu-de
    cacert: /certificates.pem
    auth:
      auth_url: https://iam.example.com/v3
      username: someone
      user_domain_name: account
      project_name: eu-de
  keys:
    auth: {{ak: a, sk: {SECRET}, project_id: p}}
"""

    @pytest.fixture(autouse=True)
    def _yaml(self) -> None:
        pytest.importorskip("yaml")

    @pytest.fixture
    def folder(self, home: Path) -> Path:
        folder = home / ".config" / "openstack"
        folder.mkdir(parents=True)
        (folder / "clouds.yaml").write_text(self.CLOUDS)
        return folder

    def test_a_cloud_is_read_with_its_secrets(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secure = f"clouds: {{otc: {{auth: {{password: {SECRET}}}}}}}"
        (folder / "secure.yaml").write_text(secure)
        monkeypatch.setenv("OS_CLOUD", "otc")
        sources = Sources()
        assert sources.ca_file() is None
        assert sources.credentials("password") == Password("account", "someone", SECRET)
        assert sources.project() == (None, "eu-de")
        assert sources.get("region") == "eu-de"
        assert sources.get("iam_endpoint") == "https://iam.example.com/v3"
        assert sources.ca_file() == (
            "/certificates.pem",
            f'cacert of the cloud "otc" of {folder / "clouds.yaml"}',
        )

    def test_a_cloud_may_have_an_access_key(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "keys")
        assert find() == AkSk("a", SECRET)
        assert Sources().get("project_id") == "p"

    def test_the_environment_wins_and_the_nearest_file_counts(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "here")
        Path("clouds.yml").write_text("clouds: {here: {region_name: here}}")
        assert Sources().get("region") == "here"
        monkeypatch.setenv("OS_REGION_NAME", "environment")
        assert Sources().get("region") == "environment"
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(folder / "clouds.yaml"))
        with pytest.raises(AuthError, match=r'there is no cloud "here", to which OS_CLOUD is set'):
            Sources().get("project_id")

    @pytest.mark.parametrize(
        "written",
        ["0123", "12345678", "1e5", "0x1F", "yes", "true", "2026-01-02", "1_000", "=", "3:25"],
    )
    def test_a_value_is_the_text_that_was_written(
        self, written: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        auth = f"{{username: {written}, password: {written}, domain_id: {written}}}"
        Path("clouds.yaml").write_text(f"clouds: {{{written}: {{auth: {auth}}}}}")
        monkeypatch.setenv("OS_CLOUD", written)
        assert find() == Password("", written, written, written)

    @pytest.mark.parametrize("written", ["", "~", "null"])
    def test_null_is_not_set(self, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "clouds:\n  c:\n    cacert: {0}\n    auth:\n      username: u\n      password: {0}\n"
        Path("clouds.yaml").write_text(text.format(written))
        monkeypatch.setenv("OS_CLOUD", "c")
        lines = message("password").splitlines()
        state = "username set; password, user_domain_name not set"
        assert f'  password (cloud "c" of clouds.yaml): {state}' in lines
        assert "OS_CLOUD" not in lines[-1]

    @pytest.mark.parametrize("written", [f"[{SECRET}]", f"{{a: {SECRET}}}", "!!int 5"])
    def test_a_value_that_is_not_text_is_named(
        self, written: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clouds = f"{{c: {{auth: {{password: {written}}}}}, other: {{region_name: eu-de}}}}"
        Path("clouds.yaml").write_text(f"clouds: {clouds}")
        monkeypatch.setenv("OS_CLOUD", "c")
        assert message() == 'clouds.yaml: password of the cloud "c" must be text'
        monkeypatch.setenv("OS_CLOUD", "other")
        assert Sources().get("region") == "eu-de"

    def test_a_file_may_merge_what_clouds_have_in_common(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("clouds.yaml").write_text(
            "base: &base {region_name: eu-de}\nclouds: {c: {<<: *base, auth: {project_id: 007}}}"
        )
        monkeypatch.setenv("OS_CLOUD", "c")
        assert (Sources().get("region"), Sources().get("project_id")) == ("eu-de", "007")

    @pytest.mark.parametrize(
        ("clouds", "hint"),
        [
            ("{otc: {}, other: {}}", '; did you mean "otc"?; the file has "otc", "other"'),
            ("{}", "; the file has none"),
        ],
    )
    def test_a_cloud_that_the_file_does_not_have(
        self, clouds: str, hint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("clouds.yaml").write_text(f"clouds: {clouds}")
        monkeypatch.setenv("OS_CLOUD", "otcc")
        assert message() == (
            f'clouds.yaml: there is no cloud "otcc", to which OS_CLOUD is set{hint}'
        )

    def test_a_blank_in_secure_yaml_takes_nothing_away(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "secure.yaml").write_text("clouds: {keys: {auth: {sk: , ak: 12}}}")
        monkeypatch.setenv("OS_CLOUD", "keys")
        assert find() == AkSk("12", SECRET)

    def test_no_file_at_all_says_where_it_was_looked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "otc")
        with pytest.raises(AuthError, match=r"~/.config/openstack"):
            find()

    @pytest.mark.parametrize(
        "text", [f"clouds: [{SECRET}", f"a: b\n{SECRET}: :\n - x", "\x00", "- 1", "clouds: 5"]
    )
    def test_a_damaged_file_is_named_and_not_quoted(
        self, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "clouds.yaml").write_text(text)
        monkeypatch.setenv("OS_CLOUD", "otc")
        with pytest.raises(AuthError, match=r"clouds\.yaml") as caught:
            find()
        assert SECRET not in str(caught.value)

    def test_a_file_that_cannot_be_read_is_named(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "otc")
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(home / "none.yaml"))
        with pytest.raises(AuthError, match=r"none\.yaml: cannot be read"):
            find()


def test_without_pyyaml_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("clouds.yaml").write_text("clouds: {otc: {region_name: eu-de}}")
    monkeypatch.setenv("OS_CLOUD", "otc")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(AuthError, match=r"pip install PyYAML$"):
        find()
