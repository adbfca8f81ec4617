"""A hostile repository: links, pipes, devices, and files that multiply. Each command runs in a
process with little memory and has to end by itself, with a message that names what is wrong."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from shutil import copytree, rmtree

import pytest

import majobctl
from tests.config_repository import JOB, Ran, Repository, finished, toml_of
from tests.fake_service import FakeService, Handler, Reply, refusal
from tests.faults.launcher import plain_environment

SETTINGS = '[provider]\nkind = "emulator"\n'
ONE = toml_of("one", JOB)
MEMORY = 2 * 2**30
LONG = "x" * 1_000_000
NO_FILE = "it is not a regular file"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def with_little_memory(repository: Repository, *arguments: str) -> Ran:
    """The command, not measured: that would need memory and most of the time."""
    own = plain_environment(**repository.environment)
    return finished(repository.start(*arguments, env=own, preexec_fn=limit_memory))


def limited(repository: Repository, *arguments: str) -> Ran:
    """The command with little memory; it says little, too."""
    ran = with_little_memory(repository, *arguments)
    assert len(ran.stdout) + len(ran.stderr) < 10_000, (ran.stdout[:1000], ran.stderr[:1000])
    return ran


def refused(repository: Repository, *arguments: str) -> str:
    ran = limited(repository, *arguments)
    assert ran.code == 1, ran
    return ran.stderr or ran.stdout


@pytest.fixture
def one(repository: Repository) -> Repository:
    """A config repository of one job config."""
    repository.settings(SETTINGS)
    repository.job("one")
    return repository


# Files that are none

READ = {
    "jobs/more.toml": ["validate"],
    "majobctl.state.json": ["plan"],
    "majobctl.state.json.journal": ["plan"],
    "majobctl.state.json.lock.holder": ["apply", "--auto-approve"],
    "cloud.toml": ["apply", "--auto-approve"],
    "saved.plan": ["apply", "saved.plan"],
    "pushed.json": ["state", "push", "pushed.json"],
    "values.toml": ["plan", "--var-file", "values.toml"],
    "formatted.toml": ["fmt", "formatted.toml"],
    "home/.huaweicloud/credentials": ["drift"],
    "clouds.yaml": ["drift"],
}
"""Each file that majobctl reads, and a command that does."""
PIPES = {"saved.plan", "pushed.json", "values.toml", "home/.huaweicloud/credentials", "clouds.yaml"}
"""Where a pipe may be meant."""


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kind", ["pipe", "zeros", "sparse"])
@pytest.mark.bad_inputs("files, links and lists without end", "name", "kind")
def test_what_is_no_file_or_has_no_end_is_refused(one: Repository, name: str, kind: str) -> None:
    if kind == "pipe" and name in PIPES:
        pytest.skip("a pipe is read here")
    path = one.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 2**40)
    if name == "cloud.toml":
        one.settings(f'{SETTINGS}seed = "cloud.toml"\n')
    elif READ[name] == ["drift"]:
        one.settings('[provider]\nregion = "eu-de"\nproject_id = "0123456789abcdef"\n')
        one.environment.update(HOME=str(one.root / "home"))
        if name == "clouds.yaml":
            one.environment.update(OS_CLOUD="c", OS_CLIENT_CONFIG_FILE=str(path))
    told = refused(one, *READ[name])
    assert path.name in told
    no_file = (NO_FILE, "is a link to /dev/zero", 'seed: no file "cloud.toml"')
    assert any(why in told for why in (no_file if kind != "sparse" else ("larger than",)))


@pytest.mark.parametrize("source", ["values", "-"])
def test_a_pipe_is_read_where_one_is_meant(one: Repository, source: str) -> None:
    one.settings(f'{SETTINGS}[variables]\nbucket = "a"\n')
    one.job("one", inputs="/${var.bucket}/x/")
    pipe = one.root / "values"
    os.mkfifo(pipe)
    if source == "-":
        told = one.process("state", "push", "-", stdin=b"{}").stderr
        assert "stdin is not a state file: format_version is missing" in told
        return
    writer = threading.Thread(target=pipe.write_text, args=('bucket = "b"\n',))
    writer.start()
    assert "/b/x/" in limited(one, "plan", "--var-file", "values").stdout
    writer.join()


# Links of the state

LINKS = ["", ".journal", ".lock", ".lock.holder"]


@pytest.mark.parametrize("suffix", LINKS)
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.bad_inputs("files, links and lists without end", "suffix", "is_there")
def test_nothing_is_written_where_a_link_beside_the_state_leads(
    one: Repository, suffix: str, is_there: bool
) -> None:
    outside = one.root.parent / "outside"
    if is_there:
        outside.write_bytes(b"")
    (one.root / f"majobctl.state.json{suffix}").symlink_to(outside)
    told = refused(one, "apply", "--auto-approve")
    assert f"majobctl.state.json{suffix}" in told
    assert (outside.read_bytes() if outside.exists() else None) == (b"" if is_there else None)


def test_a_state_on_a_share_that_is_not_mounted_is_not_begun_anew(one: Repository) -> None:
    one.settings(f'{SETTINGS}[state]\npath = "share/state.json"\n')
    (one.root / "share").symlink_to(one.root.parent / "mnt")
    for arguments in (["plan"], ["apply", "--auto-approve"]):
        told = refused(one, *arguments)
        assert "share is a link to" in told
        assert "which does not exist" in told
    assert not (one.root.parent / "mnt").exists()


# Links on the way to job files

Layout = Mapping[str, str]
ABOVE = "above the folder of majobctl.toml; remove it"


@pytest.mark.parametrize(
    ("links", "patterns", "expected"),
    [
        ({"jobs/a": ".", "jobs/b": "."}, "jobs/**/*.toml", ""),
        ({f"jobs/{name}": "../jobs" for name in "abcdefgh"}, "jobs/**/*.toml", ""),
        ({"jobs/x/up": "../../jobs", "jobs/y/up": "../../jobs"}, "jobs/**/*.toml", ""),
        ({"jobs/a": "b", "jobs/b": "a"}, "jobs/**/*.toml", ""),
        ({"jobs/a": ".", "jobs/b": "."}, "jobs/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*.toml", ""),
        ({"jobs/all": "/"}, "jobs/**/*.toml", f"jobs/all: it is a link to /, {ABOVE}"),
        ({"jobs/all": "/"}, "jobs/*/x.toml", f"jobs/all: it is a link to /, {ABOVE}"),
        ({"jobs/all": "/"}, "jobs/all/**/*.toml", f"jobs/all: it is a link to /, {ABOVE}"),
        ({"jobs/all": "../.."}, "jobs/**/*.toml", ABOVE),
        ({"jobs/all": "/proc/self/root"}, "jobs/**/*.toml", ABOVE),
        ({"jobs/d/e/f/g": "."}, "**/**/" * 20 + "*.toml", ""),
        ({"jobs/d/e/f/g": "."}, "**/*/" * 20 + "*.toml", "no file"),
        ({"jobs/shared": "../../shared"}, "jobs/**/*.toml", ""),
        ({"jobs/shared.toml": "../../shared/one.toml"}, "jobs/*.toml", ""),
    ],
)
def test_each_folder_is_walked_once_whatever_links_lead_to_it(
    repository: Repository, links: Layout, patterns: str, expected: str
) -> None:
    (repository.root.parent / "shared").mkdir()
    is_shared = any("shared" in link for link in links)
    place = repository.root.parent if is_shared else repository.root
    (repository.root / "jobs").mkdir()
    (place / ("shared" if is_shared else "jobs") / "one.toml").write_text(ONE, encoding="utf-8")
    for link, target in links.items():
        path = repository.root / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    repository.settings(f'{SETTINGS}[jobs]\nfiles = ["{patterns}"]\n')
    for arguments in (["validate"], ["plan"], ["fmt", "--check"]):
        ran = limited(repository, *arguments)
        assert expected in ran.stdout + ran.stderr
        assert ran.code == 1 or ABOVE not in expected
    if not expected:
        assert limited(repository, "validate").stdout == "1 job config is valid.\n"


# Links out of the repository

WRITES = {
    "jobs/one.toml": ["fmt"],
    "jobs": ["fmt", "jobs/one.toml"],
    "schema": ["schema", "--out-dir", "schema"],
    "schema/jobs.schema.json": ["schema", "--out-dir", "schema"],
    "saved.plan": ["plan", "--out", "saved.plan"],
    "plans": ["plan", "--out", "plans/saved.plan"],
    "report.md": ["plan", "--also", "markdown=report.md"],
    "reports": ["plan", "--also", "html=reports/plan.html"],
    "jobs/imported": ["import", "two"],
    ".majobctl": ["import", "two"],
    ".majobctl/emulator.db": ["import", "two"],
    "new/schema": ["init", "new"],
}
"""Each place that majobctl writes to, here a link, and a command that does."""


@pytest.mark.parametrize("link", WRITES)
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.bad_inputs("files, links and lists without end", "link", "is_there")
def test_no_link_is_followed_out_of_the_repository(
    one: Repository, link: str, is_there: bool
) -> None:
    one.settings(f'{SETTINGS}seed = "cloud.toml"\n')
    one.write("cloud.toml", toml_of("two", JOB))
    outside = one.root.parent / "outside" / "target"
    outside.parent.mkdir()
    path = one.root / link
    path.parent.mkdir(parents=True, exist_ok=True)
    if link == "jobs":
        path.rename(outside)
    elif link == "jobs/one.toml":
        path.rename(outside)
        outside.write_text(ONE.replace("\ninputs", "\n\n\ninputs"), encoding="utf-8")
    elif is_there and link == "saved.plan":
        one.done("plan", "--out", str(outside))
    elif is_there and path.suffix == ".json":
        outside.write_bytes(b"{}")
    elif is_there:
        outside.mkdir()
    if link == "jobs":
        (outside / "one.toml").write_text(ONE.replace("\ninputs", "\n\n\ninputs"))
    path.symlink_to(outside)
    before = {it: it.is_file() and it.read_bytes() for it in outside.parent.rglob("*")}
    assert f"{link} is a link out of the repository" in refused(one, *WRITES[link])
    assert {it: it.is_file() and it.read_bytes() for it in outside.parent.rglob("*")} == before


def test_links_that_stay_inside_and_places_outside_are_written_to(one: Repository) -> None:
    (one.root / "real").mkdir()
    (one.root / "schema").symlink_to("real")
    one.done("schema", "--out-dir", "schema")
    assert (one.root / "real" / "jobs.schema.json").is_file()
    outside = one.root.parent / "outside.plan"
    one.done("plan", "--out", "../outside.plan", "--also", f"markdown={one.root.parent}/plan.md")
    assert outside.is_file()
    link = one.root.parent / "link.plan"
    link.symlink_to(outside)
    one.done("plan", "--out", str(link))
    assert link.is_symlink()
    outside.unlink()
    assert "is a link out of the repository" in refused(one, "plan", "--out", str(link))


# Documents that multiply

PARAMS = ONE.partition("\n")[2]
NUMBERS = ", ".join(map(str, range(100)))
MATRIX = f"matrix = {{a = [{NUMBERS}], b = [{NUMBERS}]}}\n"
SWEEP = f'[job_config.x]\nname = "x-{{a}}-{{b}}"\n{PARAMS}{MATRIX}'
LABELS = "\n".join(f'label-{number} = "{LONG[:2000]}"' for number in range(1000))


def many(count: int, text: str) -> str:
    return "\n".join(text.replace("%", str(number)) for number in range(count))


@pytest.mark.parametrize(
    ("settings", "jobs", "expected"),
    [
        (
            "",
            many(30, SWEEP.replace("x", "m%", 2)),
            "the job files have more than 100,000 job configs",
        ),
        (
            f'[variables]\na = "{LONG}"\n',
            f'{ONE}config_desc = "{"${var.a}" * 3000}"\n',
            "references make this table longer by more than 1,000,000 characters",
        ),
        (
            f'[variables]\na = "{LONG}"\n',
            f"{SWEEP}[job_config.x.hyperparameters]\n" + many(5, 'h-% = "${var.a}"'),
            "references make this table longer by more than 1,000,000 characters",
        ),
        (
            f'[variables]\na = "{LONG[:900_000]}"\n',
            many(400, ONE.replace("one", "j%") + 'log_url = "/b/${var.a}"\n'),
            "more than 100,000,000 characters that are repeated from",
        ),
        (
            f'[defaults]\nlog_url = "/b/{LONG}"\n',
            many(400, ONE.replace("one", "j%")),
            "more than 100,000,000 characters that are repeated from",
        ),
        (
            "",
            f'[templates.t]\nlog_url = "/b/{LONG}"\n'
            + many(400, ONE.replace("one", "j%") + 'use = "t"\n'),
            "more than 100,000,000 characters that are repeated from",
        ),
        (
            "",
            f"{SWEEP}[job_config.x.hyperparameters]\n{LABELS}\n",
            "more than 100,000,000 characters that are repeated from",
        ),
        (
            "",
            SWEEP.replace('"x-', f'"x-{"{a}" * 100_000}-'),
            "a name has 1 to 20 characters",
        ),
        (
            "",
            SWEEP.replace("a = [0, ", f'a = ["{LONG}", ').replace("x-{a}", "x-" + "{a}" * 300),
            "a name has 1 to 20 characters",
        ),
        (
            "",
            f"{SWEEP}[job_config.x.hyperparameters]\n" + many(100, "h-% = []"),
            "more than 100,000 problems",
        ),
        ("", ONE + many(150_000, "k% = 1"), "more than 100,000 problems"),
        ("", ONE + f"data_source = [{'1, ' * 150_000}]\n", "more than 100,000 problems"),
    ],
    ids=[
        *("matrices", "variable", "labels", "variables", "defaults", "template", "combinations"),
        *("name", "value", "problems", "keys of one table", "items of one array"),
    ],
)
@pytest.mark.bad_inputs("files, links and lists without end", "settings", "jobs")
def test_what_multiplies_has_a_bound_that_the_message_names(
    repository: Repository, settings: str, jobs: str, expected: str
) -> None:
    repository.settings(SETTINGS + settings)
    repository.write("jobs/a.toml", jobs)
    ran = with_little_memory(repository, "validate")
    assert ran.code == 1, ran.stderr[-500:]
    assert expected in ran.stderr
    assert ran.stderr.count("\n") < 110_000
    assert "\nTraceback" not in ran.stderr


@pytest.mark.parametrize("count", [1, 2])
def test_matrices_of_ten_thousand_are_honest(repository: Repository, count: int) -> None:
    repository.settings(SETTINGS)
    repository.write("jobs/a.toml", many(count, SWEEP.replace("x", "m%", 2)))
    assert limited(repository, "validate").stdout == f"{count}0000 job configs are valid.\n"


# Messages

A = f"[job_config.a]\n{PARAMS}"
LABEL = f'{{label = "{LONG}", value = 1}}'
LONG_JOBS = {
    "name": A.replace("a]", f"{LONG}]"),
    "quoted name": A.replace("a]", f'"\u00e4{LONG}"]'),
    "key": f"{A}{LONG} = 1\n",
    "key twice": f"{A}{LONG} = 1\n{LONG} = 2\n",
    "secret key": f"{A}{LONG}_password = 1\n",
    "value": f'{A}log_url = "{LONG}"\n',
    "control character": f'{A}log_url = "/b/\\u0001{LONG}"\n',
    "number": f"{A}log_url = {'9' * 1_000_000}.5\n",
    "integer": f"{A}log_url = 0x{'9' * 1_000_000}\n",
    "template": f'{A}use = "{LONG}"\n',
    "template's name": f"[templates.{LONG}]\n",
    "no reference": f'{A}log_url = "${{{LONG}}}"\n',
    "open reference": f'{A}log_url = "${{{LONG}"\n',
    "variable": f'{A}log_url = "${{var.{LONG}}}"\n',
    "label": f"{A}[job_config.a.hyperparameters]\n{LONG} = []\n",
    "label twice": f"{A}hyperparameters = [{LABEL}, {LABEL}]\n",
    "table": f"[{LONG}]\n",
    "matrix key": f'{A}name = "a"\nmatrix = {{{LONG} = 1}}\n',
    "matrix name": f'{A}name = "{LONG}{{k}}"\nmatrix = {{k = [1, 2]}}\n',
    "placeholder": f'{A}name = "{{{LONG}}}"\nmatrix = {{k = [1, 2]}}\n',
    "sensitive": f'{A}sensitive = ["{LONG}"]\n',
    "ignored": f'{A}ignore_changes = ["{LONG}"]\n',
    "former name": f'{A}renamed_from = "{LONG}"\n',
    "data source": f"{A}data_source = [{{{LONG} = 1}}]\n",
    "not TOML": f"{A}{LONG}\n",
    "no value": f"{A}log_url = {LONG}\n",
}
LONG_SETTINGS = {
    "table": f"[{LONG}]\n",
    "setting": f"{LONG} = 1\n",
    "kind": f'kind = "{LONG}"\n',
    "endpoint": f'endpoint = "{LONG}"\n',
    "plain endpoint": f'endpoint = "http://{LONG}"\n',
    "project": f'project_id = "{LONG}"\n',
    "variable": f'[variables]\n"{LONG} " = 1\n',
    "environment": f"[environments.{LONG}]\n",
    "environment's table": f"[environments.a.{LONG}]\n",
    "pattern": f'[jobs]\nfiles = ["{LONG}"]\nx = 1\n',
    "wildcard": f'[jobs]\nfiles = ["*{LONG}"]\nx = 1\n',
    "ignored": f'[drift]\nignore = ["{LONG}"]\n',
    "backend": f'[state]\nbackend = "{LONG}"\n',
}


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("what", [*LONG_JOBS, *(f"setting: {it}" for it in LONG_SETTINGS)])
@pytest.mark.bad_inputs("files, links and lists without end", "what")
def test_no_message_repeats_a_megabyte(one: Repository, what: str, format_: str) -> None:
    if what in LONG_JOBS:
        one.write("jobs/one.toml", LONG_JOBS[what])
    else:
        text = LONG_SETTINGS[what.removeprefix("setting: ")]
        one.settings(text if "kind" in text else SETTINGS + text)
    ran = one.run("validate", "--format", format_, code=1)
    assert len(ran.stdout) + len(ran.stderr) < 10_000


# Services that do not end

Script = Callable[[int], object]


def answer_page(answer: Script, page: int, handler: Handler) -> None:
    handler.answer(200, answer(page))


def endless_names(page: int) -> object:
    names = [{"config_name": f"{page}-{number}"} for number in range(1000)]
    return {"is_success": True, "configs": names}


def endless_algorithms(page: int) -> object:
    models = [{"model_id": 100 * page + number, "model_name": "m"} for number in range(100)]
    return {"is_success": True, "models": models}


def long_names(page: int) -> object:
    return {"is_success": True, "configs": [{"config_name": LONG}]}


def many_values(page: int) -> object:
    return b'{"is_success": true, "configs": [' + b"[]," * 5_000_000 + b"[]]}"


def many_bytes(page: int) -> object:
    return b'{"is_success": true, "x": "' + b"x" * 40_000_000 + b'"}'


def refusal_of_a_megabyte(page: int) -> object:
    return {"is_success": False, "error_code": "X" + LONG, "error_msg": LONG, "request_id": LONG}


@pytest.mark.parametrize(
    ("answer", "arguments", "expected"),
    [
        (endless_names, ["import", "--all"], "the list of configurations does not end"),
        (endless_algorithms, ["algorithms"], "the list of algorithms does not end"),
        (long_names, ["import", "--all"], "unreadable answer"),
        (many_values, ["import", "--all"], "it has more than 1,000,000 values"),
        (many_values, ["flavors"], "it has more than 1,000,000 values"),
        (many_bytes, ["import", "--all"], "the answer is larger than 16 MiB"),
        (many_bytes, ["apply", "--auto-approve"], "the answer is larger than 16 MiB"),
        (refusal_of_a_megabyte, ["import", "--all"], "(1,000,000 characters)"),
        (refusal_of_a_megabyte, ["apply", "--auto-approve"], "(1,000,000 characters)"),
        (refusal_of_a_megabyte, ["apply", "--auto-approve", "--format", "json"], "characters)"),
    ],
)
@pytest.mark.bad_inputs("files, links and lists without end", "answer")
def test_what_a_service_sends_without_end_is_cut_off(
    on_rest: Repository, rest: FakeService, answer: Script, arguments: list[str], expected: str
) -> None:
    on_rest.settings(rest.settings("retries = 0"))
    on_rest.job("one")
    on_rest.environment.update(rest.environment)
    for page in range(1, 1200):
        rest.script.append(partial(answer_page, answer, page))
    ran = limited(on_rest, *arguments)
    assert ran.code in (1, 3)
    assert expected in ran.stdout + ran.stderr


@pytest.mark.parametrize("arguments", [["plan", "--refresh"], ["drift"], ["import", "--all"]])
def test_many_large_configurations_are_not_all_kept(
    on_rest: Repository, rest: FakeService, arguments: list[str]
) -> None:
    names = [f"job-{number}" for number in range(20)]
    for name in names:
        on_rest.job(name)
    if "import" not in arguments:
        on_rest.apply()
    on_rest.environment.update(rest.environment)
    rest.configs |= {name: {"config_desc": "x" * 15_000_000} for name in names}
    error = refused(on_rest, *arguments)
    assert "the 20 configurations have more than 200,000,000 characters in the service" in error


# Few threads


@pytest.mark.parametrize(("threads", "at_once"), [*((n, {1}) for n in range(4)), (5, {2, 3})])
def test_without_more_threads_fewer_workers_go_on(
    on_rest: Repository, rest: FakeService, threads: int, at_once: set[int]
) -> None:
    # One watches signals, one shows progress, and one may be the one that watches the deadlines.
    rest.has_every_name = True
    names = [f"job-{number}" for number in range(12)]
    for name in names:
        on_rest.job(name)
    on_rest.environment.update(rest.environment)

    def limit() -> None:
        stack = 2**30
        resource.setrlimit(resource.RLIMIT_STACK, (stack, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_AS, ((threads + 1) * stack, (threads + 1) * stack))

    rest.before_put = lambda name: time.sleep(0.05)
    ran = finished(on_rest.start("apply", "--auto-approve", "--overwrite", preexec_fn=limit))
    assert ran.code == 0, ran
    assert set(rest.configs) == set(names) == set(on_rest.state["job_configs"])
    assert rest.most_at_once in at_once
    live = finished(on_rest.start("plan", "--refresh", preexec_fn=limit))
    assert live.code == 0, live


# Nothing left to open


@pytest.fixture
def ten(on_rest: Repository, rest: FakeService) -> Repository:
    """Ten job configs, and a service that takes a moment for each."""
    rest.has_every_name = True
    for number in range(10):
        on_rest.job(f"job-{number}")
    on_rest.environment.update(rest.environment)
    rest.before_put = lambda name: time.sleep(0.05)
    return on_rest


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("descriptors", range(9, 15))
def test_without_a_free_descriptor_each_outcome_is_reported(
    ten: Repository, rest: FakeService, descriptors: int, format_: str
) -> None:
    limits = (descriptors, descriptors)
    ten.settings(rest.settings("retries = 0"))
    ran = finished(
        ten.start(
            *("apply", "--auto-approve", "--refresh=none", "--parallelism=10", "--format", format_),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
        )
    )
    told = {line.split(":")[0] for line in ran.stderr.splitlines() if ": added" in line}
    assert told == {f"job_config.{name}" for name in rest.configs}
    assert set(rest.configs) == set(ten.state["job_configs"])
    assert ran.code == (0 if len(told) == 10 else 3), ran
    assert "Apply " in ran.stdout or ran.document
    assert ran.code == 0 or "Too many open files" in ran.stdout


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("is_refused", [False, True], ids=["accepted", "refused"])
def test_an_apply_needs_no_file_of_its_own_once_calls_are_made(
    ten: Repository, rest: FakeService, is_refused: bool, format_: str
) -> None:
    # A .venv in the repository, and `git clean -xdf` beside the apply.
    package = ten.root / ".venv" / "majobctl"
    copytree(Path(majobctl.__file__).parent, package)
    ten.environment["PYTHONPATH"] = str(package.parent)

    def clean(name: str) -> Reply | None:
        rmtree(package.parent, ignore_errors=True)
        return refusal(400, "ModelArts.0101", "no") if is_refused else None

    rest.before_put = clean
    ran = ten.process("apply", "--auto-approve", "--refresh=none", "--format", format_)
    assert not package.exists()
    assert ran.code == (3 if is_refused else 0), ran
    assert "Apply " in ran.stdout or ran.document
    assert ran.stderr.count("job_config.") == 10


def test_a_user_whose_name_is_not_text_leaves_no_holder(ten: Repository) -> None:
    ten.environment["USER"] = ten.environment["LOGNAME"] = "\udcff\x1b"
    ran = ten.process("apply", "--auto-approve", "--refresh=none")
    assert ran.code == 0, ran
    assert not [*ten.root.glob("*.holder")]
