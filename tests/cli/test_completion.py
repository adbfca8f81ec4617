"""What shells complete: at a terminal in bash, zsh and fish, and what the scripts get to show."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from majobctl.cli.commands import COMMANDS
from tests.config_repository import JOB, Repository, Terminal, toml_of

SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'PS1="$ "; eval "$(majobctl completion bash)"'),
    "zsh": (
        ["-f", "-i"],
        'PS1="$ "; autoload -U compinit; compinit -u; eval "$(majobctl completion zsh)"',
    ),
    "fish": (["--no-config", "-i"], "majobctl completion fish | source"),
}

TYPED = [
    ("rend", "render"),
    ("completion fi", "completion fish"),
    ("state li", "state list"),
    ("history ver", "history verify"),
    ("plan --detailed", "plan --detailed-exitcode"),
    ("plan --format mark", "plan --format markdown"),
    ("plan --format=mark", "plan --format=markdown"),
    ("state move post", "state move postgres"),
    ("show ol", "show old"),
    ("blame ol", "blame old"),
    ("state rm old al", "state rm old alpha"),
    ("state mv ol", "state mv old"),
    ("render be", "render beta"),
    ("import wide-s", "import wide-small"),
    ("plan --target be", "plan --target beta"),
    ("plan --target=be", "plan --target=beta"),
    ("plan --target job_config.be", "plan --target job_config.beta"),
    ("drift --exclude=ol", "drift --exclude=old"),
    ("emulator set be", "emulator set beta"),
    ("plan -e pro", "plan -e prod"),
    ("plan --environment=pro", "plan --environment=prod"),
    ("show -e prod on", "show -e prod only"),
    ("-C su", "-C sub/"),
    ("-C sub render th", "-C sub render there"),
    ("render -C sub th", "render -C sub there"),
    ("-e pro", "-e prod"),
    ("-e prod show on", "-e prod show only"),
    ("plan --var buc", "plan --var bucket="),
    ("plan --var-file re", "plan --var-file report.plan"),
    ("plan --out=re", "plan --out=report.plan"),
    ("plan --also mark", "plan --also markdown="),
    ("plan --also markdown=re", "plan --also markdown=report.plan"),
    ("plan --also=markdown=re", "plan --also=markdown=report.plan"),
    ("apply re", "apply report.plan"),
    ("show re", "show report.plan"),
    ("show nobody", "show nobody"),
    ("plan --target 'be*'", "plan --target be*"),
]


@pytest.fixture
def shop(on_emulator: Repository, tmp_path: Path) -> Repository:
    """alpha and old are in the state; alpha, beta and a matrix in files; and more beside them."""
    settings = (on_emulator.root / "majobctl.toml").read_text()
    more = '[variables]\nbucket = "ml"\nnodes = 1\n[environments.prod]\nvariables.nodes = 4\n'
    on_emulator.settings(settings + more)
    on_emulator.job("old")
    on_emulator.apply("--overwrite", "--target", "alpha")
    state = on_emulator.state_path.read_text()
    on_emulator.state_path.write_text(state.replace('"alpha": {', '"old": {}, "alpha": {'))
    on_emulator.write("prod.state.json", '{"job_configs": {"only": {}}}')
    on_emulator.remove("old")
    on_emulator.job("beta")
    wide = {**JOB, "name": "wide-{config_desc}", "matrix": {"config_desc": ["small", "large"]}}
    on_emulator.write("jobs/wide.toml", toml_of("wide", wide))
    on_emulator.write("report.plan", "")
    on_emulator.write("sub/majobctl.toml", '[provider]\nkind = "emulator"\n')
    on_emulator.write("sub/jobs/there.toml", '[ job_config . "there" ]\n')
    command = tmp_path / "bin" / "majobctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m majobctl "$@"\n')
    command.chmod(stat.S_IRWXU)
    on_emulator.environment["PATH"] = f"{command.parent}:{os.environ['PATH']}"
    return on_emulator


@contextmanager
def shell_of(shop: Repository, shell: str) -> Iterator[Terminal]:
    options, setup = SHELLS[shell]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [shell, *options],
        cwd=shop.root,
        env={**os.environ, **shop.environment, "TERM": "xterm", "COLUMNS": "200"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    opened = Terminal(process, master)
    try:
        opened.type(f"{setup}; printf 'rea%s' dy\n")
        opened.expect("ready")
        yield opened
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(shell: str, shop: Repository) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    with shell_of(shop, shell) as opened:
        for typed, line in TYPED:
            # Tab; then, at the beginning of the line, a command that shows the words of the rest.
            opened.type(f"majobctl {typed}\t\x01printf '[%s]' \n")
            shown = "".join(f"[{word}]" for word in ["majobctl", *line.split()])
            opened.expect(shown.removesuffix("/]"))  # zsh takes a last slash away again
            assert "Traceback" not in opened.seen


def completed(shop: Repository, line: str, shell: str = "bash") -> list[str]:
    """The words that a shell gets to complete ``line``; nothing else may be said, or changed."""
    before = {path: path.stat().st_mtime_ns for path in shop.root.rglob("*") if path.is_file()}
    shop.environment.update({"COMP_WORDS": line, "_MAJOBCTL_COMPLETE": f"{shell}_complete"})
    ran = shop.process()
    assert ran.stderr == ""
    assert before == {path: path.stat().st_mtime_ns for path in before if path.exists()}
    assert len(before) == sum(path.is_file() for path in shop.root.rglob("*"))
    return [line.split("\t")[1] for line in ran.stdout.splitlines() if line.startswith("plain")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("majobctl show ", ["alpha", "old"]),
        ("majobctl state rm ", ["alpha", "old"]),
        ("majobctl render ", ["alpha", "beta", "wide-large", "wide-small"]),
        ("majobctl plan --target ", ["alpha", "beta", "old", "wide-large", "wide-small"]),
        ("majobctl history ", ["alpha", "old", "prune", "verify"]),
        ("majobctl plan --var ", ["bucket=", "nodes="]),
        ("majobctl plan --var bucket=m", []),
        ("majobctl plan -e ", ["prod"]),
        ("majobctl show -e nowhere ", []),
        ("majobctl -C nowhere show ", []),
        ("majobctl plan --also ", ["text=", "json=", "markdown=", "html="]),
        ("majobctl plan --nonsense ", []),
        ("majobctl show 'al", ["alpha"]),
        ("majobctl show al*", []),
        ("'", [*COMMANDS]),
        ("", [*COMMANDS]),
        ("majobctl show \x1b[31m\udcff", []),
    ],
)
def test_what_is_completed(line: str, words: list[str], shop: Repository) -> None:
    assert completed(shop, line) == words


def test_the_environment_of_the_process_counts(shop: Repository) -> None:
    shop.environment["MAJOBCTL_ENVIRONMENT"] = "prod"
    assert completed(shop, "majobctl show ") == ["only"]
    assert completed(shop, "majobctl show -e nowhere ") == []


@pytest.mark.bad_inputs("completion", "file", "content")
@pytest.mark.parametrize("file", ["majobctl.toml", "majobctl.state.json", "jobs/alpha.toml"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b'{"job_configs": 1}',
        b'{"job_configs": {"\\u001b[31m": {}, "a b": {}, "\\ud800": {}}}',
        b'[job_config."\x1b[31m"]\n[environments."a\\tb"]\n',
        b'[state]\nbackend = "nonsense"\n',
        b'[job_config.x]\nmatrix = {a = 1}\n[job_config.y]\nmatrix = "x"\n',
        b"<<<<<<< HEAD\n",
        b"[" * 100_000,
        b"1" * 10_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_broken_repository_is_silent(file: str, content: bytes, shop: Repository) -> None:
    (shop.root / file).write_bytes(content)
    for line in ("plan --target ", "show ", "plan -e ", "plan --var ", "render "):
        for word in completed(shop, f"majobctl {line}"):
            assert word.isascii() and word.isprintable() and " " not in word


def test_what_cannot_be_read_is_silent(shop: Repository) -> None:
    for name in ("majobctl.state.json", "jobs/alpha.toml"):
        (shop.root / name).unlink()
        os.mkfifo(shop.root / name)
    assert completed(shop, "majobctl show ") == []
    assert completed(shop, "majobctl render ") == ["beta", "wide-large", "wide-small"]
    (shop.root / "majobctl.toml").unlink()
    assert completed(shop, "majobctl plan --target ") == []


def test_a_shared_state_is_not_asked(shop: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/state"
        shop.settings(
            f'[provider]\nkind = "emulator"\n[state]\nbackend = "http"\naddress = "{address}"\n'
        )
        assert completed(shop, "majobctl show al") == ["alpha"]
        with pytest.raises(BlockingIOError):
            server.accept()


def test_completion_needs_the_name_of_a_shell(repository: Repository) -> None:
    assert "'tcsh' is not one of" in repository.run("completion", "tcsh", code=1).stderr
    for shell in SHELLS:
        script = repository.done("completion", shell).stdout
        assert f"_MAJOBCTL_COMPLETE={shell}_complete" in script
        # The line of before is still in many start-up files.
        repository.environment["_MAJOBCTL_COMPLETE"] = f"{shell}_source"
        assert repository.process().stdout == script
        del repository.environment["_MAJOBCTL_COMPLETE"]
