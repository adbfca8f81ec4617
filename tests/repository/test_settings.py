"""The settings: found, read, with their defaults, and the target that they name."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.cli import main
from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.operations.context import target_of
from majobctl.repository.settings.keys import SETTINGS
from majobctl.repository.settings.settings import Settings, find_root, read_settings
from majobctl.target import Target
from tests.config_files import SETTINGS as REGION
from tests.config_files import write_files
from tests.strategies import plain_values, toml_value


def settings_of(root: Path, text: str) -> tuple[Settings, list[Problem]]:
    return read_settings(write_files(root, {"majobctl.toml": text}))


def good_settings(root: Path, text: str) -> Settings:
    settings, problems = settings_of(root, text)
    assert problems == []
    return settings


def test_settings_that_are_left_out_have_their_defaults(tmp_path: Path) -> None:
    settings = good_settings(tmp_path, REGION)
    assert settings.provider == {
        "kind": "modelarts",
        "region": "eu-de",
        "endpoint": "",
        "iam_endpoint": "",
        "project_id": "",
        "auth": "",
        "timeout": 30,
        "retries": 5,
        "seed": "",
        "answers": "",
    }
    assert settings.values["apply"] == {
        "parallelism": 10,
        "refresh": "changed",
        "overwrite": False,
        "create_missing": False,
        "delete_removed": False,
        "max_change_percent": 0,
        "max_delete_percent": 30,
    }
    assert settings.parallelism == 10
    assert settings.job_files == ("jobs/**/*.toml",)
    assert settings.state_path == tmp_path / "majobctl.state.json"
    assert settings.file_path == tmp_path / "majobctl.toml"
    assert settings.defaults == {}


def test_settings_that_are_written_count(tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").touch()
    settings = good_settings(
        tmp_path,
        "[provider]\n"
        'kind = "emulator"\nproject_id = "p"\nauth = "token"\ntimeout = 0.5\nretries = 0\n'
        'seed = "cloud.toml"\n'
        '[state]\nbackend = "local"\npath = "state/dev.json"\n'
        '[jobs]\nfiles = ["a.toml", "b/*.toml"]\n'
        "[apply]\nparallelism = 1000\ncreate_missing = false\n"
        '[defaults]\nlog_url = "/ml/log/"\n',
    )
    assert settings.provider["auth"] == "token"
    assert settings.provider["timeout"] == 0.5
    assert settings.provider["retries"] == 0
    assert settings.parallelism == 1000
    assert settings.job_files == ("a.toml", "b/*.toml")
    assert settings.state_path == tmp_path / "state" / "dev.json"
    assert settings.defaults == {"log_url": "/ml/log/"}


def test_a_wrong_value_stands_as_its_default(tmp_path: Path) -> None:
    settings, problems = settings_of(tmp_path, f"{REGION}retries = 1000\n[state]\npath = 5\n")
    assert len(problems) == 2
    assert settings.provider["retries"] == 5
    assert settings.state_path == tmp_path / "majobctl.state.json"


MISPLACED = [
    *(".git/config", "x/../.GIT/state.json", "../.git/state.json", "to-git/state.json"),
    *("majobctl.toml", "policy.toml", "jobs/new.TOML", "to-job"),
    *(".majobctl", ".majobctl/emulator.db", ".", "..", "jobs"),
    *("more/state", "deep/state", "deep/a/b/state"),
]


@pytest.mark.parametrize("place", [*MISPLACED, "more/a/state", "deeper/a/state", "a"])
@pytest.mark.parametrize("table", ["state", "environments.other.state"])
def test_a_state_has_a_place_where_nothing_else_belongs(
    place: str, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = '[jobs]\nfiles = ["jobs/*.toml", "more/*", "deep/**/s*"]\n'
    settings = f'[provider]\nkind = "emulator"\n{jobs}[{table}]\npath = "{place}"\n'
    content = {"majobctl.toml": settings, "jobs/a.toml": "", ".git/config": ""}
    root = write_files(tmp_path / "here", content)
    (root / "to-git").symlink_to(".git")
    (root / "to-job").symlink_to("jobs/a.toml")
    before = {*tmp_path.rglob("*")}
    code, told = main(["-C", str(root), "apply", "--auto-approve"]), capsys.readouterr().err
    if place in MISPLACED:
        assert (code, {*tmp_path.rglob("*")}) == (1, before)
        assert "majobctl.toml:6:" in told
        assert "state: path must not be in .git or .majobctl, a folder, a TOML" in told
    else:
        assert "path must not be" not in told


@pytest.mark.parametrize(
    "text",
    [
        '[provider]\nendpoint = "http://127.0.0.1:8080"\niam_endpoint = "http://localhost:1/v3"\n',
        '[provider]\nkind = "sdk"\nregion = "cn-north-4"\n',
        '[provider]\nkind = "emulator"\n',
        '[provider]\nkind = "emulator"\nregion = "eu-west-0"\n',
        '[provider]\nregion = "eu-west-0"\nendpoint = "https://h.example"\n',
        'provider.kind = "emulator"\nprovider.seed = "a.toml"\n',
        '[provider]\nregion = "eu-de"\nauth = "password"\n',
    ],
)
def test_each_kind_of_provider_has_what_it_needs(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").touch()
    good_settings(tmp_path, text)


@pytest.mark.parametrize("text", ["", "# nothing\n", "[defaults]\n", '[provider]\nregion = ""\n'])
def test_a_service_without_an_address_is_told(text: str, tmp_path: Path) -> None:
    _, (problem,) = settings_of(tmp_path, text)
    assert problem.message.startswith("region is missing; set it")


@pytest.mark.parametrize("kind", ["modelarts", "sdk"])
def test_a_region_without_known_addresses_says_which_settings_to_write(
    kind: str, tmp_path: Path
) -> None:
    text = f'[provider]\nkind = "{kind}"\nregion = "eu-west-0"\n'
    _, (problem,) = settings_of(tmp_path, text)
    assert problem.line == 3
    assert "; set endpoint, and iam_endpoint to sign in with a password; " in problem.message


@pytest.mark.parametrize("table", SETTINGS)
def test_every_setting_says_what_it_is_and_is_bounded_sensibly(table: str) -> None:
    for setting in SETTINGS[table].values():
        assert setting.help.endswith(".")
        assert setting.minimum <= setting.maximum
        assert not setting.choices or setting.default in ("", *setting.choices)


@pytest.mark.parametrize(("table", "key"), [(t, k) for t, keys in SETTINGS.items() for k in keys])
@pytest.mark.parametrize("value", ["[[]]", "{}", "2026-01-02", "[1]", "-1", '"${var.x}"'])
def test_no_setting_takes_a_value_that_makes_no_sense(
    table: str, key: str, value: str, tmp_path: Path
) -> None:
    text = f"{REGION}[{table}]\n{key} = {value}\n"
    if table == "provider":
        text = f"[provider]\n{key} = {value}\n" + 'endpoint = "https://h"\n' * (key != "endpoint")
    _, problems = settings_of(tmp_path, text)
    lines = text.splitlines()
    assert [lines[problem.line - 1] for problem in problems] == [f"{key} = {value}"]


OTC = "https://modelarts.eu-de.otc.t-systems.com"


@pytest.mark.parametrize(
    ("lines", "target"),
    [
        ("", Target(OTC, "p")),
        ('endpoint = "HTTPS://H.example:443/"\n', Target("https://h.example", "p")),
        ('iam_endpoint = "https://iam.eu-de.otc.t-systems.com"\n', Target(OTC, "p")),
    ],
)
def test_the_target_is_the_address_of_the_region_or_another_and_the_project(
    lines: str, target: Target, tmp_path: Path
) -> None:
    assert target_of(good_settings(tmp_path, f'{REGION}project_id = "p"\n{lines}')) == target


def test_a_project_that_is_left_out_is_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PROJECT_ID", "from-the-environment")
    assert target_of(good_settings(tmp_path, REGION)).project_id == "from-the-environment"


@pytest.mark.parametrize("project", ["..", "a/b?c", "a.b", "x" * 65])
def test_a_project_of_the_environment_that_cannot_be_one_is_told(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PROJECT_ID", project)
    settings = good_settings(tmp_path, REGION)
    with pytest.raises(MajobctlError) as raised:
        target_of(settings)
    told = str(raised.value)
    assert told.startswith("the project's id of the environment (OS_PROJECT_ID) or of a credential")
    assert told.endswith(f'not "{project}"')


def test_no_project_at_all_is_told_with_where_to_set_it(tmp_path: Path) -> None:
    settings = good_settings(tmp_path, REGION)
    with pytest.raises(MajobctlError, match=r"no project: set provider\.project_id in majobctl"):
        target_of(settings)


@pytest.mark.parametrize(("line", "project"), [("", "emulator"), ('project_id = "p"\n', "p")])
def test_the_emulator_has_a_project_of_its_own(line: str, project: str, tmp_path: Path) -> None:
    settings = good_settings(tmp_path, f'[provider]\nkind = "emulator"\n{line}')
    assert target_of(settings) == Target("emulator", project)


def test_settings_are_found_in_a_folder_or_the_nearest_above_it(tmp_path: Path) -> None:
    inner = write_files(tmp_path / "a" / "b", {})
    write_files(tmp_path, {})
    deep = inner / "c" / "d"
    deep.mkdir(parents=True)
    assert find_root(deep) == inner.resolve()
    assert find_root(inner) == inner.resolve()
    assert find_root(tmp_path / "a") == tmp_path.resolve()


def test_settings_are_found_above_where_a_link_leads(tmp_path: Path) -> None:
    root = write_files(tmp_path / "real", {"jobs/deep/x": ""})
    (tmp_path / "link").symlink_to(root / "jobs" / "deep")
    assert find_root(tmp_path / "link") == root.resolve()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs chown")
@pytest.mark.parametrize(
    ("file_owner", "folder_owner", "sudo", "is_trusted"),
    [
        (0, 0, None, True),
        (4711, 0, None, False),
        (0, 4711, None, False),
        (4711, 4711, None, False),
        (4711, 4711, "4711", True),
        (4711, 4711, "4712", False),
        (4711, 4711, "", False),
        (4711, 4711, "x", False),
    ],
)
@pytest.mark.parametrize("is_linked", [False, True], ids=["file", "link"])
def test_settings_of_somebody_else_above_count_only_if_they_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file_owner: int,
    folder_owner: int,
    sudo: str | None,
    is_trusted: bool,
    is_linked: bool,
) -> None:
    root = write_files(tmp_path / "theirs", {"majobctl.toml": REGION, "jobs/deep/x": ""})
    if is_linked:
        (root / "majobctl.toml").rename(root / "settings")
        (root / "majobctl.toml").symlink_to("settings")
    os.chown(root / "majobctl.toml", file_owner, 0)
    os.chown(root, folder_owner, 0)
    if sudo is not None:
        monkeypatch.setenv("SUDO_UID", sudo)
    monkeypatch.chdir(root / "jobs" / "deep")
    assert (main(["validate"]) == 0) is is_trusted
    if not is_trusted:
        told = capsys.readouterr().err
        assert "belongs to another user, and would decide where your credentials are sent" in told
        assert main([*told.splitlines()[-1].partition("majobctl ")[2].split()[:2], "validate"]) == 0


@pytest.mark.parametrize("kind", ["nothing", "folder", "dangling link"])
def test_no_settings_file_is_told_with_what_to_do(kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        (tmp_path / "majobctl.toml").mkdir()
    elif kind == "dangling link":
        (tmp_path / "majobctl.toml").symlink_to("nowhere")
    with pytest.raises(MajobctlError) as raised:
        find_root(tmp_path)
    first, *rest = str(raised.value).splitlines()
    assert first == f"no majobctl.toml in {tmp_path.resolve()} or above it"
    assert "majobctl init" in rest[0]


_WORDS = st.sampled_from(
    [*SETTINGS, *(key for keys in SETTINGS.values() for key in keys), "defaults", "variables"]
)
_TABLES = st.dictionaries(
    _WORDS, st.dictionaries(_WORDS | st.text(max_size=3), plain_values, max_size=3), max_size=3
)


@given(_TABLES.map(lambda tables: "".join(f"{k} = {toml_value(v)}\n" for k, v in tables.items())))
@example("[provider]\nregion = 'eu-de'\n")
@example("[defaults]\nhyperparameters = [[]]\n")
def test_any_settings_are_read_or_told_with_lines(text: str) -> None:
    with TemporaryDirectory() as folder:
        settings, problems = settings_of(Path(folder), text)
    assert set(settings.values) == set(SETTINGS)
    for problem in problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert str(problem).isprintable()


def test_settings_that_are_no_toml_are_one_problem(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^majobctl\.toml:2:5: not valid TOML: the value is missing$"
    ):
        settings_of(tmp_path, "[provider]\na = \n")


def test_places_that_are_ignored_everywhere_are_read(tmp_path: Path) -> None:
    assert good_settings(tmp_path, REGION).ignored == frozenset()
    text = REGION + '[drift]\nignore = ["config_desc", "hyperparameters.seed"]\n'
    assert good_settings(tmp_path, text).ignored == {("config_desc",), ("hyperparameters", "seed")}


def test_each_place_that_is_none_is_told_at_its_line(tmp_path: Path) -> None:
    text = f'{REGION}[drift]\nignore = [\n"config_desc",\n"seed",\n"log.x"]'
    settings, problems = settings_of(tmp_path, text)
    assert [(problem.line, problem.where) for problem in problems] == [(6, "drift"), (7, "drift")]
    assert all(problem.message.startswith("ignore: ") for problem in problems)
    assert settings.ignored == {("config_desc",)}


def test_creating_and_deleting_can_be_asked_for(tmp_path: Path) -> None:
    text = f"{REGION}[apply]\ncreate_missing = true\ndelete_removed = true\n"
    values = good_settings(tmp_path, text).values["apply"]
    assert (values["create_missing"], values["delete_removed"]) == (True, True)
