"""``majobctl pull``: what was changed in the service goes into the files, and nothing else does."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from tests.cli.test_drift import cloud_of
from tests.config_repository import Ran, Repository, finished
from tests.live_cloud import Asked, Cloud, Reply

SETTINGS = '[provider]\nkind = "emulator"\n[apply]\ncreate_missing = true\n'
REQUIRED = """\
model_name = "ResNet_v2_50"
inputs = "/ml/data/"
output_path = "/ml/output/"
train_instance_type = "modelarts.vm.gpu.p100"
"""
JOB = f"[job_config.alpha]  # the first\n{REQUIRED}train_instance_count = 1  # nodes\n"
FILE = "jobs/alpha.toml"


def applied(
    repository: Repository, job: str = JOB, settings: str = "", files: Mapping[str, str] = {}
) -> Repository:
    """A config repository that was applied, with the job file ``FILE``."""
    repository.settings(SETTINGS + settings)
    for name, text in {FILE: job, **files}.items():
        repository.write(name, text)
    repository.apply()
    return repository


def changed(repository: Repository, *values: str, name: str = "alpha") -> None:
    repository.done("emulator", "set", name, *values)


def applied_to(repository: Repository, cloud: Cloud) -> None:
    repository.write(FILE, JOB)
    repository.apply("--overwrite")
    cloud.take()


def text_of(repository: Repository, name: str = FILE) -> str:
    return (repository.root / name).read_bytes().decode()


def fields_of(ran: Ran, outcome: str) -> dict[str, str]:
    """The fields with one outcome, and what is noted of them."""
    fields = ran.document["fields"]
    return {".".join(it["path"]): it["note"] for it in fields if it["outcome"] == outcome}


def check_settled(repository: Repository) -> None:
    """Nothing is left to take, and a refreshed plan sends nothing."""
    before = text_of(repository)
    assert repository.done("pull").stdout.startswith("Nothing to take: ")
    assert text_of(repository) == before
    assert repository.done("plan", "--refresh", "--format", "json").document["calls"] == {
        "update_job_configs": 0,
        "create_job_configs": 0,
        "delete_job_configs": 0,
    }


def test_a_value_changed_in_the_service_is_written_in_place(repository: Repository) -> None:
    applied(repository)
    changed(repository, "train_instance_count=4")
    state = repository.state_path.read_bytes()
    shown = "jobs/alpha.toml\n  job_config.alpha\n   6  ~ train_instance_count         1 -> 4\n\n"
    ran = repository.run("pull", "--check", code=2)
    assert ran.stdout == f"{shown}Would take 1 value into 1 file.\n"
    assert text_of(repository) == JOB
    ran = repository.done("pull", "alpha")
    end = "Took 1 value into 1 file. Review the files; the next apply records these values"
    assert ran.stdout == f"{shown}{end} without a call.\n"
    assert text_of(repository) == JOB.replace("count = 1 ", "count = 4 ")
    assert repository.state_path.read_bytes() == state
    check_settled(repository)
    assert "alpha: recorded" in repository.apply().stderr
    assert repository.done("drift").last_line == "No drift. 1 job config is as in the state."
    assert repository.done("pull", "--check").last_line.startswith("Nothing to take: ")


FORMS = {
    "a float keeps its form": ("lr = 0.10  # rate", "lr=1e-5", "lr = 1e-5  # rate"),
    "a float may become an integer": ("lr = 0.10", "lr=2", "lr = 2"),
    "an integer stays one": ("lr = 16", "lr=032", 'lr = "032"'),
    "an integer may become a float": ("lr = 16", "lr=0.50", "lr = 0.50"),
    "a boolean": ("lr = true", "lr=false", "lr = false"),
    "text stays text": ('lr = "1"', "lr=2", 'lr = "2"'),
    "a number becomes text": ("lr = 1", "lr=1]\n", 'lr = "1]"'),
    "no date": ("lr = 1", "lr=2026-01-01", 'lr = "2026-01-01"'),
    "a reference that is none": ('lr = "x"', "lr=${var.a}", 'lr = "$${var.a}"'),
    "quotes": ('lr = "x"', "lr='\"\\", 'lr = "\'\\"\\\\"'),
}


@pytest.mark.parametrize(("before", "change", "after"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "form",
    [
        "\n[job_config.alpha.hyperparameters]\n# why\n{}\nb = 2\n\n# end\n",
        "hyperparameters.{}\n# end\n",
        "hyperparameters.b = 2 # b\nlog_url = '/l/o/g/' # log\nhyperparameters.{}\n",
    ],
    ids=["table", "dotted", "scattered"],
)
def test_a_hyperparameter_keeps_its_form(
    repository: Repository, form: str, before: str, change: str, after: str
) -> None:
    applied(repository, JOB + form.format(before))
    changed(repository, f"hyperparameters.{change.strip()}")
    repository.done("pull")
    assert text_of(repository) == JOB + form.format(after)
    check_settled(repository)


LABELS = {
    "inline": (
        "hyperparameters = { a = 0.10, b = 2 } # h\n",
        'hyperparameters = { a = 0.20, "n w" = "x" } # h\n',
    ),
    "inline and tight": (
        "hyperparameters = {a=0.10,b=2}\n",
        'hyperparameters = {a=0.20, "n w" = "x"}\n',
    ),
    "array": (
        "hyperparameters = [\n"
        '    { label = "a", value = 0.10 }, # a\n'
        '    # b\n    {value = 2, label = "b"},\n] # h\n',
        "hyperparameters = [\n"
        '    { label = "a", value = 0.20 }, # a\n'
        '    # b\n    { label = "n w", value = "x" },\n] # h\n',
    ),
    "table": (
        "\n[job_config.alpha.hyperparameters] # h\n# a\na = 0.10 # a\n# b\nb = 2\n\n# end\n",
        '\n[job_config.alpha.hyperparameters] # h\n# a\na = 0.20 # a\n# b\n"n w" = "x"\n\n# end\n',
    ),
    "lines of TOML 1.1": (
        "hyperparameters = {\n  b = 2,\n  a = 0.10, # a\n}\n",
        'hyperparameters = {\n    "n w" = "x",\n  a = 0.20, # a\n}\n',
    ),
    "dotted": (
        "hyperparameters.a = 0.10 # a\nhyperparameters.b = 2\n# end\n",
        'hyperparameters.a = 0.20 # a\nhyperparameters."n w" = "x"\n# end\n',
    ),
}


@pytest.mark.parametrize(("before", "after"), LABELS.values(), ids=LABELS)
def test_labels_come_and_go_in_every_form(repository: Repository, before: str, after: str) -> None:
    applied(repository, JOB + before)
    changed(repository, "hyperparameters.a=0.20", "hyperparameters.b=", "hyperparameters.n w=x")
    repository.done("pull")
    assert text_of(repository) == JOB + after
    check_settled(repository)


KEYS = {
    "a new key": ("", ["log_url=/l/o/"], 'log_url = "/l/o/"\n'),
    "a key that leaves": ("# why\nlog_url = '/l/o/' # log\n", ["log_url="], "# why\n"),
    "a first label": ("", ["hyperparameters.n=1"], 'hyperparameters = { n = "1" }\n'),
    "a label named as a key": (
        "",
        ["hyperparameters.log_url=1"],
        'hyperparameters = [{ label = "log_url", value = "1" }]\n',
    ),
    "all labels leave": ("hyperparameters = {a = 1}\n", ["hyperparameters.a="], None),
    "dotted labels leave": ("hyperparameters.a = 1\n", ["hyperparameters.a="], ""),
    "OBS paths keep their form": (
        'log_url = "obs://l/o/"\n',
        ["log_url=/x/y/"],
        'log_url = "obs://x/y/"\n',
    ),
    "Unicode, and what nobody sees": (
        'config_desc = "x"\n',
        ["config_desc=é\u200b"],
        'config_desc = "é\\u200b"\n',
    ),
}


REQUIRED_LINES = REQUIRED.splitlines()
TABLES = {
    "a quoted header": (
        '[ job_config . "alpha" ] # h\n',
        "",
        "[job_config.'alpha'.hyperparameters]\n",
    ),
    "dotted at the top": ("", "job_config.alpha.", "job_config.alpha.hyperparameters."),
    "dotted below": ("[job_config]\n", "alpha.", "alpha.hyperparameters."),
}


@pytest.mark.parametrize(("header", "prefix", "below"), TABLES.values(), ids=TABLES)
def test_a_job_config_is_edited_however_its_table_is_written(
    repository: Repository, header: str, prefix: str, below: str
) -> None:
    lines = [f"{prefix}{it} # c\n" for it in REQUIRED_LINES]
    label = f"{below}a = 0.10 # a"
    applied(repository, "".join([header, *lines, f"{prefix}train_instance_count = 1\n", label]))
    changed(repository, "train_instance_count=2", "hyperparameters.a=0.20", "log_url=/x/y/")
    repository.done("pull")
    found = text_of(repository)
    assert found.startswith("".join([header, *lines, f"{prefix}train_instance_count = 2\n"]))
    assert f'{prefix}log_url = "/x/y/"\n' in found
    assert f"{below}a = 0.20 # a\n" in found
    check_settled(repository)


def test_an_inline_job_config_is_edited(repository: Repository) -> None:
    job = f"[job_config]\nalpha = {{{', '.join(REQUIRED_LINES)}, train_instance_count = 1}} # a\n"
    applied(repository, job)
    changed(repository, "train_instance_count=2", "log_url=/x/y/")
    repository.done("pull")
    assert text_of(repository) == job.replace("count = 1", 'count = 2, log_url = "/x/y/"')
    check_settled(repository)


@pytest.mark.parametrize(("before", "values", "after"), KEYS.values(), ids=KEYS)
def test_keys_come_and_go(
    repository: Repository, before: str, values: list[str], after: str | None
) -> None:
    applied(repository, JOB + before + "\n# end\n")
    changed(repository, *values)
    repository.done("pull")
    if after is not None:
        assert text_of(repository) == f"{JOB}{after}\n# end\n"
    check_settled(repository)


def test_sources_of_data_are_edited_item_by_item(repository: Repository) -> None:
    one, two, three = (f'{{ type = "obs", data_url = "/ml/{it}/" }}' for it in ("a", "b", "c"))
    job = JOB.replace('inputs = "/ml/data/"', "data_source = [\n    {}, # first\n    {},\n]")
    applied(repository, job.format(one, two))
    source = [{"type": "obs", "data_url": f"/ml/{it}/"} for it in "ac"]
    with cloud_of(repository) as provider:
        params = {**repository.state["job_configs"]["alpha"]["params"], "data_source": source}
        provider.update_job_config("alpha", params)
    repository.done("pull")
    assert text_of(repository) == job.format(one, three)
    check_settled(repository)


class TestWhatOthersShare:
    """A value that comes from elsewhere is written into the job config's own table."""

    SHARED = (
        '[variables]\nnodes = "1"\nbase = "/b/"\n'
        '[defaults]\nlog_url = "/ml/log/"\nconfig_desc = "${var.nodes} nodes"\n'
    )
    JOBS = (
        f"[templates.big]\n{REQUIRED}train_instance_count = 2\n"
        '[job_config.alpha]\nuse = "big"\nhyperparameters = { n = "${var.nodes}" }\n'
        '[job_config.beta]\nuse = "big"\n'
    )

    def test_is_left_as_it_is(self, repository: Repository) -> None:
        applied(repository, self.JOBS, self.SHARED)
        changed(repository, "train_instance_count=4", "log_url=/x/y/", "hyperparameters.n=3")
        settings = text_of(repository, "majobctl.toml")
        ran = repository.done("pull", "--format", "json")
        assert text_of(repository, "majobctl.toml") == settings
        assert text_of(repository) == self.JOBS.replace(
            'hyperparameters = { n = "${var.nodes}" }\n',
            'hyperparameters = { n = "3" }\ntrain_instance_count = 4\nlog_url = "/x/y/"\n',
        )
        assert fields_of(ran, "taken") == {
            "train_instance_count": "only here: jobs/alpha.toml:6 ([templates.big]) stays as it is",
            "hyperparameters.n": "in place of ${var.nodes}, which stays as it is",
            "log_url": "only here: majobctl.toml:9 ([defaults]) stays as it is",
        }
        check_settled(repository)

    def test_is_taken_away_by_a_blank_or_by_unset(self, repository: Repository) -> None:
        settings = self.SHARED + "hyperparameters = { shared = 1 }\n"
        applied(repository, self.JOBS, settings)
        changed(repository, "log_url=", "hyperparameters.shared=")
        ran = repository.done("pull", "--format", "json")
        assert fields_of(ran, "taken") == {
            "hyperparameters.shared": "only here: majobctl.toml:11 ([defaults]) stays as it is",
            "log_url": "only here: majobctl.toml:9 ([defaults]) stays as it is",
        }
        head, _, tail = self.JOBS.partition("[job_config.beta]")
        own = 'unset = ["shared"]\nlog_url = ""\n[job_config.beta]'
        assert text_of(repository) == f"{head}{own}{tail}"
        lines = {".".join(it["path"]): it["line"] for it in ran.document["fields"]}
        assert lines == {"log_url": 11, "hyperparameters.shared": 10}
        check_settled(repository)

    def test_environments_that_get_it_too_are_named(self, repository: Repository) -> None:
        applied(repository, JOB, '[environments.prod]\nstate.path = "p.json"\n[environments.dev]\n')
        changed(repository, "train_instance_count=4")
        ran = repository.done("pull")
        assert "prod, dev read these job files, too, and would get the same values." in ran.stdout
        job = JOB + 'environments = ["", "dev"]\n'
        repository.write(FILE, job)
        changed(repository, "train_instance_count=3")
        repository.write("jobs/alpha.toml", job)
        ran = repository.done("pull")
        assert "Environments: dev reads these job files, too," in ran.stdout

    def test_what_is_without_an_environment_gets_it_too(self, repository: Repository) -> None:
        applied(repository, JOB, '[environments.prod]\nprovider.project_id = "prod"\n')
        repository.apply("-e", "prod")
        repository.done("emulator", "set", "-e", "prod", "alpha", "train_instance_count=4")
        ran = repository.run("pull", "--check", "-e", "prod", code=2)
        assert "Environments: none (without -e) reads these job files, too," in ran.stdout
        ran = repository.run("pull", "--check", "-e", "prod", "--format", "json", code=2)
        assert ran.document["environments"] == [""]
        repository.write(FILE, JOB + 'environments = ["prod"]\n')
        assert "Environments" not in repository.run("pull", "-e", "prod", "--check", code=2).stdout


BELOW = (
    '[variables]\nv = "1"\n[defaults]\nlog_url = "/d/l/"\nconfig_desc = "d"\n'
    "[defaults.hyperparameters]\nseed = 1\nlr = 0.1\n"
    '[environments.prod]\nstate.path = "p.json"\n'
)
TEMPLATE = f"""\
[templates.t]
{REQUIRED}train_instance_count = 1
unset = ["config_desc", "lr"]
hyperparameters = [
    {{ label = "b", value = 2 }},
    {{ label = "log_url", value = 3 }},
]
"""
HEAD = '[job_config.alpha]  # a\nuse = "t"\n'
UNSET = {
    "a label of [defaults] leaves": ("", ["seed="], 'unset = ["seed"]\n'),
    "a label of the template leaves": ("", ["b="], 'unset = ["b"]\n'),
    "one that has a key's name": ("", ["log_url="], 'unset = ["hyperparameters.log_url"]\n'),
    "beside others": (
        'unset = [ "log_url" ] # u\n',
        ["b=", "seed="],
        'unset = [ "log_url", "b", "seed" ] # u\n',
    ),
    "on lines of its own": (
        'unset = [\n    # why\n    "log_url", # l\n    "b", # b\n]\n',
        ["seed="],
        'unset = [\n    # why\n    "log_url", # l\n    "b", # b\n    "seed",\n]\n',
    ),
    "an empty array": ("unset = [] # u\n", ["b="], 'unset = ["b"] # u\n'),
    "its own value leaves, too": ("hyperparameters = { b = 7, c = 1 }\n", ["b="], None),
    "all leave": ("hyperparameters.c = 1\n", ["b=", "c=", "seed=", "log_url="], None),
    "a label comes back": (
        'unset = ["seed"] # u\n',
        ["seed=2"],
        'hyperparameters = { seed = "2" }\n',
    ),
    "one of several": (
        'unset = [\n    "seed", # s\n    "b", # b\n]\n',
        ["seed=2"],
        'unset = [\n    "b", # b\n]\nhyperparameters = { seed = "2" }\n',
    ),
    "under both of its names": ('unset = ["seed", "hyperparameters.seed"]\n', ["seed=2"], None),
    "one comes and one leaves": (
        'unset = ["seed"]\n',
        ["seed=2", "b="],
        'hyperparameters = { seed = "2" }\nunset = ["b"]\n',
    ),
    "a key comes back": ('unset = ["log_url"]\n', [".log_url=/l/"], 'log_url = "/l/"\n'),
    "a key leaves": ('unset = ["b"]\n', [".log_url="], 'unset = ["b"]\nlog_url = ""\n'),
    "a label that the template unsets": ("", ["lr=3"], 'hyperparameters = { lr = "3" }\n'),
    "a key that the template unsets": ("", [".config_desc=x"], 'config_desc = "x"\n'),
    "a label where all are unset": (
        'unset = ["hyperparameters"] # u\n',
        ["b=1"],
        'unset = ["hyperparameters"] # u\nhyperparameters = { b = "1" }\n',
    ),
    "a label where all are blank": (
        'hyperparameters = "" # h\n',
        ["b=1", "c=2"],
        'hyperparameters = { b = "1", c = "2" } # h\nunset = ["hyperparameters"]\n',
    ),
    "a label where there is an empty array": (
        "hyperparameters = [] # h\n",
        ["b=1", "c=2"],
        'hyperparameters = [{ label = "b", value = "1" }, { label = "c", value = "2" }] # h\n'
        'unset = ["hyperparameters"]\n',
    ),
}


@pytest.mark.parametrize(("before", "values", "after"), UNSET.values(), ids=UNSET)
def test_unset_gets_and_loses_names(
    repository: Repository, before: str, values: list[str], after: str | None
) -> None:
    head, end = HEAD, f"\n# end\n{TEMPLATE}"
    applied(repository, head + before + end, BELOW)
    changed(
        repository, *(f"hyperparameters.{it}".replace("hyperparameters..", "") for it in values)
    )
    repository.done("pull")
    if after is not None:
        assert text_of(repository) == head + after + end
    assert repository.done("validate").stderr == ""
    check_settled(repository)


def test_unset_in_other_forms_of_a_table(repository: Repository) -> None:
    inline = "{ use = 't', unset = ['seed'] }"
    job = f"job_config.alpha = {inline} # a\njob_config.beta.use = 't'\n{TEMPLATE}"
    applied(repository, job, BELOW)
    changed(repository, "hyperparameters.b=", "hyperparameters.seed=4")
    changed(repository, "hyperparameters.b=", name="beta")
    repository.done("pull")
    check_settled(repository)
    inline = '{ use = \'t\', hyperparameters = { seed = "4" }, unset = ["b"] }'
    beta = "job_config.beta.use = 't'\njob_config.beta.unset = [\"b\"]\n"
    assert text_of(repository) == f"job_config.alpha = {inline} # a\n{beta}{TEMPLATE}"


def test_what_is_for_other_environments_is_not_compared(repository: Repository) -> None:
    beta = JOB.replace("alpha", "beta")
    applied(repository, files={"jobs/beta.toml": beta}, settings=BELOW)
    for name in ("alpha", "beta"):
        changed(repository, "train_instance_count=4", name=name)
    beta += 'environments = ["prod"]\n'
    repository.write("jobs/beta.toml", beta + beta.replace("beta", "gamma"))
    remark = "job_config.beta: the files have it for other environments."
    for names in ([], ["beta"], ["*"]):
        ran = repository.run("pull", "--check", *names, code=2)
        assert remark in ran.stdout
        assert "beta.toml" not in ran.stdout
    ran = repository.run("pull", "gamma", code=1)
    assert 'matches "gamma"; the files have it for other environments\n' in ran.stderr
    ran = repository.run("pull", "jobs/beta.toml", code=1)
    assert "a job config in it must be for this environment\n" in ran.stderr
    repository.done("state", "rm", "beta")
    assert remark in repository.done("pull").stdout
    assert text_of(repository) == JOB.replace("count = 1", "count = 4")


LEFT = {
    "a secret": (
        JOB + 'sensitive = ["k"]\nhyperparameters = { k = "a-long-secret" }\n',
        "hyperparameters.k=stolen",
        (FILE, 8),
        "it is secret: change it where the secret is kept",
    ),
    "a new secret": (
        JOB,
        "hyperparameters.api_key=stolen",
        (FILE, 1),
        "it is secret: change it where the secret is kept",
    ),
    "a matrix": (
        JOB.replace("alpha", "x") + 'name = "al{l}a"\nmatrix = { l = ["ph"] }\n',
        "hyperparameters.l=b",
        (FILE, 8),
        "it is one of a matrix: edit that, or write a job config of its own",
    ),
    "a text with a variable": (
        JOB + 'log_url = "/${var.b}/log/"\n',
        "log_url=/x/y/",
        (FILE, 7),
        "it is written with ${...}: edit the text, or the variable",
    ),
    "a default with a variable": (
        JOB,
        "config_desc=z",
        ("majobctl.toml", 8),
        "it is written with ${...}: edit the text, or the variable",
    ),
    "a label named as a key": (
        JOB + "hyperparameters = { a = 1 }\n",
        "hyperparameters.log_url=z",
        (FILE, 1),
        "a label that is the name of a key needs hyperparameters in the array form",
    ),
    "an array of tables that grows": (
        JOB + '[[job_config.alpha.hyperparameters]]\nlabel = "a"\nvalue = 1\n',
        "hyperparameters.b=2",
        (FILE, 1),
        "it is written in a form that pull does not edit; write it by hand",
    ),
}


@pytest.mark.parametrize(("job", "change", "place", "why"), LEFT.values(), ids=LEFT)
def test_what_is_left_alone_is_shown_with_its_line(
    repository: Repository, job: str, change: str, place: tuple[str, int], why: str
) -> None:
    settings = '[variables]\nb = "b"\n[defaults]\nconfig_desc = "d-${var.b}"\n'
    applied(repository, job, settings)
    changed(repository, change)
    for arguments in (["--check"], []):
        ran = repository.run("pull", *arguments, code=2)
        file, line = place
        assert ran.stdout.startswith(f"{file}:{line}: job_config.alpha: left alone: ")
        assert f": {why}\n" in ran.stdout
        assert "stolen" not in ran.stdout
        assert ran.last_line == "1 left alone."
    assert text_of(repository) == job


def test_a_table_in_an_array_of_tables_is_edited(repository: Repository) -> None:
    job = JOB + "".join(
        f'[[job_config.alpha.hyperparameters]] # {it}\nlabel = "{it}"\nvalue = 0.10 # {it}\n'
        for it in "ab"
    )
    applied(repository, job)
    changed(repository, "hyperparameters.b=0.30")
    repository.done("pull")
    assert text_of(repository) == job.replace("0.10 # b", "0.30 # b")
    check_settled(repository)


def test_a_conflict_is_shown_and_left_alone(repository: Repository) -> None:
    applied(repository)
    changed(repository, "train_instance_count=4", "inputs=/x/y/")
    edited = JOB.replace("count = 1", "count = 3")
    repository.write(FILE, edited)
    ran = repository.run("pull", code=2)
    line = "jobs/alpha.toml:6: job_config.alpha: conflict: train_instance_count: 1 in the state, 4"
    assert f"{line} in the service, 3 wanted\n" in ran.stdout
    assert ran.last_line.startswith("Took 1 value into 1 file, 1 conflict.")
    assert text_of(repository) == edited.replace("/ml/data/", "/x/y/")
    ran = repository.run("pull", "--check", "--format", "json", code=2)
    (field,) = ran.document["fields"]
    assert (field["state"], field["live"], field["desired"]) == (1, 4, 3)
    assert ran.document["summary"] == {"taken": 0, "conflict": 1, "left_alone": 0, "compared": 1}


def test_what_is_left_has_the_line_that_it_has_now(repository: Repository) -> None:
    applied(repository)
    changed(repository, "train_instance_count=4", "inputs=", "dataset_id=d", "dataset_version_id=v")
    repository.write(FILE, JOB.replace("count = 1", "count = 3"))
    before = repository.run("pull", "--check", code=2).stdout
    after = repository.run("pull", code=2).stdout
    for line, text in ((6, before), (5, after)):
        assert f"\n{FILE}:{line}: job_config.alpha: conflict: train_instance_count: 1 in" in text
    assert text_of(repository).splitlines()[4].startswith("train_instance_count = 3")


def test_an_edit_here_and_the_same_change_there_are_no_work(repository: Repository) -> None:
    applied(repository)
    changed(repository, "train_instance_count=4")
    repository.write(FILE, JOB.replace("count = 1", "count = 4").replace("/data/", "/other/"))
    assert repository.done("pull").stdout.startswith("Nothing to take: 1 job config ")


def test_what_is_ignored_is_never_taken(repository: Repository) -> None:
    applied(repository, JOB + 'ignore_changes = ["train_instance_count"]\n')
    changed(repository, "train_instance_count=4", "log_url=/x/y/")
    assert [*fields_of(repository.done("pull", "--format", "json"), "taken")] == ["log_url"]
    assert "train_instance_count = 1" in text_of(repository)


def test_computed_and_unknown_fields_are_not_written(on_cloud: Repository, cloud: Cloud) -> None:
    """Answers have ids, times and names beside what was set; ``volumes`` no key can say."""
    applied_to(on_cloud, cloud)
    cloud.console.change("alpha", worker_server_num=4, volumes=[{"nfs": {"id": "x"}}])
    ran = on_cloud.done("pull")
    assert "job_config.alpha: the service has volumes" in ran.stderr
    assert text_of(on_cloud) == JOB.replace("count = 1", "count = 4")
    assert cloud.writes() == []


BROKEN = {
    "a control character": (
        {"config_desc": "a\x1b[31m\nb"},
        "config_desc must not have a control character, such as a line break",
    ),
    "a flavor without a name": (
        {"spec_id": 4711, "spec_code": None, "flavor": None, "flavor_code": None},
        "the service has no name for it that a file could say",
    ),
}


@pytest.mark.parametrize(("fields", "why"), BROKEN.values(), ids=BROKEN)
def test_what_no_file_may_say_is_left_alone(
    on_cloud: Repository, cloud: Cloud, fields: Any, why: str
) -> None:
    applied_to(on_cloud, cloud)
    document = cloud.console.config("alpha")
    reply = Reply(200, {**document, **fields})
    cloud.before = lambda asked: reply if asked.name == "alpha" else None
    ran = on_cloud.run("pull", code=2)
    assert why in ran.stdout and "\x1b" not in ran.stdout
    assert text_of(on_cloud) == JOB


def test_only_the_file_that_describes_it_is_edited(repository: Repository) -> None:
    """Two files with tables of one shape, a comment and a string that look like its header."""
    decoy = (
        '# [job_config.alpha]\n[job_config.beta]\nconfig_desc = """\n'
        f'[job_config.alpha]"""\n{REQUIRED}train_instance_count = 1\n'
    ).replace('"""\n[', '"""[')
    applied(repository, files={"jobs/a.toml": decoy, "jobs/z/alpha.toml": "# alpha\n"})
    changed(repository, "train_instance_count=4")
    assert repository.done("pull", "--format", "json").document["files"] == [FILE]
    assert text_of(repository, "jobs/a.toml") == decoy


def test_swapped_algorithms_are_taken_together(repository: Repository) -> None:
    applied(repository)
    changed(
        repository,
        *("model_name=", "framework_type=PyTorch", "framework_version=PyTorch-1.0.0-python3.6"),
        *("code_dir=/ml/src/", "boot_file=/ml/src/train.py"),
    )
    repository.done("pull")
    assert "model_name" not in text_of(repository)
    check_settled(repository)


def test_half_of_what_belongs_together_is_not_taken(repository: Repository) -> None:
    job = JOB.replace('model_name = "ResNet_v2_50"', 'code_dir = "/${var.b}/"\nboot_file = "/b/t"')
    engine = 'framework_type = "PyTorch"\nframework_version = "PyTorch-1.0.0-python3.6"\n'
    applied(repository, job + engine, '[variables]\nb = "b"\n')
    changed(repository, "code_dir=/c/", "boot_file=/c/t")
    ran = repository.run("pull", "--format", "json", code=2)
    assert fields_of(ran, "left alone") == {
        "code_dir": "it is written with ${...}: edit the text, or the variable",
        "boot_file": "without the others, it would break a rule: boot_file must be inside code_dir"
        ' "/b/"',
    }


def test_names_globs_and_files_select(repository: Repository) -> None:
    beta = JOB.replace("alpha", "beta")
    applied(repository, files={"jobs/beta.toml": beta})
    for name in ("alpha", "beta"):
        changed(repository, "train_instance_count=4", name=name)
    for names in (["beta"], ["b*"], ["job_config.beta"], ["jobs/beta.toml"]):
        ran = repository.run("pull", "--check", "--format", "json", *names, code=2)
        assert ran.document["files"] == ["jobs/beta.toml"]
    repository.done("pull", "beta")
    assert text_of(repository) == JOB
    ran = repository.run("pull", "bata", code=1)
    assert 'matches "bata"; did you mean "beta"?' in ran.stderr


def test_what_the_state_does_not_know_is_left_to_import(repository: Repository) -> None:
    applied(repository, files={"jobs/beta.toml": JOB.replace("alpha", "beta")})
    repository.done("state", "rm", "beta")
    (repository.root / "jobs" / "beta.toml").unlink()
    changed(repository, "train_instance_count=4", name="beta")
    ran = repository.done("pull")
    unknown = "job_config.beta: the state does not know it yet: `majobctl import NAME` takes it in."
    assert ran.stdout.splitlines()[0] == unknown
    repository.state_path.unlink()
    assert "job_config.alpha, job_config.beta: the state does not" in repository.done("pull").stdout


def test_one_that_is_gone_and_one_without_a_file_are_named(repository: Repository) -> None:
    applied(repository, files={"jobs/beta.toml": JOB.replace("alpha", "beta")})
    (repository.root / "jobs" / "beta.toml").unlink()
    with cloud_of(repository) as provider:
        provider.delete_job_config("alpha")
    assert repository.done("pull").stdout.splitlines() == [
        "job_config.beta: no job file describes it.",
        "job_config.alpha: the service no longer has it.",
        "Nothing to take: 0 job configs compared with the service.",
    ]


def test_what_was_changed_and_left_the_files_is_named(repository: Repository) -> None:
    applied(repository, files={"jobs/beta.toml": JOB.replace("alpha", "beta")})
    (repository.root / "jobs" / "beta.toml").unlink()
    changed(repository, "train_instance_count=4", name="beta")
    lines = repository.run("pull", code=2).stdout.splitlines()
    assert lines[1] == (
        "Changed in the service, but in no job file: job_config.beta; put it back into a file to"
        " keep that; `majobctl drift` shows it."
    )
    document = repository.run("pull", "--check", "--format", "json", code=2).document
    assert document["undescribed"] == ["beta"]
    said = "no job file describes it: `majobctl pull` takes this only if it was renamed"
    drift = repository.done("drift").stdout
    assert said in drift and "To keep what was changed" not in drift
    assert repository.done("pull", "alpha").stdout.startswith("Nothing to take: 1 job config")


@pytest.mark.parametrize(
    ("before", "there", "lost", "why"),
    [
        (
            JOB.replace("train_instance_count = 1", "matrix.train_instance_count = [1]")
            + 'name = "alpha"\n',
            "train_instance_count=4",
            "train_instance_count",
            "it is one of a matrix: edit that, or write a job config of its own",
        ),
        (
            JOB + 'config_desc = "with ${var.x}"\n',
            "config_desc=other",
            "config_desc",
            "it is written with ${...}: edit the text, or the variable",
        ),
        (
            JOB + 'config_desc = "hidden-words"\nsensitive = ["config_desc"]\n',
            "config_desc=other",
            "config_desc",
            "it is secret: change it where the secret is kept",
        ),
    ],
)
def test_the_guard_names_pull_only_for_what_pull_takes(
    before: str, there: str, lost: str, why: str, repository: Repository
) -> None:
    variables = '[variables]\nx = "1"\n'
    applied(repository, settings=variables, files={FILE: before})
    changed(repository, there)
    repository.write(FILE, before + 'log_url = "/l/o/"\n')
    ran = repository.run("apply", "--auto-approve", code=5)
    by_hand = f"to keep what the service has, write it into {FILE} yourself: {why} (or `git pull`"
    assert by_hand in ran.stdout
    assert "To keep that, write it into the TOML;" in repository.done("plan", "--refresh").stdout
    changed(repository, "inputs=/m/other/")
    ran = repository.run("apply", "--auto-approve", code=5)
    mixed = f"run `majobctl pull alpha`, and write {lost} into {FILE} yourself: {why} (or"
    assert (mixed in ran.stdout) is ("matrix" not in why)


class TestFiles:
    """All are replaced, or none."""

    def two(self, repository: Repository) -> Repository:
        applied(repository, files={"jobs/beta.toml": JOB.replace("alpha", "beta")})
        for name in ("alpha", "beta"):
            changed(repository, "train_instance_count=4", name=name)
        return repository

    def check_refused(self, repository: Repository, message: str) -> None:
        beta = text_of(repository, "jobs/beta.toml")
        ran = repository.run("pull", code=1)
        assert ran.stderr == f"Error: {message}; no file was changed\n"
        assert text_of(repository) == JOB
        assert text_of(repository, "jobs/beta.toml") == beta
        assert not [*repository.root.rglob("*.tmp")]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
    def test_one_that_may_not_be_written_keeps_all_as_they_are(
        self, repository: Repository
    ) -> None:
        self.two(repository)
        (repository.root / "jobs" / "beta.toml").chmod(0o444)
        reason = "jobs/beta.toml cannot be written: Permission denied"
        self.check_refused(repository, reason)

    def test_one_that_cannot_be_written_puts_the_others_back(self, repository: Repository) -> None:
        self.two(repository)
        beta = repository.root / "jobs" / "beta.toml"
        beta.write_text(beta.read_text() + "# " + "x" * 2**21)
        before = beta.read_bytes()
        most = (2**20, 2**20)
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, most)
        ran = finished(repository.start("pull", preexec_fn=limit))
        assert ran.code == 1
        reason = "jobs/beta.toml cannot be written: File too large; no file was changed"
        assert ran.stderr == f"Error: {reason}\n"
        assert (text_of(repository), beta.read_bytes()) == (JOB, before)
        assert not [*repository.root.rglob("*.tmp")]

    def test_one_that_is_edited_meanwhile_is_not_replaced(
        self, on_cloud: Repository, cloud: Cloud
    ) -> None:
        applied_to(on_cloud, cloud)
        cloud.console.change("alpha", worker_server_num=4)
        edited = JOB.replace("/data/", "/mine/")

        def edit(asked: Asked) -> None:
            on_cloud.write(FILE, edited)

        cloud.before = edit
        ran = on_cloud.run("pull", code=1)
        assert "would change more than was changed in the service; no file was" in ran.stderr
        assert text_of(on_cloud) == edited

    def test_one_that_is_edited_while_others_are_written_keeps_the_edit(
        self, repository: Repository
    ) -> None:
        """The editor saves the last file as soon as the first has its new content."""
        names = [f"j{number:02}" for number in range(60)]
        files = {f"jobs/{it}.toml": JOB.replace("alpha", it) for it in names}
        applied(repository, files=files)
        with cloud_of(repository) as provider:
            for name in names:
                params = repository.state["job_configs"][name]["params"]
                provider.update_job_config(name, {**params, "train_instance_count": 4})
        last = repository.root / "jobs" / "j59.toml"
        last.with_name(".j07.toml.majobctl-of_a_kil.tmp").touch()
        edited = last.read_text().replace("/data/", "/mine/")
        process = repository.start("pull")
        while process.poll() is None and "count = 4" not in text_of(repository, "jobs/j00.toml"):
            pass
        last.write_text(edited)
        ran = finished(process)
        if ran.code == 0:
            # All were replaced before: the edit came last.
            assert text_of(repository, "jobs/j58.toml") != files["jobs/j58.toml"]
        else:
            assert ran.stderr.endswith("j59.toml was changed meanwhile; no file was changed\n")
            assert text_of(repository, "jobs/j00.toml") == files["jobs/j00.toml"]
        assert last.read_text() == edited
        assert not [*repository.root.rglob("*.tmp")]

    def test_a_link_out_of_the_repository_is_not_followed(
        self, repository: Repository, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        self.two(repository)
        outside = tmp_path_factory.mktemp("outside") / "beta.toml"
        link = repository.root / "jobs" / "beta.toml"
        link.rename(outside)
        link.symlink_to(outside)
        where = os.path.relpath(outside, repository.root)
        reason = f"jobs/beta.toml is a link out of the repository, to {where}"
        self.check_refused(repository, f"jobs/beta.toml cannot be written: {reason}")

    def test_a_link_inside_stays_a_link(self, repository: Repository) -> None:
        self.two(repository)
        link, real = (repository.root / it for it in ("jobs/beta.toml", "real.toml"))
        link.rename(real)
        link.symlink_to(real)
        repository.done("pull")
        assert link.is_symlink() and "count = 4" in real.read_text()

    def test_mode_line_ends_and_byte_order_mark_stay(self, repository: Repository) -> None:
        repository.settings(SETTINGS)
        path = repository.write(FILE, "")
        path.write_bytes(JOB.replace("\n", "\r\n").encode("utf-8-sig"))
        path.chmod(0o640)
        repository.apply()
        changed(repository, "train_instance_count=4", "log_url=/x/y/")
        repository.done("pull")
        expected = JOB.replace("count = 1", "count = 4") + 'log_url = "/x/y/"\n'
        assert path.read_bytes() == expected.replace("\n", "\r\n").encode("utf-8-sig")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_mixed_line_ends_are_left_to_fmt(self, repository: Repository) -> None:
        applied(repository)
        changed(repository, "train_instance_count=4")
        path = repository.root / "jobs" / "alpha.toml"
        mixed = JOB.replace("\n", "\r\n", 1).encode()
        path.write_bytes(mixed)
        ran = repository.run("pull", code=2)
        assert "the file mixes line ends (LF and CRLF): `majobctl fmt` gives it one" in ran.stdout
        assert path.read_bytes() == mixed
        repository.done("fmt")
        repository.done("pull")

    def test_a_last_line_without_an_end_is_no_obstacle(self, repository: Repository) -> None:
        applied(repository, JOB.rstrip("\n"))
        changed(repository, "log_url=/x/y/")
        repository.done("pull")
        assert text_of(repository) == JOB + 'log_url = "/x/y/"\n'

    def test_broken_files_are_refused_before_anything_is_read(self, repository: Repository) -> None:
        applied(repository)
        repository.write("jobs/b.toml", "[job_config.")
        ran = repository.run("pull", code=1)
        assert "jobs/b.toml:1" in ran.stderr


def test_the_guard_and_the_plan_name_pull_and_it_is_the_way_out(repository: Repository) -> None:
    applied(repository)
    changed(repository, "train_instance_count=4")
    repository.write(FILE, JOB + 'log_url = "/l/o/"\n')
    ran = repository.run("apply", "--auto-approve", code=5)
    assert "to keep what the service has, run `majobctl pull alpha` (or" in ran.stdout
    assert "To keep that, run `majobctl pull`;" in repository.done("plan", "--refresh").stdout
    assert "run `majobctl pull`. To undo it" in repository.done("drift").stdout
    repository.done("pull", "alpha")
    assert "alpha: updated" in repository.apply().stderr
    check_settled(repository)
