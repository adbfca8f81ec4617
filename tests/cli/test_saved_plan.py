"""``plan --out FILE``, ``show FILE`` and ``apply FILE``: what was reviewed is what is applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.plan.document import plan_bytes, read_plan
from majobctl.render.text import plan_text
from tests.config_repository import BODY, Repository
from tests.fake_service import FakeService
from tests.live_cloud import LOST, Asked, Cloud, Reply, running, seed_of
from tests.plan.plan_strategies import Three, threes


@pytest.fixture
def planned(on_rest: Repository) -> Repository:
    """A state that holds one, and a plan file that changes it and adds two."""
    on_rest.job("one")
    on_rest.apply()
    on_rest.job("one", train_instance_count=2)
    on_rest.job("two")
    ran = on_rest.done("plan", "--out", "saved.plan")
    assert "majobctl apply saved.plan" in ran.stderr
    return on_rest


def forge(repository: Repository, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the plan file and makes its checksum fit, as its docstring says."""
    path = repository.root / "saved.plan"
    document = json.loads(path.read_bytes())
    del document["checksum"]
    change(document)
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    document["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path.write_text(json.dumps(document))


def test_a_saved_plan_is_applied_as_it_is_without_asking(
    planned: Repository, rest: FakeService
) -> None:
    rest.forget_requests()
    planned.job("one", train_instance_count=4)
    planned.job("three")
    ran = planned.process("apply", "saved.plan", code=0)
    assert rest.puts == {"one": {**BODY, "worker_server_num": 2}, "two": BODY}
    assert "1 added, 1 updated" in ran.last_line
    assert "1 to add, 1 to update" in planned.done("plan").stdout


def test_it_is_shown_as_it_was_planned(planned: Repository) -> None:
    text = planned.done("plan").stdout
    document = planned.done("plan", "--format", "json").document
    planned.job("three")
    assert planned.done("show", "saved.plan").stdout == text
    shown = planned.done("show", "saved.plan", "--format", "json").document
    assert shown.pop("checksum").startswith("sha256:")
    assert shown.pop("state_digest").startswith("sha256:")
    assert shown == document
    (planned.root / "saved").write_bytes((planned.root / "saved.plan").read_bytes())
    assert planned.done("show", "saved").stdout == text


def test_its_file_is_the_owners_alone(planned: Repository) -> None:
    assert (planned.root / "saved.plan").stat().st_mode & 0o777 == 0o600


def stale_state(repository: Repository) -> None:
    repository.apply()


def stale_lineage(repository: Repository) -> None:
    repository.write("copy.json", json.dumps({**repository.state, "lineage": "other"}))
    repository.done("state", "push", "--force", "copy.json")


def stale_target(repository: Repository) -> None:
    text = (repository.root / "majobctl.toml").read_text()
    repository.settings(text.replace("0123456789", "9876543210"))
    repository.state_path.unlink()


def stale_bytes(repository: Repository) -> None:
    path = repository.root / "saved.plan"
    path.write_text(path.read_text().replace("/ml/output/", "/ml/0utput/"))


def stale_removal(repository: Repository) -> None:
    repository.state_path.unlink()


def stale_rule(repository: Repository) -> None:
    forge(repository, lambda document: document["changes"][0]["after"].pop("output_path"))


@pytest.mark.parametrize(
    "make_stale",
    [stale_state, stale_lineage, stale_target, stale_bytes, stale_removal, stale_rule],
    ids=lambda make_stale: make_stale.__name__,
)
def test_one_that_no_longer_fits_is_refused_and_nothing_is_sent(
    planned: Repository, rest: FakeService, make_stale: Callable[[Repository], None]
) -> None:
    make_stale(planned)
    rest.forget_requests()
    ran = planned.run("apply", "saved.plan", code=5)
    assert "saved.plan" in ran.stderr
    assert "make the plan again" in ran.stderr
    assert rest.requests == []


def test_a_name_is_not_a_plan_and_the_message_says_what_to_type(on_emulator: Repository) -> None:
    ran = on_emulator.run("apply", "alpha")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == (
        "Error: alpha cannot be read: No such file or directory\n"
        "the argument is a saved plan; for one job config: majobctl apply --target NAME\n"
    )


def test_one_that_was_applied_is_stale(planned: Repository, rest: FakeService) -> None:
    planned.done("apply", "saved.plan")
    rest.forget_requests()
    assert planned.run("apply", "saved.plan").code == 5
    assert rest.requests == []


def test_one_made_without_a_state_is_stale_where_there_is_one(on_rest: Repository) -> None:
    on_rest.job("one")
    on_rest.done("plan", "--out", "saved.plan")
    on_rest.apply()
    ran = on_rest.run("apply", "saved.plan", code=5)
    assert "it was made before there was a state; the state now has serial 1\n" in ran.stderr


def test_the_first_state_can_come_from_a_saved_plan(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one")
    on_rest.done("plan", "--out", "saved.plan")
    on_rest.done("apply", "saved.plan")
    assert rest.puts == {"one": BODY}
    assert on_rest.done("plan").stdout.startswith("No changes.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"salt": ""}, "it has sensitive values, but neither a salt nor a state"),
        ({"text": "${env.OTHER}"}, "the sensitive value of config_desc has changed"),
        ({"text": "${env.OTHER}", "mask": "hmac-sha256:no-state-yet"}, "config_desc has changed"),
        ({"text": "${env.OTHER}", "mask": ["KEY"]}, "config_desc names another variable than"),
        ({"text": "${env.OTHER}${env.KEY}", "mask": ["KEY"]}, "names another variable than it"),
        ({"text": "${env.OS_SECRET_KEY}"}, "config_desc is wrong"),
        ({"text": "${env.OS_SECRET_KEY}", "mask": ["OS_SECRET_KEY"]}, "config_desc is wrong"),
    ],
)
@pytest.mark.parametrize("has_state", [False, True])
def test_a_forged_plan_gets_no_other_secret(
    on_rest: Repository,
    rest: FakeService,
    has_state: bool,
    change: dict[str, Any],
    reason: str,
) -> None:
    on_rest.environment |= {"KEY": "the-secret", "OTHER": "another-secret"}
    if has_state:
        on_rest.job("two")
        on_rest.apply()
    on_rest.job("one", config_desc="${env.KEY}")
    on_rest.done("plan", "--out", "saved.plan")

    def forged(document: dict[str, Any]) -> None:
        (added,) = document["changes"]
        if "salt" in change:
            document.pop("salt", None)
            added["references"][0]["text"] = "${env.OTHER}"
            added["after"]["config_desc"] = {"$sensitive": "hmac-sha256:no-state-yet"}
        if "text" in change:
            added["references"][0]["text"] = change["text"]
        if "mask" in change:
            added["after"]["config_desc"] = {"$sensitive": change["mask"]}

    forge(on_rest, forged)
    rest.forget_requests()
    ran = on_rest.run("apply", "saved.plan", code=5)
    assert ("config_desc has changed" if has_state and "salt" in change else reason) in ran.stderr
    assert rest.puts == {}


REGIONAL = "https://iam.eu-de.otc.t-systems.com"
ELSEWHERE = "https://iam.example.com"


@pytest.mark.parametrize(
    ("planned", "applied", "shown", "fits"),
    [
        (f'{ELSEWHERE}"\nauth = "aksk', "", False, True),
        (f'{ELSEWHERE}"\nauth = "password', "", True, False),
        (f'{ELSEWHERE}"\nauth = "oidc', "", True, False),
        (f'{ELSEWHERE}"\nauth = "token', "", True, False),
        ("", "", False, True),
        (REGIONAL, "", False, True),
        ("", f"{REGIONAL}/v3/", False, True),
        (ELSEWHERE, ELSEWHERE, True, True),
        ("", ELSEWHERE, False, False),
        (ELSEWHERE, "", True, False),
        (ELSEWHERE, "https://iam.example.org", True, False),
    ],
)
def test_where_a_password_goes_is_shown_and_belongs_to_the_plan(
    on_rest: Repository, rest: FakeService, planned: str, applied: str, shown: bool, fits: bool
) -> None:
    settings = rest.settings('region = "eu-de"')
    on_rest.settings(settings + (f'iam_endpoint = "{planned}"\n' if planned else ""))
    on_rest.job("one")
    for format_ in ("text", "json", "markdown", "html"):
        text = on_rest.done("plan", "--format", format_, "--out", "saved.plan").stdout
        assert ("Passwords and ID tokens go to https://iam.example.com/v3 (" in text) is shown
    assert ("Passwords and ID tokens" in on_rest.done("show", "saved.plan").stdout) is shown
    on_rest.settings(settings + (f'iam_endpoint = "{applied}"\n' if applied else ""))
    ran = on_rest.run("apply", "saved.plan")
    assert (ran.code, bool(rest.puts)) == ((0, True) if fits else (5, False))
    assert ("it was made with another iam_endpoint" in ran.stderr) is not fits
    if fits:
        assert "iam_endpoint" not in on_rest.state_path.read_text()


def test_it_forgets_and_clears_what_it_shows(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one", log_url="/ml/log/")
    on_rest.job("two")
    on_rest.apply()
    on_rest.job("one")
    on_rest.remove("two")
    on_rest.job("extra")
    on_rest.done("plan", "--out", "saved.plan", "--exclude", "ex*")
    rest.forget_requests()
    on_rest.done("apply", "saved.plan")
    assert rest.puts == {"one": {**BODY, "log_url": ""}}
    assert list(on_rest.state["job_configs"]) == ["one"]


def test_a_selection_belongs_to_the_plan(planned: Repository) -> None:
    for options in (("--target", "one"), ("--exclude", "one"), ("--refresh",)):
        ran = planned.run("apply", "saved.plan", *options, code=1)
        assert "a saved plan is applied as it was made" in ran.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{}", b"[]", b"null", b"[" * 100_000, b"9" * 5000, b'{"checksum": 1}'],
    ids=range(8),
)
def test_what_is_not_a_plan_file_is_reported(planned: Repository, content: bytes) -> None:
    (planned.root / "saved.plan").write_bytes(content)
    for command in (["apply", "saved.plan"], ["show", "saved.plan"]):
        ran = planned.run(*command, code=1)
        assert "saved.plan" in ran.stderr


def test_files_that_cannot_be_read_or_written_are_told(planned: Repository) -> None:
    for name in ("missing.plan", "jobs/", "x" * 5000, "majobctl.toml/x"):
        for command in (["apply", name], ["plan", "--out", name]):
            if command[0] == "plan" and name == "missing.plan":
                continue
            ran = planned.run(*command)
            assert (ran.code, ran.stdout) == (1, "")
            assert "cannot be " in ran.stderr or "choose " in ran.stderr


def test_a_newer_format_is_refused_as_that(planned: Repository) -> None:
    forge(planned, lambda document: document.update(format_version="2.0"))
    ran = planned.run("apply", "saved.plan", code=1)
    assert 'has the format "2.0"' in ran.stderr
    forge(planned, lambda document: document.update(format_version="1.7", more=1))
    planned.done("show", "saved.plan")


def test_a_plan_of_an_older_majobctl_has_no_causes(planned: Repository) -> None:
    def older(document: dict[str, Any]) -> None:
        document["format_version"] = "1.0"
        del document["causes"]
        for change in document["changes"]:
            for field in change["fields"]:
                del field["cause"]

    forge(planned, older)
    planned.done("show", "saved.plan")
    planned.done("apply", "saved.plan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("target"), "target is missing"),
        (
            lambda document: document["changes"][0]["source"].update(line="3"),
            "changes[0].source.line must be an integer, not a string",
        ),
    ],
)
def test_a_document_that_is_not_a_plan_is_refused_though_its_checksum_fits(
    planned: Repository, rest: FakeService, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    forge(planned, change)
    rest.forget_requests()
    for command in (["apply", "saved.plan"], ["show", "saved.plan"]):
        ran = planned.run(*command, code=1)
        assert f"saved.plan is not a plan file: {message}\n" in ran.stderr
    assert rest.requests == []


@settings(max_examples=30)
@given(offset=st.integers(0, 10_000), content=st.binary(min_size=1, max_size=4))
def test_any_change_of_its_bytes_is_refused(
    planned: Repository, rest: FakeService, offset: int, content: bytes
) -> None:
    path = planned.root / "saved.plan"
    whole = path.read_bytes()
    offset %= len(whole)
    changed = whole[:offset] + content + whole[offset + len(content) :]
    rest.forget_requests()
    try:
        path.write_bytes(changed)
        if is_same(changed, whole):
            return
        assert planned.run("apply", "saved.plan").code in (1, 5)
        assert rest.requests == []
    finally:
        path.write_bytes(whole)


def is_same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


@given(threes())
def test_every_plan_is_shown_as_it_was_made(three: Three) -> None:
    plan = three.plan()
    assert plan_text(read_plan(plan_bytes(plan, three.state), "saved.plan")) == plan_text(plan)


WITH_IMAGE = {
    "user_image_url": "registry/image:1",
    "framework_type": "TensorFlow",
    "framework_version": "TF-1.4.0-python2.7",
}
"""The engine that the service has beside an image by default, but here by name."""


class TestOneThatWasRefreshed:
    """What was changed since the review is not sent; the others are."""

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Iterator[Cloud]:
        seed = seed_of("alpha", **WITH_IMAGE) + seed_of("beta", "gamma", "delta")
        with running(tmp_path, seed) as found:
            yield found

    @pytest.fixture
    def reviewed(self, repository: Repository, cloud: Cloud) -> Repository:
        """A plan with an update of each kind: alpha edited, beta changed there, gamma recorded,
        delta deleted, epsilon created."""
        repository.environment.update(cloud.environment)
        repository.settings(cloud.settings("[apply]\ncreate_missing = true\ndelete_removed = true"))
        repository.job("alpha", **WITH_IMAGE)
        for name in ("beta", "gamma", "delta"):
            repository.job(name)
        repository.apply()
        repository.job("alpha", **WITH_IMAGE, config_desc="mine")
        cloud.console.change("beta", config_desc="theirs")
        repository.job("gamma", config_desc="both")
        cloud.console.change("gamma", config_desc="both")
        repository.remove("delta")
        repository.job("epsilon")
        repository.done("plan", "--refresh", "--out", "saved.plan")
        cloud.take()
        return repository

    def test_is_applied_completely_if_nothing_changed(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        ran = reviewed.done("apply", "saved.plan", "--parallelism", "1")
        assert cloud.writes() == ["PUT alpha", "PUT beta", "POST epsilon", "DELETE delta"]
        assert "2 updated, 1 created, 1 deleted, 1 recorded" in ran.last_line
        assert cloud.take() == {
            **dict.fromkeys(("GET alpha", "GET beta", "GET gamma"), 1),
            **dict.fromkeys(("GET epsilon", "PUT alpha", "PUT beta", "POST epsilon"), 1),
            **{"DELETE delta": 1, "GET list": 1},  # epsilon is missing
            "GET delta": 2,  # as what looks like the old name of epsilon, too
        }
        assert reviewed.done("plan", "--refresh").stdout.startswith("No changes.")
        assert reviewed.done("plan").stdout.startswith("No changes.")

    @pytest.mark.parametrize(
        ("name", "meddle", "what"),
        [
            ("alpha", lambda console: console.change("alpha", log_url="/b/l/"), "was changed"),
            ("alpha", lambda console: console.change("alpha", engine_id=0), "was changed"),
            ("alpha", lambda console: console.delete("alpha"), "was deleted"),
            ("beta", lambda console: console.change("beta", config_desc=""), "was changed"),
            ("gamma", lambda console: console.change("gamma", config_desc="x"), "was changed"),
            ("delta", lambda console: console.delete("delta"), "was deleted"),
            ("epsilon", lambda console: console.create("epsilon"), "was created"),
        ],
        ids=range(7),
    )
    def test_leaves_alone_what_changed_since_the_review(
        self,
        name: str,
        meddle: Callable[[Any], None],
        what: str,
        reviewed: Repository,
        cloud: Cloud,
    ) -> None:
        meddle(cloud.console)
        before = reviewed.state["job_configs"]
        ran = reviewed.run("apply", "saved.plan", code=5)
        said = f"job_config.{name}: it {what} in the service after the plan"
        assert said in ran.stderr
        assert "nothing was sent" in ran.stderr
        assert "run `majobctl plan --refresh`" in ran.stdout
        assert "1 changed meanwhile" in ran.last_line
        wanted = {"alpha": "PUT alpha", "beta": "PUT beta", "epsilon": "POST epsilon"}
        if name != "epsilon":
            # epsilon looks like delta renamed: delta stays until it is there.
            wanted["delta"] = "DELETE delta"
        assert set(cloud.writes()) == {call for key, call in wanted.items() if key != name}
        entries = reviewed.state["job_configs"]
        assert entries.get(name) == before.get(name)
        assert ("delta" in entries) == (name in ("delta", "epsilon"))
        assert ("epsilon" in entries) == (name != "epsilon")

    def test_leaves_a_rename_alone_if_the_old_one_changed(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("delta", config_desc="x")
        ran = reviewed.run("apply", "saved.plan", code=5)
        assert "job_config.epsilon: its old name was changed in the service after" in ran.stderr
        assert sorted(cloud.writes()) == ["PUT alpha", "PUT beta"]

    def test_changed_back_is_as_it_was_reviewed(self, reviewed: Repository, cloud: Cloud) -> None:
        cloud.console.change("alpha", config_desc="x")
        cloud.console.change("alpha", config_desc="")
        reviewed.done("apply", "saved.plan")

    def test_does_not_send_what_cannot_be_read_again(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        refusal = Reply(403, {"error_code": "X.1", "error_msg": "not yours"})
        cloud.before = lambda asked: refusal if asked == ("GET", "alpha") else None
        ran = reviewed.run("apply", "saved.plan", code=3)
        assert "job_config.alpha: failed: it could not be read again, and nothing was sent: " in (
            ran.stderr
        )
        assert set(cloud.writes()) == {"PUT beta", "POST epsilon", "DELETE delta"}
        assert "pending" not in reviewed.state["job_configs"]["alpha"]
        cloud.before = lambda asked: None
        reviewed.apply()
        assert reviewed.done("plan", "--refresh").stdout.startswith("No changes.")

    def test_looks_once_more_after_a_passing_fault(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        text = (reviewed.root / "majobctl.toml").read_text()
        reviewed.settings(text.replace("retries = 0", "retries = 1"))
        lost = [LOST, LOST]
        cloud.before = lambda asked: lost.pop() if asked == ("GET", "alpha") and lost else None
        ran = reviewed.done("apply", "saved.plan")
        assert "2 updated" in ran.last_line
        assert cloud.writes().count("PUT alpha") == 1

    def test_does_not_take_its_own_lost_call_for_somebody_elses(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        text = (reviewed.root / "majobctl.toml").read_text()
        reviewed.settings(text.replace("retries = 0", "retries = 1"))
        lost = [LOST, LOST]

        def lose(asked: Asked) -> Reply | None:
            return lost.pop() if asked == ("PUT", "alpha") and lost else None

        cloud.after = lose
        ran = reviewed.done("apply", "saved.plan")
        assert "2 updated" in ran.last_line
        assert cloud.writes().count("PUT alpha") == 3

    def test_of_the_offline_kind_reads_only_what_it_would_send(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        reviewed.done("plan", "--out", "offline.plan")
        cloud.console.change("alpha", config_desc="theirs")
        assert reviewed.run("apply", "offline.plan").code == 5
        # The list is read because epsilon is missing.
        assert {"GET list": 1, "GET epsilon": 1}.items() <= (taken := cloud.take()).items()
        assert not {"GET beta", "PUT alpha"} & taken.keys()
        assert cloud.console.config("alpha")["config_desc"] == "theirs"

    def test_is_shown_with_its_reasons(self, reviewed: Repository, cloud: Cloud) -> None:
        text = reviewed.done("plan", "--refresh").stdout
        assert reviewed.done("show", "saved.plan").stdout == text
        for words in (
            "(edited in TOML)",
            "(changed in the service)",
            "(the same in TOML and in the service; ",
        ):
            assert words in text

    def test_made_without_a_state_knows_what_it_saw(
        self, reviewed: Repository, cloud: Cloud
    ) -> None:
        reviewed.state_path.unlink()
        reviewed.job("beta", config_desc="mine", sensitive=["config_desc"])
        reviewed.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("alpha", config_desc="theirs")
        cloud.take()
        assert reviewed.run("apply", "saved.plan").code == 5
        assert set(cloud.writes()) == {"PUT beta", "POST epsilon"}
        assert set(reviewed.state["job_configs"]) == {"beta", "gamma", "epsilon"}
