from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config_repository import Repository
from tests.growth import check_growth

MIXED = "[job_config.a]\noutput_path='/b/x/'  # where to\ntrain_instance_type='t'\n"
FORMED = "[job_config.a]\ntrain_instance_type = 't'\noutput_path = '/b/x/'  # where to\n"
SETTINGS = '[provider]\nkind = "emulator"\n'


@pytest.fixture
def mixed(repository: Repository) -> Repository:
    """A repository whose job file is not in the documented form, while its settings are."""
    repository.settings(SETTINGS)
    repository.write("jobs/a.toml", MIXED)
    return repository


def text_of(repository: Repository, name: str = "jobs/a.toml") -> str:
    return (repository.root / name).read_text(encoding="utf-8")


def test_all_files_of_the_repository_are_formatted(mixed: Repository) -> None:
    mixed.write("jobs/deep/b.toml", "[job_config.b]\nx=1")
    mixed.settings("[state]\n\n\npath='s'\n[provider]\nkind='emulator'")
    mixed.write("other.toml", "x=1")
    ran = mixed.done("fmt")
    assert ran.stdout == (
        "formatted majobctl.toml\nformatted jobs/a.toml\nformatted jobs/deep/b.toml\n"
        "3 files formatted, 0 unchanged.\n"
    )
    assert ran.stderr == ""
    assert text_of(mixed) == FORMED
    assert (
        text_of(mixed, "majobctl.toml") == "[state]\npath = 's'\n\n[provider]\nkind = 'emulator'\n"
    )
    assert text_of(mixed, "other.toml") == "x=1"
    assert mixed.done("fmt").stdout == "0 files formatted, 3 unchanged.\n"


def test_it_works_from_below(mixed: Repository) -> None:
    ran = mixed.done("-C", "jobs", "fmt")
    assert ran.stdout == "formatted jobs/a.toml\n1 file formatted, 1 unchanged.\n"
    assert text_of(mixed) == FORMED


def test_a_file_that_is_as_it_should_be_is_not_touched(mixed: Repository) -> None:
    settings = mixed.root / "majobctl.toml"
    os.utime(settings, ns=(1, 1))
    before = settings.stat()
    mixed.done("fmt")
    assert (settings.stat().st_mtime_ns, settings.stat().st_ino) == (1, before.st_ino)


def test_check_writes_nothing_and_ends_with_1(mixed: Repository) -> None:
    ran = mixed.run("fmt", "--check", code=1)
    assert ran.stdout == "would change jobs/a.toml\n1 file would change, 1 unchanged.\n"
    assert text_of(mixed) == MIXED
    mixed.done("fmt")
    assert mixed.done("fmt", "--check").stdout == "0 files would change, 2 unchanged.\n"


def test_diff_prints_what_would_change_and_writes_nothing(mixed: Repository) -> None:
    ran = mixed.done("fmt", "--diff")
    assert ran.stdout.splitlines()[:2] == ["--- a/jobs/a.toml", "+++ b/jobs/a.toml"]
    assert "-output_path='/b/x/'  # where to\n" in ran.stdout
    assert "+output_path = '/b/x/'  # where to\n" in ran.stdout
    assert ran.stderr == "1 file would change, 1 unchanged.\n"
    assert text_of(mixed) == MIXED
    both = mixed.run("fmt", "--diff", "--check")
    assert (both.code, both.stdout) == (1, ran.stdout)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(
    "text",
    [MIXED, MIXED.rstrip("\n"), MIXED.replace("\n", "\r\n"), MIXED.replace("=", "\t=\t"), "\n\n"],
    ids=["lines", "no end", "CRLF", "tabs", "blank"],
)
def test_a_diff_can_be_applied(mixed: Repository, text: str) -> None:
    (mixed.root / "jobs" / "a.toml").write_bytes(text.encode())
    subprocess.run(
        ["git", "apply", "-"], cwd=mixed.root, input=diff_of(mixed), check=True, timeout=30
    )
    patched = (mixed.root / "jobs" / "a.toml").read_bytes()
    assert mixed.done("fmt", "--check").stdout == "0 files would change, 2 unchanged.\n"
    assert (b"\r\n" in patched) == ("\r\n" in text)


@pytest.mark.parametrize("line", ["[job_config.a%]", "[[job_config.x.data_source]]", "k% = 1\n"])
def test_a_diff_of_very_many_lines_takes_no_longer_for_each(line: str, mixed: Repository) -> None:
    def prepare(count: int) -> str:
        text = "".join(line.replace("%", str(number)) + "\n" for number in range(count))
        mixed.write(f"{count}.toml", "[job_config.x]\n" + text)
        return f"{count}.toml"

    check_growth(prepare, lambda file: mixed.done("fmt", "--diff", file), 4000)
    with mixed.start("fmt", "--diff", "16000.toml") as process:
        diff, _ = process.communicate()
    subprocess.run(["git", "apply", "-"], cwd=mixed.root, input=diff, check=True, timeout=30)
    assert (
        mixed.done("fmt", "--check", "16000.toml").stdout == "0 files would change, 1 unchanged.\n"
    )


def diff_of(repository: Repository) -> bytes:
    with repository.start("fmt", "--diff") as process:
        out, _ = process.communicate(timeout=30)
    return out


def test_a_diff_has_nothing_that_a_terminal_acts_on(mixed: Repository) -> None:
    mixed.write("jobs/a.toml", "a=1 # \u202e\u009b31m\n")
    assert "+a = 1 # \\u202e\\x9b31m\n" in mixed.done("fmt", "--diff").stdout


def test_only_named_files_are_formatted_and_no_repository_is_needed(
    repository: Repository,
) -> None:
    repository.write("a.toml", MIXED)
    repository.write("b.toml", MIXED)
    ran = repository.done("fmt", "a.toml", "./a.toml")
    assert ran.stdout == "formatted a.toml\n1 file formatted, 0 unchanged.\n"
    assert text_of(repository, "b.toml") == MIXED


def test_broken_files_are_reported_as_by_validate_and_left_alone(mixed: Repository) -> None:
    broken = {"jobs/b.toml": "[job_config.b\n", "jobs/c.toml": "a = 1\na = 2\n"}
    for name, text in broken.items():
        mixed.write(name, text)
    ran = mixed.run("fmt", code=1)
    assert ran.stdout == "formatted jobs/a.toml\n1 file formatted, 1 unchanged.\n"
    *told, last = ran.stderr.splitlines()
    assert last == "2 problems. Files with problems were not changed."
    assert [line for line in mixed.run("validate").stderr.splitlines() if line in told] == told
    assert {name: text_of(mixed, name) for name in broken} == broken


def test_broken_settings_are_told(mixed: Repository) -> None:
    mixed.settings("[provider\n")
    ran = mixed.run("fmt")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.startswith("majobctl.toml:1:")


def test_settings_and_job_configs_that_are_wrong_are_formatted(mixed: Repository) -> None:
    mixed.settings("[provider]\nkind=1\nnonsense=2\n")
    assert mixed.done("fmt").stdout.endswith("2 files formatted, 0 unchanged.\n")


def test_without_job_files_it_warns(repository: Repository) -> None:
    repository.settings(SETTINGS)
    ran = repository.done("fmt")
    assert "matches no file" in ran.stderr
    assert ran.stdout == "0 files formatted, 1 unchanged.\n"


def test_a_file_that_tomlkit_cannot_read_is_reported_and_left_alone(mixed: Repository) -> None:
    deep = f"a={'[' * 390}{']' * 390}"
    mixed.write("jobs/deep.toml", deep)
    ran = mixed.done("fmt")
    assert "Warning: jobs/deep.toml: left as it is: tomlkit cannot read it" in ran.stderr
    assert text_of(mixed, "jobs/deep.toml") == deep
    assert mixed.done("fmt", "--check").code == 0


@pytest.mark.parametrize("name", ["missing.toml", "jobs", "x" * 300])
def test_what_cannot_be_read_is_reported(mixed: Repository, name: str) -> None:
    ran = mixed.run("fmt", name, code=1)
    assert ": cannot be read: " in ran.stderr
    assert "1 problem." in ran.stderr


def test_a_pipe_is_not_waited_on(mixed: Repository) -> None:
    os.mkfifo(mixed.root / "pipe")
    assert "not a regular file" in mixed.run("fmt", "pipe").stderr


def test_mode_and_links_stay(mixed: Repository) -> None:
    real = mixed.write("elsewhere/real.toml", MIXED)
    real.chmod(0o640)
    link = mixed.root / "jobs" / "link.toml"
    link.symlink_to(real)
    mixed.done("fmt")
    assert link.is_symlink()
    assert text_of(mixed, "elsewhere/real.toml") == FORMED
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert [path.name for path in real.parent.iterdir()] == ["real.toml"]


# Who may do all must become somebody else; what is imported by then needs no leave.
PROBE = """
import errno, os, stat, sys, tempfile
import majobctl.files
from majobctl.cli import main
main(["fmt", "--check", "a.toml"])
if os.getuid() == 0:
    os.setuid(65534)
sys.exit(main(["fmt", "a.toml"]))
"""


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o777, 0o444), (0o555, 0o666)])
def test_what_may_not_be_written_is_reported_and_left_alone(
    repository: Repository, tmp_path: Path, folder_mode: int, file_mode: int
) -> None:
    file = repository.write("a.toml", MIXED)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    file.chmod(file_mode)
    repository.root.chmod(folder_mode)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", PROBE],
            cwd=repository.root,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        repository.root.chmod(0o755)
    assert ran.returncode == 1
    assert "a.toml: cannot be written: Permission denied" in ran.stderr
    assert [path.name for path in repository.root.iterdir()] == ["a.toml"]
    assert text_of(repository, "a.toml") == MIXED


def test_a_full_disk_leaves_the_file_as_it_is(mixed: Repository) -> None:
    mixed.write("jobs/a.toml", MIXED + "# more\n" * 5000)
    before = text_of(mixed)
    code = (
        "import resource, signal, sys; from majobctl.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); sys.exit(main(['fmt']))"
    )
    ran = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=mixed.root,
        capture_output=True,
        text=True,
        timeout=60,
        env={key: value for key, value in os.environ.items() if not key.startswith("COV")},
    )
    assert ran.returncode == 1
    assert "jobs/a.toml: cannot be written: File too large" in ran.stderr
    assert text_of(mixed) == before
    assert [path.name for path in (mixed.root / "jobs").iterdir()] == ["a.toml"]


def test_a_new_repository_is_in_the_documented_form(repository: Repository) -> None:
    repository.done("init")
    assert repository.done("fmt", "--check").stdout == "0 files would change, 2 unchanged.\n"
    repository.done("fmt", "--check", "cloud.toml")
