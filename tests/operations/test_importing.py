"""What is chosen, what becomes of it, and that files and state are written both or neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import MARK
from majobctl.operations.context import target_of
from majobctl.operations.import_selection import Selected, chosen_names, select
from majobctl.operations.importing import Imported, import_selected
from majobctl.repository.authoring.new_files import place_of_files
from majobctl.repository.config import load_config
from majobctl.state.backends.local import LocalBackend
from majobctl.state.document import Entry, State
from majobctl.state.store import StateStore
from tests.config_files import PARAMS, SETTINGS, write_files

NOW = "2026-11-23T12:00:00Z"
PROJECT = "0123456789abcdef0123456789abcdef"
LIVE: Mapping[str, Any] = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/ml/output/",
    "model_name": "ResNet_v2_50",
    "inputs": "/ml/data/",
}
"""What ``tests.config_files.PARAMS`` say."""
FILE = f"[job_config.known]\n{PARAMS}"

TOO_LONG = (
    "a name has 1 to 20 characters, each a letter A-Z a-z, a digit, _ or -;"
    " jobs.max_name_length = 21 allows it; or copy it under such a name in the console, and import"
    " the copy"
)


def live(name: str, *problems: str, **params: Any) -> LiveConfig:
    return LiveConfig(name, {**LIVE, **params}, problems)


class Run:
    """An import into the config repository at ``root``, step by step."""

    def __init__(self, root: Path, **files: str) -> None:
        self.root = root
        settings = f'{SETTINGS}project_id = "{PROJECT}"\n'
        named = {name.replace("__", "/") + ".toml": text for name, text in files.items()}
        write_files(root, {"majobctl.toml": settings, **named})
        self.backend = LocalBackend(root / "state.json", "state.json")
        self.config = load_config(root)

    @property
    def store(self) -> StateStore:
        return StateStore(self.backend)

    @property
    def state(self) -> State | None:
        return self.store.read()

    def entry(self, name: str) -> Entry:
        assert self.state is not None
        return self.state.job_configs[name]

    def files(self) -> dict[str, str]:
        folder = self.root / "jobs"
        return {str(path.relative_to(self.root)): path.read_text() for path in folder.rglob("*.*")}

    def keep(self, **entries: Entry) -> None:
        with self.store.locked("test") as locked:
            state = locked.state or State.new(target_of(self.config.settings))
            locked.write(state.changed({**state.job_configs, **entries}))

    def import_configs(
        self, *found: LiveConfig, missing: tuple[str, ...] = (), is_single: bool = False
    ) -> Imported:
        place = place_of_files(self.config.settings, "jobs/imported", is_single=is_single)
        read = {**{item.name: item for item in found}, **dict.fromkeys(missing)}
        with self.store.locked("test") as locked:
            selected = select([*read], self.config, locked.state)
            return import_selected(selected, read, self.config, place, self.store, locked, NOW)


def test_names_are_chosen_by_name_and_by_glob_in_any_order() -> None:
    existing = ["B", "a-1", "a-2", "b"]
    assert chosen_names(existing, ["b", "a-*", "a-1"]) == ["a-1", "a-2", "b"]
    assert chosen_names(existing, ["[Bb]", "?"]) == ["B", "b"]
    assert chosen_names(existing, ["*"]) == existing
    assert chosen_names([], ["*"]) == []


def test_a_plain_name_that_does_not_exist_is_an_error_with_the_nearest() -> None:
    with pytest.raises(MajobctlError) as raised:
        chosen_names(["resnet", "bert"], ["resnt", "*", "\x1bx", "x*"])
    assert str(raised.value) == (
        'the service has no configuration "resnt"; did you mean "resnet"?\n'
        'the service has no configuration "\\u001bx"\n'
        'the service has no configuration "x*"\nnothing was imported'
    )


def test_what_becomes_of_a_name_is_known_before_it_is_read(tmp_path: Path) -> None:
    heir = f'[job_config.heir]\nrenamed_from = "old"\n{PARAMS}'
    run = Run(tmp_path, jobs__known=FILE, jobs__heir=heir)
    entry = Entry(params=LIVE, applied_at=NOW)
    run.keep(known=entry, heir=Entry(params={}, applied_at=NOW, pending=True), only_state=entry)
    names = ["heir", "known", "new", "old", "only_state", "x" * 21]
    assert select(names, run.config, run.state) == Selected(
        passed_over=("known",),
        left_out={
            "old": "job_config.heir is renamed from it; to have both, remove its renamed_from",
            "x" * 21: TOO_LONG,
        },
        wanted=("heir", "new", "only_state"),
    )
    assert select(["known"], run.config, None).wanted == ("known",)


def test_what_no_file_describes_gets_one_and_an_entry(tmp_path: Path) -> None:
    run = Run(tmp_path)
    result = run.import_configs(live("a"), live("b"))
    assert result == Imported(
        imported=("a", "b"),
        written={"a": "jobs/imported/a.toml", "b": "jobs/imported/b.toml"},
        passed_over=(),
        left_out={},
        serial=1,
    )
    assert run.files()["jobs/imported/a.toml"].splitlines()[:3] == [
        f"# Imported from https://modelarts.eu-de.otc.t-systems.com, project {PROJECT}, {NOW}.",
        "",
        "[job_config.a]",
    ]
    assert run.entry("a") == Entry(params=LIVE, applied_at=NOW)
    assert {name: item.params for name, item in load_config(tmp_path).job_configs.items()} == {
        "a": LIVE,
        "b": LIVE,
    }


def test_one_file_takes_all_and_a_second_one_the_next(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.import_configs(live("a", "one\nproblem"), live("b"), is_single=True).written == {
        "a": "jobs/imported/imported.toml",
        "b": "jobs/imported/imported.toml",
    }
    text = run.files()["jobs/imported/imported.toml"]
    assert [line for line in text.splitlines() if line.startswith(("#", "["))][1:] == [
        "# one\\nproblem",
        "[job_config.a]",
        "[job_config.b]",
    ]
    assert "\n\n\n" not in text
    run.config = load_config(tmp_path)
    assert run.import_configs(live("c"), is_single=True).written == {
        "c": "jobs/imported/imported-2.toml"
    }


def test_what_a_file_describes_gets_an_entry_only(tmp_path: Path) -> None:
    run = Run(tmp_path, jobs__known=f"{FILE}prevent_delete = true\nsensitive = ['inputs']\n")
    result = run.import_configs(live("known", train_instance_count=2), is_single=True)
    assert (result.imported, result.written, result.differing) == (("known",), {}, ("known",))
    assert list(run.files()) == ["jobs/known.toml"]
    entry = run.entry("known")
    assert entry.params["train_instance_count"] == 2
    assert list(entry.params["inputs"]) == [MARK]
    assert entry.prevent_delete


def test_a_pending_entry_is_settled_by_what_the_service_says(tmp_path: Path) -> None:
    run = Run(tmp_path, jobs__known=FILE)
    run.keep(
        known=Entry(params={}, applied_at=NOW, pending=True, attempted=LIVE),
        other=Entry(params={"a": 1}, applied_at=NOW),
    )
    result = run.import_configs(live("known"))
    assert (result.imported, result.differing, result.serial) == (("known",), (), 2)
    assert run.entry("known") == Entry(params=LIVE, applied_at=NOW)
    assert run.entry("other") == Entry(params={"a": 1}, applied_at=NOW)


def test_an_entry_without_a_file_is_replaced_and_its_secrets_stay_secret(tmp_path: Path) -> None:
    run = Run(tmp_path)
    hashed = {MARK: "hmac-sha256:x"}
    run.keep(
        a=Entry(params={"inputs": hashed}, applied_at=NOW),
        b=Entry(
            params={}, applied_at=NOW, pending=True, attempted={"hyperparameters": {"user": hashed}}
        ),
    )
    result = run.import_configs(live("a"), live("b", hyperparameters={"user": "me", "lr": "1"}))
    assert list(run.entry("a").params["inputs"]) == [MARK]
    assert list(run.entry("b").params["hyperparameters"]["user"]) == [MARK]
    assert run.entry("b").params["hyperparameters"]["lr"] == "1"
    assert [warning.partition(" looks")[0] for warning in result.warnings] == [
        'jobs/imported/a.toml: job_config.a: "inputs"',
        'jobs/imported/b.toml: job_config.b: "user"',
    ]


def test_what_cannot_be_written_is_left_out_with_its_reason(tmp_path: Path) -> None:
    run = Run(tmp_path)
    result = run.import_configs(
        live("x" * 21),
        live("b", inputs="https://b"),
        live("c"),
        LiveConfig("d", {key: LIVE[key] for key in LIVE if key != "output_path"}),
        missing=("a", "c-2"),
    )
    assert result.imported == ("c",)
    assert list(result.left_out.items()) == [
        ("a", "the service does not have it any more"),
        ("b", 'inputs must be an OBS path such as "/bucket/dir/", not "https://b"'),
        ("c-2", "the service does not have it any more"),
        (
            "d",
            "output_path is missing; set it in the console, or write the job config with one into a"
            " job file, and import it again",
        ),
        ("x" * 21, TOO_LONG),
    ]


def test_nothing_to_take_in_writes_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, jobs__known=FILE)
    assert run.import_configs(missing=("a",)).serial == 0
    assert run.state is None
    run.keep(known=Entry(params=LIVE, applied_at=NOW))
    before = (tmp_path / "state.json").read_bytes()
    result = run.import_configs(live("known"))
    assert (result.imported, result.passed_over, result.serial) == ((), ("known",), 1)
    assert (tmp_path / "state.json").read_bytes() == before
    assert list(run.files()) == ["jobs/known.toml"]


def test_problems_are_told_of_files_and_of_entries(tmp_path: Path) -> None:
    run = Run(tmp_path, jobs__known=FILE)
    result = run.import_configs(live("a", "gone"), live("known", "gone, too"))
    assert result.warnings == ("job_config.a: gone", "job_config.known: gone, too")


@contextmanager
def nothing_done(run: Run, message: str) -> Iterator[None]:
    """What runs in this fails with ``message``, and leaves files and state as they were."""
    before = run.files(), run.state
    with pytest.raises(MajobctlError, match=message) as raised:
        yield
    assert str(raised.value).endswith("\nnothing was imported, and no new file is left")
    assert (run.files(), run.state) == before


def test_a_file_that_cannot_be_written_undoes_all(tmp_path: Path) -> None:
    run = Run(tmp_path, jobs__known=FILE)
    run.keep(known=Entry(params=LIVE, applied_at=NOW))
    (tmp_path / "jobs/imported").write_text("no folder")
    with nothing_done(run, r"jobs/imported/a\.toml cannot be written: Not a directory"):
        run.import_configs(live("a"))


def test_a_file_that_no_pattern_matches_undoes_all(tmp_path: Path) -> None:
    settings = f'{SETTINGS}project_id = "{PROJECT}"\n[jobs]\nfiles = ["jobs/imported/[a-z]*.toml"]'
    run = Run(tmp_path)
    run.config = load_config(write_files(tmp_path, {"majobctl.toml": settings}))
    message = r"jobs/imported/B\.toml is not read: jobs\.files in majobctl\.toml does not match it"
    with nothing_done(run, message):
        run.import_configs(live("B"), live("a"))


def test_settings_that_change_meanwhile_undo_all(tmp_path: Path) -> None:
    run = Run(tmp_path)
    settings = (tmp_path / "majobctl.toml").read_text()
    other = f'{settings}[defaults]\nlog_url = "/b/log/"\n'
    write_files(tmp_path, {"majobctl.toml": other})
    with nothing_done(run, r"jobs/imported/a\.toml does not say what the service says"):
        run.import_configs(live("a"))
    write_files(tmp_path, {"majobctl.toml": f'{settings}[defaults]\nmodel_name = "x"\nnot = 1\n'})
    with nothing_done(run, "(?s)the job files break rules with the new ones\n.*unknown key"):
        run.import_configs(live("a"))


def test_a_state_that_cannot_be_written_undoes_all(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.keep(other=Entry(params=LIVE, applied_at=NOW))
    (tmp_path / "state.json.backup").mkdir()
    with nothing_done(run, r"state\.json cannot be written"):
        run.import_configs(live("a"))


class WrittenAtLast(LocalBackend):
    """Writes, and then says that it could not: as where the rename did not get to the disk."""

    def write(self, content: bytes, lines: bytes = b"") -> None:
        super().write(content, lines)
        raise OSError("the disk is gone")


def test_files_stay_where_the_state_may_know_of_them(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.backend = WrittenAtLast(tmp_path / "state.json", "state.json")
    with pytest.raises(StateError, match="the disk is gone\nthe new files stay, for the state may"):
        run.import_configs(live("a"))
    assert list(run.files()) == ["jobs/imported/a.toml"]
    assert run.entry("a") == Entry(params=LIVE, applied_at=NOW)
