"""What must not happen to somebody's configuration, or come to light, when the service is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.config_repository import JOB, Repository, toml_of
from tests.live_cloud import LOST, Asked, Cloud, Reply

SECRET = "SECRET-of-theirs"
IMAGE = {"user_image_url": "swr/x"}


def allow(repo: Repository, cloud: Cloud, *settings: str) -> None:
    repo.settings(cloud.settings("[apply]\n" + "".join(f"{key} = true\n" for key in settings)))


def answer(cloud: Cloud, name: str, **fields: Any) -> None:
    """From now on the service shows the configuration with these fields in place of its own."""

    def change(asked: Asked) -> Reply | None:
        if (asked.method, asked.name) != ("GET", name):
            return None
        return Reply(200, {"is_success": True, **cloud.console.config(name), **fields})

    cloud.after = change


def kept_text(repo: Repository) -> str:
    """All that stands in the repository's own files."""
    files = [path for path in repo.root.rglob("*") if path.is_file()]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


class TestNothingIsLost:
    def test_a_name_that_looks_renamed_stays_while_the_new_one_fails(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed")
        repo.remove("alpha")
        repo.job("alpha2", config_desc="first")
        ran = repo.run("apply", "--auto-approve", code=3)
        assert "job_config.alpha: it waits until job_config.alpha2" in ran.stdout
        assert cloud.console.names() == ["alpha", "beta", "gamma"]

    @pytest.mark.parametrize("selection", [("--target", "alpha"), ("--exclude", "new")])
    def test_a_selection_does_not_cut_a_rename_in_half(
        self, selection: tuple[str, str], repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed", "create_missing")
        repo.remove("alpha")
        repo.job("new", config_desc="first", renamed_from="alpha")
        repo.apply(*selection)
        assert "alpha" in cloud.console.names()
        assert "DELETE alpha" not in cloud.writes()

    def test_a_name_that_one_list_misses_is_not_forgotten(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed")
        repo.remove("beta")

        def miss(asked: Asked) -> Reply | None:
            if (asked.method, asked.name) != ("GET", ""):
                return None
            names = [{"config_name": name} for name in ("alpha", "gamma")]
            return Reply(200, {"is_success": True, "config_total_count": 3, "configs": names})

        cloud.after = miss
        assert repo.run("apply", "--auto-approve", "--refresh").code == 5
        assert "beta" in repo.state["job_configs"]
        assert "beta" in cloud.console.names()

    def test_what_somebody_deletes_after_the_plan_is_not_made_again(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "create_missing")
        repo.job("alpha", config_desc="second")

        def before(asked: Asked) -> None:
            if asked.method == "PUT":
                cloud.console.delete("alpha")

        cloud.before = before
        assert repo.run("apply", "--auto-approve", "--refresh").code == 3
        assert cloud.writes() == ["PUT alpha"]

    def test_import_keeps_the_protection_that_the_state_remembers(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed")
        repo.job("alpha", config_desc="first", prevent_delete=True)
        repo.apply()
        repo.remove("alpha")
        assert "prevent_delete protects" in repo.run("plan").stderr
        repo.done("import", "alpha")
        file = repo.root / "jobs/imported/alpha.toml"
        assert "prevent_delete = true\n" in file.read_text(encoding="utf-8")
        assert repo.done("plan").stdout.startswith("No changes.")
        file.unlink()
        assert "prevent_delete protects" in repo.run("plan").stderr

    def test_a_protection_holds_though_the_call_beside_it_was_refused(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed")
        repo.job("alpha", config_desc="second", prevent_delete=True)
        refusal = Reply(400, {"error_code": "ModelArts.0105", "error_message": "no"})
        cloud.before = lambda asked: refusal if asked.method == "PUT" else None
        assert repo.run("apply", "--auto-approve").code == 3
        repo.remove("alpha")
        assert "prevent_delete protects" in repo.run("plan").stderr

    @pytest.mark.parametrize(
        "parameter", ['[{"label":"lr","value":"1"}', [{"label": "lr", "value": "1"}, "odd"]]
    )
    def test_hyperparameters_that_cannot_be_read_are_not_imported(
        self, parameter: Any, repo: Repository, cloud: Cloud
    ) -> None:
        repo.done("state", "rm", "alpha")
        repo.remove("alpha")
        answer(cloud, "alpha", parameter=parameter)
        ran = repo.done("import", "alpha")
        assert "job_config.alpha was left out: hyperparameters must be a table" in ran.stderr
        assert not (repo.root / "jobs/imported/alpha.toml").exists()

    def test_what_is_to_be_deleted_shows_what_was_changed_there(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        allow(repo, cloud, "delete_removed")
        repo.remove("alpha")
        cloud.console.change("alpha", config_desc="their work")
        shown = repo.done("plan", "--refresh").stdout
        assert '- config_desc                  "their work"' in shown
        assert "changed in the service" in shown


class TestNothingComesToLight:
    def test_of_a_key_whose_variable_is_empty_here(self, repo: Repository, cloud: Cloud) -> None:
        repo.environment["CMD"] = ""
        cloud.console.change("alpha", user_command=SECRET, **IMAGE)
        params = {**JOB, **IMAGE, "config_desc": "first", "user_command": "${env.CMD}"}
        repo.write("jobs/alpha.toml", toml_of("alpha", params))
        for command in (
            ["plan", "--refresh"],
            ["plan", "--refresh", "--format", "json"],
            ["drift"],
        ):
            ran = repo.done(*command)
            assert "user_command" in ran.stdout
            assert SECRET not in ran.stdout + ran.stderr

    def test_of_a_key_that_is_named_but_not_written(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings('[defaults]\nsensitive = ["user_command"]'))
        cloud.console.change("alpha", user_command=SECRET, **IMAGE)
        repo.job("alpha", config_desc="first", **IMAGE)
        repo.done("state", "rm", "alpha")
        repo.done("import", "alpha")
        assert SECRET not in kept_text(repo)
        assert SECRET not in repo.done("plan").stdout

    def test_of_an_interrupted_apply_that_is_imported(self, repo: Repository, cloud: Cloud) -> None:
        hyperparameters = {"token": SECRET}
        repo.job("alpha", hyperparameters=hyperparameters, sensitive=["token"])
        repo.apply()
        repo.job("alpha", hyperparameters={**hyperparameters, "x": "1"}, sensitive=["token"])
        cloud.before = lambda asked: LOST if asked.method == "PUT" else None
        repo.run("apply", "--auto-approve")
        cloud.before = lambda asked: None
        repo.job("alpha")
        repo.done("import", "alpha")
        assert SECRET not in kept_text(repo)
        assert SECRET not in repo.done("plan").stdout

    def test_of_hyperparameters_that_cannot_be_read(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", hyperparameters={"token": SECRET}, sensitive=["token"])
        repo.apply()
        answer(cloud, "alpha", parameter=json.dumps([{"label": "token", "value": SECRET}, "odd"]))
        for command in (["plan", "--refresh"], ["drift"]):
            ran = repo.done(*command)
            assert "hyperparameters" in ran.stdout
            assert SECRET not in ran.stdout + ran.stderr

    def test_of_a_label_that_looks_secret_and_that_no_file_has(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("alpha", parameter=[{"label": "api_key", "value": SECRET}])
        for command in (["plan", "--refresh"], ["drift"]):
            ran = repo.done(*command)
            assert "hyperparameters.api_key" in ran.stdout
            assert SECRET not in ran.stdout + ran.stderr

    def test_of_an_answer_that_cannot_be_read(self, repo: Repository, cloud: Cloud) -> None:
        body = {"is_success": True, "config_desc": SECRET, "half": "\ud800"}
        cloud.after = lambda asked: Reply(200, body) if asked.name == "alpha" else None
        for command in (["plan", "--refresh"], ["drift"]):
            ran = repo.run(*command, code=1)
            assert "job_config.alpha: unreadable answer" in ran.stderr
            assert SECRET not in ran.stdout + ran.stderr

    def test_of_what_was_secret_before_and_is_read_back(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", user_command=SECRET, sensitive=["user_command"], **IMAGE)
        repo.apply()
        repo.job("alpha", user_command="bash run.sh", **IMAGE)
        answer(cloud, "alpha", user_command=SECRET)
        ran = repo.run("apply", "--auto-approve", "--verify", code=3)
        assert "user_command (sensitive) is not as it was sent" in ran.stdout
        assert SECRET not in ran.stdout + ran.stderr

    def test_of_what_is_to_be_deleted(self, repo: Repository, cloud: Cloud) -> None:
        extra = '[defaults]\nsensitive = ["db_url"]\n[apply]\ndelete_removed = true'
        repo.settings(cloud.settings(extra))
        repo.remove("alpha")
        cloud.console.change("alpha", parameter=[{"label": "db_url", "value": SECRET}])
        for format_ in ("text", "json", "markdown", "html"):
            shown = repo.done("plan", "--refresh", "--format", format_).stdout
            assert "db_url" in shown
            assert SECRET not in shown

    def test_of_a_value_that_is_named_secret_and_taken_out_at_once(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", hyperparameters={"db_url": SECRET})
        repo.apply()
        repo.settings(cloud.settings('[defaults]\nsensitive = ["db_url"]'))
        repo.job("alpha")
        for options in ([], ["--refresh"]):
            for format_ in ("text", "json", "markdown", "html"):
                shown = repo.done("plan", "--format", format_, *options).stdout
                assert "db_url" in shown
                assert SECRET not in shown

    def test_of_hyperparameters_that_come_back_in_another_form(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("alpha", hyperparameters={"api": SECRET, "x": "1"}, sensitive=["api"])
        answer(cloud, "alpha", parameter="whatever")
        ran = repo.run("apply", "--auto-approve", "--overwrite", "--verify", code=3)
        assert "hyperparameters (sensitive) is not as it was sent" in ran.stdout
        assert SECRET not in ran.stdout + ran.stderr


def test_a_whole_number_written_as_a_float_is_the_same(repo: Repository, cloud: Cloud) -> None:
    answer(cloud, "alpha", worker_server_num=1.0)
    assert repo.done("plan", "--refresh").stdout.startswith("No changes.")


def test_what_could_not_be_read_back_is_a_warning_of_the_plan(
    repo: Repository, cloud: Cloud
) -> None:
    answer(cloud, "alpha", spec_id=4242, spec_code=None)
    ran = repo.done("plan", "--refresh", "--format", "json")
    sentence = "the service has no flavor with spec_id 4242 any more"
    assert sentence in ran.stderr
    assert any(sentence in warning for warning in ran.document["warnings"])
