"""What the probe finds, that it leaves nothing behind, and that its reports can be played."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from majobctl.emulator import Faults, create_adapter, create_app, start
from majobctl.emulator.app import Emulator
from majobctl.emulator.like import faults_like
from majobctl.operations.probe import load_assumptions
from majobctl.operations.seed import read_seed
from tests.config_repository import JOB, Repository, finished, terminal
from tests.emulator.signer import Signer
from tests.faults.launcher import started
from tests.live_cloud import ENVIRONMENT, LOST, Asked, Cloud, Reply, running, seed_of

REPORTS = Path(__file__).resolve().parents[1] / "reports"
MODES = {
    "emulator-replace-plain": Faults(),
    "emulator-merge-plain": Faults(put="merge"),
    "emulator-replace-plain-missing": Faults(blanks="missing"),
    "emulator-merge-plain-empty": Faults(put="merge", blanks="empty"),
    "emulator-merge-plain-mixed": Faults(put="merge", blanks="mixed"),
    "emulator-replace-documented": Faults(answers="documented"),
    "emulator-merge-documented": Faults(put="merge", answers="documented"),
}
WRITE = ("probe", "--write", "--auto-approve", "--format", "json")
OTHERS = "majobctl-probe-0000"
Document = dict[str, Any]


def words(text: str) -> dict[str, str]:
    return {it["id"]: it["observed"] for it in json.loads(text)["findings"]}


# --- Deviations ---------------------------------------------------------------------------------


class Exchange:
    """One request, and then its answer; a deviation changes one thing of either."""

    def __init__(self, app: Emulator, environ: Any) -> None:
        self._app, self._environ = app, environ
        self.method = environ["REQUEST_METHOD"]
        self.path = environ["PATH_INFO"]
        content = environ["wsgi.input"].read() if self.method in ("POST", "PUT") else b""
        self.body: Document = json.loads(content or b"{}")
        self.status, self.answer = 0, cast(Document, {})

    @property
    def is_config(self) -> bool:
        return self.method == "GET" and "configs/" in str(self.path)

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and str(self.path).endswith("training-job-configs")

    @property
    def code(self) -> str:
        return str(self.answer.get("error_code", ""))[-4:]

    def refuse(self, status: int, code: str) -> Any:
        self.status = status
        self.answer = {
            "error_code": f"ModelArts.{code}",
            "error_message": "No.",
            "is_success": False,
        }

    def call(self) -> None:
        with requests.Session() as session:
            session.auth = Signer()
            session.mount("http://inner", create_adapter(self._app))
            url = f"http://inner{self.path}?{self._environ['QUERY_STRING']}"
            body = self.body if self.method in ("POST", "PUT") else None
            answer = session.request(self.method, url, json=body)
        self.status, self.answer = answer.status_code, answer.json()


def on_answer(is_meant: Callable[[Exchange], bool], change: Callable[[Exchange], Any]) -> Any:
    def deviate(exchange: Exchange) -> None:
        exchange.call()
        if is_meant(exchange):
            change(exchange)

    return deviate


def on_request(is_meant: Callable[[Exchange], bool], change: Callable[[Exchange], Any]) -> Any:
    def deviate(exchange: Exchange) -> None:
        if exchange.body and is_meant(exchange):
            change(exchange)
        if not exchange.status:
            exchange.call()

    return deviate


def set_in_answer(**fields: Any) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer.update(fields)


def refused(status: int, code: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.refuse(status, code)


def is_found(exchange: Exchange) -> bool:
    return exchange.is_config and exchange.status == 200


def put_creates(exchange: Exchange) -> None:
    exchange.call()
    if exchange.method == "PUT" and exchange.code == "0102":
        exchange.method = "POST"
        exchange.path, _, exchange.body["config_name"] = exchange.path.rpartition("/")
        exchange.call()


def ascending(exchange: Exchange) -> None:
    if exchange.is_list and "order=" not in exchange._environ["QUERY_STRING"]:
        exchange._environ["QUERY_STRING"] += "&order=asc"
    exchange.call()


def numbered_codes(exchange: Exchange) -> None:
    exchange.call()
    for entry in [exchange.answer, *exchange.answer.get("specs", ())]:
        if entry.get("spec_code"):
            entry["spec_code"] = len(entry["spec_code"]) * 1000 + sum(map(ord, entry["spec_code"]))


DEVIATIONS: dict[str, tuple[Any, dict[str, str]]] = {
    "an unknown name is 400": (
        on_answer(lambda it: it.is_config and it.code == "0102", refused(400, "0102")),
        {"not-found.code": "400-0102"},
    ),
    "an update finds nothing: 0015": (
        on_answer(lambda it: it.method == "PUT" and it.code == "0102", refused(404, "0015")),
        {"update.missing-name": "404-0015"},
    ),
    "a code that nobody knows": (
        on_answer(lambda it: it.is_config and it.code == "0102", refused(404, "9999")),
        {"not-found.code": "other"},
    ),
    "an update creates": (put_creates, {"update.missing-name": "created"}),
    "a deletion finds nothing: done": (
        on_answer(
            lambda it: it.method == "DELETE" and it.code == "0102",
            lambda it: (it.refuse(200, ""), it.answer.update(is_success=True, error_code=None)),
        ),
        {"delete.missing": "done"},
    ),
    "a name in use is 409": (
        on_answer(lambda it: it.code == "0103", refused(409, "0103")),
        {"duplicate.code": "409-0103"},
    ),
    "refusals have status 200": (
        on_answer(lambda it: it.status >= 400, lambda it: setattr(it, "status", 200)),
        {
            "error.status-200": "seen",
            **dict.fromkeys(("not-found.code", "update.missing-name"), "200-0102"),
            **{"delete.missing": "200-0102", "duplicate.code": "200-0103"},
        },
    ),
    "codes of flavors are numbers": (numbered_codes, {"catalog.names": "number"}),
    "a flavor twice": (
        on_answer(
            lambda it: "specs" in it.answer,
            lambda it: it.answer["specs"].append({**it.answer["specs"][0], "spec_id": 77}),
        ),
        {"catalog.ids": "repeated"},
    ),
    "the total of a page": (
        on_answer(
            lambda it: it.is_list,
            lambda it: it.answer.update(config_total_count=len(it.answer["configs"])),
        ),
        {"list.total": "page"},
    ),
    "lists ascend": (ascending, {"list.default-order": "ascending"}),
    "paths come back otherwise": (
        on_answer(
            is_found, lambda it: it.answer.update(train_url="obs:/" + it.answer["train_url"])
        ),
        {"path.form": "changed"},
    ),
    "a description is a number": (
        on_answer(is_found, set_in_answer(config_desc=5)),
        {"response.numbers": "number"},
    ),
    "hyperparameters are numbers": (
        on_answer(
            lambda it: is_found(it) and bool(it.answer["parameter"]),
            lambda it: [e.update(value=float(e["value"])) for e in it.answer["parameter"]],
        ),
        {"hyperparameters.values": "changed", "hyperparameters.order": "sorted"},
    ),
    "hyperparameters are sorted": (
        on_answer(
            lambda it: is_found(it) and bool(it.answer["parameter"]),
            lambda it: it.answer["parameter"].sort(key=lambda e: e["label"]),
        ),
        {"hyperparameters.order": "sorted"},
    ),
    "another flavor's name": (
        on_answer(is_found, set_in_answer(spec_code="modelarts.vm.other")),
        {"response.computed": "other"},
    ),
    "the data twice": (
        on_answer(
            lambda it: is_found(it) and bool(it.answer["data_url"]),
            lambda it: it.answer.update(data_source=[{"type": "obs", "data_url": "/x/"}]),
        ),
        {"response.derived": "yes"},
    ),
    "no code beside an image": (
        on_request(
            lambda it: {"app_url", "user_image_url"} <= it.body.keys(), refused(400, "0105")
        ),
        dict.fromkeys(("image.beside-code", "long.blank", "long.zero"), "refused"),
    ),
    "an output is required": (
        on_request(lambda it: "train_url" not in it.body, refused(400, "0101")),
        {"output.required": "refused", "update.missing-name": "404-0102"},
    ),
    "names of 20 characters": (
        on_request(lambda it: len(it.body.get("config_name", "")) > 20, refused(400, "0104")),
        {"name.max-length": "20"},
    ),
    "a blank value keeps the one before": (
        on_request(
            lambda it: it.body.get("log_url") == "",
            lambda it: it.body.update(log_url=it.body["train_url"]),
        ),
        {"update.blank": "kept"},
    ),
    "a null is refused": (
        on_request(lambda it: None in it.body.values(), refused(400, "2788")),
        {"update.null": "refused"},
    ),
    "as many nodes as one likes": (
        on_request(lambda it: True, lambda it: it.body.update(worker_server_num=1)),
        {"flavor.max-nodes": "accepted"},
    ),
    "unknown fields are ignored": (
        on_request(lambda it: True, lambda it: it.body.pop("job_description", None)),
        {"field.job-description": "ignored"},
    ),
}


@contextmanager
def deviating(folder: Path, deviate: Callable[[Exchange], None], faults: Faults) -> Iterator[str]:
    (folder / "seed.toml").write_text(seed_of("alpha", "beta", OTHERS))
    with create_app(seed=partial(read_seed, folder / "seed.toml"), faults=faults) as app:

        def serve(environ: Any, start_response: Any) -> Iterable[bytes]:
            exchange = Exchange(app, environ)
            deviate(exchange)
            content = json.dumps(exchange.answer).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
            start_response(f"{exchange.status} Whatever", headers)
            return [content]

        server = start(cast(Emulator, serve))
        try:
            yield server.url
        finally:
            server.stop()


def probed(
    repository: Repository,
    deviate: Callable[[Exchange], None],
    faults: Faults = MODES["emulator-replace-plain"],
) -> str:
    with deviating(repository.root, deviate, faults) as url:
        repository.environment.update(ENVIRONMENT)
        repository.settings(Cloud(cast(Any, None), url).settings())
        return repository.done(*WRITE).stdout


def plain(exchange: Exchange) -> None:
    exchange.call()


@pytest.mark.parametrize("junk", [None, [], {}, 5, True, "x", [{}], [5], {"a": []}], ids=repr)
@pytest.mark.parametrize("is_list", [True, False], ids=["lists", "values"])
def test_no_answer_of_any_type_ends_in_a_traceback(
    junk: object, is_list: bool, repository: Repository
) -> None:
    def garble(exchange: Exchange) -> None:
        exchange.call()
        for key, value in exchange.answer.items():
            if is_list and isinstance(value, list):
                exchange.answer[key] = junk
            elif not is_list and key not in ("is_success", "config_name"):
                rows = value if isinstance(value, list) else []
                garbled = [dict.fromkeys(row, junk) for row in rows if isinstance(row, dict)]
                exchange.answer[key] = garbled or junk

    with deviating(repository.root, garble, Faults()) as url:
        repository.environment.update(ENVIRONMENT)
        repository.settings(Cloud(cast(Any, None), url).settings())
        ran = repository.run(*WRITE)
        assert ran.code == 0 or "Error: " in ran.stderr


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_deviation_and_nothing_else_is_found_and_can_be_played(
    name: str, repository: Repository
) -> None:
    deviate, expected = DEVIATIONS[name]
    usual = words((REPORTS / "emulator-replace-plain.json").read_text())
    report = probed(repository, deviate)
    found = words(report)
    assert found == {**usual, **expected}
    path = repository.write("report.json", report)
    faults, unplayed = faults_like(path, Faults())
    again = words(probed(repository, plain, faults))
    left = {key for key in found if again[key] != found[key]}
    assert left == {line.split()[0] for line in unplayed}


@pytest.mark.parametrize("mode", MODES)
def test_the_report_of_each_mode_is_kept_and_can_be_played(
    mode: str, repository: Repository
) -> None:
    report, path = probed(repository, plain, MODES[mode]), REPORTS / f"{mode}.json"
    if not path.exists():
        path.write_text(report)
        pytest.fail(f"{path.name} was missing, and was made")
    assert words(path.read_text()) == words(report)
    faults, unplayed = faults_like(path, Faults())
    assert unplayed == []
    assert words(probed(repository, plain, faults)) == words(report)


# --- Nothing is left behind ---------------------------------------------------------------------


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running(tmp_path, seed_of("alpha", OTHERS)) as found:
        yield found


def first(step: int, then: Callable[[], Reply | None]) -> Callable[[Asked], Reply | None]:
    """Counts requests and does something at one of them."""
    count = 0

    def hook(asked: Asked) -> Reply | None:
        nonlocal count
        count += 1
        return then() if count == step else None

    return hook


def check_nothing_is_left(repository: Repository, cloud: Cloud, kept: Document) -> None:
    assert cloud.console.names() == ["alpha", OTHERS]
    assert {name: cloud.console.config(name) for name in kept} == kept
    assert not (repository.root / ".majobctl" / "probe.json").exists()


def steps_of_a_probe(repository: Repository, cloud: Cloud) -> int:
    repository.done(*WRITE)
    return sum(cloud.take().values())


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("is_done", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_probe_that_is_ended_at_any_step(
    number: signal.Signals, is_done: bool, on_cloud: Repository, cloud: Cloud
) -> None:
    kept = {name: cloud.console.config(name) for name in ("alpha", OTHERS)}
    steps = steps_of_a_probe(on_cloud, cloud)
    assert steps > 70, steps
    left = 0
    stride = (1 if is_done else 4) if number is signal.SIGKILL else 8
    for step in range(1, steps + 1, stride):
        process = started(on_cloud.root, *WRITE, environment=on_cloud.environment)

        def end(process: subprocess.Popen[bytes] = process) -> Reply | None:
            process.send_signal(number)
            # Before: what a killed process was about to send is not carried out later.
            return LOST if number is signal.SIGKILL else None

        hook = first(step, end)
        cloud.after, cloud.before = (hook, lambda _: None) if is_done else (lambda _: None, hook)
        ran = finished(process)
        cloud.after = cloud.before = lambda _: None
        if number is signal.SIGKILL:
            assert ran.code == -number
            found = {*cloud.console.names()} - {"alpha", OTHERS}
            left += bool(found)
            said = on_cloud.done("probe").stderr
            assert all(f"deleted {name}, which an interrupted probe" in said for name in found)
        else:
            # The last calls are those that delete it: they are finished, and the result is printed.
            assert ran.code == (130 if step < steps - 10 else ran.code)
        check_nothing_is_left(on_cloud, cloud, kept)
    assert left > steps / stride / 3 or number is not signal.SIGKILL


@pytest.mark.parametrize("answer", [LOST, Reply(500, {"error_code": "ModelArts.0010"})], ids=str)
@pytest.mark.parametrize("is_done", [True, False], ids=["after", "before"])
def test_nothing_is_left_of_a_probe_whose_call_fails_at_any_step(
    answer: Reply, is_done: bool, on_cloud: Repository, cloud: Cloud
) -> None:
    kept = {name: cloud.console.config(name) for name in ("alpha", OTHERS)}
    for step in range(1, steps_of_a_probe(on_cloud, cloud) + 1, 3):
        hook = first(step, lambda: answer)
        cloud.after, cloud.before = (hook, lambda _: None) if is_done else (lambda _: None, hook)
        assert on_cloud.run(*WRITE).code == 1
        cloud.after = cloud.before = lambda _: None
        on_cloud.done("probe")
        check_nothing_is_left(on_cloud, cloud, kept)


def test_what_cannot_be_deleted_is_named_and_deleted_by_the_next_probe(
    on_cloud: Repository, cloud: Cloud
) -> None:
    cloud.before = lambda it: Reply(403, {"error_code": "X"}) if it.method == "DELETE" else None
    ran = on_cloud.run(*WRITE)
    (name,) = {*cloud.console.names()} - {"alpha", OTHERS}
    assert ran.code == 1
    assert f"{name} is still in the service: run `majobctl probe` again" in ran.stderr
    cloud.before = lambda _: None
    other = on_cloud.root / "majobctl.toml"
    settings = other.read_text()
    other.write_text(settings.replace('project_id = "emulator"', 'project_id = "another"'))
    assert "first run `majobctl probe` against" in on_cloud.run("probe").stderr
    other.write_text(settings)
    assert f"deleted {name}" in on_cloud.done("probe").stderr
    assert cloud.console.names() == ["alpha", OTHERS]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"names": 1, "target": {}}', b'{"names": ["alpha"]}', b'{"names": [1]}'],
    ids=repr,
)
def test_a_damaged_note_deletes_nothing(content: bytes, on_cloud: Repository, cloud: Cloud) -> None:
    on_cloud.write(".majobctl/probe.json", content.decode())
    assert "is damaged: delete your configurations" in on_cloud.run("probe").stderr
    assert cloud.console.names() == ["alpha", OTHERS]


def test_a_service_that_creates_nothing_leaves_most_unknown(
    on_cloud: Repository, cloud: Cloud
) -> None:
    refusal = Reply(400, {"error_code": "ModelArts.0118", "error_message": "Quota exceeded."})
    cloud.before = lambda it: refusal if it.method == "POST" else None
    ran = on_cloud.done(*WRITE)
    assert "no configuration can be created: ModelArts.0118 Quota exceeded." in ran.stderr
    assert words(ran.stdout)["update.replaces"] == ""
    assert words(ran.stdout)["update.missing-name"] == "404-0102"
    assert not (on_cloud.root / ".majobctl" / "probe.json").exists()


def test_two_probes_keep_away_from_each_other(on_cloud: Repository, cloud: Cloud) -> None:
    codes = []

    def second() -> None:
        other = on_cloud.start("probe")
        other.communicate(timeout=60)
        codes.append(other.returncode)

    cloud.before = first(40, second)
    on_cloud.done(*WRITE)
    assert codes == [4]


def test_a_note_never_names_what_a_probe_does_not_make(on_cloud: Repository, cloud: Cloud) -> None:
    target = {"endpoint": cloud.url, "project_id": "emulator"}
    note = json.dumps({"names": ["alpha", "majobctl-probe-zzzz"], "target": target})
    on_cloud.write(".majobctl/probe.json", note)
    on_cloud.run("probe")
    assert cloud.console.names() == ["alpha", OTHERS]


# --- What a user sees ---------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["no", "y", "Yes", "", "\x04", "yes"], ids=repr)
def test_a_change_is_made_after_the_literal_yes(
    answer: str, on_cloud: Repository, cloud: Cloud
) -> None:
    with terminal(on_cloud, "probe", "--write") as shell:
        shell.expect("Only yes is accepted")
        shell.type(answer if answer == "\x04" else f"{answer}\n")
        code, seen = shell.finish()
    assert (code == 0) is (answer == "yes"), seen
    assert bool(cloud.writes()) is (answer == "yes")


def test_no_question_is_asked_without_a_terminal(on_cloud: Repository, cloud: Cloud) -> None:
    ran = on_cloud.run("probe", "--write")
    assert ran.code == 1
    assert "run `majobctl probe --write --auto-approve`" in ran.stderr
    assert cloud.asked == []


def test_reading_changes_nothing_and_says_what_it_does_not_know(
    on_cloud: Repository, cloud: Cloud
) -> None:
    ran = on_cloud.done("probe", "--format", "json")
    assert cloud.writes() == []
    found, probes = words(ran.stdout), {it.id: it.probe for it in load_assumptions()}
    assert {key for key, word in found.items() if not word} == {
        key for key in found if probes[key] == "write"
    }
    last_line = on_cloud.done("probe").last_line
    assert last_line == "10 hold, 0 differ, 22 unknown. To find out more: majobctl probe --write"


def test_a_report_has_nothing_of_the_project_in_it(on_cloud: Repository, cloud: Cloud) -> None:
    secret = {"log_url": "/secret-bucket/secret-log/", "config_desc": "secret-description"}
    cloud.console.change(
        "alpha", **secret, parameter=[{"label": "secret-label", "value": "s3cr3t"}]
    )
    cloud.after = lambda it: (
        Reply(404, {"error_code": "Secret.code", "error_message": "alpha secret-message"})
        if (it.name or "").startswith("majobctl-none")
        else None
    )
    ran = on_cloud.done(*WRITE, "--out", "report.json")
    assert ran.stdout == ""
    path = on_cloud.root / "report.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert words(path.read_text())["not-found.code"] == "other"
    mine = [cloud.console.config(name) for name in cloud.console.names()]
    values = {*texts_in(mine), *JOB.values(), cloud.url, cloud.url.rpartition(":")[2], "secret"}
    values |= {"alpha", "majobctl-probe-", "bucket", "modelarts.vm", "PyTorch", "s3cr3t", "Secret"}
    for text in (path.read_text(), on_cloud.done(*WRITE[:3]).stdout):
        body = text.partition('"findings"')[2] or text
        # Numbers of one or two digits are in codes such as 404-0102.
        assert [it for it in map(str, values) if len(it) > 2 and it in body] == []
    known = {word for row in load_assumptions() for word in (*row.holds, *row.differs)}
    assert {*words(path.read_text()).values()} <= {*known, "other", ""}


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)
    elif not isinstance(value, bool):
        yield str(value)


def test_a_file_of_the_repository_is_no_place_for_a_report(on_cloud: Repository) -> None:
    assert "is not a place for" in on_cloud.run("probe", "--out", "majobctl.toml").stderr


def test_the_table_is_complete() -> None:
    rows = load_assumptions()
    assert len({row.id for row in rows}) == len(rows) > 45
    for row in rows:
        assert (row.probe in ("read", "write")) != bool(row.cannot_be_probed), row.id
        assert bool(row.holds) == bool(row.probe), row.id
        assert not {*row.holds} & {*row.differs}, row.id


# --- The live side under every report -----------------------------------------------------------


@pytest.mark.parametrize("report", sorted(REPORTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_live_side_works_with_every_service_that_was_probed(
    report: Path, repository: Repository, tmp_path: Path
) -> None:
    faults, unplayed = faults_like(report, Faults())
    assert unplayed == []
    with running(tmp_path, seed_of("alpha", "beta", log_url="/ml/log/"), faults) as cloud:
        repository.environment.update(cloud.environment)
        allowed = "[apply]\ncreate_missing = true\ndelete_removed = true\n"
        repository.settings(cloud.settings(allowed))
        repository.done("import", "--all", "--out-dir", "jobs")
        assert "No changes." in repository.done("plan", "--refresh").stdout
        repository.job("alpha", hyperparameters={"lr": "1e-5"})
        repository.job("gamma", config_desc="new")
        assert "1 created" in repository.apply().last_line
        assert cloud.console.config("alpha").get("log_url") in (None, "")
        assert repository.run("plan", "--refresh", "--detailed-exitcode").code == 0
        assert repository.run("drift", "--detailed-exitcode").code == 0
        cloud.console.change("beta", config_desc="changed in the console")
        assert repository.run("drift", "--detailed-exitcode").code == 2
        assert repository.run("plan", "--refresh", "--detailed-exitcode").code == 2
        repository.apply("--refresh", "--overwrite")
        repository.remove("gamma")
        repository.apply()
        assert cloud.console.names() == ["alpha", "beta"]
        assert "No changes." in repository.done("plan", "--refresh").stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"findings": [{"id": "catalog.ids", "observed": "repeated"}]}',
            "play catalog.ids repeated",
        ),
        ('{"findings": [{"id": "new.row", "observed": "word"}]}', "play new.row word"),
        ('{"findings": 1}', "not a report of a probe"),
        ("{", "not a report of a probe"),
    ],
)
def test_the_emulator_says_what_it_cannot_play(
    content: str, said: str, repository: Repository
) -> None:
    repository.write("report.json", content)
    with repository.start("emulator", "serve", "--like", "report.json") as process:
        assert process.stderr is not None
        assert said in process.stderr.readline().decode()
        process.terminate()
