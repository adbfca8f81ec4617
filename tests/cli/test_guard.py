"""What keeps an apply from undoing unseen what somebody else changed in the service."""

from __future__ import annotations

import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.config_repository import (
    JOB,
    PATIENCE,
    Ran,
    Repository,
    finished,
    terminal,
    toml_of,
    until,
)
from tests.live_cloud import LOST, Asked, Cloud, Reply

SECRET = "SECRET-of-theirs"


def allow(repo: Repository, cloud: Cloud, *settings: str, extra: str = "") -> None:
    lines = "".join(f"{setting}\n" for setting in settings)
    repo.settings(cloud.settings(f"[apply]\n{lines}{extra}"))


def auto(repo: Repository, *arguments: str, code: int | None = None) -> Ran:
    return repo.run("apply", "--auto-approve", *arguments, code=code)


def told(ran: Ran, name: str) -> str:
    """What the result says of a job config that was not done."""
    lines = ran.stdout.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith(f"  job_config.{name}: "))
    return "\n".join(lines[at : at + 2])


def updates(cloud: Cloud, *names: str) -> None:
    """Each was read once, then sent; nothing else was read."""
    assert cloud.take() == {f"{method} {name}": 1 for name in names for method in ("GET", "PUT")}


@pytest.fixture
def edited(repo: Repository, cloud: Cloud) -> Repository:
    """alpha and beta are edited in the TOML, alpha's node count in the console."""
    repo.job("alpha", config_desc="second")
    repo.job("beta", config_desc="second")
    cloud.console.change("alpha", worker_server_num=4)
    return repo


class TestAnUpdate:
    def check_held_back(self, ran: Ran, repo: Repository, cloud: Cloud) -> None:
        """Nothing of alpha was sent, and beta was done."""
        assert ran.code == 5
        assert "PUT alpha" not in cloud.writes()
        assert "PUT beta" in cloud.writes()
        assert cloud.console.config("alpha")["worker_server_num"] == 4
        assert cloud.console.config("beta")["config_desc"] == "second"
        assert told(ran, "alpha") == (
            "  job_config.alpha: somebody changed it in the service since the last apply; nothing"
            " was sent: train_instance_count: 1 in the state, 4 in the service, 1 wanted\n"
            "      to keep what the service has, run `majobctl pull alpha` (or `git pull`, if a"
            " colleague applied it); to undo it, run `majobctl apply --overwrite --target alpha`"
        )
        assert ran.last_line.startswith("Apply incomplete: 1 updated,")
        assert "1 held back" in ran.last_line
        assert repo.state["job_configs"]["alpha"]["params"]["config_desc"] == "first"
        assert "pending" not in repo.state["job_configs"]["alpha"]

    def test_does_not_undo_what_was_changed_in_the_console(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        self.check_held_back(auto(edited), edited, cloud)
        assert cloud.take() == {"GET alpha": 1, "GET beta": 1, "PUT beta": 1}

    def test_of_a_plan_saved_offline_does_not_either(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", config_desc="second")
        repo.job("beta", config_desc="second")
        repo.done("plan", "--out", "saved.plan")
        cloud.console.change("alpha", worker_server_num=4)
        self.check_held_back(repo.run("apply", "saved.plan"), repo, cloud)
        assert cloud.take() == {"GET alpha": 1, "GET beta": 1, "PUT beta": 1}

    def test_that_nobody_looked_at_does_not_even_if_everything_was_read(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        self.check_held_back(auto(edited, "--refresh"), edited, cloud)

    def test_of_nothing_else_is_undone_by_the_command_that_it_names(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("alpha", worker_server_num=4)
        ran = auto(repo, "--refresh", code=5)
        _, _, command = told(ran, "alpha").partition("to undo it, run `majobctl ")
        repo.done(*command.rstrip("`").split(), "--auto-approve")
        assert cloud.console.config("alpha")["worker_server_num"] == 1

    def test_is_sent_with_overwrite_and_says_what_it_undid(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        ran = edited.apply("--overwrite")
        assert "Undone in the service:\n  job_config.alpha: train_instance_count: 1" in ran.stdout
        assert cloud.console.config("alpha")["worker_server_num"] == 1
        assert edited.done("plan", "--refresh").stdout.startswith("No changes.")

    def test_is_sent_where_the_settings_let_the_files_win(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        allow(edited, cloud, "overwrite = true")
        edited.apply()
        updates(cloud, "alpha", "beta")

    def test_clears_what_only_the_service_has_with_overwrite(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", config_desc="second")
        cloud.console.change("alpha", log_url="/ml/their-log/")
        assert 'log_url: blank in the state, "/ml/their-log/" in' in told(auto(repo), "alpha")
        repo.apply("--overwrite")
        assert cloud.console.config("alpha").get("log_url", "") == ""
        assert repo.done("plan", "--refresh").stdout.startswith("No changes.")

    def test_is_not_held_back_by_what_the_service_does_not_say_otherwise(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        for name in ("alpha", "beta", "gamma"):
            repo.job(name, config_desc="second")
        repo.apply()
        updates(cloud, "alpha", "beta", "gamma")

    def test_that_the_service_has_already_is_recorded_without_a_call(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", config_desc="second", train_instance_count=2)
        cloud.console.change("alpha", config_desc="second", worker_server_num=2)
        ran = repo.apply()
        assert "job_config.alpha: recorded\n" in ran.stderr
        assert cloud.take() == {"GET alpha": 1}
        assert repo.done("plan").stdout.startswith("No changes.")

    def test_of_one_value_that_was_edited_on_both_sides_is_held_back(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", config_desc="mine")
        cloud.console.change("alpha", config_desc="theirs")
        ran = auto(repo, code=5)
        said = 'config_desc: "first" in the state, "theirs" in the service, "mine" wanted'
        assert said in told(ran, "alpha")

    def test_is_a_result_in_json(self, edited: Repository) -> None:
        document = auto(edited, "--format", "json").document
        assert document["summary"]["held_back"] == 1
        held = document["results"][0]
        assert (held["name"], held["outcome"]) == ("alpha", "held back")
        assert held["fields"] == [
            {"path": ["train_instance_count"], "before": 1, "live": 4, "after": 1}
        ]

    def test_names_the_environment_in_its_advice(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings("[environments.prod]\n"))
        repo.apply("-e", "prod", "--overwrite")
        repo.job("alpha", config_desc="second")
        cloud.console.change("alpha", worker_server_num=4)
        ran = auto(repo, "-e", "prod")
        assert "to undo it, run `majobctl apply -e prod --overwrite --target alpha`" in ran.stdout

    def test_is_not_sent_if_it_cannot_be_read(self, edited: Repository, cloud: Cloud) -> None:
        refusal = Reply(403, {"error_code": "X.1", "error_msg": "no"})
        cloud.before = lambda asked: refusal if asked == Asked("GET", "alpha") else None
        ran = auto(edited, code=3)
        assert "it could not be read, and nothing was sent: " in told(ran, "alpha")
        assert cloud.writes() == ["PUT beta"]

    def test_is_not_sent_if_another_configuration_is_answered(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        other = {**cloud.console.config("gamma"), "is_success": True}
        cloud.before = lambda asked: Reply(200, other) if asked.method == "GET" else None
        ran = auto(edited, code=3)
        assert "could not be read, and nothing was sent" in told(ran, "alpha")
        assert cloud.writes() == []

    def test_is_blind_where_nothing_is_to_be_read(self, edited: Repository, cloud: Cloud) -> None:
        edited.apply("--refresh=none")
        assert cloud.take() == {"PUT alpha": 1, "PUT beta": 1}
        assert cloud.console.config("alpha")["worker_server_num"] == 1

    def test_is_blind_with_such_settings(self, edited: Repository, cloud: Cloud) -> None:
        allow(edited, cloud, 'refresh = "none"')
        edited.done("plan", "--out", "saved.plan")
        edited.done("apply", "saved.plan")
        assert cloud.take() == {"PUT alpha": 1, "PUT beta": 1}


class TestConsent:
    def test_a_plan_to_approve_shows_what_it_would_undo_and_yes_undoes_it(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        with terminal(edited, "apply") as shown:
            shown.expect("Only yes is accepted")
            assert "4 -> 1" in shown.plain
            assert "(changed in the service)" in shown.plain
            assert cloud.take() == {"GET alpha": 1, "GET beta": 1}
            shown.type("yes\n")
            assert shown.finish()[0] == 0
        updates(cloud, "alpha", "beta")
        assert cloud.console.config("alpha")["worker_server_num"] == 1

    def test_yes_is_no_consent_to_what_is_changed_after_it_was_shown(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", config_desc="second")
        with terminal(repo, "apply") as shown:
            shown.expect("Only yes is accepted")
            cloud.console.change("alpha", worker_server_num=4)
            shown.type("yes\n")
            assert shown.finish()[0] == 5
        assert cloud.writes() == []

    def test_nothing_is_read_ahead_where_nothing_has_changed(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        assert repo.done("apply").stdout.startswith("No changes.")
        assert cloud.asked == []

    def test_a_saved_plan_that_read_the_service_is_consent(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        edited.done("plan", "--refresh", "--out", "saved.plan")
        cloud.take()
        edited.done("apply", "saved.plan")
        updates(cloud, "alpha", "beta")

    def test_a_plan_may_read_only_what_would_be_sent(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("gamma", config_desc="theirs")
        shown = edited.done("plan", "--refresh=changed", "--out", "saved.plan").stdout
        assert "(changed in the service)" in shown
        assert "gamma" not in shown
        assert cloud.take() == {"GET alpha": 1, "GET beta": 1}
        edited.done("apply", "saved.plan")
        updates(cloud, "alpha", "beta")

    def test_a_saved_plan_that_read_the_service_is_no_consent_to_later_changes(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        edited.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("alpha", config_desc="later")
        ran = edited.run("apply", "saved.plan", code=5)
        assert "changed meanwhile" in ran.stdout
        ran = edited.run("apply", "saved.plan", "--overwrite")
        assert ran.code == 5  # The state has another serial by now.

    def test_overwrite_undoes_later_changes_too(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", config_desc="second")
        repo.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("alpha", worker_server_num=4)
        ran = repo.done("apply", "saved.plan", "--overwrite")
        assert "train_instance_count: 1 in the state, 4 in the service, 1 wanted" in ran.stdout

    def test_everything_that_differs_can_be_put_back(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("gamma", config_desc="theirs")
        edited.apply("--refresh", "--overwrite")
        assert cloud.console.config("gamma")["config_desc"] == "first"

    def test_the_settings_may_read_everything(self, repo: Repository, cloud: Cloud) -> None:
        allow(repo, cloud, 'refresh = "all"')
        cloud.console.change("gamma", config_desc="theirs")
        ran = auto(repo, code=5)
        assert told(ran, "gamma").startswith("  job_config.gamma: somebody changed it")

    def test_a_saved_plan_is_not_read_anew(self, edited: Repository) -> None:
        edited.done("plan", "--out", "saved.plan")
        ran = edited.run("apply", "saved.plan", "--refresh", code=1)
        assert "a saved plan is applied as it was made" in ran.stderr


class TestTheFirstApply:
    @pytest.fixture
    def first(self, on_cloud: Repository, cloud: Cloud) -> Repository:
        """The service has alpha with another flavor and description; the state knows nothing."""
        on_cloud.job("alpha")
        cloud.console.change("alpha", worker_server_num=4, config_desc="theirs")
        return on_cloud

    def test_does_not_replace_what_it_has_not_shown(self, first: Repository, cloud: Cloud) -> None:
        ran = auto(first, code=5)
        assert cloud.writes() == []
        assert told(ran, "alpha").splitlines()[0] == (
            "  job_config.alpha: the state does not know it, and the service has it with other"
            " values; nothing was sent: train_instance_count: 4 in the service, 1 wanted;"
            ' config_desc: "theirs" in the service, blank wanted'
        )

    def test_shows_a_person_what_it_replaces(self, first: Repository, cloud: Cloud) -> None:
        with terminal(first, "apply") as shown:
            shown.expect("Only yes is accepted")
            assert "4 -> 1" in shown.plain
            shown.type("yes\n")
            assert shown.finish()[0] == 0
        assert cloud.console.config("alpha").get("config_desc", "") == ""

    def test_replaces_it_with_overwrite(self, first: Repository, cloud: Cloud) -> None:
        ran = first.apply("--overwrite")
        assert "1 added" in ran.last_line
        assert cloud.console.config("alpha")["worker_server_num"] == 1
        assert first.done("plan", "--refresh").stdout.startswith("No changes.")

    def test_fills_in_what_is_blank_in_the_service(
        self, on_cloud: Repository, cloud: Cloud
    ) -> None:
        on_cloud.job("alpha", config_desc="mine")
        on_cloud.apply()
        updates(cloud, "alpha")

    def test_records_what_the_service_has_as_desired(
        self, on_cloud: Repository, cloud: Cloud
    ) -> None:
        on_cloud.job("alpha")
        assert "1 recorded" in on_cloud.apply().last_line
        assert cloud.take() == {"GET alpha": 1}

    def test_of_a_plan_saved_offline_replaces_nothing(
        self, first: Repository, cloud: Cloud
    ) -> None:
        first.done("plan", "--out", "saved.plan")
        assert first.run("apply", "saved.plan").code == 5
        assert cloud.writes() == []


def test_a_clone_that_is_behind_does_not_put_a_value_back(
    repo: Repository, cloud: Cloud, tmp_path: Path
) -> None:
    clone = Repository(tmp_path / "clone", repo.monkeypatch, repo.capsys, repo.environment)
    shutil.copytree(repo.root, clone.root)
    clone.job("alpha", config_desc="first", train_instance_count=2)
    clone.apply()
    cloud.take()
    repo.job("alpha", config_desc="second")
    ran = auto(repo, code=5)
    assert "train_instance_count: 1 in the state, 2 in the service, 1 wanted" in ran.stdout
    assert cloud.writes() == []


class TestWhatIsIgnored:
    @pytest.mark.parametrize("is_saved", [False, True])
    @pytest.mark.parametrize("by", ["job config", "settings"])
    def test_holds_nothing_back(
        self, by: str, is_saved: bool, repo: Repository, cloud: Cloud
    ) -> None:
        own: dict[str, Any] = {"ignore_changes": ["train_instance_count"]}
        if by == "settings":
            own = {}
            repo.settings(cloud.settings('[drift]\nignore = ["train_instance_count"]\n'))
        repo.job("alpha", config_desc="second", **own)
        cloud.console.change("alpha", worker_server_num=4)
        if is_saved:
            repo.done("plan", "--out", "saved.plan")
            ran = repo.done("apply", "saved.plan")
        else:
            ran = repo.apply()
        updates(cloud, "alpha")
        undone = (
            "job_config.alpha: train_instance_count: 1 in the state, 4 in the service, 1 wanted"
        )
        assert f"Undone in the service:\n  {undone}\n" in ran.stdout

    def test_does_not_cover_other_fields(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", config_desc="second", ignore_changes=["train_instance_count"])
        cloud.console.change("alpha", worker_server_num=4, log_url="/ml/their-log/")
        ran = auto(repo, code=5)
        assert "train_instance_count" not in told(ran, "alpha")

    def test_holds_no_deletion_back(self, repo: Repository, cloud: Cloud) -> None:
        extra = '[drift]\nignore = ["config_desc"]\n'
        allow(repo, cloud, "delete_removed = true", extra=extra)
        cloud.console.change("alpha", config_desc="theirs")
        repo.remove("alpha")
        assert "1 deleted" in repo.apply().last_line


class TestSecrets:
    @pytest.fixture
    def secret(self, repo: Repository, cloud: Cloud) -> Repository:
        repo.job("alpha", hyperparameters={"api": "mine", "lr": "1"}, sensitive=["api"])
        repo.apply()
        cloud.take()
        repo.job("alpha", hyperparameters={"api": "mine", "lr": "2"}, sensitive=["api"])
        return repo

    def parameter(self, cloud: Cloud, api: str) -> None:
        labels = [{"label": "api", "value": api}, {"label": "lr", "value": "1"}]
        cloud.console.change("alpha", parameter=labels)

    @pytest.mark.parametrize("is_saved", [False, True])
    def test_are_compared_by_their_hashes(
        self, is_saved: bool, secret: Repository, cloud: Cloud
    ) -> None:
        if is_saved:
            secret.done("plan", "--out", "saved.plan")
            secret.done("apply", "saved.plan")
        else:
            secret.apply()
        updates(cloud, "alpha")

    @pytest.mark.parametrize("is_saved", [False, True])
    def test_that_somebody_changed_hold_back_and_are_not_shown(
        self, is_saved: bool, secret: Repository, cloud: Cloud
    ) -> None:
        self.parameter(cloud, SECRET)
        if is_saved:
            secret.done("plan", "--out", "saved.plan")
            ran = secret.run("apply", "saved.plan")
        else:
            ran = auto(secret, code=5)
        said = "hyperparameters.api: (sensitive), another value in the service"
        assert said in told(ran, "alpha")
        for shown in (ran, auto(secret, "--format", "json"), secret.run("apply", "--overwrite")):
            assert SECRET not in shown.stdout + shown.stderr

    @pytest.mark.parametrize("is_saved", [False, True])
    def test_of_the_environment_are_kept_there_and_not_in_the_file(
        self, is_saved: bool, repo: Repository, cloud: Cloud
    ) -> None:
        repo.monkeypatch.setenv("GUARD_API", "mine")
        for lr in ("1", "2"):
            repo.job("alpha", hyperparameters={"api": "${env.GUARD_API}", "lr": lr})
            if lr == "1":
                repo.apply()
        self.parameter(cloud, SECRET)
        repo.done("plan", "--out", "saved.plan")
        ran = repo.run("apply", "saved.plan") if is_saved else auto(repo)
        assert "set the variable of that secret to it; to undo it, run" in told(ran, "alpha")
        assert "jobs/alpha.toml" not in told(ran, "alpha")

    @pytest.mark.parametrize("is_saved", [False, True])
    def test_that_are_named_but_not_written_are_not_shown(
        self, is_saved: bool, repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings('[defaults]\nsensitive = ["user_command"]'))
        cloud.console.change("alpha", user_command=SECRET, user_image_url="swr/x")
        repo.job("alpha", config_desc="second")
        repo.done("plan", "--out", "saved.plan")
        ran = repo.run("apply", "saved.plan") if is_saved else auto(repo)
        assert ran.code == 5
        assert "user_command: (sensitive)" in ran.stdout
        assert SECRET not in ran.stdout + ran.stderr


class TestWhatTheServiceDoesNotHave:
    @pytest.fixture
    def gone(self, repo: Repository, cloud: Cloud) -> Repository:
        """alpha was deleted in the service, and is edited in the TOML; new is only in the TOML."""
        cloud.console.delete("alpha")
        repo.job("alpha", config_desc="second")
        repo.job("beta", config_desc="second")
        repo.job("new")
        return repo

    def test_fails_without_a_call(self, gone: Repository, cloud: Cloud) -> None:
        ran = auto(gone, code=3)
        for name in ("alpha", "new"):
            assert "the service does not have it; nothing was sent" in told(ran, name)
            assert "set apply.create_missing = true" in told(ran, name)
        assert cloud.writes() == ["PUT beta"]

    def test_is_created_where_that_is_allowed(self, gone: Repository, cloud: Cloud) -> None:
        allow(gone, cloud, "create_missing = true")
        assert "1 updated" in (ran := gone.apply()).last_line
        assert "2 created" in ran.last_line
        assert sorted(cloud.writes()) == ["POST alpha", "POST new", "PUT beta"]
        assert gone.done("plan", "--refresh").stdout.startswith("No changes.")

    @pytest.mark.parametrize("option", ["--refresh", "--refresh=changed"])
    def test_is_refused_with_all_names_if_it_was_seen_before(
        self, option: str, gone: Repository, cloud: Cloud
    ) -> None:
        with terminal(gone, "apply", option) as shown:
            code, text = shown.finish()
        assert code == 1
        assert "job_config.alpha: the service does not have it" in text
        assert "job_config.new: the service does not have it" in text
        assert "set apply.create_missing = true" in text
        assert cloud.writes() == []

    def test_of_a_saved_plan_fails_without_a_call(self, gone: Repository, cloud: Cloud) -> None:
        gone.done("plan", "--refresh", "--out", "saved.plan")
        gone.run("apply", "saved.plan", code=3)
        assert cloud.writes() == ["PUT beta"]


class TestADeletion:
    @pytest.fixture
    def removed(self, repo: Repository, cloud: Cloud) -> Repository:
        allow(repo, cloud, "delete_removed = true")
        repo.remove("alpha")
        return repo

    @pytest.mark.parametrize("option", ["", "--refresh"])
    def test_of_what_somebody_changed_is_held_back(
        self, option: str, removed: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("alpha", config_desc="theirs")
        ran = auto(removed, *filter(None, [option]))
        assert ran.code == 5
        assert 'config_desc: "first" in the state, "theirs" in the service\n' in ran.stdout
        assert "alpha" in cloud.console.names()
        assert "alpha" in removed.state["job_configs"]

    def test_of_a_plan_saved_offline_is_held_back_too(
        self, removed: Repository, cloud: Cloud
    ) -> None:
        removed.done("plan", "--out", "saved.plan")
        cloud.console.change("alpha", config_desc="theirs")
        assert removed.run("apply", "saved.plan").code == 5
        assert "alpha" in cloud.console.names()

    def test_is_made_with_overwrite(self, removed: Repository, cloud: Cloud) -> None:
        cloud.console.change("alpha", config_desc="theirs")
        ran = removed.apply("--overwrite")
        assert '"theirs" in the service' in ran.stdout
        assert "alpha" not in cloud.console.names()

    def test_of_what_is_as_the_state_says_is_made(self, removed: Repository, cloud: Cloud) -> None:
        removed.apply()
        assert cloud.take() == {"GET alpha": 1, "DELETE alpha": 1}

    @pytest.mark.parametrize("option", ["", "--refresh"])
    @pytest.mark.parametrize("edit", ["", "theirs"])
    def test_after_a_call_without_outcome_holds_back_only_what_somebody_changed(
        self, edit: str, option: str, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed = true")
        repo.environment["CONNECTION"] = SECRET
        parameters = {"connection": "${env.CONNECTION}"}
        repo.job("alpha", config_desc="second", log_url="/ml/log/", hyperparameters=parameters)
        cloud.after = lambda asked: LOST if asked.method == "PUT" else None
        assert auto(repo).code == 3
        cloud.after = lambda asked: None
        repo.remove("alpha")
        if edit:
            cloud.console.change("alpha", config_desc=edit)
        ran = auto(repo, *filter(None, [option]))
        assert SECRET not in ran.stdout + ran.stderr
        if not edit:
            assert "1 deleted" in ran.last_line
            return
        assert ran.code == 5
        assert (
            told(ran, "alpha")
            .splitlines()[0]
            .endswith(
                'nothing was sent: config_desc: "first" in the state, "theirs" in the service'
            )
        )

    def test_of_what_is_gone_needs_no_call(self, removed: Repository, cloud: Cloud) -> None:
        cloud.console.delete("alpha")
        assert "1 forgotten" in removed.apply().last_line
        assert cloud.take() == {"GET alpha": 1, "GET list": 1}
        assert "alpha" not in removed.state["job_configs"]


class TestARename:
    def test_shows_no_secret_of_the_old_name(self, repo: Repository, cloud: Cloud) -> None:
        repo.environment["CONNECTION"] = SECRET
        repo.job("alpha", hyperparameters={"connection": "${env.CONNECTION}"})
        repo.apply()
        cloud.console.create("new", parameter=cloud.console.config("alpha")["parameter"])
        repo.remove("alpha")
        repo.job("new", renamed_from="alpha")
        for command in (["plan", "--refresh"], ["apply", "--auto-approve"]):
            ran = repo.run(*command)
            assert "hyperparameters.connection" in ran.stdout
            assert SECRET not in ran.stdout + ran.stderr

    def test_to_a_name_that_somebody_uses_is_held_back_and_keeps_the_old_one(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed = true")
        cloud.console.create("new", config_desc="theirs")
        repo.remove("alpha")
        repo.job("new", config_desc="first", renamed_from="alpha")
        ran = auto(repo, code=5)
        assert "the state does not know it" in told(ran, "new")
        assert "it waits until job_config.new, its new name, is there" in told(ran, "alpha")
        assert cloud.writes() == []

    def test_to_a_name_that_is_there_as_desired_is_recorded(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.apply("--overwrite")
        repo.remove("gamma")
        repo.done("state", "rm", "gamma")
        repo.remove("alpha")
        repo.job("gamma", config_desc="first", renamed_from="alpha")
        ran = repo.apply()
        assert "1 recorded" in ran.last_line
        assert cloud.writes() == []
        assert sorted(repo.state["job_configs"]) == ["beta", "gamma"]


class TestWhatNoKeyCanExpress:
    """Somebody has mounted a disk in the console: no job config can express that."""

    SAID = (
        "the service has nas_share_addr, volumes, which no key of a job config can express; a call"
        " may remove them"
    )

    @pytest.fixture
    def mounted(self, repo: Repository, cloud: Cloud) -> Repository:
        cloud.console.change("alpha", volumes=[{"nfs": {"id": SECRET}}], nas_share_addr=SECRET)
        cloud.console.change("gamma", nas_type="efs")  # a default that mounts nothing
        return repo

    @pytest.fixture
    def edited(self, mounted: Repository) -> Repository:
        for name in ("alpha", "beta", "gamma"):
            mounted.job(name, config_desc="second")
        return mounted

    def held(self, ran: Ran, cloud: Cloud) -> None:
        assert ran.code == 5
        assert "PUT alpha" not in cloud.writes()
        assert f"held back: nothing was sent: {self.SAID}, and needs --overwrite\n" in ran.stderr
        way_out = "all the same, run `majobctl apply --overwrite --target alpha`"
        assert way_out in told(ran, "alpha")
        assert SECRET not in ran.stdout + ran.stderr
        assert cloud.console.config("alpha")["nas_share_addr"] == SECRET

    @pytest.mark.parametrize("planning", [None, [], ["--refresh"], ["--refresh=changed"]], ids=repr)
    def test_is_not_removed_without_overwrite(
        self, planning: list[str] | None, edited: Repository, cloud: Cloud
    ) -> None:
        if planning is None:
            self.held(auto(edited), cloud)
        else:
            edited.done("plan", "--out", "saved.plan", *planning)
            self.held(edited.run("apply", "saved.plan"), cloud)
        assert cloud.console.config("beta")["config_desc"] == "second"
        assert cloud.console.config("gamma")["config_desc"] == "second"

    def test_is_not_removed_by_a_yes_to_a_plan_that_showed_it(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        with terminal(edited, "apply") as shown:
            shown.expect("Only yes is accepted")
            assert "which no key of a job config can express" in shown.plain
            shown.type("yes\n")
            assert shown.finish()[0] == 5
        assert "PUT alpha" not in cloud.writes()

    def test_is_not_removed_if_it_came_after_the_plan(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", config_desc="second")
        repo.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("alpha", volumes=[{"nfs": {}}], nas_share_addr=SECRET)
        self.held(repo.run("apply", "saved.plan"), cloud)

    @pytest.mark.parametrize("by", ["option", "settings", "blind"])
    def test_is_removed_where_the_files_win(
        self, by: str, edited: Repository, cloud: Cloud
    ) -> None:
        if by == "settings":
            allow(edited, cloud, "overwrite = true")
        options = {"option": ["--overwrite"], "settings": [], "blind": ["--refresh=none"]}
        ran = edited.apply(*options[by])
        assert "volumes" not in cloud.console.config("alpha")
        said = "  job_config.alpha: nas_share_addr, volumes: may have been removed\n"
        assert (said in ran.stdout) is (by != "blind")

    def test_is_named_with_what_else_would_be_undone(
        self, edited: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("alpha", worker_server_num=4)
        ran = auto(edited)
        assert "somebody changed it in the service since the last apply" in told(ran, "alpha")
        assert f"4 in the service, 1 wanted; {self.SAID}" in told(ran, "alpha")
        (held,) = (it for it in auto(edited, "--format", "json").document["results"])
        assert held["unknown_fields"] == ["nas_share_addr", "volumes"]

    def test_holds_back_what_the_state_does_not_know_and_what_would_be_deleted(
        self, mounted: Repository, cloud: Cloud
    ) -> None:
        allow(mounted, cloud, "delete_removed = true")
        mounted.remove("alpha")
        self.held(auto(mounted), cloud)
        mounted.done("state", "rm", "alpha")
        mounted.job("alpha", config_desc="first", log_url="/ml/log/")
        self.held(auto(mounted), cloud)

    def test_does_not_keep_what_is_there_as_desired_from_being_recorded(
        self, mounted: Repository, cloud: Cloud
    ) -> None:
        mounted.done("state", "rm", "alpha")
        assert "1 recorded" in mounted.apply().last_line
        assert cloud.writes() == []

    def test_is_reported_by_every_command_that_reads(self, mounted: Repository) -> None:
        note = f"job_config.alpha: {self.SAID}, and needs --overwrite"
        for command in (["plan", "--refresh"], ["drift"]):
            ran = mounted.done(*command, "--format", "json")
            assert ran.document["warnings"] == [note]
            assert note in ran.stderr
            assert mounted.done(*command, "--detailed-exitcode").code == 0
        mounted.done("state", "rm", "alpha")
        assert note in mounted.done("import", "alpha").stderr

    def test_is_a_remark_on_the_change_in_every_format(self, edited: Repository) -> None:
        text = edited.done("plan", "--refresh").stdout
        names = 'the service has "nas_share_addr", "volumes", which'
        assert f"      {names}{self.SAID.partition('which')[2]}, and needs --overwrite\n" in text
        document = edited.done("plan", "--refresh", "--format", "json").document
        assert document["held_back"] == ["alpha"]
        assert document["changes"][0]["unknown_fields"] == ["nas_share_addr", "volumes"]
        for format_, name in {"markdown": '`"volumes"`', "html": "&quot;volumes&quot;"}.items():
            said = edited.done("plan", "--refresh", "--format", format_).stdout
            assert f"{name}, which no key of a job config can express" in said
            assert SECRET not in said


class TestAPlan:
    """A plan that read the service says beforehand what ``--auto-approve`` will hold back."""

    SAID = (
        "This plan would undo what somebody changed in the service: {}. To keep that, run"
        " `majobctl pull`; to undo it, type yes to this plan in `majobctl apply --refresh`, or"
        " apply it saved (`plan --refresh --out FILE`). `apply --refresh --auto-approve` holds it"
        " back unless you add --overwrite."
    )

    @pytest.mark.parametrize("command", [["plan"], ["apply", "--auto-approve"]], ids=repr)
    def test_says_what_is_going_to_be_held_back(
        self, command: list[str], edited: Repository
    ) -> None:
        edited.job("gamma", config_desc="second")
        ran = edited.run(*command, "--refresh")
        assert self.SAID.format('"alpha"') in ran.stdout
        document = edited.done("plan", "--refresh", "--format", "json").document
        assert document["held_back"] == ["alpha"]

    @pytest.mark.parametrize("by", ["option", "settings"])
    def test_says_nothing_of_it_where_the_files_win(
        self, by: str, edited: Repository, cloud: Cloud
    ) -> None:
        if by == "settings":
            allow(edited, cloud, "overwrite = true")
            document = edited.done("plan", "--refresh", "--format", "json").document
            assert document["held_back"] == []
        options = ["--overwrite"] if by == "option" else []
        assert "would undo" not in edited.apply("--refresh", *options).stdout

    def test_says_nothing_of_it_where_nothing_is(
        self, repo: Repository, edited: Repository
    ) -> None:
        for options in ([], ["--refresh", "--exclude", "alpha"]):
            ran = edited.done("plan", *options, "--format", "json")
            assert ran.document["held_back"] == []
            assert "would undo" not in edited.done("plan", *options).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_during_the_read_before_a_call_keeps_it_from_being_sent(
    number: signal.Signals, repo: Repository, cloud: Cloud
) -> None:
    repo.job("alpha", config_desc="second")
    repo.job("beta", config_desc="second")
    is_reading, may_answer = threading.Event(), threading.Event()

    def be_slow(asked: Asked) -> None:
        if asked == Asked("GET", "alpha"):
            is_reading.set()
            assert may_answer.wait(PATIENCE)

    cloud.before = be_slow
    process = repo.start("apply", "--auto-approve", start_new_session=True)
    until(lambda: is_reading.is_set() and "PUT beta" in cloud.writes(), "the call of beta")
    process.send_signal(number)
    assert process.stderr is not None
    said = ""
    while "Stopping" not in said:
        said += process.stderr.readline().decode()
    may_answer.set()
    ran = finished(process)
    assert ran.code == 130
    assert "  job_config.alpha\n" in ran.stdout.partition("Not attempted:\n")[2]
    assert cloud.take() == {"GET alpha": 1, "GET beta": 1, "PUT beta": 1}
    assert repo.state["job_configs"]["beta"]["params"]["config_desc"] == "second"
    assert repo.state["job_configs"]["alpha"]["params"]["config_desc"] == "first"
    assert "pending" not in repo.state["job_configs"]["alpha"]
    assert "1 updated" in repo.apply().last_line


def test_what_is_sent_again_is_guarded_too(repo: Repository, cloud: Cloud) -> None:
    repo.job("alpha", config_desc="second")
    cloud.before = lambda asked: LOST if asked.method == "PUT" else None
    assert auto(repo).code == 3
    cloud.before = lambda asked: None
    cloud.take()
    cloud.console.change("alpha", worker_server_num=4)
    assert "train_instance_count: 1 in the state, 4 in the service" in auto(repo, code=5).stdout
    assert cloud.take() == {"GET alpha": 1}
    repo.apply("--overwrite")
    updates(cloud, "alpha")


def test_an_apply_reads_what_it_sends_and_nothing_else(on_cloud: Repository, cloud: Cloud) -> None:
    names = [f"n{number:02}" for number in range(20)]
    for name in names:
        cloud.console.create(name)
    on_cloud.write("jobs/all.toml", "".join(toml_of(name, JOB) for name in names))
    on_cloud.apply("--overwrite")
    cloud.take()
    edited = {name: {**JOB, "config_desc": "second"} for name in names[:7]}
    lines = (toml_of(name, edited.get(name, JOB)) for name in names)
    on_cloud.write("jobs/all.toml", "".join(lines))
    assert "7 updated" in on_cloud.apply().last_line
    updates(cloud, *names[:7])
