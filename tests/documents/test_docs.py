"""The pages say what the code does: tables, transcripts, samples and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import pytest
import tomli

from majobctl import emulator, errors
from majobctl.cli import cli
from majobctl.cli.common import COMMON_OPTIONS
from majobctl.operations.seed import read_seed

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted(DOCS.glob("*.md"))
MADE_PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
SAMPLE = """
[job_config.my_job_config]
train_instance_type = "modelarts.vm.cpu.2u"
train_instance_count = 1
output_path = "/bucket/output/"
model_name = "ResNet_v2_50"
inputs = "/bucket/dataset/"
"""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)


def commands(
    command: click.Command = cli, name: str = "majobctl"
) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for part, below in command.commands.items():
            yield from commands(below, f"{name} {part}")


@pytest.mark.slow
@pytest.mark.parametrize("page", MADE_PAGES, ids=name_of)
def test_what_a_page_takes_from_the_code_is_up_to_date(page: Path) -> None:
    command = [sys.executable, str(DOCS / "generate.py"), "--check", str(page)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_page_that_is_out_of_date_is_reported_and_left_as_it_is(tmp_path: Path) -> None:
    stale = read(DOCS / "commands.md").replace("--auto-approve", "--agree")
    page = tmp_path / "commands.md"
    page.write_text(stale, encoding="utf-8")
    command = [sys.executable, str(DOCS / "generate.py"), "--check", str(page)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "--agree" in ended.stderr
    assert read(page) == stale


@pytest.mark.slow
def test_an_output_that_a_page_shows_wrong_is_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- transcript: examples/quickstart -->\n"
        "```console\n$ majobctl validate\n3 job configs are valid.\n```\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(DOCS / "generate.py"), "--check", str(page)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "+4 job configs are valid." in ended.stderr


@pytest.mark.parametrize("page", MADE_PAGES, ids=name_of)
def test_every_console_block_is_run(page: Path) -> None:
    begin = read(page).find("<!-- transcript: ")
    first = read(page).find("```console\n")
    assert first == -1 or -1 < begin < first


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda item: str(item))
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    page = read(DOCS / "commands.md")
    _, heading, rest = page.partition(f"\n## `{name}`\n")
    assert heading
    section = rest.partition("\n## ")[0]
    options = [it for it in command.params if isinstance(it, click.Option) and not it.hidden]
    if command is not cli:
        options = [it for it in options if it not in COMMON_OPTIONS]
    assert all(f"`{option}`" in section for param in options for option in param.opts)


def test_every_exit_code_is_documented() -> None:
    page = read(DOCS / "commands.md")
    codes = {kind.exit_code for kind in error_types(errors.MajobctlError)} | {0, 2, 3, 130}
    assert codes == {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}


def error_types(kind: type[errors.MajobctlError]) -> Iterator[type[errors.MajobctlError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from error_types(below)


def test_every_environment_variable_of_the_credentials_is_documented() -> None:
    folder = ROOT / "majobctl" / "service" / "auth"
    source = "".join(map(read, sorted(folder.glob("credential*.py"))))
    names = set(re.findall(r"\b((?:OS|HW|HUAWEICLOUD|MAJOBCTL)_[A-Z_]+)\b", source))
    page = read(DOCS / "authentication.md")
    assert len(names) > 40
    missing = {name for name in names if f"`{name}`" not in page}
    assert missing <= {"OS_CLIENT_SECURE_FILE"}


def test_every_dependency_has_its_reason() -> None:
    project = tomli.loads(read(ROOT / "pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    listed = {re.split(r"[\[>=<~! ]", item)[0] for group in groups for item in group}
    page = read(DOCS / "architecture.md")
    missing = {name for name in listed if not re.search(rf"\b{re.escape(name)}\b", page)}
    assert missing <= {"majobctl"}


def test_every_module_that_the_architecture_names_exists() -> None:
    package = ROOT / "majobctl"
    rooms = "|".join(path.parent.name for path in package.glob("*/__init__.py"))
    named = set(re.findall(rf"`((?:{rooms})/[\w/]*)`", read(DOCS / "architecture.md")))
    assert len(named) > 30
    missing = {name for name in named if not (package / name).is_dir()}
    assert not {name for name in missing if not (package / f"{name}.py").is_file()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_the_documents_resolve(page: Path) -> None:
    for link in LINK.findall(read(page)):
        if not link.startswith("https://"):
            file, _, anchor = link.partition("#")
            target = (page.parent / file) if file else page
            assert target.is_file(), f"{link} in {name_of(page)}"
            assert not anchor or anchor in anchors(target), f"{link} in {name_of(page)}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_index_and_the_readme() -> None:
    for start in (ROOT / "README.md", DOCS / "index.md"):
        linked = {(start.parent / link).resolve() for link in LINK.findall(read(start))}
        assert {name_of(page) for page in set(DOCS.glob("*.md")) - linked} <= {"docs/index.md"}


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(read(ROOT / "README.md").splitlines()) < 120
    block = blocks(ROOT / "README.md", "sh")[0]
    scripts = re.findall(r"^python3 (\S+)", block, re.MULTILINE)
    assert scripts == ["examples/quickstart/run.py", "tests/run.py"]
    assert all((ROOT / script).is_file() for script in scripts)


def test_the_sample_of_plan_and_apply_runs(tmp_path: Path) -> None:
    sample = blocks(DOCS / "python.md", "python")[0]
    assert len(sample.splitlines()) <= 15
    for arguments in (["-m", "majobctl", "init", "ml-configs"], ["-W", "error", "-c", sample]):
        command = [sys.executable, *arguments]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "add example\nexample done\nTrue 1\n"


def test_the_sdk_sample_runs_against_the_emulator(tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").write_text(SAMPLE, encoding="utf-8")
    script = tmp_path / "sample.py"
    script.write_text(
        blocks(DOCS / "python.md", "python")[1] + "print(response)\n", encoding="utf-8"
    )
    with (
        emulator.create_app(seed=partial(read_seed, tmp_path / "cloud.toml")) as app,
        emulator.start(app) as server,
    ):
        environment = {
            "MAJOBCTL_ENDPOINT": server.url,
            "OS_ACCESS_KEY": "emulator",
            "OS_SECRET_KEY": "emulator",
            "OS_PROJECT_ID": "emulator",
        }
        ended = subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.stderr == ""
    assert ended.stdout == "{'is_success': True}\n"
