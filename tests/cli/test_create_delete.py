"""``create_missing`` and ``delete_removed``: nothing is created or deleted unless asked for."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from majobctl.emulator.faults import Faults
from tests.config_repository import BODY, JOB, PATIENCE, Ran, Repository, finished, toml_of, until
from tests.live_cloud import LOST, Asked, Cloud, Reply, running

IDS = {"spec_id": 951, "engine_id": 902}
"""The emulator's own, for the flavor and the engine of JOB."""
CREATE = "[apply]\ncreate_missing = true"
DELETE = "[apply]\ndelete_removed = true"


@pytest.fixture
def repo(on_cloud: Repository, cloud: Cloud) -> Repository:
    """Two job configs, applied, and nothing counted so far."""
    on_cloud.job("alpha")
    on_cloud.job("beta")
    on_cloud.apply()
    cloud.take()
    return on_cloud


def actions(ran: Ran) -> dict[str, str]:
    return {item["name"]: item["action"] for item in ran.document["changes"]}


def planned(repo: Repository, *arguments: str) -> dict[str, str]:
    return actions(repo.done("plan", "--format", "json", *arguments))


def entries(repo: Repository) -> list[str]:
    return list(repo.state["job_configs"])


@pytest.mark.parametrize("pattern", ["jobs/**/*.toml", "*.toml"])
def test_files_that_a_pattern_misses_are_not_deleted_in_the_service(
    pattern: str, repo: Repository, cloud: Cloud
) -> None:
    """The settings, which ``*.toml`` matches, are no job file."""
    repo.settings(cloud.settings(f'{DELETE}\n[jobs]\nfiles = ["{pattern}"]\n'))
    (repo.root / "jobs").rename(repo.root / "elsewhere")
    for command in (["plan"], ["apply", "--auto-approve"]):
        ran = repo.run(*command, code=1)
        assert ran.stderr.count(f'"{pattern}" matches no file') == 1
        assert "perhaps only because their files were not found" in ran.stderr
    assert cloud.writes() == []


def test_a_folder_whose_link_leads_nowhere_is_not_taken_for_removed_job_configs(
    repo: Repository, cloud: Cloud
) -> None:
    repo.settings(cloud.settings(DELETE))
    mounted = repo.root / "mounted"
    mounted.mkdir()
    (repo.root / "jobs" / "beta.toml").rename(mounted / "beta.toml")
    (repo.root / "jobs" / "shared").symlink_to(mounted)
    assert repo.done("plan").stderr == ""
    mounted.rename(repo.root / "elsewhere")
    ran = repo.run("apply", "--auto-approve", code=1)
    assert ran.stderr.startswith("Warning: jobs/shared: this link leads nowhere; if job files were")
    assert ran.stderr.endswith("were not found\ncorrect jobs/shared, or remove it\n")
    assert cloud.writes() == []


class TestWithoutTheSettings:
    def test_a_missing_configuration_fails_and_names_both_ways_out(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("new")
        repo.job("alpha", config_desc="edited")
        ran = repo.run("apply", "--auto-approve", code=3)
        assert "job_config.new: failed: ModelArts.0102" in ran.stderr
        assert "create it in ModelArts, or set apply.create_missing = true" in ran.stdout
        assert "1 updated" in ran.last_line
        assert "1 failed" in ran.last_line
        assert sorted(cloud.writes()) == ["PUT alpha"]
        assert entries(repo) == ["alpha", "beta"]

    def test_a_refreshed_plan_says_beforehand_that_it_will_fail(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        cloud.console.delete("beta")
        ran = repo.done("plan", "--refresh")
        assert "~ job_config.beta" in ran.stdout
        assert "the service does not have it, so it cannot be sent" in ran.stdout
        assert "set apply.create_missing = true" in ran.stdout
        ran = repo.run("apply", "--refresh", "--auto-approve", code=1)
        assert "job_config.beta: the service does not have it\nnothing was sent; " in ran.stderr
        assert cloud.writes() == []
        assert entries(repo) == ["alpha", "beta"]
        assert "pending" not in repo.state["job_configs"]["beta"]

    def test_what_leaves_the_files_leaves_the_state_alone(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.remove("beta")
        assert planned(repo) == {"beta": "forget"}
        assert planned(repo, "--refresh") == {"beta": "forget"}
        repo.apply()
        assert cloud.writes() == []
        assert cloud.console.names() == ["alpha", "beta", "gamma"]
        assert entries(repo) == ["alpha"]


class TestCreateMissing:
    @pytest.fixture(autouse=True)
    def _creating(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(CREATE))
        repo.job("new", log_url="/ml/log/", hyperparameters={"lr": "1e-5"})

    def test_an_offline_plan_falls_back_to_creating(self, repo: Repository, cloud: Cloud) -> None:
        ran = repo.done("plan")
        assert "A configuration that the service does not have yet is created." in ran.stdout
        assert planned(repo) == {"new": "add"}
        ran = repo.apply()
        assert "job_config.new: created" in ran.stderr
        assert "1 created" in ran.last_line
        assert cloud.writes() == ["POST new"]
        assert cloud.console.config("new")["log_url"] == "/ml/log/"
        assert planned(repo) == planned(repo, "--refresh") == {}

    def test_a_refreshed_plan_shows_what_it_creates(self, repo: Repository, cloud: Cloud) -> None:
        cloud.console.delete("beta")
        document = repo.done("plan", "--refresh", "--format", "json").document
        assert {item["name"]: item["action"] for item in document["changes"]} == {
            "beta": "create",
            "new": "create",
        }
        assert document["calls"] == {
            "update_job_configs": 0,
            "create_job_configs": 2,
            "delete_job_configs": 0,
        }
        text = repo.done("plan", "--refresh").stdout
        assert "+ job_config.new" in text
        assert "the service does not have it: it is created" in text
        assert "2 to create" in text.splitlines()[-1]
        cloud.take()
        repo.apply("--refresh")
        assert sorted(cloud.writes()) == ["POST beta", "POST new"]
        assert planned(repo) == planned(repo, "--refresh") == {}

    def test_one_that_the_service_does_not_take_is_not_in_the_state(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        refusal = Reply(400, {"error_code": "ModelArts.0105", "error_msg": "not allowed"})
        cloud.before = lambda asked: refusal if asked.method == "POST" else None
        for arguments in ([], ["--refresh"]):
            ran = repo.run("apply", "--auto-approve", *arguments, code=3)
            assert "job_config.new: failed: ModelArts.0105 not allowed" in ran.stderr
            assert entries(repo) == ["alpha", "beta"]
        assert Counter(cloud.writes()) == {"POST new": 2}

    @pytest.mark.parametrize("refresh", [[], ["--refresh"]], ids=["offline", "refreshed"])
    def test_an_answer_that_is_lost_creates_it_once(
        self, refresh: list[str], repo: Repository, cloud: Cloud
    ) -> None:
        posts: list[Asked] = []

        def lose(asked: Asked) -> Reply | None:
            if asked.method == "POST":
                posts.append(asked)
                return LOST
            return None

        cloud.after = lose
        ran = repo.apply(*refresh)
        assert "job_config.new: created" in ran.stderr
        assert len(posts) == 1
        assert planned(repo, "--refresh") == {}

    def test_a_request_that_is_lost_is_made_again(self, repo: Repository, cloud: Cloud) -> None:
        lost = [LOST]
        cloud.before = lambda asked: lost.pop() if asked.method == "POST" and lost else None
        repo.apply("--refresh")
        assert cloud.writes() == ["POST new", "POST new"]
        assert planned(repo) == planned(repo, "--refresh") == {}

    def test_one_whose_outcome_is_unknown_is_found_by_the_next_apply(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        def away(asked: Asked) -> Reply | None:
            return LOST if asked.name == "new" and "POST new" in cloud.writes() else None

        cloud.after = away
        ran = repo.run("apply", "--auto-approve", "--refresh", code=3)
        assert "1 unknown" in ran.last_line
        assert repo.state["job_configs"]["new"]["pending"] is True
        cloud.after = lambda asked: None
        cloud.take()
        assert planned(repo) == {"new": "resend"}
        assert planned(repo, "--refresh") == {"new": "record"}
        repo.apply("--refresh")
        assert cloud.writes() == []
        assert planned(repo) == {}

    def test_one_that_somebody_else_makes_meanwhile_is_left_alone(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        def overtake(asked: Asked) -> None:
            if asked.method == "POST":
                cloud.console.create("new", config_desc="theirs")

        cloud.before = overtake
        ran = repo.run("apply", "--auto-approve", code=3)
        assert "ModelArts.0103 somebody else has created new in the meantime" in ran.stderr
        assert cloud.console.config("new")["config_desc"] == "theirs"
        assert entries(repo) == ["alpha", "beta"]

    def test_a_secret_is_created_and_not_shown(self, repo: Repository, cloud: Cloud) -> None:
        repo.environment["SECRET"] = "hidden-words"
        repo.job("new", config_desc="${env.SECRET}")
        said = [repo.done("plan", "--refresh"), repo.apply("--refresh")]
        assert cloud.console.config("new")["config_desc"] == "hidden-words"
        assert not any("hidden-" in ran.stdout + ran.stderr for ran in said)
        assert "hidden-" not in repo.state_path.read_text()
        assert planned(repo) == planned(repo, "--refresh") == {}


@pytest.mark.slow
def test_answers_that_get_lost_create_each_one_once(tmp_path: Path, repository: Repository) -> None:
    names = [f"job-{number:02}" for number in range(20)]
    with running(tmp_path, faults=Faults(lose_rate=0.1, error_rate=0.1, seed=3)) as cloud:
        repository.environment.update(cloud.environment)
        repository.settings(cloud.settings(CREATE, provider="retries = 8"))
        repository.write("jobs/all.toml", "".join(toml_of(name, JOB) for name in names))
        ran = repository.apply("--refresh", "--parallelism", "20")
        assert "20 created" in ran.last_line
        assert cloud.console.names() == entries(repository) == names
        assert planned(repository) == {}


class TestDeleteRemoved:
    @pytest.fixture(autouse=True)
    def _deleting(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(DELETE))
        repo.remove("beta")

    @pytest.mark.parametrize("code", ["ModelArts.0102", "ModelArts.0015"])
    @pytest.mark.parametrize("status", [400, 404])
    def test_a_refusal_that_the_list_contradicts_deletes_nothing(
        self, status: int, code: str, repo: Repository, cloud: Cloud
    ) -> None:
        document = {"error_code": code, "error_msg": "The workspace does not exist."}
        reply = Reply(status, {**document, "request_id": "r-1"})
        cloud.before = lambda asked: reply if asked.method == "DELETE" else None
        ran = repo.run("apply", "--auto-approve")
        assert ran.code == 3
        told = f"{code} The workspace does not exist. (HTTP status {status}, request id r-1)\n"
        assert f"  job_config.beta: {told}      the service lists it all the same" in ran.stdout
        assert entries(repo) == ["alpha", "beta"]
        assert "beta" in cloud.console.names()

    @pytest.mark.parametrize("refresh", [[], ["--refresh"]], ids=["offline", "refreshed"])
    def test_it_is_deleted_with_one_call(
        self, refresh: list[str], repo: Repository, cloud: Cloud
    ) -> None:
        text = repo.done("plan", *refresh).stdout
        assert "- job_config.beta" in text
        assert "no longer in any file: it is deleted from the service" in text
        assert "This plan deletes 1 configuration from the service." in text
        assert text.splitlines()[-1].endswith(
            "1 to delete, 1 unchanged. 1 delete_job_configs call."
        )
        cloud.take()
        ran = repo.apply(*refresh)
        assert "job_config.beta: deleted" in ran.stderr
        assert "1 deleted" in ran.last_line
        assert cloud.writes() == ["DELETE beta"]
        assert cloud.console.names() == ["alpha", "gamma"]
        assert entries(repo) == ["alpha"]
        assert planned(repo) == planned(repo, "--refresh") == {}

    def test_one_that_is_gone_already_is_done(self, repo: Repository, cloud: Cloud) -> None:
        cloud.console.delete("beta")
        assert planned(repo) == {"beta": "delete"}
        assert planned(repo, "--refresh") == {"beta": "forget"}
        assert "and gone from the service" in repo.done("plan", "--refresh").stdout
        ran = repo.apply()
        assert "1 forgotten" in ran.last_line
        assert cloud.writes() == []
        assert entries(repo) == ["alpha"]

    def test_what_the_state_does_not_know_is_never_deleted(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.apply("--refresh")
        assert cloud.console.names() == ["alpha", "gamma"]

    def test_one_that_the_service_keeps_stays_in_the_state(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        refusal = Reply(400, {"error_code": "ModelArts.0105", "error_msg": "it is in use"})
        cloud.before = lambda asked: refusal if asked.method == "DELETE" else None
        ran = repo.run("apply", "--auto-approve", code=3)
        assert "job_config.beta: failed: ModelArts.0105 it is in use" in ran.stderr
        assert entries(repo) == ["alpha", "beta"]
        assert "pending" not in repo.state["job_configs"]["beta"]
        assert planned(repo) == {"beta": "delete"}

    @pytest.mark.parametrize("is_carried_out", [True, False])
    def test_an_answer_that_is_lost_is_an_unknown_outcome(
        self, is_carried_out: bool, repo: Repository, cloud: Cloud
    ) -> None:
        def lose(asked: Asked) -> Reply | None:
            return LOST if asked.method == "DELETE" else None

        cloud.after, cloud.before = (
            (lose, lambda _: None) if is_carried_out else (lambda _: None, lose)
        )
        ran = repo.run("apply", "--auto-approve", code=3)
        assert "1 unknown" in ran.last_line
        assert planned(repo) == {"beta": "delete"}
        cloud.after = cloud.before = lambda asked: None
        repo.job("beta")
        assert planned(repo) == {"beta": "resend"}, "nobody knows whether it is still there"
        after = "resend" if is_carried_out else "record"
        assert planned(repo, "--refresh") == {"beta": after}
        repo.settings(cloud.settings(CREATE))
        repo.apply()
        assert cloud.console.names() == ["alpha", "beta", "gamma"]
        assert planned(repo) == planned(repo, "--refresh") == {}
        repo.remove("beta")
        repo.settings(cloud.settings(DELETE))
        repo.apply()
        assert cloud.console.names() == ["alpha", "gamma"]
        assert entries(repo) == ["alpha"]

    def test_what_somebody_changed_since_the_review_is_not_deleted(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("beta", config_desc="theirs")
        assert repo.run("apply", "saved.plan").code == 5
        assert cloud.writes() == []
        assert entries(repo) == ["alpha", "beta"]

    def test_a_selection_spares_the_others(self, repo: Repository, cloud: Cloud) -> None:
        assert planned(repo, "--target", "alpha") == {}
        assert planned(repo, "--exclude", "b*") == {}
        assert planned(repo, "--target", "beta") == {"beta": "delete"}


class TestPreventDelete:
    @pytest.fixture(autouse=True)
    def _protected(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(DELETE))
        repo.job("beta", prevent_delete=True)
        assert planned(repo) == {"beta": "record"}
        repo.apply()
        assert cloud.asked == []
        assert repo.state["job_configs"]["beta"]["prevent_delete"] is True

    def refusal(self, repo: Repository, *arguments: str) -> str:
        ran = repo.run(*arguments)
        assert (ran.code, ran.stdout) == (1, "")
        return ran.stderr

    def test_it_holds_when_the_job_config_has_left_the_files(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.remove("beta")
        for arguments in (
            ["plan"],
            ["plan", "--refresh"],
            ["plan", "--out", "saved.plan"],
            ["apply", "--auto-approve"],
            ["apply", "--auto-approve", "--refresh", "--target", "b*"],
        ):
            said = self.refusal(repo, *arguments)
            assert "prevent_delete protects what this plan would delete: job_config.beta\n" in said
            assert "restore its TOML" in said
            assert "set prevent_delete = false there and apply before you remove it" in said
            assert "majobctl state rm NAME" in said
        assert not (repo.root / "saved.plan").exists()
        assert cloud.writes() == []
        assert entries(repo) == ["alpha", "beta"]
        assert planned(repo, "--exclude", "beta") == planned(repo, "--target", "alpha") == {}

    def test_it_can_be_lifted(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("beta", prevent_delete=False)
        assert planned(repo) == planned(repo, "--refresh") == {"beta": "record"}
        text = repo.done("plan").stdout
        assert "= job_config.beta" in text
        assert "- prevent_delete               true\n" in text
        cloud.take()
        repo.apply()
        assert cloud.asked == []
        assert "prevent_delete" not in repo.state["job_configs"]["beta"]
        repo.remove("beta")
        repo.apply()
        assert cloud.writes() == ["DELETE beta"]
        assert entries(repo) == ["alpha"]

    def test_it_is_lifted_by_leaving_it_out(self, repo: Repository) -> None:
        repo.job("beta")
        repo.apply()
        repo.remove("beta")
        assert planned(repo) == {"beta": "delete"}

    def test_it_survives_an_update_and_a_resend(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("beta", prevent_delete=True, train_instance_count=2)
        cloud.after = lambda asked: LOST if asked.method == "PUT" else None
        assert repo.run("apply", "--auto-approve").code == 3
        assert repo.state["job_configs"]["beta"]["prevent_delete"] is True
        cloud.after = lambda asked: None
        repo.apply()
        assert repo.state["job_configs"]["beta"]["prevent_delete"] is True
        assert planned(repo) == planned(repo, "--refresh") == {}

    def test_it_does_not_stop_what_is_only_forgotten(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings())
        repo.remove("beta")
        repo.apply()
        assert entries(repo) == ["alpha"]
        assert "beta" in cloud.console.names()

    def test_one_that_is_gone_from_the_service_may_leave(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        cloud.console.delete("beta")
        repo.remove("beta")
        assert planned(repo, "--refresh") == {"beta": "forget"}

    def test_it_is_in_the_defaults_for_all_and_off_for_one(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(f"{DELETE}\n[defaults]\nprevent_delete = true"))
        repo.job("beta", prevent_delete=False)
        repo.apply()
        repo.remove("beta")
        assert planned(repo) == {"beta": "delete"}
        repo.remove("alpha")
        assert "job_config.alpha\n" in self.refusal(repo, "plan")

    def test_a_saved_plan_can_record_it(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", prevent_delete=True)
        repo.done("plan", "--out", "saved.plan")
        assert "= job_config.alpha" in repo.done("show", "saved.plan").stdout
        repo.done("apply", "saved.plan")
        assert repo.state["job_configs"]["alpha"]["prevent_delete"] is True
        assert cloud.writes() == []


def killed_at(repo: Repository, cloud: Cloud, moment: str, said: str) -> Ran:
    """An apply that is killed while this call is under way, which is never carried out, and once
    it has ``said`` what became of the one before: the next call does not wait for that."""
    wanted, is_over = Asked(*moment.split()), threading.Event()

    def hold(asked: Asked) -> Reply | None:
        if asked != wanted:
            return None
        is_over.wait(PATIENCE)
        return LOST

    cloud.before = hold
    cloud.take()
    arguments = ("apply", "--refresh", "--auto-approve", "--parallelism", "1")
    process, told = repo.start(*arguments, bufsize=0), ""
    assert process.stderr is not None
    try:
        until(lambda: moment in cloud.writes(), moment)
        while said not in told:
            line = process.stderr.readline().decode()
            assert line, told
            told += line
        process.send_signal(signal.SIGKILL)
        ran = finished(process)
    finally:
        is_over.set()
        cloud.before = lambda asked: None
    assert ran.code == -signal.SIGKILL
    return replace(ran, stderr=told + ran.stderr)


@pytest.mark.slow
def test_a_kill_in_the_middle_keeps_what_was_acknowledged(repo: Repository, cloud: Cloud) -> None:
    """Creations, deletions and records, ended by SIGKILL after some of each."""
    repo.settings(cloud.settings("[apply]\ncreate_missing = true\ndelete_removed = true"))
    old, new, same = (
        [f"{kind}-{number}" for number in range(4)] for kind in ("old", "new", "same")
    )
    repo.write("jobs/many.toml", "".join(toml_of(name, JOB) for name in old))
    repo.apply()
    repo.write("jobs/many.toml", "".join(toml_of(name, JOB) for name in (*new, *same)))
    for name in same:
        cloud.console.create(name, **{**BODY, **IDS})

    first = killed_at(repo, cloud, "POST new-2", "new-1: created")
    plan = planned(repo)
    # Nobody knows which of them were begun.
    assert [plan.get(name) for name in new] == [None, None, "resend", "resend"]
    assert [plan.get(name) for name in same] == ["add"] * 4
    assert re.findall(r"job_config\.(\S+): created", first.stderr) == ["new-0", "new-1"]

    second = killed_at(repo, cloud, "DELETE old-2", "old-1: deleted")
    plan = planned(repo)
    assert plan == {"old-2": "delete", "old-3": "delete"}
    said = re.findall(r"job_config\.(\S+): (\w+)", second.stderr)
    wanted = [("new-3", "created"), *((name, "recorded") for name in same)]
    assert [item for item in said if item[0] != "new-2"][: len(wanted)] == wanted
    assert ("new-2", "created") in said
    assert ("old-1", "deleted") in said
    repo.write("jobs/back.toml", toml_of("old-2", JOB))
    assert planned(repo)["old-2"] == "resend", "nobody knows whether it was deleted"
    (repo.root / "jobs/back.toml").unlink()

    repo.apply("--refresh")
    assert cloud.console.names() == sorted(["alpha", "beta", "gamma", *new, *same])
    assert entries(repo) == sorted(["alpha", "beta", *new, *same])
    assert planned(repo) == planned(repo, "--refresh") == {}
