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
        ran = repo.run("apply", "saved.plan", code=5)
        said = "job_config.new: its old name was changed in the service after the plan was made"
        assert said in ran.stderr
        assert cloud.writes() == []
        assert entries(repo) == ["old", "other"]

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


class TestAnEditOfTheOldNameInTheConsole:
    """``old`` was renamed in the files, and got three nodes in the service."""

    @pytest.fixture(params=["written", "likely"])
    def renamed(self, request: pytest.FixtureRequest, repo: Repository, cloud: Cloud) -> Repository:
        rename(repo, **({"renamed_from": "old"} if request.param == "written" else {}))
        cloud.console.change("old", worker_server_num=3)
        cloud.take()
        return repo

    def check_nothing_happened(self, repo: Repository, cloud: Cloud) -> None:
        assert cloud.writes() == []
        assert entries(repo) == ["old", "other"]

    @pytest.mark.parametrize(
        ("settings", "there"),
        [
            ("", {"config_desc": "the one"}),
            ("", {}),
            ("[apply]\ndelete_removed = true", {"config_desc": "the one"}),
            (BOTH, {}),
            (BOTH, None),
        ],
    )
    @pytest.mark.parametrize("refresh", ["changed", "all"])
    def test_holds_the_rename_back(
        self, settings: str, there: Any, refresh: str, renamed: Repository, cloud: Cloud
    ) -> None:
        renamed.settings(cloud.settings(settings))
        if there is None:
            cloud.console.delete("new")
        elif there:
            cloud.console.change("new", **there)
        ran = renamed.run("apply", "--auto-approve", f"--refresh={refresh}", code=5)
        said = (
            "job_config.new: held back: somebody changed it in the service under its old name since"
            " the last apply; nothing was sent: train_instance_count: 1 in the state, 3 in the"
            " service under its old name, 1 wanted\n"
        )
        assert said in ran.stderr
        assert (
            "to keep what the service has, run `majobctl pull new` (or `git pull`, if a colleague"
            " applied it); to go on without it, run `majobctl apply --overwrite --target new"
            " --target old`\n"
        ) in ran.stdout
        assert "job_config.old: it waits until job_config.new, its new name, is there" in ran.stdout
        self.check_nothing_happened(renamed, cloud)

    @pytest.mark.parametrize("refresh", ["--refresh", "--refresh=changed"])
    def test_is_shown_on_three_sides(self, refresh: str, renamed: Repository, cloud: Cloud) -> None:
        text = renamed.done("plan", refresh).stdout
        field = "train_instance_count         3 -> 1  (changed in the service under its old name)"
        assert field in text
        assert "This plan would leave behind under an old name what somebody changed" in text
        assert "To keep that, run `majobctl pull`;" in text
        document = renamed.done("plan", refresh, "--format", "json").document
        assert document["held_back"] == ["new"]
        (found,) = (it for it in document["changes"] if it["name"] == "new")
        reason = "changed there under the old name"
        (item,) = (it for it in found["fields"] if it.get("reason") == reason)
        assert (item["path"], item["before"]) == (["train_instance_count"], 1)
        assert (item["live"], item["after"]) == (3, 1)
        for format_ in ("markdown", "html"):
            shown = html.unescape(renamed.done("plan", refresh, "--format", format_).stdout)
            assert "changed in the service under its old name" in shown

    def test_is_taken_by_pull(self, renamed: Repository, cloud: Cloud) -> None:
        ran = renamed.done("pull", "new")
        assert "train_instance_count         1 -> 3\n" in ran.stdout
        assert "from job_config.old, its old name\n" in ran.stdout
        assert cloud.take() == {"GET old": 1}
        assert "train_instance_count = 3" in (renamed.root / "jobs/new.toml").read_text()
        assert "Nothing to take" in renamed.done("pull").stdout

    def test_that_was_pulled_goes_with_the_rename(self, repo: Repository, cloud: Cloud) -> None:
        repo.settings(cloud.settings(BOTH))
        rename(repo, renamed_from="old")
        cloud.console.change("old", worker_server_num=3)
        repo.done("pull", "old")
        cloud.console.delete("new")
        for refresh in ("--refresh", "--refresh=changed"):
            assert repo.done("plan", refresh, "--format", "json").document["held_back"] == []
        repo.apply()
        assert cloud.console.config("new")["worker_server_num"] == 3
        assert cloud.console.names() == ["new", "other"]
        assert entries(repo) == ["new", "other"]

    def test_stays_behind_with_overwrite(self, renamed: Repository, cloud: Cloud) -> None:
        renamed.settings(cloud.settings("[apply]\ndelete_removed = true"))
        ran = renamed.apply("--overwrite", "--target", "new", "--target", "old")
        assert "job_config.old: train_instance_count: 1 in the state, 3 in the" in ran.stdout
        assert cloud.writes() == ["PUT new", "DELETE old"]
        assert entries(renamed) == ["new", "other"]

    def test_that_was_reviewed_holds_nothing_back(self, renamed: Repository, cloud: Cloud) -> None:
        renamed.done("plan", "--refresh", "--out", "saved.plan")
        renamed.done("apply", "saved.plan")
        assert cloud.writes() == ["PUT new"]
        assert entries(renamed) == ["new", "other"]

    def test_holds_a_plan_back_that_was_saved_offline(
        self, renamed: Repository, cloud: Cloud
    ) -> None:
        renamed.done("plan", "--out", "saved.plan")
        ran = renamed.run("apply", "saved.plan", code=5)
        assert "1 held back, 1 not attempted" in ran.last_line
        self.check_nothing_happened(renamed, cloud)

    def test_is_a_conflict_with_an_edit_of_the_same_value(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        rename(repo, renamed_from="old", train_instance_count=2)
        cloud.console.change("old", worker_server_num=3)
        ran = repo.run("pull", code=2)
        assert (
            "conflict: train_instance_count: 1 in the state, 3 in the service under" in ran.stdout
        )
        held = repo.run("apply", "--auto-approve", code=5).stdout
        assert "write it into jobs/new.toml yourself: it was edited in TOML, too" in held
        self.check_nothing_happened(repo, cloud)

    @pytest.mark.parametrize(
        "params", [{"train_instance_count": 3}, {"ignore_changes": ["train_instance_count"]}]
    )
    def test_is_no_matter_where_nothing_is_lost(
        self, params: dict[str, Any], repo: Repository, cloud: Cloud
    ) -> None:
        repo.settings(cloud.settings("[apply]\ncreate_missing = true"))
        cloud.console.delete("new")
        rename(repo, renamed_from="old", **params)
        cloud.console.change("old", worker_server_num=3)
        repo.apply()
        assert entries(repo) == ["new", "other"]

    def test_is_no_matter_where_the_old_one_is_gone(self, repo: Repository, cloud: Cloud) -> None:
        rename(repo, renamed_from="old")
        cloud.console.delete("old")
        repo.apply()
        assert entries(repo) == ["new", "other"]

    def test_of_a_secret_is_not_shown(self, repo: Repository, cloud: Cloud) -> None:
        secret = {"config_desc": "hidden-words", "sensitive": ["config_desc"]}
        repo.job("old", **secret)
        repo.apply()
        rename(repo, renamed_from="old", **secret)
        assert repo.done("plan", "--refresh", "--format", "json").document["held_back"] == []
        cloud.console.change("old", config_desc="hidden-others")
        for ran in (
            repo.done("plan", "--refresh"),
            repo.run("pull", code=2),
            repo.run("apply", "--auto-approve", code=5),
        ):
            assert "hidden-" not in ran.stdout + ran.stderr
            assert "config_desc" in ran.stdout

    def test_is_not_what_a_call_without_an_answer_sent(
        self, repo: Repository, cloud: Cloud
    ) -> None:
        repo.job("old", config_desc="the one", train_instance_count=3)
        cloud.after = lambda asked: LOST if asked == ("PUT", "old") else None
        repo.run("apply", "--auto-approve", code=3)
        rename(repo, renamed_from="old")
        repo.apply()
        assert entries(repo) == ["new", "other"]

    def test_that_cannot_be_read_fails_the_rename(self, renamed: Repository, cloud: Cloud) -> None:
        cloud.before = lambda asked: REFUSED if asked == ("GET", "old") else None
        ran = renamed.run("apply", "--auto-approve", code=3)
        assert "job_config.new: failed: " in ran.stderr
        assert "its old name could not be read, and nothing was sent" in ran.stderr
        self.check_nothing_happened(renamed, cloud)


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
