"""Job configs that get another name: told as that, and the old one leaves last."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.config_repository import Ran, Repository
from tests.live_cloud import LOST, Asked, Cloud, Reply, running, seed_of

BOTH = "[apply]\ncreate_missing = true\ndelete_removed = true"
REFUSED = Reply(400, {"error_code": "ModelArts.2791", "error_msg": "no such path"})


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running(tmp_path, seed_of("old", "new", "other")) as found:
        yield found


@pytest.fixture
def repo(on_cloud: Repository, cloud: Cloud) -> Repository:
    """``old`` and ``other``, applied; ``old`` has a description of its own."""
    on_cloud.job("old", config_desc="the one")
    on_cloud.job("other")
    on_cloud.apply()
    cloud.take()
    return on_cloud


def rename(repo: Repository, **params: Any) -> None:
    repo.remove("old")
    repo.job("new", **{"config_desc": "the one", **params})


def change(ran: Ran, name: str) -> dict[str, Any]:
    (found,) = (item for item in ran.document["changes"] if item["name"] == name)
    assert isinstance(found, dict)
    return found


def planned(repo: Repository, *arguments: str) -> dict[str, str]:
    document = repo.done("plan", "--format", "json", *arguments).document
    return {item["name"]: item["action"] for item in document["changes"]}


def entries(repo: Repository) -> list[str]:
    return list(repo.state["job_configs"])


class TestOneThatLooksLikeIt:
    @pytest.mark.parametrize("refresh", [[], ["--refresh"]], ids=["offline", "refreshed"])
    def test_is_reported_with_the_line_to_add(self, refresh: list[str], repo: Repository) -> None:
        rename(repo)
        text = repo.done("plan", *refresh).stdout
        assert 'looks like "old" renamed: if so, add renamed_from = "old"\n' in text
        found = change(repo.done("plan", "--format", "json", *refresh), "new")
        assert (found["renamed"], found["old_name"]) == ("likely", "old")
        assert found["before"] is None

    def test_makes_the_same_request(self, repo: Repository) -> None:
        rename(repo, train_instance_count=2)
        assert "looks like" not in repo.done("plan").stdout
        repo.job("new", config_desc="the one", output_path="obs://ml/output/")
        assert "looks like" in repo.done("plan").stdout

    def test_is_one_of_those_that_leave(self, repo: Repository) -> None:
        repo.job("new", config_desc="the one")
        assert "looks like" not in repo.done("plan").stdout

    def test_of_two_that_leave_is_the_first_by_name(self, repo: Repository) -> None:
        repo.job("other", config_desc="the one")
        repo.apply()
        rename(repo)
        repo.remove("other")
        text = repo.done("plan").stdout
        assert text.count("looks like") == 1
        assert 'looks like "old" renamed' in text

    def test_of_two_that_come_only_the_first_is(self, repo: Repository) -> None:
        rename(repo)
        repo.job("newer", config_desc="the one")
        text = repo.done("plan").stdout
        assert text.count("looks like") == 1
        assert "looks like" in text.partition("job_config.newer")[0]

    def test_is_found_by_its_secrets_too(self, repo: Repository, cloud: Cloud) -> None:
        secret = {"config_desc": "hidden-words", "sensitive": ["config_desc"]}
        repo.job("old", **secret)
        repo.apply()
        rename(repo, **secret)
        assert 'looks like "old" renamed' in repo.done("plan").stdout
        repo.job("new", **{**secret, "config_desc": "others"})
        assert "looks like" not in repo.done("plan").stdout

    def test_is_an_ordinary_change_all_the_same(self, repo: Repository, cloud: Cloud) -> None:
        rename(repo)
        repo.apply()
        assert cloud.writes() == ["PUT new"]
        assert entries(repo) == ["new", "other"]


class TestOneThatSaysSo:
    def test_shows_what_differs_from_the_old_one(self, repo: Repository) -> None:
        rename(repo, renamed_from="old", train_instance_count=2)
        text = repo.done("plan").stdout
        assert 'renamed from "old"\n' in text
        found = change(repo.done("plan", "--format", "json"), "new")
        assert (found["action"], found["renamed"], found["old_name"]) == ("add", "written", "old")
        assert found["before"]["config_desc"] == "the one"
        assert [(item["path"], item["before"], item["after"]) for item in found["fields"]] == [
            (["train_instance_count"], 1, 2)
        ]
        assert planned(repo) == {"new": "add", "old": "forget"}

    def test_shows_what_differs_where_it_is_created(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(BOTH))
        cloud.console.delete("new")
        rename(repo, renamed_from="old", train_instance_count=2)
        ran = repo.done("plan", "--refresh", "--format", "json")
        assert planned(repo, "--refresh") == {"new": "create", "old": "delete"}
        assert [item["path"] for item in change(ran, "new")["fields"]] == [["train_instance_count"]]

    def test_is_settled_once_applied_and_may_keep_the_line(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        rename(repo, renamed_from="old")
        repo.apply()
        assert cloud.writes() == ["PUT new"]
        assert entries(repo) == ["new", "other"]
        assert repo.done("plan").stdout.startswith("No changes.")
        assert repo.done("plan", "--refresh").stdout.startswith("No changes.")
        repo.job("new", config_desc="later", renamed_from="old")
        text = repo.done("plan").stdout
        assert "renamed" not in text
        assert '"the one" -> "later"' in text

    def test_is_warned_of_where_nothing_has_the_old_name(self, repo: Repository) -> None:
        rename(repo, renamed_from="odl")
        warning = 'job_config.new: renamed_from: the state has no job config "odl"; did you mean'
        for options in ([], ["--refresh"]):
            ran = repo.done("plan", "--format", "json", *options)
            assert f'Warning: {warning} "old"?\n' in ran.stderr
            assert len(ran.document["warnings"]) == 1
        repo.apply("--overwrite")
        assert repo.done("plan").stderr == ""

    def test_names_one_that_the_state_does_not_know(self, repo: Repository) -> None:
        repo.job("new", renamed_from="unheard-of")
        found = change(repo.done("plan", "--format", "json"), "new")
        assert "renamed" not in found

    @pytest.mark.parametrize("refresh", [[], ["--refresh"]], ids=["offline", "refreshed"])
    def test_keeps_the_old_one_where_its_call_fails(
        self, refresh: list[str], repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old", train_instance_count=2)
        cloud.before = lambda asked: REFUSED if asked == ("PUT", "new") else None
        ran = repo.run("apply", "--auto-approve", "--overwrite", *refresh, code=3)
        assert "1 failed, 1 not attempted" in ran.last_line
        assert cloud.writes() == ["PUT new"]
        assert entries(repo) == ["old", "other"]
        assert planned(repo) == {"new": "add", "old": "delete"}
        assert 'renamed from "old"' in repo.done("plan").stdout

    def test_keeps_the_old_one_until_its_outcome_is_known(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old", train_instance_count=2)
        cloud.before = lambda asked: LOST if asked == ("PUT", "new") else None
        ran = repo.run("apply", "--auto-approve", "--overwrite", code=3)
        assert "1 unknown, 1 not attempted" in ran.last_line
        assert entries(repo) == ["new", "old", "other"]
        cloud.before = lambda asked: REFUSED if asked == ("PUT", "new") else None
        assert planned(repo) == {"new": "resend", "old": "delete"}
        assert 'renamed from "old"' in repo.done("plan").stdout
        assert repo.run("apply", "--auto-approve").code == 5, "it may never have been sent"
        assert repo.run("apply", "--auto-approve", "--overwrite").code == 3
        assert cloud.writes() == ["PUT new", "PUT new"]
        assert "old" in entries(repo)
        assert "old" in cloud.console.names()
        cloud.before = lambda asked: None
        repo.apply("--overwrite")
        assert cloud.writes()[2:] == ["PUT new", "DELETE old"]
        assert entries(repo) == ["new", "other"]
        assert cloud.console.config("new")["worker_server_num"] == 2

    def test_is_written_before_the_old_one_is_deleted(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(BOTH))
        cloud.console.delete("new")
        rename(repo, renamed_from="old")
        seen: list[bool] = []

        def look(asked: Asked) -> None:
            if asked.method == "DELETE":
                seen.append("new" in cloud.console.names())

        cloud.before = look
        repo.apply("--refresh")
        assert cloud.writes() == ["POST new", "DELETE old"]
        assert seen == [True]
        assert entries(repo) == ["new", "other"]
        assert cloud.console.names() == ["new", "other"]

    def test_lets_the_old_one_go_where_the_service_has_it_already(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("new", config_desc="the one")
        rename(repo, renamed_from="old")
        assert planned(repo, "--refresh") == {"new": "record", "old": "forget"}
        repo.apply("--refresh")
        assert cloud.writes() == []
        assert entries(repo) == ["new", "other"]

    def test_keeps_the_old_one_that_changed_since_the_review(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old")
        repo.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("old", log_url="/ml/log/")
        cloud.take()
        assert repo.run("apply", "saved.plan").code == 5
        assert cloud.writes() == ["PUT new"]
        assert entries(repo) == ["new", "old", "other"]

    def test_keeps_the_old_one_where_the_new_one_changed_since_the_review(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old")
        repo.done("plan", "--refresh", "--out", "saved.plan")
        cloud.console.change("new", log_url="/ml/log/")
        cloud.take()
        ran = repo.run("apply", "saved.plan", code=5)
        assert "1 changed meanwhile, 1 not attempted" in ran.last_line
        assert cloud.writes() == []

    def test_does_not_get_around_the_protection_of_the_old_one(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(BOTH))
        repo.job("old", config_desc="the one", prevent_delete=True)
        repo.apply()
        rename(repo, renamed_from="old", prevent_delete=True)
        ran = repo.run("plan", code=1)
        assert "prevent_delete protects what this plan would delete: job_config.old" in ran.stderr
        repo.settings(cloud.settings())
        assert planned(repo) == {"new": "add", "old": "forget"}
        repo.apply()
        assert repo.state["job_configs"]["new"]["prevent_delete"] is True

    @pytest.mark.parametrize("options", [("--target", "old"), ("--exclude", "new")])
    def test_keeps_the_old_one_where_it_is_not_selected_itself(
        self, options: tuple[str, str], repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old")
        assert planned(repo, *options) == planned(repo, "--refresh", *options) == {}
        repo.apply(*options)
        assert cloud.writes() == []
        repo.apply("--target", "new")
        assert planned(repo, *options) == {"old": "delete"}

    def test_hides_the_secrets_of_the_old_one(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("old", config_desc="hidden-words", sensitive=["config_desc"])
        repo.apply()
        rename(repo, config_desc="public", renamed_from="old")
        repo.done("plan", "--out", "saved.plan")
        said = [
            repo.done("plan"),
            repo.done("plan", "--format", "json"),
            repo.done("plan", "--refresh"),
        ]
        assert '(sensitive) -> "public"' in said[0].stdout
        assert not any("hidden-" in ran.stdout for ran in said)
        assert "hidden-" not in (repo.root / "saved.plan").read_text()

    def test_goes_through_a_saved_plan(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old")
        text = repo.done("plan", "--out", "saved.plan").stdout
        assert repo.done("show", "saved.plan").stdout == text
        cloud.before = lambda asked: REFUSED if asked == ("PUT", "new") else None
        assert repo.run("apply", "saved.plan").code == 3
        assert cloud.writes() == ["PUT new"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('renamed_from = "old"', '"old" is still defined; remove it, or this line'),
        ('renamed_from = "new"', "renamed_from: this is its own name"),
        ("renamed_from = 5", "renamed_from must be a string, not an integer"),
    ],
    ids=["still described", "its own name", "wrong type"],
)
def test_a_rename_that_cannot_be_is_reported(lines: str, message: str, repo: Repository) -> None:
    path = repo.root / "jobs/new.toml"
    repo.job("new")
    path.write_text(path.read_text() + lines + "\n")
    ran = repo.run("validate", code=1)
    assert ran.stderr.startswith("jobs/new.toml:10: job_config.new: ")
    assert message in ran.stderr


LIKE_IT = [
    ("ranker", "ranker-v2", "/ml/output/{}/", True),
    ("ranker-v2", "ranker", "/ml/output/{}/", True),
    ("a", "b", "/ml/{}/data/", True),
    ("ranker", "ranker-v2", "/ml/ranker/output/{}/", True),
    ("ranker", "ranker-v2", "/ml/{}/output/{}/", True),
    ("old", "new", "/ml/output/shared/", True),
    ("old", "new", "/ml/output/{}-other/", True),
]


@pytest.mark.parametrize("is_declared", [False, True], ids=["likely", "declared"])
@pytest.mark.parametrize(("old", "new", "path", "is_seen"), LIKE_IT)
def test_paths_may_carry_the_name(
    on_rest: Repository, old: str, new: str, path: str, is_seen: bool, is_declared: bool
) -> None:
    on_rest.job(old, output_path=path.format(old, old), config_desc="the one")
    on_rest.apply()
    on_rest.remove(old)
    more = {"renamed_from": old} if is_declared else {}
    on_rest.job(new, output_path=path.format(new, new), config_desc="the one", **more)
    for options in ([], ["--format", "markdown"], ["--format", "html"]):
        text = html.unescape(on_rest.done("plan", *options).stdout).replace("`", "")
        assert (f'looks like "{old}" renamed' in text) is not is_declared
        assert (f'renamed to "{new}": the old one stays in the service' in text) is is_declared
    found = change(on_rest.done("plan", "--format", "json"), old)
    assert found.get("new_name") == (new if is_declared else None)
