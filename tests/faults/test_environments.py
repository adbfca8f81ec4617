"""The commands in environments that people really have: containers, shares, narrow terminals."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.config_repository import JOB, Ran, Repository, finished, toml_of, until
from tests.fake_service import PROJECT
from tests.faults.launcher import plain_environment
from tests.live_cloud import Asked, Cloud, Reply, running, seed_of
from tests.state.test_local_backend import CLIMB, Script

STRANGER = "12345"
"""A user id without an entry in /etc/passwd."""
SOURCE = Path(__file__).with_name("refusing.c")
UNICODE = "Grüße 配置 ☃"
STATE = "state/majobctl.state.json"


@dataclass(frozen=True, slots=True)
class Environment:
    """``prefix`` comes before a command, a variable of None is not set, and ``refused`` are the
    calls that fail, as ``refusing.c`` reads them. ``mounts`` is a script that runs in mounts of its
    own, with the repository as ``$PWD``."""

    prefix: tuple[str, ...] = ()
    variables: Mapping[str, str | None] = field(default_factory=dict)
    refused: str = ""
    mounts: str = ""
    closed: str = ""

    @property
    def before(self) -> list[str]:
        shell = self.closed and ["sh", "-c", f'exec "$@" {self.closed}', "sh"]
        if self.mounts:
            script = f'{self.mounts}\ncd "$PWD"\nexec "$@"'
            rights = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
            shell = ["unshare", *rights, "sh", "-e", "-c", script, "sh"]
        return [*(shell or []), *self.prefix, sys.executable, "-W", "error"]


NO_USER = Environment(
    prefix=("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"),
    variables=dict.fromkeys(("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")),
)
WORKING = {
    "plain": Environment(),
    "no HOME": Environment(variables={"HOME": None}),
    "no HOME, no passwd entry": NO_USER,
    "the HOME of somebody else": Environment(NO_USER.prefix, {"HOME": "/root"}),
    "few processes": Environment(("prlimit", "--nproc=200", *NO_USER.prefix)),
    "twenty descriptors": Environment(("prlimit", "--nofile=20")),
    "read-only but for the repository": Environment(
        mounts='mount --bind "$PWD" "$PWD" && mount -o remount,ro,bind /'
    ),
    "a share": Environment(
        refused=f"flock={errno.ENOSYS} chmod={errno.EPERM} fsync-folder={errno.EINVAL}"
    ),
    "LC_ALL=C": Environment(variables={"LC_ALL": "C"}),
    "ASCII": Environment(variables={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}),
    "cp1252": Environment(variables={"PYTHONIOENCODING": "cp1252"}),
    "40 columns": Environment(variables={"COLUMNS": "40"}),
    "1 column": Environment(variables={"COLUMNS": "1"}),
    "stdin closed": Environment(closed="<&-"),
    "nobody at the proxy": Environment(
        variables={"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    ),
}
"""Where every command does its work."""

REFUSED = [
    *(f"flock={number}" for number in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)),
    *(
        f"{call}={number}"
        for call in ("fsync-folder", "chmod")
        for number in (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENOTSUP)
    ),
]
WRITABLE = "nothing was done; make {root}/state writable for this user\n"
READ_ONLY = "cannot be locked: Read-only file system\n" + WRITABLE
REFUSING = {
    "read-only": (
        Environment(mounts='mount --bind "$PWD" "$PWD" && mount -o remount,ro,bind "$PWD"'),
        READ_ONLY,
    ),
    "all read-only": (Environment(mounts="mount -o remount,ro,bind /"), READ_ONLY),
    "the state read-only": (
        Environment(mounts='mount --bind state state && mount -o remount,ro,bind "$PWD/state"'),
        READ_ONLY,
    ),
    "no room": (
        Environment(
            mounts="mount -t tmpfs -o size=4k none state; head -c 4096 /dev/zero >state/zeros"
        ),
        "cannot be locked: No space left on device\nnothing was done; make room in {root}/state\n",
    ),
    "the state mounted alone": (
        Environment(mounts=f"mount --bind {STATE} {STATE}"),
        "is mounted as a single file, and cannot be replaced; nothing was done\n"
        "mount the folder that it is in\n",
    ),
    "files that cannot be flushed": (
        Environment(refused=f"fsync-file={errno.EIO}"),
        "cannot be locked: Input/output error\nnothing was done\n",
    ),
    "folders that cannot be flushed": (
        Environment(refused=f"fsync-folder={errno.EIO}"),
        "cannot be locked: Input/output error\nnothing was done\n",
    ),
}
"""Where an apply sends nothing, and what it says."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The compiled ``refusing.c``; None without Linux or a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    folder = tmp_path_factory.mktemp("library", numbered=False)
    for opened in (folder, *folder.parents[:3]):
        opened.chmod(opened.stat().st_mode | 0o055)
    made = folder / "refusing.so"
    options = ["-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"]
    subprocess.run([compiler, *options], check=True, timeout=60)
    return made


@dataclass(frozen=True, slots=True)
class Place:
    """A config repository that everybody may use, its cloud, and an environment for commands."""

    root: Path
    cloud: Cloud
    library: Path | None
    environment: Environment

    @property
    def plain(self) -> Place:
        return replace(self, environment=Environment())

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        variables = {**plain_environment(**self.cloud.environment), **self.environment.variables}
        if self.environment.refused:
            variables |= {"LD_PRELOAD": str(self.library), "REFUSED": self.environment.refused}
        return subprocess.Popen(
            [*self.environment.before, *arguments],
            cwd=self.root,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> Ran:
        # Click writes UTF-8 where only ASCII is promised.
        is_cp1252 = "cp1252" in self.environment.variables.values()
        started = self.start("-m", "majobctl", *arguments)
        return finished(started, encoding="cp1252" if is_cp1252 else "utf-8")

    def skip_if_impossible(self) -> None:
        if self.environment.refused and self.library is None:
            pytest.skip("needs Linux and a C compiler")
        process = self.start("-c", "import majobctl.cli.apply, requests")
        _, stderr = process.communicate(timeout=60)
        if process.returncode:
            pytest.skip(f"not on this machine: {stderr.decode(errors='replace').strip()[-200:]}")

    @property
    def state(self) -> Path:
        return self.root / STATE


@contextmanager
def placed(environment: Environment, library: Path | None) -> Iterator[Place]:
    """``alpha`` and ``beta`` are in the cloud, ``alpha`` and ``new`` in a job file."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as data:
        root = Path(folder)
        with running(Path(data), seed_of("alpha", "beta")) as cloud:
            extra = f'[state]\npath = "{STATE}"\n[apply]\ncreate_missing = true\n'
            (root / "majobctl.toml").write_text(cloud.settings(extra))
            (root / "jobs").mkdir()
            (root / "state").mkdir()
            for name in ("alpha", "new"):
                text = toml_of(name, {**JOB, "config_desc": UNICODE})
                (root / f"jobs/{name}.toml").write_text(text, encoding="utf-8")
            if os.geteuid() == 0:
                for path in (root, *root.rglob("*")):
                    os.chown(path, int(STRANGER), int(STRANGER))
            place = Place(root, cloud, library, environment)
            if STATE in environment.mounts:
                assert place.plain.run("apply", "--auto-approve", "--target", "new").code == 0
            place.skip_if_impossible()
            yield place


@pytest.mark.parametrize("name", WORKING)
def test_every_command_does_its_work(name: str, library: Path | None) -> None:
    with placed(WORKING[name], library) as place:
        for arguments in (["init", "fresh"], ["validate"], ["plan"]):
            ran = place.run(*arguments)
            assert ran.code == 0, (arguments, ran)
        shutil.rmtree(place.root / "fresh")
        check_apply(place)
        for arguments in (["drift"], ["show"], ["import", "--all"]):
            ran = place.run(*arguments)
            assert ran.code == 0, (arguments, ran)
        assert set(json.loads(place.state.read_bytes())["job_configs"]) == {"alpha", "beta", "new"}
        assert place.run("plan", "--refresh").stdout.startswith("No changes.")


@pytest.mark.parametrize("refused", REFUSED)
def test_an_apply_goes_on_without_a_call_that_a_share_refuses(
    refused: str, library: Path | None
) -> None:
    with placed(Environment(refused=refused), library) as place:
        check_apply(place)


def check_apply(place: Place) -> None:
    """What an apply reports is in the state and in the service, and no other file is left."""
    ran = place.run("apply", "--auto-approve", "--overwrite")
    assert ran.code == 0, ran
    assert ran.last_line.startswith("Apply complete: 1 added")
    entries = json.loads(place.state.read_bytes())["job_configs"]
    for job in ("alpha", "new"):
        assert entries[job]["params"]["config_desc"] == UNICODE
        assert place.cloud.console.config(job)["config_desc"] == UNICODE
    left = {item.name for item in place.state.parent.iterdir()}
    assert left == {"majobctl.history.jsonl", "majobctl.state.json", "majobctl.state.json.lock"}


@pytest.mark.parametrize("name", REFUSING)
def test_what_cannot_be_saved_is_not_sent(name: str, library: Path | None) -> None:
    environment, says = REFUSING[name]
    with placed(environment, library) as place:
        before = sorted(place.state.parent.iterdir())
        place.cloud.take()
        for arguments in (["validate"], ["plan"], ["plan", "--refresh"], ["drift"], ["show"]):
            ran = place.run(*arguments)
            assert ran.code == 0, (arguments, ran)
        for arguments in (["apply", "--auto-approve", "--overwrite"], ["import", "--all"]):
            ran = place.run(*arguments)
            assert ran.code == 1, ran
            assert ran.stderr.endswith(says.format(root=place.root)), (arguments, ran)
        assert place.cloud.writes() == []
        left = [item for item in sorted(place.state.parent.iterdir()) if item.suffix != ".lock"]
        assert left == [item for item in before if item.suffix != ".lock"]
        assert place.plain.run("apply", "--auto-approve", "--overwrite").code == 0


def test_without_flock_a_lock_is_a_file_that_unlock_frees(library: Path | None) -> None:
    with placed(Environment(refused=f"flock={errno.ENOSYS}"), library) as place:
        is_over = threading.Event()

        def hold(asked: Asked) -> Reply | None:
            is_over.wait(60)
            return None

        # What an apply with flock leaves behind; it locks nobody out.
        place.state.with_name("majobctl.state.json.lock").touch()
        place.cloud.before = hold
        apply = ("apply", "--auto-approve", "--overwrite")
        first = place.start("-m", "majobctl", *apply)
        holder = place.state.with_name("majobctl.state.json.lock.holder")
        until(lambda: holder.exists() and holder.stat().st_size, "the lock")
        second = place.run(*apply)
        assert second.code == 4
        assert f"process {first.pid}, `majobctl apply" in second.stderr
        assert "majobctl unlock" not in second.stderr
        holder_id = json.loads(holder.read_bytes())["id"]
        assert place.run("unlock", holder_id).code == 4
        first.kill()
        first.communicate(timeout=30)
        is_over.set()
        third = place.run(*apply)
        assert third.code == 4
        assert f"free the lock: majobctl unlock {holder_id}\n" in third.stderr
        assert place.run("unlock", holder_id).code == 0
        assert place.run(*apply).code == 0
        assert not holder.exists()
        holder.touch()
        torn = place.run(*apply)
        assert torn.code == 4
        assert f"if no majobctl is running, remove {holder}\n" in torn.stderr


def test_without_flock_an_apply_that_cannot_see_its_lock_any_more_loses_nothing(
    library: Path | None,
) -> None:
    with placed(Environment(refused=f"flock={errno.ENOSYS}"), library) as place:
        holder = place.state.with_name("majobctl.state.json.lock.holder")

        def replace_holder(asked: Asked) -> None:
            if asked.method == "PUT" and holder.is_file():
                holder.unlink()
                holder.mkdir()

        place.cloud.before = replace_holder
        ran = place.run("apply", "--auto-approve", "--overwrite")
        assert ran.code == 1, ran
        assert "holder cannot be read: Is a directory\nnothing is lost" in ran.stderr
        assert "Apply incomplete: 1 added, " in ran.stdout
        holder.rmdir()
        assert place.run("plan").stdout.startswith("No changes.")


def test_without_flock_one_of_two_works(
    library: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library is None:
        pytest.skip("needs Linux and a C compiler")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("REFUSED", f"flock={errno.ENOLCK}")
    both = [Script(CLIMB, tmp_path / "state.json", tmp_path / "inside") for _ in range(2)]
    for number in range(20):
        for script in both[:: 1 if number % 2 else -1]:
            script.go_on()
        assert sorted(script.line() for script in both) == ["lost", "won"]
        for script in both:
            script.go_on()
        assert [script.line() for script in both] == ["left", "left"]
    assert [script.end() for script in both] == [0, 0]


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5h://127.0.0.1:1"])
@pytest.mark.parametrize("command", [["drift"], ["import", "--all"], ["apply", "--auto-approve"]])
def test_a_proxy_that_is_none_is_no_traceback(
    repository: Repository, proxy: str, command: list[str]
) -> None:
    repository.settings(f'[provider]\nregion = "eu-de"\nproject_id = "{PROJECT}"\nretries = 0\n')
    repository.job("alpha")
    keys = {"OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "b"}
    repository.environment.update(HTTPS_PROXY=proxy, **keys)
    ran = repository.process(*command)
    assert ran.code == 1
    assert "Error: " in ran.stderr
    assert not repository.state_path.exists()
