"""What holds for every command: places, streams, exit codes, wrong usage."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

from majobctl.cli import cli, main, spellings
from majobctl.cli.commands import COMMANDS, GROUPS
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


def test_the_help_of_all_has_each_command_in_one_group(repository: Repository) -> None:
    groups = [name for names in GROUPS.values() for name in names.split()]
    assert sorted(groups) == sorted(COMMANDS)
    text = repository.done("--help").stdout
    heads = re.findall(r"^(\S.*):$", text, re.M)
    assert heads == ["Options", *GROUPS]
    listed = text.partition("Daily:")[2].rpartition("\n\n")[0]
    assert re.findall(r"^  (\w+)", listed, re.M) == groups
    columns = {
        len(line) - len(line[2:].lstrip("abcdefghijklmnopqrstuvwxyz "))
        for line in re.findall(r"^  [a-z]+ +[A-Z].*", listed, re.M)
    }
    assert len(columns) == 1


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


@pytest.mark.parametrize("words", spellings.COMMANDS, ids=str)
def test_a_command_of_another_tool_is_answered_with_what_to_type(
    words: str, repository: Repository
) -> None:
    first = words.split()[0]
    assert words not in {" ".join(path) for path in ALL}
    assert first == "state" or first not in COMMANDS
    for more in ([], ["x"], ["-auto-approve"], ["-var", "x=y"]):
        ran = repository.run("-C", ".", *words.split(), *more, code=1)
        assert ran.stderr.splitlines()[-1] == (
            f"Error: No such command: {words}; {spellings.COMMANDS[words]}"
        )


@pytest.mark.parametrize("name", spellings.OPTIONS, ids=str)
@pytest.mark.parametrize("command", ["plan", "apply", "state list"])
def test_an_option_of_another_tool_is_answered_with_what_to_type(
    command: str, name: str, repository: Repository
) -> None:
    known = {it for parameter in found_at((*command.split(),)).params for it in parameter.opts}
    assert f"--{name}" not in known
    for option in (f"-{name}", f"--{name}"):
        for value in ("", "=x"):
            ran = repository.run(*command.split(), option + value, code=1)
            assert ran.stderr.splitlines()[-1] == (
                f"Error: No such option: {option}; {spellings.OPTIONS[name]}"
            )


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("plan -target=x", "--target"),
        ("plan -out=x", "--out"),
        ("plan -var-file=x", "--var-file"),
        ("plan -var x=y", "--var"),
        ("plan -detailed-exitcode", "--detailed-exitcode"),
        ("plan -refresh=false", "--refresh"),
        ("plan -parallelism=5", "--parallelism"),
        ("plan -state=x", "--state"),
        ("apply -lock-timeout=10s", "--lock-timeout"),
        ("apply -auto-approve", "--auto-approve"),
        ("apply -force", "--force"),
        ("fmt -check", "--check"),
        ("fmt -diff", "--diff"),
        ("-chdir=x plan", "--chdir"),
        ("-version", "--version"),
        ("-help", "--help"),
    ],
)
def test_an_option_with_one_dash_is_answered_with_the_one_with_two(
    typed: str, option: str, repository: Repository
) -> None:
    ran = repository.run(*typed.split(), code=1)
    assert ran.stderr.splitlines()[-1] == f"Error: No such option: {option[1:]}; write {option}"


@pytest.mark.parametrize("command", ["version", "fmt", "init"])
def test_a_format_is_not_offered_by_a_command_without_one(
    command: str, repository: Repository
) -> None:
    assert "--format" not in repository.run(command, "-json", code=1).stderr


def test_the_known_commands_of_other_tools_are_in_the_table() -> None:
    of_terraform = (
        "destroy, state show, state replace-provider, workspace, taint, untaint, refresh, output,"
        " console, graph, get, login, providers, test, force-unlock"
    )
    of_deck = "sync, diff, dump, ping, gateway, reset"
    wanted = {*of_terraform.split(", "), *of_deck.split(", ")}
    assert wanted <= spellings.COMMANDS.keys()
    wanted = {"json", "refresh-only", "destroy", "replace", "upgrade", "lock", "doit"}
    assert wanted <= spellings.OPTIONS.keys()


def test_an_import_as_terraform_writes_it_is_one(on_emulator: Repository) -> None:
    assert "Imported 1 job config " in on_emulator.done("import", "job_config.beta", "beta").stdout


def test_a_short_option_takes_no_equals_sign(repository: Repository) -> None:
    assert repository.run("-C=~/x", "plan", code=1).stderr == "Error: -C=~/x: write -C ~/x\n"
    assert repository.run("plan", "-e=prod", code=1).stderr == "Error: -e=prod: write -e prod\n"


TEXTS = [
    (path, parameter)
    for path in ALL
    for parameter in found_at(path).params
    if isinstance(parameter.type, click.types.StringParamType)
]
PATHS = [
    (path, parameter)
    for path, parameter in [*TEXTS, *(((), it) for it in cli.params)]
    if re.search("FILE|DIR|SCRIPT|REPORT", parameter.make_metavar(click.Context(cli)))
]


@pytest.mark.parametrize(
    ("path", "parameter"), PATHS, ids=[f"{' '.join(path)} {it.name}" for path, it in PATHS]
)
def test_the_home_of_nobody_is_an_error_in_every_path(
    path: tuple[str, ...], parameter: click.Parameter, on_emulator: Repository
) -> None:
    if parameter.name in ("names", "targeted", "excluded", "name"):
        on_emulator.apply()
    value = "~nobody-here/x"
    before = "markdown=" if parameter.name == "also" else ""
    is_option = isinstance(parameter, click.Option)
    needed = ["beta", "config_desc=x"] if path == ("emulator", "set") else []
    given = [f"{parameter.opts[-1]}={before}{value}"] if is_option else [value]
    rest = ["x.py"] if path == ("capture",) and is_option else ["version"] if not path else []
    ran = on_emulator.run(*path, *given, *needed, *rest, code=1)
    assert ran.stderr == (
        'Error: ~nobody-here/x: there is no user "nobody-here"\n'
        "for a file whose name begins with ~, write ./~nobody-here/x\n"
    )


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


@pytest.mark.parametrize("group", ["state", "emulator", "ci"])
def test_a_group_that_is_called_alone_shows_its_help_once(
    repository: Repository, group: str
) -> None:
    help_text = repository.done(group, "--help").stdout
    assert repository.run(group, code=1).stderr == help_text
