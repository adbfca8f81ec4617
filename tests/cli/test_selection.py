"""``--target`` and ``--exclude``: what they accept, and that nothing is selected by mistake."""

from __future__ import annotations

import json
import re

import pytest

from tests.config_repository import JOB, Repository, terminal, toml_of
from tests.live_cloud import Cloud

COMMANDS = (["plan"], ["plan", "--refresh"], ["apply", "--auto-approve"], ["drift"])


@pytest.fixture
def ranker(repo: Repository, cloud: Cloud) -> Repository:
    """Of alpha, beta and gamma, applied, only alpha changes; two more are in one file, and old is
    only in the state."""
    pair = {name: toml_of(name, JOB) for name in ("ranker", "ranker-2", "old")}
    repo.write("jobs/nlp/rank.toml", "".join(pair.values()))
    repo.settings(cloud.settings("[apply]\ncreate_missing = true\n"))
    repo.apply("--overwrite")
    repo.write("jobs/nlp/rank.toml", pair["ranker"] + pair["ranker-2"])
    repo.job("alpha", config_desc="second")
    cloud.take()
    return repo


def selected(repository: Repository, *options: str) -> list[str]:
    """The names that a plan of a repository looks at: what is left out is never drift."""
    found = json.loads(repository.done("plan", "--format", "json", *options).stdout)
    every = {"alpha", "beta", "gamma", "ranker", "ranker-2", "old"}
    assert len(every) - found["selection"]["left_out"] == found["summary"]["no-op"] + len(
        found["changes"]
    )
    return [change["name"] for change in found["changes"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--target", "rankr"], 'matches "rankr"; did you mean "ranker"'),
        (["--target", "job_config.rankr"], 'matches "job_config.rankr"; did'),
        (["--exclude", "bb"], 'matches "bb"'),
        (["--target", "alpha", "--exclude", "job_config.x"], 'matches "job_c'),
        (["--target", "nobody-*"], 'matches "nobody-*"'),
        (["--target", "alpha", "--exclude", "[!a-z]*"], 'matches "[!a-z'),
        (["--target", "jobs/nlp/rnk.toml"], 'matches "jobs/nlp/rnk.toml"; did'),
        (["--exclude", "jobs/nlp"], 'matches "jobs/nlp"; it is a folder: write "jobs/nlp/*.toml"'),
        (
            ["--target", "majobctl.toml"],
            'matches "majobctl.toml"; [jobs] files in majobctl.toml must',
        ),
        (["--target", "jobs/none/*.toml"], 'matches "jobs/none/*.toml"'),
        (["--target", "alpha", "--exclude", "a*"], "--target and --exclude together select no "),
        (["--exclude", "*"], "--target and --exclude together select no job config"),
        (["--target", ""], "--target is empty; is a variable of the shell not set?"),
        (["--exclude", ""], "--exclude is empty; is a variable of the shell not set?"),
    ],
    ids=repr,
)
def test_what_selects_nothing_is_an_error_and_nothing_is_sent(
    command: list[str], options: list[str], problem: str, ranker: Repository, cloud: Cloud
) -> None:
    ran = ranker.run(*command, *options)
    assert (ran.code, ran.stdout) == (1, "")
    assert "Error: " in ran.stderr
    assert problem in ran.stderr
    assert cloud.writes() == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_mistake_is_reported_at_once(command: list[str], ranker: Repository) -> None:
    ran = ranker.run(*command, "--target", "rankr", "--target", "x*", "--exclude", "bta")
    nothing = "no job config in a file or in the state matches"
    assert ran.stderr.splitlines()[-3:] == [
        f'Error: {nothing} "rankr"; did you mean "ranker" or "ranker-2"?',
        f'{nothing} "x*"',
        f'{nothing} "bta"; did you mean "beta"?',
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--target", "job_config.alpha"], ["alpha"]),
        (["--target", "job_config.a*"], ["alpha"]),
        (["--exclude", "job_config.alpha"], ["old"]),
        (["--target", "jobs/alpha.toml"], ["alpha"]),
        (["--target", "./jobs/../jobs/alpha.toml"], ["alpha"]),
        (["--target", "jobs/*.toml"], ["alpha"]),
        (["--target", "jobs/**/*.toml"], ["alpha"]),
        (["--target", "**/alpha.toml"], ["alpha"]),
        (["--target", "jobs/**/**/al*.toml"], ["alpha"]),
        (["--target", "jobs/**/rank.toml"], []),
        (["--exclude", "jobs/**/*.toml"], ["old"]),
        (["--exclude", "jobs/alpha.toml"], ["old"]),
        (["--target", "jobs/nlp/rank.toml"], []),
        (["--target", "old"], ["old"]),
    ],
    ids=repr,
)
def test_names_as_a_plan_prints_them_and_job_files_select(
    options: list[str], names: list[str], ranker: Repository
) -> None:
    assert selected(ranker, *options) == names


@pytest.mark.parametrize(
    "given",
    ["jobs/link/linked job.toml", "jobs/link/*.toml", "jobs/*/linked*.toml", "shared/*.toml"],
)
def test_a_job_file_behind_a_link_is_found_by_either_name(given: str, ranker: Repository) -> None:
    ranker.job("linked")
    (ranker.root / "shared").mkdir()
    (ranker.root / "jobs" / "linked.toml").rename(ranker.root / "shared" / "linked job.toml")
    (ranker.root / "jobs" / "link").symlink_to("../shared")
    ran = ranker.done("plan", "--format", "json", "--target", given)
    assert [change["name"] for change in ran.document["changes"]] == ["linked"]


def test_a_job_file_is_found_from_where_the_user_is(ranker: Repository) -> None:
    root = ranker.root
    ranker.root = root / "jobs"
    for path in ("alpha.toml", "jobs/alpha.toml", str(root / "jobs" / "alpha.toml")):
        assert selected(ranker, "--target", path) == ["alpha"], path


@pytest.mark.parametrize("glob", ["*.toml", "./*.toml", "**/*.toml", "../nlp/*.toml"])
def test_a_glob_of_job_files_is_first_that_of_the_folder_where_the_user_is(
    glob: str, ranker: Repository
) -> None:
    ranker.root = ranker.root / "jobs" / "nlp"
    ran = ranker.done("render", "--format", "json", "--target", glob)
    assert [it["name"] for it in ran.document["job_configs"]] == ["ranker", "ranker-2"]
    assert selected(ranker, "--target", "jobs/*.toml") == ["alpha"]


def test_drift_knows_what_is_only_in_a_broken_table_or_in_the_service(
    ranker: Repository, cloud: Cloud
) -> None:
    ranker.write("jobs/broken.toml", "[job_config.broken]\n")
    ranker.done("drift", "--target", "broken")
    cloud.console.create("stranger")
    assert '"stranger"' in ranker.done("drift", "--target", "stranger").stdout
    assert ranker.run("drift", "--target", "strangr").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "job_config.alpha"], 0, "config_desc"),
        (["show", "job_config.alhpa"], 1, 'no job config "alhpa"; did you mean "alpha"?'),
        (["show", "job_config.al*"], 0, "job_config.alpha\n"),
        (["show", "zz*"], 1, 'the state has no job config "zz*"'),
        (["state", "rm", "job_config.alpha"], 0, "Removed 1 from the state."),
        (["state", "rm", "job_config.alhpa"], 1, 'no job config "alhpa"; did you mean "alpha"?'),
        (["state", "rm", "zz*"], 1, 'the state has no job config "zz*"'),
    ],
    ids=repr,
)
def test_the_name_that_a_plan_prints_is_taken_by_the_commands_of_the_state(
    arguments: list[str], code: int, said: str, ranker: Repository
) -> None:
    ran = ranker.run(*arguments)
    assert ran.code == code
    assert said in ran.stdout + ran.stderr


PLACES = [
    *(
        f"{command} {option}"
        for command in ("plan", "drift", "render")
        for option in ("--target {}", "--exclude {}")
    ),
    "apply --auto-approve --target {}",
    "render {}",
    "render job_config.beta {}",
    "pull {}",
    "pull --check {}",
    "import {}",
    "show {}",
    "show {} --format json",
    "show {} --as toml",
    "show {} --at 1",
    "history {}",
    "blame {}",
    "state rm {}",
    "state rm beta {}",
    "state mv {} new-name",
    "state mv beta {}x",
    "emulator set {} config_desc=x",
]
"""Where a command takes the name of a job config."""


@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_taken_as_a_plan_or_a_file_writes_it(place: str, on_emulator: Repository) -> None:
    on_emulator.job("beta")
    on_emulator.apply("--overwrite")
    before = on_emulator.state_path.read_bytes()
    ends = set()
    for name in ("alpha", "job_config.alpha", 'job_config."alpha"', "job_config.'alpha'"):
        on_emulator.state_path.write_bytes(before)
        arguments = [part.replace("{}", name) for part in place.split()]
        if place.endswith("{}x"):
            arguments[-1] = name.replace("alpha", "alphax")
        ran = on_emulator.run(*arguments)
        ends.add((ran.code, re.sub(r'serial \d+|--(target|exclude) ".*"', "", ran.stdout)))
    assert len(ends) == 1
    assert ends.pop()[0] == 0


@pytest.mark.parametrize(
    "place", ["history {}", "blame {}", "state mv {} x", "state mv alpha {}", "emulator set {} a=b"]
)
def test_where_one_name_is_wanted_a_glob_is_refused_with_the_commands_that_take_one(
    place: str, on_emulator: Repository
) -> None:
    on_emulator.apply()
    ran = on_emulator.run(*place.replace("{}", "al*").split(), code=1)
    assert ran.stderr.endswith(
        'Error: "al*" is a glob; this takes one name, and show, pull, render, import, state rm,'
        " --target and --exclude take globs\n"
    )


@pytest.fixture
def three(on_emulator: Repository) -> Repository:
    on_emulator.job("beta")
    on_emulator.job("gamma")
    on_emulator.apply("--overwrite")
    return on_emulator


def test_show_prints_what_a_glob_matches(three: Repository) -> None:
    text = three.done("show", "*a*a").stdout
    assert text == "\n".join(three.done("show", it).stdout for it in ("alpha", "gamma"))
    entries = three.state["job_configs"]
    # The form follows from what was typed, not from how many it matches.
    for glob, names in (("[ab]*", ["alpha", "beta"]), ("al*", ["alpha"])):
        document = three.done("show", glob, "--format", "json").document
        assert document == {name: entries[name] for name in names}
    toml = three.done("show", "[ab]*", "--as", "toml", "--at", "1").stdout
    assert toml.startswith("# ")
    assert re.findall(r"^\[job_config\.(.*)\]$", toml, re.M) == ["alpha", "beta"]
    assert three.done("show", "al*", "--at", "1").stdout.startswith("This is serial 1, ")


def test_a_saved_plan_whose_name_looks_like_a_glob_is_shown(three: Repository) -> None:
    three.done("plan", "--out", "plan[1]")
    assert "No changes." in three.done("show", "plan[1]").stdout


def test_a_glob_leaves_the_state_when_it_is_approved(three: Repository) -> None:
    before = three.state_path.read_bytes()
    listed = "  forget job_config.alpha\n  forget job_config.gamma\n"
    ran = three.run("state", "rm", "*a*a", code=1)
    assert ran.stderr == (
        f"{listed}Error: cannot ask for approval: stdin is not a terminal; nothing was changed\n"
        "name them, or run `majobctl state rm --auto-approve GLOB`\n"
    )
    with terminal(three, "state", "rm", "*a*a") as refused:
        refused.expect("Remove these from the state? Only yes is accepted")
        refused.type("no\n")
        assert refused.finish()[0] == 1
    for wrong in (["alpha", "nobody"], ["al*", "zz*"]):
        ran = three.run("state", "rm", "--auto-approve", *wrong, code=1)
        assert ran.stderr.endswith("nothing was changed\n")
    assert three.state_path.read_bytes() == before
    with terminal(three, "state", "rm", "*a*a", "alpha") as asked:
        asked.expect("yes is accepted")
        asked.type("yes\n")
        code, seen = asked.finish()
    assert code == 0
    assert "Removed 2 from the state. State serial 2." in seen
    ran = three.done("state", "rm", "--auto-approve", "b*")
    assert (ran.stdout, ran.stderr) == (
        "Removed 1 from the state. State serial 3.\n",
        "  forget job_config.beta\n",
    )
