"""What holds for every command: places, streams, exit codes, wrong usage."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from majobctl.cli import cli, main
from majobctl.cli.commands import COMMANDS
from tests.config_repository import Repository, finished


def commands(group: click.Group, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        path = (*before, name)
        found += commands(command, path) if isinstance(command, click.Group) else [path]
    return found


ALL = sorted(commands(cli))


def found_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command


def test_the_help_of_all_says_what_each_says_first() -> None:
    for name, sentence in COMMANDS.items():
        assert cli.commands[name].get_short_help_str(1000) == sentence


@pytest.mark.parametrize("command", [(), *ALL], ids=" ".join)
def test_every_command_has_a_help_with_an_example(
    repository: Repository, command: tuple[str, ...]
) -> None:
    for option in ("--help", "-h"):
        ran = repository.done(*command, option)
        assert ran.stdout.startswith(f"Usage: majobctl {' '.join(command)}".rstrip())
        assert ran.stderr == ""
    if command:
        assert f"majobctl {' '.join(command)}" in ran.stdout.partition("Example:")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["plan", "--nonsense"],
        ["plan", "extra"],
        ["plan", "--format", "xml"],
        ["plan", "--target"],
        ["apply", "--parallelism", "0"],
        ["apply", "--parallelism", "x"],
        ["apply", "--parallelism", "-1"],
        ["apply", "--parallelism", "9" * 5000],
        ["apply", "--lock-timeout", "-1"],
        ["apply", "--lock-timeout", "nan"],
        ["apply", "--lock-timeout", "inf"],
        ["state"],
        ["state", "nonsense"],
        ["state", "push"],
        ["unlock"],
        ["show", "a", "b"],
        ["-C"],
        ["emulator"],
        ["emulator", "serve", "--port", "-1"],
        ["emulator", "serve", "--port", "65536"],
        ["emulator", "serve", "--error-rate", "2"],
        ["emulator", "serve", "--error-rate", "nan"],
        ["emulator", "serve", "--latency-ms", "nan"],
        ["emulator", "serve", "--put", "x"],
        ["\x1b[31m"],
        ["plan", "--\x1b"],
        [""],
    ],
    ids=lambda arguments: repr(" ".join(arguments)[:30]),
)
def test_wrong_usage_is_an_error_on_stderr(on_emulator: Repository, arguments: list[str]) -> None:
    ran = on_emulator.run(*arguments)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan", "-target=x"], "Error: No such option: -target; write --target\n"),
        (["plan", "-out", "x"], "Error: No such option: -out; write --out\n"),
        (
            ["apply", "-auto-approve"],
            "Error: No such option: -auto-approve; write --auto-approve\n",
        ),
        (["plan", "-exclude=x"], "Error: No such option: -exclude; write --exclude\n"),
        (["apply", "-exclude", "x"], "Error: No such option: -exclude; write --exclude\n"),
        (["plan", "-environment=x"], "Error: No such option: -environment; write --environment\n"),
        (["-C", "", "plan"], "Error: -C is empty; is a variable of the shell not set?\n"),
        (
            ["destroy"],
            "Error: No such command: destroy; remove the job configs from the files, with"
            " apply.delete_removed = true\n",
        ),
        (["destroy", "-auto-approve"], "apply.delete_removed = true\n"),
        (["refresh"], "Error: No such command: refresh; majobctl plan --refresh\n"),
        (["state", "show", "x"], "Error: No such command: state show; majobctl show NAME\n"),
        (["workspace", "select", "x"], "choose an environment: -e NAME\n"),
        (["force-unlock", "x"], "Error: No such command: force-unlock; majobctl unlock ID\n"),
        (["-chdir=x", "plan"], "Error: No such option: -chdir; write --chdir\n"),
        (["apply", "--lock-timeout", "5s"], '"5s" is not a number of seconds\n'),
        (["emulator", "serve", "--throttle", "x"], '"x" is not a number\n'),
    ],
    ids=lambda item: repr(item[:2]),
)
def test_wrong_usage_is_answered_with_what_to_write(
    repository: Repository, arguments: list[str], told: str
) -> None:
    ran = repository.run(*arguments, code=1)
    assert ran.stderr.endswith(told)


TEXTS = [
    (path, parameter)
    for path in ALL
    for parameter in found_at(path).params
    if parameter.type is click.STRING
]


@pytest.mark.parametrize(
    ("path", "parameter"), TEXTS, ids=[f"{' '.join(path)} {it.name}" for path, it in TEXTS]
)
def test_an_empty_text_is_an_error_wherever_it_is_written(
    path: tuple[str, ...], parameter: click.Parameter, on_emulator: Repository
) -> None:
    before = sorted(on_emulator.root.rglob("*"))
    is_option = isinstance(parameter, click.Option)
    ran = on_emulator.run(*path, *([parameter.opts[-1], ""] if is_option else [""]))
    which = parameter.opts[-1] if is_option else "an argument"
    problem = f"Error: {which} is empty; is a variable of the shell not set?\n"
    assert (ran.code, ran.stdout, ran.stderr) == (1, "", problem)
    if is_option:
        assert on_emulator.run(*path, f"{parameter.opts[-1]}=").stderr == problem
    assert sorted(on_emulator.root.rglob("*")) == before


def test_all_options_and_arguments_that_take_a_text_are_among_those() -> None:
    found = {f"{' '.join(path)} {parameter.name}" for path, parameter in TEXTS}
    assert len(found) >= 40
    every = {
        "plan out",
        "apply planfile",
        "init directory",
        "import names",
        "show name",
        "fmt files",
    }
    every |= {"state rm names", "unlock holder_id", "emulator serve data", "schema out_dir"}
    assert every <= found


def test_a_folder_that_is_not_there_cannot_be_gone_to(repository: Repository) -> None:
    repository.write("file", "")
    for folder in ("missing", "file", "x" * 5000):
        ran = repository.run("-C", folder, "version", code=1)
        assert f"cannot change to {folder}: " in ran.stderr


def test_a_folder_that_is_gone_is_an_error_and_no_defect(repository: Repository) -> None:
    def leave() -> None:
        os.chdir(gone)
        os.rmdir(gone)

    gone = repository.root / "gone"
    gone.mkdir()
    ran = finished(repository.start("plan", preexec_fn=leave))
    assert (ran.code, ran.stderr) == (1, "Error: the current directory was removed\n")


@pytest.mark.parametrize(
    "arguments",
    [["plan"], ["plan", "--format", "json"], ["apply", "--auto-approve"], ["show"]],
    ids=" ".join,
)
@pytest.mark.parametrize("closed", [0, 1, 2, (0, 1, 2)], ids=repr)
def test_closed_streams_are_lived_with(
    on_emulator: Repository, arguments: list[str], closed: int | tuple[int, ...]
) -> None:
    numbers = (closed,) if isinstance(closed, int) else closed

    def close() -> None:
        for number in numbers:
            os.close(number)

    assert finished(on_emulator.start(*arguments, preexec_fn=close)).code == 0
    if arguments[0] == "apply":
        assert list(on_emulator.state["job_configs"]) == ["alpha"]


def test_an_apply_that_cannot_ask_since_stdin_is_closed_says_so(on_emulator: Repository) -> None:
    ran = finished(on_emulator.start("apply", preexec_fn=lambda: os.close(0)))
    assert ran.code == 1
    assert "cannot ask for approval: stdin is not a terminal" in ran.stderr
    assert "run `majobctl apply --auto-approve`" in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("full", [["stdout"], ["stderr"], ["stdout", "stderr"]], ids="+".join)
@pytest.mark.parametrize("is_job", [False, True], ids=["", "in a CI job"])
@pytest.mark.parametrize(
    "arguments", ["plan", "plan --format json", "version", "--help", "nope", "apply --auto-approve"]
)
def test_an_output_that_takes_nothing_is_an_error_and_no_defect(
    on_emulator: Repository, arguments: str, is_job: bool, full: list[str]
) -> None:
    on_emulator.environment["GITHUB_ACTIONS"] = "true" if is_job else ""
    with Path("/dev/full").open("w") as device:
        streams = dict.fromkeys(full, device)
        ran = finished(on_emulator.start(*arguments.split(), **streams))
    # All that ``plan`` says is on stdout.
    assert ran.code == (
        0 if full == ["stderr"] and arguments[:4] in ("plan", "vers", "--he") else 1
    )
    if full == ["stdout"] and arguments != "nope":
        assert ran.stderr == "Error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("arguments", ["plan", "version", "--help", "apply --auto-approve"])
def test_a_reader_that_is_gone_is_not_a_defect(on_emulator: Repository, arguments: str) -> None:
    read, write = os.pipe()
    os.close(read)
    process = on_emulator.start(*arguments.split(), stdout=write)
    os.close(write)
    ran = finished(process)
    assert (ran.code, ran.stderr) == (1, "")


def test_a_reader_that_has_enough_is_not_a_defect(on_emulator: Repository) -> None:
    for number in range(300):
        on_emulator.job(f"n{number}")
    read, write = os.pipe()
    process = on_emulator.start("plan", stdout=write)
    os.close(write)
    os.read(read, 10)
    os.close(read)
    ran = finished(process)
    assert ran.code in (0, 1)
    assert ran.stderr == ""


def test_shell_completion_knows_the_commands(repository: Repository) -> None:
    repository.environment.update(
        {"_MAJOBCTL_COMPLETE": "bash_complete", "COMP_WORDS": "majobctl st", "COMP_CWORD": "1"}
    )
    ran = repository.process()
    assert ran.stdout.split() == ["plain,state"]


def test_the_module_is_the_command(repository: Repository) -> None:
    assert repository.process("nonsense").code == 1


def test_a_defect_shows_its_traceback_and_asks_for_a_report(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("defect")
    def defect() -> None:
        raise ZeroDivisionError

    cli.add_command(defect)
    try:
        assert main(["defect"]) == 1
    finally:
        del cli.commands["defect"]
    said = capsys.readouterr()
    assert said.out == ""
    assert "ZeroDivisionError" in said.err
    assert "this is a defect in majobctl. Please report it" in said.err
