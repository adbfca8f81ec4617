"""``~`` in every path that a user writes, where no shell has replaced it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.config_repository import JOB, Repository, finished, toml_of, until


@pytest.fixture
def home() -> Path:
    return Path(os.environ["HOME"])


@pytest.fixture
def settled(on_emulator: Repository, home: Path) -> Repository:
    """Applied; what a command reads is at home, too."""
    on_emulator.apply("--overwrite")
    on_emulator.done("plan", "--out", str(home / "saved.plan"))
    shutil.copy(on_emulator.state_path, home / "state.json")
    (home / "vars.toml").write_text("")
    (home / "script.py").write_text("")
    (home / "messy.toml").write_text("[job_config.x]\n\n\n\n")
    shutil.copytree(on_emulator.root, home / "copy")
    return on_emulator


@pytest.mark.parametrize(
    "command",
    [
        "plan --out=~/new.plan",
        "plan --out ~/new.plan",
        "plan --also=markdown=~/new.md",
        "plan --also json=~/new.json --also html=~/new.html",
        "plan --state=~/state.json",
        "plan --var-file=~/vars.toml",
        "plan --target=~/copy/jobs/alpha.toml",
        "-C ~/copy plan --target=~/copy/jobs/alpha.toml",
        "-C ~/copy plan --exclude=~/copy/jobs/alpha.toml",
        "--chdir=~/copy render ~/copy/jobs/*.toml",
        "-C~/copy pull ~/copy/jobs/alpha.toml",
        "apply ~/saved.plan",
        "show ~/saved.plan",
        "state push ~/state.json",
        "state move local path=~/moved.state.json",
        "schema --out-dir=~/schemas",
        "probe --out=~/report.json --format json",
        "capture ~/script.py",
        "init ~/new",
        "fmt ~/messy.toml",
        "-C ~/copy import beta --out-dir=~/copy/jobs/more",
        "emulator set --data=~/copy/.majobctl/emulator.db alpha config_desc=x",
    ],
)
def test_a_path_may_begin_at_home(command: str, settled: Repository, home: Path) -> None:
    def found(folder: Path) -> dict[str, bytes]:
        files = (it for it in folder.rglob("*") if it.is_file())
        return {str(it.relative_to(folder)): it.read_bytes() for it in files}

    before, here = found(home), found(settled.root)
    ran = settled.run(*command.split())
    is_elsewhere = command == "plan --target=~/copy/jobs/alpha.toml"
    nothing = "no job config" in ran.stderr or "select no job config" in ran.stderr
    assert ran.code == (1 if nothing else 0), ran
    assert nothing == (is_elsewhere or "--exclude" in command)
    assert not [it for it in settled.root.rglob("*") if it.name.startswith("~")]
    written = [word for word in command.replace("=", " ").split() if "/new" in word]
    for path in (*written, *(["~/report.json"] if "probe" in command else [])):
        assert (home / path[2:]).exists()
    assert found(home).keys() >= before.keys()
    if command.startswith("-C"):
        assert found(settled.root) == here


def test_the_emulator_takes_paths_from_home(repository: Repository, home: Path) -> None:
    (home / "seed.toml").write_text(toml_of("alpha", JOB))
    (home / "like.json").write_text('{"findings": []}')
    options = "--data=~/emulator.db --seed=~/seed.toml --request-log=~/log --like=~/like.json"
    process = repository.start("emulator", "serve", *options.split())
    until((home / "log").exists, "the log of requests")
    process.terminate()
    finished(process)
    assert (home / "emulator.db").exists()
    assert list(repository.root.iterdir()) == []


def test_the_settings_take_paths_from_home(on_emulator: Repository, home: Path) -> None:
    on_emulator.write("cloud.toml", "").rename(home / "cloud.toml")
    (home / "cloud.toml").write_text(toml_of("alpha", JOB) + toml_of("more", JOB))
    jobs = home / "jobs [1]"
    jobs.mkdir()
    (jobs / "more.toml").write_text(toml_of("more", JOB))
    on_emulator.settings(
        '[provider]\nkind = "emulator"\nseed = "~/cloud.toml"\n'
        '[state]\npath = "~/team.state.json"\n'
        '[jobs]\nfiles = ["jobs/*.toml", "~/jobs [[]1]/*.toml"]\n'
        "[environments.prod]\n"
    )
    on_emulator.apply("--overwrite")
    on_emulator.apply("--overwrite", "-e", "prod")
    for name in ("team", "prod"):
        state = json.loads((home / f"{name}.state.json").read_text())
        assert list(state["job_configs"]) == ["alpha", "more"]
    assert not (on_emulator.root / "~").exists()


def test_a_home_whose_name_looks_like_a_pattern_is_none(
    on_emulator: Repository, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (odd := home / "a[b]*").mkdir()
    (odd / "more.toml").write_text(toml_of("more", JOB))
    monkeypatch.setenv("HOME", str(odd))
    settings = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.settings(settings + '[jobs]\nfiles = ["~/*.toml"]\n')
    assert on_emulator.done("validate", "--format", "json").document["job_configs"] == ["more"]


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("provider", "seed", '"~nobody-here/x"'),
        ("state", "path", '"~nobody-here/x"'),
        ("jobs", "files", '["jobs/*.toml", "~nobody-here/x"]'),
    ],
)
def test_a_user_who_does_not_exist_is_a_problem_at_its_line(
    table: str, key: str, value: str, on_emulator: Repository
) -> None:
    lines = {"provider": ['kind = "emulator"'], "state": [], "jobs": []}
    lines[table].append(f"{key} = {value}")
    on_emulator.settings("\n".join(f"[{name}]\n" + "\n".join(it) for name, it in lines.items()))
    ran = on_emulator.run("validate", code=1)
    place, _, said = ran.stderr.partition(f": {table}: ")
    path = "~nobody-here" if key == "files" else "~nobody-here/x"
    assert said.startswith(f'{key}: {path}: there is no user "nobody-here"\n')
    number = int(place.removeprefix("majobctl.toml:"))
    assert (on_emulator.root / "majobctl.toml").read_text().splitlines()[number - 1] == (
        f"{key} = {value}"
    )


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "OS_CLIENT_CONFIG_FILE"])
@pytest.mark.parametrize("value", ["~/none", "~nobody-here/none"])
def test_a_variable_of_the_environment_names_a_path_from_home(
    variable: str, value: str, on_rest: Repository, home: Path
) -> None:
    on_rest.job("alpha")
    on_rest.environment[variable] = value
    if variable.startswith("OS_"):
        on_rest.environment["OS_CLOUD"] = "x"
        for name in ("OS_ACCESS_KEY", "OS_SECRET_KEY"):
            on_rest.environment.pop(name)
    settings = (on_rest.root / "majobctl.toml").read_text()
    on_rest.settings(settings.replace("http:", "https:"))
    ran = on_rest.run("apply", "--auto-approve", code=1)
    wanted = str(home / "none") if value == "~/none" else 'there is no user "nobody-here"'
    assert wanted in ran.stderr
