"""The cause of each field: over random repositories and edits, and in a table of cases."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from majobctl.errors import MajobctlError
from majobctl.operations import plan
from majobctl.operations.context import ConfigRepository
from majobctl.plan.causes import by_cause
from majobctl.plan.change import Cause
from majobctl.plan.document import dumps, plan_bytes, plan_document, read_plan
from majobctl.plan.plan import Plan
from majobctl.render.causes import told as told_apart
from majobctl.render.text import plan_text
from majobctl.repository.config import load_config
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides
from majobctl.state.document import Entry, State
from majobctl.target import Target
from tests.config_files import committed
from tests.growth import check_growth
from tests.plan.repositories import Edit, Files, edits, repositories

PROD = Overrides(environment="prod")
TARGET = Target("https://modelarts.eu-de.otc.t-systems.com", "p")


def applied(root: Path, overrides: Overrides = PROD) -> None:
    """Writes the state as an apply of what ``root`` has would leave it."""
    state = State.new(TARGET, "00" * 16)
    entries = {
        it.name: Entry(
            params=state.masker(it.name).masked(it.params, it.sensitive),
            applied_at="2026-11-26T00:00:00Z",
        )
        for it in load_config(root, overrides).job_configs.values()
    }
    state = state.changed(entries)
    name = f"{overrides.environment}.state.json" if overrides.environment else "majobctl.state.json"
    (root / name).write_text(json.dumps(state.document()), encoding="utf-8")


def planned(before: Files, after: Sequence[Edit], *, base: bool, is_repeated: bool = False) -> Plan:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        before.write(root)
        if base:
            committed(root)
        else:
            applied(root)
        after[-1].files.write(root)
        repository = ConfigRepository(root, overrides=PROD)
        made = plan(repository, base="HEAD" if base else "")
        assert bool(made.base) is base
        if is_repeated:
            again = plan(repository, base="HEAD" if base else "")
            assert dumps(plan_document(again)) == dumps(plan_document(made))
    return made


def places(made: Plan) -> list[tuple[str, int]]:
    causes = [item.cause for change in made.changes for item in change.fields]
    assert all(causes)
    return sorted({(it.file, it.line) for it in causes if it})


@st.composite
def edited(draw: st.DrawFn) -> tuple[Files, Edit]:
    files = draw(repositories())
    return files, draw(edits(files))


@given(edited())
def test_one_edited_line_is_one_cause_against_a_revision(found: tuple[Files, Edit]) -> None:
    before, edit = found
    made = planned(before, [edit], base=True)
    event(f"{edit.kind} {bool(made.changes)}")
    assert places(made) == [edit.place] * bool(made.changes)
    assert len(by_cause(made)) == bool(made.changes)


def takers(files: Files, key: str) -> dict[str, set[int]]:
    """The tables of the job configs that have a key or label, by the table that it comes from."""
    found: dict[str, set[int]] = {}
    for index in files.users_of(None):
        own = files.tables[index]
        template = [f"templates.{it}" for it in [own.lines.get("use", "").strip('"')] if it]
        tables = [own.header.strip("[]"), *template, "defaults", "environments.prod.defaults"]
        if table := next((it for it in tables if key in files.keys(it)), ""):
            found.setdefault("defaults" if "environments" in table else table, set()).add(index)
    return found


def is_ambiguous(before: Files, edit: Edit) -> bool:
    """Whether another single edit would give the same values, so that the state cannot tell."""
    header = before.tables[edit.index].header.strip("[]")
    if edit.kind not in ("use", "remove") or header.startswith("environments"):
        # A label may have left, and another one been added; the value of the settings without an
        # environment may have been edited.
        return edit.kind in ("rename", "remove")
    kind, name, *_ = f"{header}.".split(".")
    table = "defaults" if kind == "defaults" else f"{kind}.{name}"
    owner = before.owner(edit.index) if kind == "job_config" else -1
    lost = before.keys(table) - edit.files.keys(table)
    if edit.kind == "use":
        lost = shared(before, owner) | shared(edit.files, owner)
    for key in lost:
        changed = {owner}
        if kind != "job_config":
            # The own tables may have lost it, or the only template that is used.
            changed = takers(before, key).get(table, set())
            used = {before.tables[it].lines.get("use", str(it)) for it in changed}
            if len(used if kind == "defaults" else changed) == 1:
                return True
        # If nobody else takes what it fell to, that may have been edited.
        now = takers(edit.files, key).items()
        if any(it & changed and it <= changed for at, it in now if not at.startswith("job")):
            return True
    # All that the template gives has changed: it may have been another one, or the same.
    given = shared(edit.files, owner) if kind == "job_config" else set()
    return not given if edit.kind == "use" else bool(given) and given <= lost


def shared(files: Files, index: int) -> set[str]:
    """What a job config has from its template."""
    used = f"templates.{files.tables[index].lines.get('use', '').strip(chr(34))}"
    return {key for key in files.keys(used) if index in takers(files, key).get(used, ())}


@given(edited())
def test_one_edited_line_is_one_cause_against_the_state(found: tuple[Files, Edit]) -> None:
    before, edit = found
    made = planned(before, [edit], base=False)
    assume(not is_ambiguous(before, edit))
    event(f"{edit.kind} {bool(made.changes)}")
    assert places(made) == [edit.place] * bool(made.changes)


@st.composite
def edited_often(draw: st.DrawFn) -> tuple[Files, list[Edit]]:
    files = draw(repositories())
    found = [draw(edits(files))]
    for _ in range(draw(st.integers(0, 6))):
        found.append(draw(edits(found[-1].files)))
    return files, found


@given(edited_often(), st.booleans())
def test_the_causes_tell_each_field_once(found: tuple[Files, list[Edit]], base: bool) -> None:
    made = planned(*found, base=base, is_repeated=True)
    groups = by_cause(made)
    told = [(it.name, field) for group in groups for it, fields in group.parts for field in fields]
    fields = [(change.name, field) for change in made.changes for field in change.fields]
    # A list of tables is no key of a dictionary.
    assert sorted(map(repr, told)) == sorted(map(repr, fields))
    shared = [it for group in groups if group.is_shared for it in group.parts]
    parts = [*shared, *told_apart(made, "cause")[1]]
    assert sum(len(fields) for _, fields in parts) == len(fields)
    assert {it.name for it, _ in parts} == {it.name for it in made.changes}
    assert len(groups) <= len(found[1]) or not base


TEXTS = {
    "majobctl.toml": """\
[provider]
region = "eu-de"
project_id = "p"
[variables]
bucket = "dev"
nodes = 1
[defaults]
log_url = "/dev/log/"
train_instance_count = "${var.nodes}"
hyperparameters = { nodes = "${var.nodes}" }
""",
    "jobs/t.toml": """\
[templates.t]
train_instance_type = "p100"
config_desc = "old"
""",
    "jobs/a.toml": """\
[job_config.a]
use = "t"
model_name = "m"
output_path = "/${var.bucket}/a/"
hyperparameters = { lr = 1e-3, seed = "${matrix.width}x", api_key = "${var.bucket}" }
matrix = { width = [2] }
name = "a"
sensitive = ["api_key"]
[job_config.b]
use = "t"
model_name = "m"
output_path = "obs://${var.bucket}/b/"
[[job_config.b.data_source]]
type = "obs"
data_url = "/x/1/"
[[job_config.b.data_source]]
type = "obs"
data_url = "/x/2/"
[job_config.c]
model_name = "m"
train_instance_type = "p100"
output_path = "/c/"
inputs = "/c/"
[job_config.d]
model_name = "m"
train_instance_type = "p100"
pool_id = "p"
output_path = "/d/"
inputs = "/d/"
[job_config.d.hyperparameters]
warm = 1
rest = 1
""",
}
A = "job_config.a."


@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "key", "line", "told"),
    [
        ('"/dev/log/"', '"/eu/log/"', "defaults.log_url", 8, ("/dev/log/", "/eu/log/")),
        ('log_url = "/dev/log/"\n', "", "defaults", 7, None),
        ("nodes = 1", "nodes = 2", "variables.nodes", 6, ("1", "2")),
        # The value is shown where it is no secret, but the cause is also that of a secret.
        ('bucket = "dev"', 'bucket = "eu"', "variables.bucket", 5, None),
        (
            '"p100"\nconfig',
            '"v100"\nconfig',
            "templates.t.train_instance_type",
            2,
            ("p100", "v100"),
        ),
        ('config_desc = "old"\n', "", "templates.t", 1, None),
        ("1e-3", "1e-4", f"{A}hyperparameters.lr", 5, ("1e-3", "1e-4")),
        ("lr = 1e-3, ", "", f"{A}hyperparameters", 5, None),
        ("lr = 1e-3", "rate = 1e-3", f"{A}hyperparameters", 5, None),
        ("width = [2]", "width = [3]", f"{A}matrix.width", 6, None),
        ("/x/2/", "/x/3/", "job_config.b.data_source.1.data_url", 18, ("/x/2/", "/x/3/")),
        ('name = "a"', 'name = "a"\nprevent_delete = true', f"{A}prevent_delete", 8, None),
        (
            "[job_config.c]",
            "[job_config.c]\nprevent_delete = true",
            "job_config.c.prevent_delete",
            20,
            None,
        ),
        ('inputs = "/c/"\n', "", "job_config.c", 19, None),
        ("[job_config.c]", "[job_config.new]", "job_config.new", 19, None),
        # A flavor is sent unless there is a pool, so that it comes and goes with that.
        ('"old"\n', '"old"\npool_id = "p"\n', "templates.t.pool_id", 4, None),
        ('pool_id = "p"\n', "", "job_config.d", 24, None),
        ('{ nodes = "${var', '{ count = "${var', "defaults.hyperparameters", 10, None),
        ("[job_config.c]", '[job_config.c]\nunset = ["log_url"]', "job_config.c.unset", 20, None),
        ("[job_config.c]", '[job_config.c]\nunset = ["nodes"]', "job_config.c.unset", 20, None),
        (
            "_config.d]\n",
            '_config.d]\nunset = ["hyperparameters"]\n',
            "job_config.d.unset",
            25,
            None,
        ),
        ('"old"\n', '"old"\nunset = ["log_url"]\n', "templates.t.unset", 4, None),
    ],
)
def test_the_cause_of_an_edit(
    tmp_path: Path,
    old: str,
    new: str,
    key: str,
    line: int,
    told: tuple[str, str] | None,
    base: bool,
) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    applied(tmp_path, Overrides())
    committed(tmp_path)
    (name,) = [it for it, text in TEXTS.items() if old in text]
    (tmp_path / name).write_text(TEXTS[name].replace(old, new))
    made = plan(tmp_path, base="HEAD" if base else "")
    (group,) = by_cause(made)
    assert (group.cause.file, group.cause.line) == (name, line)
    assert group.cause.key.startswith(key)
    document = plan_document(made)["causes"]
    edit = [(it["before"], it["after"]) for it in document if "before" in it]
    if base:
        assert told in (None, *edit)
    if told is None and key == "variables.bucket":
        assert not edit and (group.before, group.after) == (None, None)
    saved = read_plan(plan_bytes(made, None), "x")
    assert plan_document(saved)["causes"] == document


@pytest.mark.parametrize("base", [True, False])
def test_what_is_no_longer_unset_is_put_down_to_the_table_that_had_it(
    base: bool, tmp_path: Path
) -> None:
    unset = TEXTS["jobs/a.toml"].replace("[job_config.c]", '[job_config.c]\nunset = ["log_url"]')
    for name, text in {**TEXTS, "jobs/a.toml": unset}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    applied(tmp_path, Overrides())
    committed(tmp_path)
    (tmp_path / "jobs/a.toml").write_text(TEXTS["jobs/a.toml"])
    made = plan(tmp_path, base="HEAD" if base else "")
    (group,) = by_cause(made)
    assert (group.cause.file, group.cause.line, group.cause.key) == (
        "jobs/a.toml",
        19,
        "job_config.c",
    )


FALLEN = {
    "majobctl.toml": """\
[provider]
region = "eu-de"
project_id = "p"
[defaults]
train_instance_type = "p100"
train_instance_count = 1
log_url = "/low/"
config_desc = "low"
[defaults.hyperparameters]
lr = 1
[environments.prod.defaults]
train_instance_count = 2
[environments.prod.defaults.hyperparameters]
seed = 1
""",
    "jobs/t.toml": """\
[templates.t]
log_url = "/t/"
model_name = "t"
[templates.t.hyperparameters]
lr = 2
rest = 2
[templates.s]
model_name = "s"
[templates.one]
model_name = "one"
""",
    "jobs/a.toml": "".join(
        f"[job_config.{name}]\noutput_path = '/b/{name}/'\ninputs = '/b/i/'\n{lines}\n"
        for name, lines in {
            "a": 'use = "t"\nname = "a{n}"\nmatrix = { n = [1, 2] }',
            "b": 'use = "t"\nlog_url = "/own/"',
            "c": 'use = "t"\nmodel_name = "own"\nhyperparameters = { lr = 3 }',
            "d": 'use = "t"\nname = "d{n}"\nlog_url = ""\nmodel_name = "d"\nmatrix = {n = [1, 2]}',
            "e": 'model_name = "e"\nconfig_desc = "own"\n[job_config.e.hyperparameters]\nlr = 4',
            "f": 'model_name = "f"',
            "g": 'use = "s"',
            "h": 'use = "s"',
            "i": 'use = "one"\nmodel_name = "own"',
        }.items()
    ),
}


@pytest.mark.parametrize("base", [True, False], ids=["revision", "state"])
@pytest.mark.parametrize(
    ("old", "new", "key", "inferred"),
    [
        # To the defaults: from a template, and from an own table.
        ('log_url = "/t/"\n', "", "templates.t", ""),
        ("lr = 2\n", "", "templates.t.hyperparameters", ""),
        ("[templates.t.hyperparameters]\nlr = 2\nrest = 2\n", "", "templates.t", ""),
        ('config_desc = "own"\n', "", "job_config.e", ""),
        ("lr = 4", "", "job_config.e.hyperparameters", ""),
        # To a template: a key, a label, a blank one, and those of a matrix.
        ('log_url = "/own/"', "", "job_config.b", ""),
        ("hyperparameters = { lr = 3 }", "", "job_config.c", ""),
        ('log_url = ""\n', "", "job_config.d", ""),
        ('model_name = "d"\n', "", "job_config.d", ""),
        # Of one that nobody else has, the line may have been edited.
        (
            'use = "one"\nmodel_name = "own"',
            'use = "one"',
            "job_config.i",
            "templates.one.model_name",
        ),
        # Another template: also what only the old one had.
        ('use = "t"\nname = "a{n}"', 'use = "s"\nname = "a{n}"', "job_config.a.use", ""),
        ('use = "s"\n[job_config.h]', 'use = "t"\n[job_config.h]', "job_config.g.use", ""),
        ('"f"', '"f"\nuse = "t"', "job_config.f.use", ""),
        ('use = "t"\nname = "d{n}"', 'name = "d{n}"', "job_config.d", ""),
        # To nothing, and from an environment to all of them: those lines may have been edited.
        ('config_desc = "low"\n', "", "defaults", ""),
        (
            "seed = 1\n",
            "",
            "environments.prod.defaults.hyperparameters",
            "defaults.hyperparameters",
        ),
        (
            "[environments.prod.defaults]\ntrain_instance_count = 2\n",
            "[environments.prod.defaults]\n",
            "environments.prod.defaults",
            "defaults.train_instance_count",
        ),
    ],
)
def test_a_line_that_left_is_one_cause_whatever_the_value_fell_to(
    tmp_path: Path, old: str, new: str, key: str, inferred: str, base: bool
) -> None:
    for name, text in FALLEN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    applied(tmp_path)
    committed(tmp_path)
    (name,) = [it for it, text in FALLEN.items() if text.count(old) == 1]
    (tmp_path / name).write_text(FALLEN[name].replace(old, new))
    made = plan(ConfigRepository(tmp_path, overrides=PROD), base="HEAD" if base else "")
    assert made.changes
    (group,) = by_cause(made)
    assert group.cause.key == (key if base else inferred or key)
    if not new:
        assert plan_text(made).count("\n") <= 3 * max(1, old.count("\n")) + 5


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("lr = 4", "rate = 4", ["job_config.e.hyperparameters.rate"]),
        ("lr = 1", "rate = 1", ["defaults.hyperparameters.rate"]),
        ("seed = 1", "grain = 1", ["environments.prod.defaults.hyperparameters.grain"]),
        # Another value, or another label with it, may be another hyperparameter.
        ("lr = 1", "rate = 2", ["defaults.hyperparameters", "defaults.hyperparameters.rate"]),
        (
            "lr = 2\nrest = 2",
            "rate = 2\nidle = 2",
            [f"templates.t.hyperparameters{it}" for it in ("", ".rate", ".idle")],
        ),
    ],
)
def test_a_label_that_was_renamed_is_one_cause_against_a_revision(
    tmp_path: Path, old: str, new: str, keys: list[str]
) -> None:
    for name, text in FALLEN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    committed(tmp_path)
    (name,) = [it for it, text in FALLEN.items() if text.count(old) == 1]
    (tmp_path / name).write_text(FALLEN[name].replace(old, new))
    made = plan(ConfigRepository(tmp_path, overrides=PROD), base="HEAD")
    assert [group.cause.key for group in by_cause(made)] == keys


@pytest.mark.parametrize("how", ["--var", "MAJOBCTL_VAR_bucket", "file"])
def test_a_variable_from_elsewhere_is_its_own_cause(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    applied(tmp_path, Overrides())
    file = tmp_path / "vars.toml"
    file.write_text('\nbucket = "eu"\n')
    overrides = {"--var": Overrides(values=("bucket=eu",)), "file": Overrides(files=(str(file),))}
    if how == "MAJOBCTL_VAR_bucket":
        monkeypatch.setenv(how, "eu")
    made = plan(ConfigRepository(tmp_path, overrides=overrides.get(how, Overrides())))
    name, line = (str(file), 2) if how == "file" else (how, 0)
    key = "bucket" if how == "file" else "variables.bucket"
    assert {it.cause for it in by_cause(made)} == {Cause(file=name, line=line, key=key)}


def test_a_base_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    said: list[object] = []
    made = plan(ConfigRepository(tmp_path, warn=said.append), base="--output=x")
    assert [*map(str, said)] == plan_document(made)["warnings"]
    assert "cannot be read, so this is the plan against the state" in str(said[-1])
    assert not made.base and made.calls["update_job_configs"] == 4
    for out, refresh in ((str(tmp_path / "x.plan"), "none"), (None, "all")):
        with pytest.raises(MajobctlError, match="--base compares two revisions"):
            plan(tmp_path, base="HEAD", out=out, refresh=refresh)
    assert not (tmp_path / "x.plan").exists()


@pytest.mark.parametrize("how", ["--var", "file", "MAJOBCTL_VAR_new"])
def test_a_variable_that_the_base_does_not_declare_is_for_now_alone(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    committed(tmp_path)
    settings = TEXTS["majobctl.toml"].replace("nodes = 1\n", 'nodes = 1\nnew = "n"\n', 1)
    (tmp_path / "majobctl.toml").write_text(settings.replace("/dev/log/", "/${var.new}/log/"))
    # A pipe can be read once.
    reads, writes = os.pipe()
    os.write(writes, b'new = "eu"\nbucket = "dev"\n')
    os.close(writes)
    if how.startswith("MAJOBCTL"):
        monkeypatch.setenv(how, "eu")
    values = ("new=eu", "bucket=dev") if how == "--var" else ()
    files = (f"/dev/fd/{reads}",) if how == "file" else ()
    said: list[object] = []
    overrides = Overrides(values=values, files=files)
    made = plan(ConfigRepository(tmp_path, overrides=overrides, warn=said.append), base="HEAD")
    os.close(reads)
    assert made.base == "HEAD"
    assert [it.cause.key for it in by_cause(made)] == ["defaults.log_url"]
    (note,) = [str(it) for it in said if "--base" in str(it)]
    assert '--base HEAD: has no variable "new"' in note


JOBS = """
[job_config.j%]
train_instance_type = "t"
train_instance_count = 1
output_path = "/${var.b}/o/"
model_name = "m"
inputs = "/b/i/"
hyperparameters = {"label%" = "1"}
"""


def test_the_work_grows_with_the_job_configs_though_each_lost_a_label_of_its_own(
    tmp_path: Path,
) -> None:
    def prepared(count: int) -> Path:
        root = tmp_path / str(count)
        (root / "jobs").mkdir(parents=True)
        settings = '[provider]\nregion = "eu-de"\nproject_id = "p"\n[variables]\nb = "x"\n'
        (root / "majobctl.toml").write_text(settings)
        jobs = "".join(JOBS.replace("%", str(number)) for number in range(count))
        (root / "jobs/all.toml").write_text(jobs)
        applied(root, NO_OVERRIDES)
        (root / "majobctl.toml").write_text(settings.replace('"x"', '"y"'))
        (root / "jobs/all.toml").write_text(re.sub("hyperparameters.*", "", jobs))
        return root

    made = plan(prepared(1))
    assert {group.cause.key for group in by_cause(made)} == {"variables.b", "job_config.j0"}
    check_growth(prepared, plan, 400)


@pytest.mark.parametrize("base", ["", "HEAD"], ids=["state", "revision"])
def test_the_work_grows_with_the_labels_of_an_array(base: str, tmp_path: Path) -> None:
    def prepared(count: int) -> Path:
        root = tmp_path / str(count)
        (root / "jobs").mkdir(parents=True)
        settings = '[provider]\nregion = "eu-de"\nproject_id = "p"\n[variables]\nb = "x"\n'
        (root / "majobctl.toml").write_text(settings)
        labels = (f'{{label = "l{number}", value = "1"}}' for number in range(count))
        job = JOBS.replace('{"label%" = "1"}', f"[{', '.join(labels)}]").replace("%", "")
        (root / "jobs/all.toml").write_text(job)
        applied(root, NO_OVERRIDES)
        committed(root)
        (root / "jobs/all.toml").write_text(
            job.replace("%", "").replace('value = "1"', "value = 2")
        )
        return root

    (group,) = by_cause(plan(prepared(9), base=base))
    assert len(group.paths) == 9
    check_growth(prepared, lambda root: plan(root, base=base), 300)
