"""A secret is found in the request and nowhere else: in no file, no output, no log."""

from __future__ import annotations

import errno
import html
import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from textwrap import fill
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.config_repository import JOB, Ran, Repository, toml_of
from tests.conftest import BadInput
from tests.fake_service import (
    ENVIRONMENT,
    PASSWORD,
    SECRET_KEY,
    SECURITY_TOKEN,
    FakeService,
    Handler,
    Received,
    Reply,
    refusal,
)
from tests.faults.conftest import Tally
from tests.faults.launcher import Fault, Launcher

FROM_ENVIRONMENT = "env-secret-not-a-real-one"
SEVERAL_LINES = '-----BEGIN----- lines of a not real ☃ "key" -----END-----'
IN_FILE = "file-secret-not-a-real-one"
FLAVOR = "flavor-secret.not.real"
HIDDEN = (FROM_ENVIRONMENT, SEVERAL_LINES, IN_FILE, SECRET_KEY)
TOML = {
    **JOB,
    "sensitive": ["token", "config_desc", "pem"],
    "config_desc": IN_FILE,
    "user_image_url": "swr.example/image:1",
    "user_command": "run --password ${env.PASSWORD}",
    "hyperparameters": {
        "key": "${env.KEY}",
        "pem": SEVERAL_LINES,
        "token": IN_FILE,
        "lr": "0.1",
    },
}


def traces(secret: str) -> tuple[str, ...]:
    """The forms in which a text would give ``secret`` away."""
    escaped = json.dumps(secret)[1:-1]
    return (
        secret,
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.encode("unicode_escape").decode(),
        *(line for line in secret.splitlines() if len(line) > 8),
    )


@dataclass
class Search:
    """Looks for the secrets in all that it is given, and counts what that was."""

    secrets: tuple[str, ...] = HIDDEN
    outputs: int = 0
    files: int = 0
    kinds: set[str] = field(default_factory=set)

    def in_text(self, text: str, where: str) -> None:
        for secret in self.secrets:
            for trace in traces(secret):
                assert trace not in text, f"{trace!r} in {where}: {text}"

    def in_output(self, ran: Ran) -> Ran:
        self.outputs += 1
        self.in_text(ran.stdout, "stdout")
        self.in_text(ran.stderr, "stderr")
        return ran

    def in_files(self, root: Path) -> None:
        """All files of a repository but the job files, where a value of ``sensitive`` stands."""
        for path in root.rglob("*"):
            if path.is_file() and path.parent.name != "jobs":
                self.files += 1
                self.kinds.add(path.name)
                self.in_text(path.read_bytes().decode("utf-8", "replace"), str(path))


@pytest.fixture
def secretive(on_rest: Repository, caplog: pytest.LogCaptureFixture) -> Iterator[Repository]:
    """A repository with secrets from the environment and from the file; all logs are kept."""
    on_rest.environment |= {"PASSWORD": FROM_ENVIRONMENT, "KEY": FROM_ENVIRONMENT}
    on_rest.write("jobs/one.toml", toml_of("one", TOML))
    on_rest.job("two")
    caplog.set_level(logging.DEBUG)
    yield on_rest
    Search().in_text(caplog.text, "the log")


def edit(repository: Repository, count: int) -> None:
    repository.write("jobs/one.toml", toml_of("one", {**TOML, "train_instance_count": count}))


def test_no_command_and_no_file_shows_a_secret(
    secretive: Repository, rest: FakeService, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    search = Search()

    def look_in_the_middle(name: str) -> Reply | None:
        search.in_files(secretive.root)
        return None

    rest.before_put = look_in_the_middle
    formats: tuple[tuple[str, ...], ...] = ((), ("--format", "json"))
    for number, format_ in enumerate(formats, 2):
        for command in ("validate", "plan"):
            shown = format_ if command == "plan" else ()
            assert search.in_output(secretive.run(command, *shown)).code == 0
        edit(secretive, number)
        ran = search.in_output(secretive.apply(*format_))
        assert ran.code == 0
        search.in_files(secretive.root)
        for arguments in (["show"], ["show", "one"], ["state", "list"]):
            assert search.in_output(secretive.run(*arguments, *format_)).code == 0
    assert search.in_output(secretive.run("state", "pull")).code == 0
    assert "(sensitive)" in secretive.run("show", "one").stdout
    sent = rest.configs["one"]
    assert sent["user_command"] == f"run --password {FROM_ENVIRONMENT}"
    assert {item["label"]: item["value"] for item in sent["parameter"]} == {
        "key": FROM_ENVIRONMENT,
        "lr": "0.1",
        "pem": SEVERAL_LINES,
        "token": IN_FILE,
    }
    assert sent["config_desc"] == IN_FILE

    edit(secretive, 3)
    search.in_output(secretive.done("plan", "--out", "saved.plan"))
    for format_ in formats:
        search.in_output(secretive.done("show", "saved.plan", *format_))
    search.in_files(secretive.root)
    assert (secretive.root / "saved.plan").stat().st_mode & 0o777 == 0o600
    assert search.in_output(secretive.run("apply", "saved.plan")).code == 0
    search.in_files(secretive.root)
    assert {"majobctl.state.json", "majobctl.state.json.backup", "majobctl.state.json.journal",
            "majobctl.state.json.lock.holder", "majobctl.history.jsonl",
            "saved.plan"} <= search.kinds  # fmt: skip
    assert caplog.records  # the log is not silent: it has the requests
    tally(
        "secrets",
        f"{len(search.secrets)} secrets looked for in {search.outputs} outputs and"
        f" {search.files} files",
    )


def test_a_saved_plan_with_another_secret_is_stale_and_shows_neither(
    secretive: Repository, rest: FakeService
) -> None:
    secretive.done("plan", "--out", "saved.plan")
    other = "another-not-real-secret"
    secretive.environment["KEY"] = other
    ran = Search((*HIDDEN, other)).in_output(secretive.run("apply", "saved.plan"))
    assert ran.code == 5
    assert "hyperparameters.key" in ran.stderr
    assert rest.requests == []


@pytest.mark.parametrize(
    "echo",
    ["{}", "the value <{}> is not allowed", "{}{}", " " * 150 + "{}", "x" * 190 + "{}"],
    ids=["alone", "within", "twice", "after spaces", "cut off"],
)
@pytest.mark.parametrize("form", ["JSON", "escaped JSON", "page", "not JSON"])
@pytest.mark.parametrize("secret", [FROM_ENVIRONMENT, SEVERAL_LINES], ids=["one line", "lines"])
@pytest.mark.bad_inputs("answers that quote a secret", "echo", "form", "secret")
def test_a_refusal_that_echoes_a_secret_does_not_show_it(
    secretive: Repository, rest: FakeService, echo: str, form: str, secret: str
) -> None:
    text = echo.replace("{}", secret)
    document = refusal(400, "ModelArts.0101", text)
    replies: dict[str, Reply] = {
        "JSON": (400, json.dumps(document[1], ensure_ascii=False).encode(), {}),
        "escaped JSON": document,
        "page": (400, f"<p>{text}</p>".encode(), {}),
        "not JSON": (500, json.dumps({"x": text})[:-1].encode(), {}),
    }
    rest.before_put = lambda name: replies[form] if name == "one" else None
    secretive.settings(rest.settings("retries = 0"))
    search = Search()
    for format_ in ("text", "json"):
        ran = search.in_output(secretive.run("apply", "--auto-approve", "--format", format_))
        assert ran.code == 3
        for part in pieces(secret):
            assert part not in ran.stdout + ran.stderr, ran
    search.in_files(secretive.root)


def pieces(secret: str) -> list[str]:
    """Parts of a secret that are long enough to be worth something."""
    line = max(secret.splitlines(), key=len)
    return [line[:9], line[-9:]]


def test_names_and_broken_rules_do_not_show_the_secret_that_they_are_about(
    secretive: Repository, rest: FakeService
) -> None:
    search = Search((*HIDDEN, FLAVOR, "engine-secret"))
    secretive.environment |= {"FLAVOR": FLAVOR, "ENGINE": "engine-secret", "BAD": FROM_ENVIRONMENT}
    wrong: tuple[dict[str, object], ...] = (
        {"train_instance_type": "${env.FLAVOR}"},
        {"framework_version": "${env.ENGINE}"},
        {"framework_type": "${env.ENGINE}"},
    )
    for params in wrong:
        secretive.write("jobs/one.toml", toml_of("one", {**JOB, **params}))
        ran = search.in_output(secretive.run("apply", "--auto-approve"))
        assert (ran.code, rest.asked("PUT")) == (1, [])
        assert "sensitive" in ran.stderr
    broken: tuple[dict[str, object], ...] = (
        {"output_path": "${env.BAD}"},
        {"inputs": "/b/${env.BAD}//x"},
        {"boot_file": "/elsewhere/${env.BAD}"},
        {"code_dir": "/${env.BAD}/"},
        {"train_instance_count": "${env.BAD}"},
        {"config_desc": "${env.BAD}" * 20},
        {"output_path": IN_FILE, "sensitive": ["output_path"]},
        {"data_source": [{"type": "${env.BAD}"}]},
        {"data_source": [{"type": "obs", "data_url": "${env.BAD}"}]},
        {"hyperparameters": {"a": "${env.BAD}", "": "x"}},
        {"inputs": "${env.BAD}", "dataset_id": "${env.BAD}"},
    )
    for params in broken:
        secretive.write("jobs/one.toml", toml_of("one", {**JOB, **params}))
        for command in ("validate", "plan"):
            ran = search.in_output(secretive.run(command))
            assert (ran.code, "jobs/one.toml:" in ran.stderr) == (1, True), (params, ran)
    search.in_files(secretive.root)


@pytest.mark.parametrize("everywhere", [False, True], ids=["rescue file", "rescued to the output"])
def test_what_is_rescued_holds_no_secret(
    secretive: Repository, launcher: Launcher, everywhere: bool
) -> None:
    secretive.settings(
        (secretive.root / "majobctl.toml").read_text() + '[state]\npath = "state/s.json"\n'
    )
    search = Search()
    arguments = ("apply", "--auto-approve", "--parallelism", "1")
    watched = secretive.root if everywhere else secretive.root / "state"
    kinds = ("create", "write", "flush")
    rescued = 0
    for at in range(12, 64):
        edit(secretive, 1 + at % 4)
        fault = Fault(at, errno=errno.ENOSPC, lasting=True, kinds=kinds)
        ran = launcher.run(
            secretive.root,
            *arguments,
            environment=secretive.environment,
            fault=fault,
            watched=watched,
        )
        search.in_output(ran)
        search.in_files(secretive.root)
        rescued += "state push" in ran.stderr
    assert rescued


# What the answers quote

PASSWORD_OF_USER = 'pä"ss <w0rd> & 100%\\+/x'
QUOTES: dict[str, Callable[[str], str]] = {
    "plain": lambda text: f"token {text} is invalid",
    "quoted": lambda text: f'cannot read "{text}"',
    "first 20": lambda text: f"cannot read {text[:20]}...",
    "last 20": lambda text: f"cannot read ...{text[-20:]}",
    "repr": lambda text: f"headers: { ({'X-Auth-Token': text})!r}",
    "JSON": lambda text: json.dumps({"X-Auth-Token": text}),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "escapes": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "URL": lambda text: f"/v3?token={quote(text, safe='')}",
    "form": lambda text: urlencode({"token": text}),
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": lambda text: html.escape(text),
    "HTML numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "URL in HTML": lambda text: html.escape(f"?a=b&token={quote(text, safe='')}"),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 of a header": lambda text: b64encode(f"X-Auth-Token: {text}".encode()).decode(),
    "base64 of JSON": lambda text: b64encode(json.dumps({"password": text}).encode()).decode(),
    "Basic": lambda text: f"Basic {urlsafe_b64encode(f'user:{text}'.encode()).decode()}",
    "hex": lambda text: text.encode().hex(),
    "base64 in lines": lambda text: fill(b64encode(text.encode()).decode(), 9),
    "base64 of UTF-16": lambda text: b64encode(text.encode("utf-16-le")).decode(),
    "hex dump": lambda text: text.encode().hex(" "),
    "hex with colons": lambda text: text.encode().hex(":").upper(),
    "bytes": lambda text: str([*text.encode()]),
    "octal": lambda text: "".join(f"\\{ord(char):03o}" for char in text),
    "long escapes": lambda text: "".join(f"\\U{ord(char):08x}" for char in text),
    "escapes in braces": lambda text: "".join(f"\\u{{{ord(char):x}}}" for char in text),
    "percent u": lambda text: "".join(f"%u{ord(char):04x}" for char in text),
    "quoted-printable": lambda text: "".join(f"={ord(char):02X}" for char in text),
    "in lines": lambda text: "\n".join(text[at : at + 7] for at in range(0, len(text), 7)),
    "with invisible spaces": lambda text: "\u200b".join(text),
    "upper case": lambda text: text.upper(),
    "header": lambda text: f"header x-auth-token={text} (23 characters) rejected",
    "after spaces": lambda text: " " * 300 + text,
    "cut off": lambda text: "x" * 190 + text,
}
"""The ways to quote a secret."""


def header(name: str, start: str = "") -> Callable[[Received], str]:
    return lambda received: received.headers[name].rpartition(start)[2]


SENT: dict[str, tuple[str, Callable[[Received], str]]] = {
    "token": ("token", header("x-auth-token", " ")),
    "issued token": ("password", header("x-auth-token", " ")),
    "security token": ("aksk", header("x-security-token", " ")),
    "signature": ("aksk", header("authorization", "Signature=")),
    "authorization": ("aksk", header("authorization", "Access=")),
}
"""What a request holds, by the way to sign in."""
ANSWERS: dict[str, Callable[[str], Reply]] = {
    "error_msg": lambda text: (400, {"error_code": "ModelArts.0101", "error_msg": text}, {}),
    "bad token": lambda text: (401, {"error_code": "ModelArts.0203", "error_msg": text}, {}),
    "unauthorized": lambda text: (401, {"error_code": "APIGW.0301", "error_msg": text}, {}),
    "unsuccessful": lambda text: (200, {"is_success": False, "error_message": text}, {}),
    "code": lambda text: (400, {"error_code": text, "error_msg": "refused"}, {}),
    "other keys": lambda text: (400, {"reason": text}, {}),
    "page": lambda text: (502, f"<html><pre>PUT /v1/... {text}</pre></html>".encode(), {}),
    "text": lambda text: (401, text.encode(), {}),
    "half a document": lambda text: (500, json.dumps({"x": text})[:-1].encode(), {}),
    "redirect": lambda text: (302, b"", {"Location": f"https://{quote(text)}.example.com/"}),
    "request id": lambda text: (400, {"error_code": "a", "request_id": text}, {}),
}
"""The places of an answer that majobctl shows."""


def sign_in(repository: Repository, rest: FakeService, auth: str) -> None:
    """Leaves one job config, and the credentials of one kind in the environment."""
    token = "gAAAAABmZx7Q0k3vK9-2nWfYpLr_8tHcUeXbJdMs5iAoTgVyNq4zC1hE6jRw"
    rest.tokens.add(token)
    own = {
        "token": {"OS_TOKEN": token},
        "password": {
            "OS_DOMAIN_NAME": "account",
            "OS_USERNAME": "user",
            "OS_PASSWORD": PASSWORD,
            "OS_AUTH_URL": rest.url,
        },
        "aksk": {**ENVIRONMENT, "OS_SECURITY_TOKEN": SECURITY_TOKEN},
    }
    repository.settings(rest.settings("retries = 0"))
    repository.environment.clear()
    for name in ENVIRONMENT:
        repository.monkeypatch.delenv(name, raising=False)
    repository.environment |= own[auth]
    repository.job("one")


def assert_hidden(output: str, quoting: Callable[[str], str], secret: str) -> None:
    """No stretch of a quoted secret is in ``output``, except what stands around it."""
    framed = quoting("~" * len(secret)).lower()
    text = quoting(secret).lower()
    for start in range(len(text) - _STRETCH + 1):
        part = text[start : start + _STRETCH]
        is_around = part in framed or part != part.strip()
        assert is_around or part not in output.lower(), (part, text, output)


_STRETCH = 10


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(("auth", "secret_in"), SENT.values(), ids=SENT)
def test_what_an_answer_quotes_of_its_request_is_not_shown(
    on_rest: Repository,
    rest: FakeService,
    caplog: pytest.LogCaptureFixture,
    auth: str,
    secret_in: Callable[[Received], str],
    answer: Callable[[str], Reply],
    bad_input: BadInput,
) -> None:
    sign_in(on_rest, rest, auth)
    names = {f"job-{number}": quoting for number, quoting in enumerate(QUOTES.values())}
    on_rest.remove("one")
    for name in names:
        on_rest.job(name)
    secrets: dict[str, str] = {}
    caplog.set_level(logging.DEBUG)

    def quote_it(name: str) -> Reply:
        secrets[name] = secret_in(rest.asked("PUT", f"/{name}")[-1])
        return answer(names[name](secrets[name]))

    rest.before_put = quote_it
    # Refused credentials end an apply.
    alone = [["--target", name] for name in names] if answer("")[0] == 401 else [[]]
    outputs: list[str] = []
    for chosen in alone:
        for format_ in ("text", "json"):
            ran = on_rest.run("apply", "--auto-approve", "--format", format_, *chosen)
            assert ran.code in (1, 3)
            outputs += [ran.stdout, ran.stderr]
    files = [path.read_text() for path in on_rest.root.rglob("*") if path.is_file()]
    output = "\n".join([*outputs, caplog.text, *files])
    assert len(secrets) == len(names)
    for name, secret in secrets.items():
        assert_hidden(output, names[name], secret)
        bad_input("answers that quote a secret", answer(names[name](secret)))


IAM_ANSWERS: dict[str, Callable[[str], Reply]] = {
    "message": lambda text: (401, {"error": {"message": text, "title": "Unauthorized"}}, {}),
    "error_msg": lambda text: (400, {"error_msg": text}, {}),
    "code": lambda text: (400, {"error_code": text, "error_msg": "refused"}, {}),
    "page": lambda text: (503, f"<p>{text}</p>".encode(), {}),
    "not a token": lambda text: (201, {"token": text}, {}),
    "redirect": lambda text: (302, b"", {"Location": f"https://{quote(text)}.example.com/"}),
}


@pytest.mark.parametrize("answer", IAM_ANSWERS.values(), ids=IAM_ANSWERS)
@pytest.mark.parametrize("quoting", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("password", [PASSWORD, PASSWORD_OF_USER], ids=["long", "special"])
def test_the_password_that_iam_quotes_is_not_shown(
    on_rest: Repository,
    rest: FakeService,
    caplog: pytest.LogCaptureFixture,
    password: str,
    quoting: Callable[[str], str],
    answer: Callable[[str], Reply],
    bad_input: BadInput,
) -> None:
    sign_in(on_rest, rest, "password")
    on_rest.environment["OS_PASSWORD"] = password
    status, document, headers = answer(quoting(password))
    rest.answer_next(status, document, dict(headers))
    caplog.set_level(logging.DEBUG)
    ran = on_rest.run("plan", "--refresh", code=1)
    assert_hidden(ran.stdout + ran.stderr + caplog.text, quoting, password)
    bad_input("answers that quote a secret", ("IAM", answer(quoting(password))))


DATA: dict[str, Callable[[str], dict[str, Any]]] = {
    "value": lambda text: {"config_desc": text},
    "key": lambda text: {text: 1},
    "key in a table": lambda text: {"volumes": {text: []}},
    "base64": lambda text: {"config_desc": b64encode(text.encode()).decode()},
    "hex": lambda text: {"parameter": [{"label": "a", "value": text.encode().hex()}]},
    "cut": lambda text: {"config_desc": text[: len(text) * 2 // 3]},
    "two fields": lambda text: {"app_url": text[: len(text) // 2], "a": text[len(text) // 2 :]},
}
"""The places of data, and the forms, in which majobctl would show or keep a credential."""


@pytest.mark.parametrize("command", ["plan --refresh", "drift", "import --all", "flavors"])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("auth", ["token", "aksk"])
def test_data_with_a_credential_of_the_request_is_not_used(
    on_rest: Repository,
    rest: FakeService,
    auth: str,
    data: Callable[[str], dict[str, Any]],
    command: str,
) -> None:
    sign_in(on_rest, rest, auth)
    name = "authorization" if auth == "aksk" else "x-auth-token"
    if auth == "token":
        # As long as real ones: a quarter of it is enough.
        on_rest.environment["OS_TOKEN"] = token = token_hex(120)
        rest.tokens.add(token)

    def quote_it(handler: Handler) -> None:
        quoted = data(header(name, "=")(rest.requests[-1]))
        flavors = [{"spec_id": 70, "spec_code": "a", **quoted}]
        listed = [{"config_name": "a", **quoted}]
        handler.answer(200, {"is_success": True, "configs": listed, "specs": flavors})

    rest.script.append(quote_it)
    ran = on_rest.run(*command.split())
    sent = rest.requests[0].headers[name].rpartition("=")[2]
    files = [path.read_text() for path in on_rest.root.rglob("*") if path.is_file()]
    assert (ran.code, len(sent) > 20) == (1, True)
    assert "the answer has credentials of the request in it" in ran.stderr
    assert sent not in "".join([ran.stdout, ran.stderr, *files])


@pytest.mark.parametrize("option", [[], ["-v"]], ids=["plain", "verbose"])
def test_a_broken_header_line_is_not_quoted(
    on_rest: Repository, rest: FakeService, option: list[str]
) -> None:
    sign_in(on_rest, rest, "token")
    token = on_rest.environment["OS_TOKEN"]
    head = f"HTTP/1.1 400 {token}\r\nX-Auth-Token {token}\r\nContent-Length: 2\r\n\r\n{{}}"
    rest.script.append(lambda handler: handler.send_raw(head.encode()))
    ran = on_rest.process(*option, "plan", "--refresh", code=1)
    assert token not in ran.stdout + ran.stderr
