"""Ten thousand damaged files through the real commands: an error with a place, or a file that
still means something; never a traceback, never an overwrite."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import tomli

from tests.config_repository import JOB, Ran, Repository
from tests.conftest import BadInput
from tests.fake_service import SECRET_KEY, FakeService
from tests.faults.conftest import Tally
from tests.faults.mutations import Dice, mutated, mutated_json
from tests.faults.observed import STATE, counted_codes

MUTANTS = 2500
SEEDS = {"toml": 31001, "state": 31002, "journal": 31003, "plan": 31004}
"""Mutant ``number`` of a kind is made by ``random.Random(f"{SEEDS[kind]}-{number}")``."""

JOURNAL = f"{STATE}.journal"
RICH = """\
[job_config.alpha]
train_instance_type = "modelarts.vm.gpu.p100"
train_instance_count = 2
output_path = "obs://ml/output/"
code_dir = "/ml/src/"
boot_file = "/ml/src/train.py"
framework_type = "PyTorch"
framework_version = "PyTorch-1.0.0-python3.6"
config_desc = "Größe ☃ $${literal}"
sensitive = ["api_key"]

[job_config.alpha.hyperparameters]
lr = 1e-5
epochs = 10
api_key = "${env.API_KEY}"

[[job_config.alpha.data_source]]
type = "obs"
data_url = "/ml/data/"

[job_config.beta]
train_instance_type = "modelarts.vm.gpu.v100"
train_instance_count = 1
output_path = "/ml/output/"
model_name = "yolo_v3"
inputs = "/ml/data/"
"""
SECRET = "env-secret-not-a-real-one"
_KEYS = {*JOB, "config_desc", "sensitive", "hyperparameters", "data_source", "model_name",
         "log_url", "job_description", "user_image_url", "user_command", "dataset_id",
         "dataset_version_id"}  # fmt: skip


def dice_for(kind: str, number: int) -> Dice:
    return random.Random(f"{SEEDS[kind]}-{number}")


class Mutants:
    """Runs commands on mutants of one kind, and counts how they end."""

    def __init__(self, repository: Repository, kind: str, bad_input: BadInput) -> None:
        self.repository = repository
        self.kind = kind
        self.bad_input = bad_input
        self.codes: Counter[int] = Counter()

    def run(self, number: int, path: Path, content: bytes, *arguments: str) -> Ran:
        """The command on a file with ``content``, which only a success may replace."""
        path.write_bytes(content)
        try:
            ran = self.repository.run(*arguments)
            assert ran.code in (0, 1, 5), ran
            # A command that finds nothing to do has read the files, and merged a journal.
            found_nothing = re.search(
                "has no job config|no job config in a file or in the state", ran.stderr
            )
            if ran.code and not found_nothing:
                assert path.read_bytes() == content
                self.bad_input(f"damaged {self.kind}", content)
            assert SECRET not in ran.stdout + ran.stderr, ran
            assert SECRET_KEY not in ran.stdout + ran.stderr, ran
        except Exception as error:
            raise self.failure(number, content, arguments, str(error)) from error
        self.codes[ran.code] += 1
        return ran

    def failure(self, number: int, content: bytes, command: object, why: str) -> AssertionError:
        return AssertionError(f"mutant {number} of {self.kind}, {command}: {why}\n{content!r}")

    def check(self, tally: Tally) -> None:
        figures = f"{self.codes.total()} mutants: {counted_codes(self.codes)}"
        tally(f"mutations, {self.kind}", figures)
        files = [path for path in self.repository.root.rglob("*") if path.is_file()]
        assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
        assert self.codes.total() == MUTANTS
        assert self.codes[0] > 0
        assert self.codes[1] + self.codes[5] > MUTANTS / 4


def is_job_file(content: bytes) -> bool:
    """Whether these bytes are TOML of job configs with known keys and no required one missing."""
    try:
        document = tomli.loads(content.decode())
    except ValueError:
        return False
    tables = document.get("job_config", {})
    if set(document) - {"job_config"} or not isinstance(tables, dict):
        return False
    return all(re.fullmatch(r"[A-Za-z0-9_-]{1,20}", name) for name in tables) and all(
        isinstance(table, dict) and set(table) <= _KEYS and has_required(table)
        for table in tables.values()
    )


def has_required(table: dict[str, Any]) -> bool:
    count = table.get("train_instance_count")
    return (
        isinstance(count, int)
        and 1 <= count < 2**31
        and bool(table.get("train_instance_type"))
        and str(table.get("output_path", "")).startswith(("/", "obs://"))
    )


def test_damaged_toml_is_reported_with_its_line(
    on_rest: Repository, tally: Tally, bad_input: BadInput
) -> None:
    on_rest.environment["API_KEY"] = SECRET
    jobs = on_rest.write("jobs/all.toml", RICH)
    settings = on_rest.root / "majobctl.toml"
    on_rest.settings(
        settings.read_text() + '[apply]\nparallelism = 3\n[defaults]\nlog_url = "/l/g/"\n'
    )
    good = settings.read_bytes()
    on_rest.done("validate")
    mutants = Mutants(on_rest, "toml", bad_input)
    for number in range(MUTANTS):
        dice = dice_for("toml", number)
        command = dice.choice(("validate", "plan"))
        if dice.random() < 0.7:
            content = mutated(RICH.encode(), dice)
            ran = mutants.run(number, jobs, content, command)
            if ran.code == 0 and not is_job_file(content):
                raise mutants.failure(number, content, command, "taken as valid")
        else:
            content = mutated(good, dice)
            ran = mutants.run(number, settings, content, command)
            jobs.write_bytes(RICH.encode())
        if ran.code and not re.search(r"(jobs/all|majobctl)\.toml(:\d+)?", ran.stderr):
            raise mutants.failure(number, content, command, f"no place: {ran.stderr}")
        settings.write_bytes(good)
        jobs.write_bytes(RICH.encode())
    mutants.check(tally)


def with_state(repository: Repository) -> bytes:
    """Applies both job configs and edits one; returns the state's bytes."""
    repository.environment["API_KEY"] = SECRET
    repository.write("jobs/all.toml", RICH)
    repository.apply()
    repository.write("jobs/all.toml", RICH.replace("epochs = 10", "epochs = 20"))
    return repository.state_path.read_bytes()


def is_state(content: bytes) -> bool:
    """Whether these bytes are JSON of the shape in section "The file" of docs/state.md."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    is_whole = isinstance(document, dict) and document.get("format_version") == 1
    target = document.get("target") if is_whole else None
    entries = document.get("job_configs") if is_whole else None
    return (
        isinstance(target, dict)
        and isinstance(entries, dict)
        and type(document.get("serial")) is int
        and bool(document.get("lineage"))
        and all(isinstance(entry, dict) and "params" in entry for entry in entries.values())
    )


def state_mutant(content: bytes, dice: Dice) -> bytes:
    if dice.random() < 0.5:
        return mutated(content, dice)
    return json.dumps(mutated_json(json.loads(content), dice), indent=2).encode()


READERS = (("plan",), ("plan", "--format", "json"), ("show",), ("show", "alpha"),
           ("state", "pull"), ("state", "list"))  # fmt: skip
WRITERS = (("state", "rm", "alpha"), ("apply", "--auto-approve", "--target", "nothing"))


def test_a_damaged_state_is_refused_and_left_as_it_is(
    on_rest: Repository, tally: Tally, bad_input: BadInput
) -> None:
    good = with_state(on_rest)
    mutants = Mutants(on_rest, "state", bad_input)
    for number in range(MUTANTS):
        dice = dice_for("state", number)
        content = state_mutant(good, dice)
        command = dice.choice((*READERS, *WRITERS))
        ran = mutants.run(number, on_rest.state_path, content, *command)
        if command in READERS and on_rest.state_path.read_bytes() != content:
            raise mutants.failure(number, content, command, "a reader changed it")
        if ran.code == 0 and not is_state(content):
            raise mutants.failure(number, content, command, "taken as valid")
        if ran.code and STATE not in ran.stderr and "no job config" not in ran.stderr:
            raise mutants.failure(number, content, command, f"no place: {ran.stderr}")
    mutants.check(tally)


def chained(records: list[Any]) -> bytes:
    """The journal that holds these records; each line's sum covers the one before, too."""
    lines, last = [], ""
    for record in records:
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        content = f"{last}\n{text}".encode("utf-8", "surrogatepass")
        last = hashlib.sha256(content).hexdigest()[:16]
        line = f'{{"record":{text},"sum":"{last}"}}\n'
        lines.append(line.encode("utf-8", "surrogatepass"))
    return b"".join(lines)


def intact_records(content: bytes) -> list[Any] | None:
    """The records of a journal whose sums fit, but for one last line; None where they do not."""
    lines = content.split(b"\n")
    records: list[Any] = []
    for number, line in enumerate(lines):
        try:
            records.append(json.loads(line)["record"])
            is_intact = chained(records).split(b"\n")[number] == line
        except (ValueError, TypeError, KeyError, RecursionError):
            is_intact = False
        if not is_intact:
            is_last = all(not rest for rest in lines[number + 1 :])
            return records[:number] if is_last else None
    return records


def journal_of(state: dict[str, Any]) -> list[Any]:
    begin = {key: state[key] for key in ("lineage", "serial", "salt", "target")}
    params = state["job_configs"]["beta"]["params"]
    return [
        {"begin": 1, **begin},
        {"intent": "alpha", "params": {**params, "config_desc": "☃"}},
        {"intent": "beta", "params": params},
        {"done": "alpha", "at": "2026-11-23T12:00:00Z"},
        {"refused": "beta"},
        {"intent": "beta", "params": {**params, "train_instance_count": 7}},
        {"forget": "alpha"},
        {"done": "beta", "at": "2026-11-23T12:00:01Z"},
        {"intent": "alpha", "params": params},
    ]


def test_a_damaged_journal_is_refused_and_left_as_it_is(
    on_rest: Repository, tally: Tally, bad_input: BadInput
) -> None:
    good = with_state(on_rest)
    records = journal_of(json.loads(good))
    journal = on_rest.root / JOURNAL
    mutants = Mutants(on_rest, "journal", bad_input)
    for number in range(MUTANTS):
        dice = dice_for("journal", number)
        if dice.random() < 0.6:
            content = mutated(chained(records), dice)
        else:
            content = chained(mutated_json(records, dice))
        command = dice.choice((*READERS, *WRITERS))
        ran = mutants.run(number, journal, content, *command)
        if command in READERS and journal.read_bytes() != content:
            raise mutants.failure(number, content, command, "a reader changed it")
        if ran.code == 0 and intact_records(content) is None:
            raise mutants.failure(number, content, command, "taken as valid")
        if ran.code and JOURNAL not in ran.stderr and "no job config" not in ran.stderr:
            raise mutants.failure(number, content, command, f"no place: {ran.stderr}")
        on_rest.state_path.write_bytes(good)
    mutants.check(tally)


def stamped(document: Any) -> bytes:
    """A plan file's bytes with the checksum that fits them."""
    if isinstance(document, dict):
        document.pop("checksum", None)
        content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        document["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return json.dumps(document).encode()


def meaning(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def test_a_damaged_plan_file_is_refused_and_left_as_it_is(
    on_rest: Repository, rest: FakeService, tally: Tally, bad_input: BadInput
) -> None:
    state = with_state(on_rest)
    plan = on_rest.root / "saved.plan"
    on_rest.done("plan", "--out", "saved.plan")
    good = plan.read_bytes()
    document = json.loads(good)
    mutants = Mutants(on_rest, "plan", bad_input)
    for number in range(MUTANTS):
        dice = dice_for("plan", number)
        is_stamped = dice.random() < 0.4
        content = stamped(mutated_json(document, dice)) if is_stamped else mutated(good, dice)
        command = dice.choice((("show", "saved.plan"), ("apply", "saved.plan")))
        rest.forget_requests()
        ran = mutants.run(number, plan, content, *command)
        is_same = meaning(content) == document
        if not (is_stamped or is_same) and (ran.code == 0 or rest.requests):
            raise mutants.failure(number, content, command, "taken as valid")
        if ran.code == 5 and rest.asked("PUT"):
            raise mutants.failure(number, content, command, "stale, and something was sent")
        if (on_rest.root / JOURNAL).exists():
            raise mutants.failure(number, content, command, "it left a journal")
        if ran.code and "saved.plan" not in ran.stderr and not names_the_change(ran):
            raise mutants.failure(number, content, command, f"no place: {ran.stderr}")
        on_rest.state_path.write_bytes(state)
    mutants.check(tally)


def names_the_change(ran: Ran) -> bool:
    return "job_config." in ran.stderr
