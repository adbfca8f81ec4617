"""``plan --refresh`` and ``apply --refresh``: desired, state and service side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.emulator.faults import Faults
from tests.config_repository import Ran, Repository, terminal
from tests.live_cloud import LOST, Asked, Cloud, Reply, running
from tests.plan.plan_strategies import service_params
from tests.strategies import toml_of

LIST = {"GET list": 1}


def changes(ran: Ran) -> dict[str, str]:
    return {item["name"]: item["action"] for item in ran.document["changes"]}


def fields(ran: Ran, name: str = "alpha") -> dict[str, tuple[Any, ...]]:
    """What a JSON plan says of each field: before, live, after, action, reason."""
    (change,) = (item for item in ran.document["changes"] if item["name"] == name)
    keys = ("before", "live", "after", "action", "reason")
    return {".".join(item["path"]): tuple(map(item.get, keys)) for item in change["fields"]}


def refreshed(repo: Repository, *arguments: str) -> Ran:
    return repo.done("plan", "--refresh", "--format", "json", *arguments)


def assert_settled(repo: Repository, cloud: Cloud) -> None:
    """Nothing is left to do, with the service and without; and nothing is sent to say so."""
    cloud.take()
    assert repo.done("plan", "--detailed-exitcode").code == 0
    assert cloud.take() == {}
    ran = repo.done("plan", "--refresh", "--detailed-exitcode")
    assert ran.stdout.startswith("No changes.")
    assert {item.split()[0] for item in cloud.take()} <= {"GET"}


def test_without_refresh_no_connection_is_opened(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change("alpha", config_desc="theirs")
    for arguments in (["plan"], ["plan", "--format", "json"], ["apply", "--auto-approve"]):
        assert repo.run(*arguments).code == 0
    assert cloud.asked == []
    assert repo.done("plan").stdout == "No changes. 3 job configs match the state.\n"


def test_a_refresh_is_one_list_and_one_call_for_each_that_is_selected(
    repo: Repository, cloud: Cloud
) -> None:
    assert repo.done("plan", "--refresh").stdout == (
        "No changes. 3 job configs match the state and the service.\n"
    )
    assert cloud.take() == {"GET list": 1, "GET alpha": 1, "GET beta": 1, "GET gamma": 1}
    cloud.console.change("alpha", config_desc="theirs")
    cloud.console.change("beta", config_desc="theirs")
    ran = refreshed(repo, "--target", "b*")
    assert changes(ran) == {"beta": "update"}
    assert cloud.take() == {"GET beta": 1}
    repo.apply("--refresh", "--overwrite", "--exclude", "b*")
    assert cloud.console.config("alpha")["config_desc"] == "first"
    assert cloud.console.config("beta")["config_desc"] == "theirs"
    assert cloud.take() == {"GET list": 1, "GET alpha": 1, "GET gamma": 1, "PUT alpha": 1}


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("apply --auto-approve --refresh --target alpha", {"GET alpha": 1, "PUT alpha": 1}),
        ("apply --auto-approve --refresh --target jobs/a*.toml", {"GET alpha": 1, "PUT alpha": 1}),
        ("apply --auto-approve --refresh=changed", {"GET alpha": 1, "PUT alpha": 1}),
        ("apply --auto-approve --refresh=none", {"PUT alpha": 1}),
        ("plan --refresh --target alpha", {"GET alpha": 1}),
        (
            "plan --refresh --target alpha --target nowhere",
            {"GET alpha": 1, "GET nowhere": 1} | LIST,
        ),
        ("plan --refresh=changed", {"GET alpha": 1}),
        ("drift --target alpha --target job_config.beta", {"GET alpha": 1, "GET beta": 1}),
        ("drift --target al*", {"GET alpha": 1} | LIST),
        ("pull alpha", {"GET alpha": 1}),
        ("pull al*", {"GET alpha": 1} | LIST),
        ("import delta job_config.epsilon", {"GET delta": 1, "GET epsilon": 1}),
        ("import delt*", {"GET delta": 1} | LIST),
        ("import alpha", LIST),
    ],
)
def test_what_is_named_is_read_once_and_needs_no_list(
    command: str, asked: dict[str, int], repo: Repository, cloud: Cloud
) -> None:
    known = cloud.console.config("gamma")
    fields = ("app_url", "boot_file_url", "data_url", "engine_id", "train_url")
    for name in ("delta", "epsilon"):
        cloud.console.create(name, **{key: known[key] for key in fields})
    repo.job("alpha", config_desc="edited")
    if "nowhere" in command:
        repo.job("nowhere")
    repo.done(*command.split())
    assert cloud.take() == asked


def test_a_name_to_import_that_is_not_there_gets_the_nearest(
    repo: Repository, cloud: Cloud
) -> None:
    ran = repo.run("import", "delta", code=1)
    assert 'the service has no configuration "delta"' in ran.stderr
    assert cloud.take() == {"GET delta": 1, "GET list": 2}


@pytest.mark.slow
def test_a_read_that_was_long_ago_is_made_again(repo: Repository, cloud: Cloud) -> None:
    """The answer about beta takes longer than what was read stays good."""
    repo.job("alpha", config_desc="edited")
    cloud.before = lambda asked: time.sleep(5.2) if asked == ("GET", "beta") else None
    repo.apply("--refresh")
    assert cloud.take() == {
        "GET list": 1,
        "GET alpha": 2,
        "GET beta": 1,
        "GET gamma": 1,
        "PUT alpha": 1,
    }


def test_each_field_has_its_own_reason(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change(
        "alpha",
        train_url="/ml/theirs/",
        config_desc="theirs",
        log_url="/ml/log/",
        parameter=[{"label": "lr", "value": "1"}],
    )
    repo.job(
        "alpha",
        config_desc="mine",
        log_url="/ml/log/",
        train_instance_count=2,
        hyperparameters={"lr": "1", "seed": "7"},
    )
    ran = refreshed(repo)
    assert changes(ran) == {"alpha": "update"}
    assert fields(ran) == {
        "train_instance_count": (1, 1, 2, "update", "edited here"),
        "output_path": ("/ml/output/", "/ml/theirs/", "/ml/output/", "update", "changed there"),
        "hyperparameters.lr": (None, "1", "1", "record", "the same here and there"),
        "hyperparameters.seed": (None, None, "7", "add", "edited here"),
        "log_url": (None, "/ml/log/", "/ml/log/", "record", "the same here and there"),
        "config_desc": ("first", "theirs", "mine", "update", "edited here, changed there"),
    }
    text = repo.done("plan", "--refresh").stdout
    assert "~ train_instance_count         1 -> 2  (edited in TOML)\n" in text
    assert (
        '~ output_path                  "/ml/theirs/" -> "/ml/output/"  (changed in the service)\n'
        in text
    )
    text = " ".join(text.split())
    reason = '(edited in TOML, changed in the service; the state has "first")'
    assert f'"theirs" -> "mine" {reason}' in text
    assert '"/ml/log/" (the same in TOML and in the service; the state has blank)' in text
    cloud.take()
    repo.apply("--refresh", "--overwrite")
    assert cloud.writes() == ["PUT alpha"]
    assert_settled(repo, cloud)


@pytest.mark.parametrize(("key", "field"), [("config_desc", "config_desc"), ("inputs", "data_url")])
def test_what_was_removed_there_is_no_matter_of_secrets(
    repo: Repository, cloud: Cloud, key: str, field: str
) -> None:
    cloud.console.change("alpha", **{field: ""})
    for form in ("text", "markdown", "html"):
        shown = repo.done("plan", "--refresh", "--format", form).stdout
        assert key in shown
        assert "sensitive value" not in shown
    assert fields(refreshed(repo))[key][3:] == ("add", "changed there")


def test_what_both_sides_removed_is_blank(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change("alpha", config_desc="")
    repo.job("alpha", config_desc="")
    assert fields(refreshed(repo))["config_desc"][3:] == ("record", "the same here and there")
    text = " ".join(repo.done("plan", "--refresh").stdout.split())
    same = "(the same in TOML and in the service; the state has "
    assert f'= config_desc blank {same}"first")' in text


def test_what_was_changed_there_is_repaired_with_one_put(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change("beta", config_desc="theirs", log_url="/ml/log/")
    cloud.take()
    ran = repo.apply("--refresh", "--overwrite")
    assert ran.last_line.startswith("Apply complete: 1 updated.")
    assert cloud.writes() == ["PUT beta"]
    assert cloud.console.config("beta")["config_desc"] == "first"
    assert "log_url" not in cloud.console.config("beta")
    assert_settled(repo, cloud)


def test_what_is_the_same_here_and_there_is_recorded_without_a_put(
    repo: Repository, cloud: Cloud
) -> None:
    cloud.console.change("alpha", config_desc="both")
    repo.job("alpha", config_desc="both")
    serial = repo.state["serial"]
    ran = refreshed(repo)
    assert changes(ran) == {"alpha": "record"}
    assert fields(ran) == {
        "config_desc": ("first", "both", "both", "record", "the same here and there")
    }
    assert set(ran.document["calls"].values()) == {0}
    assert "1 to record" in repo.done("plan", "--refresh").last_line
    ran = repo.apply("--refresh")
    assert "job_config.alpha: recorded\n" in ran.stderr
    assert "1 recorded" in ran.last_line
    assert cloud.writes() == []
    assert repo.state["job_configs"]["alpha"]["params"]["config_desc"] == "both"
    assert repo.state["serial"] == serial + 1
    assert_settled(repo, cloud)


def test_what_the_service_has_already_is_taken_into_the_state(
    repo: Repository, cloud: Cloud
) -> None:
    repo.state_path.unlink()
    assert changes(refreshed(repo)) == dict.fromkeys(("alpha", "beta", "gamma"), "record")
    repo.apply("--refresh")
    assert cloud.writes() == []
    assert list(repo.state["job_configs"]) == ["alpha", "beta", "gamma"]
    assert_settled(repo, cloud)


def test_a_new_one_that_the_service_has_otherwise_is_added_as_described(
    repo: Repository, cloud: Cloud
) -> None:
    cloud.console.create("delta", log_url="/ml/log/", model_id=4)
    repo.job("delta")
    ran = refreshed(repo)
    assert changes(ran) == {"delta": "add"}
    told = fields(ran, "delta")
    assert told["log_url"] == (None, "/ml/log/", None, "remove", None)
    assert told["model_name"] == (None, "ResNet_v2_50", None, "remove", None)
    assert told["inputs"] == (None, None, "/ml/data/", "add", None)
    repo.apply("--refresh", "--overwrite")
    assert cloud.writes() == ["PUT delta"]
    assert_settled(repo, cloud)


def as_pending(repo: Repository, name: str, attempted: dict[str, Any], *earlier: Any) -> None:
    """The state as an interrupted apply leaves it, after others that were interrupted."""
    document = repo.state
    document["job_configs"][name] |= {"pending": True, "attempted": attempted, "earlier": earlier}
    repo.state_path.write_text(json.dumps(document))


def test_an_unknown_outcome_that_turns_out_well_is_recorded(repo: Repository, cloud: Cloud) -> None:
    as_pending(repo, "alpha", repo.state["job_configs"]["alpha"]["params"])
    assert changes(repo.done("plan", "--format", "json")) == {"alpha": "resend"}
    assert changes(refreshed(repo)) == {"alpha": "record"}
    repo.apply("--refresh")
    assert cloud.writes() == []
    assert "pending" not in repo.state["job_configs"]["alpha"]
    assert_settled(repo, cloud)


def test_an_unknown_outcome_that_turns_out_badly_is_sent_again(
    repo: Repository, cloud: Cloud
) -> None:
    as_pending(repo, "alpha", {"log_url": "/ml/log/"})
    cloud.console.change("alpha", log_url="/ml/log/")
    ran = refreshed(repo)
    assert changes(ran) == {"alpha": "resend"}
    assert fields(ran) == {"log_url": (None, "/ml/log/", None, "remove", "edited here")}
    repo.apply("--refresh")
    assert cloud.writes() == ["PUT alpha"]
    assert_settled(repo, cloud)


class TestACallWithoutAnAnswer:
    """The update of alpha to ``second`` and two nodes."""

    @pytest.fixture(params=["not done", "done", "done in part"])
    def lost(self, request: pytest.FixtureRequest, repo: Repository, cloud: Cloud) -> str:
        repo.job("alpha", config_desc="second", train_instance_count=2)
        lose = lambda asked: LOST if asked.method == "PUT" else None  # noqa: E731
        is_done = request.param == "done"
        cloud.before, cloud.after = (nothing, lose) if is_done else (lose, nothing)
        repo.run("apply", "--auto-approve", code=3)
        cloud.before = cloud.after = nothing
        if request.param == "done in part":
            cloud.console.change("alpha", config_desc="second")
        cloud.take()
        return str(request.param)

    def test_is_an_update_if_it_is_known_what_became_of_it(
        self, lost: str, repo: Repository, cloud: Cloud
    ) -> None:
        assert changes(repo.done("plan", "--format", "json")) == {"alpha": "resend"}
        text = repo.done("plan", "--refresh").stdout
        action, said = {
            "not done": ("update", "the service did not do what the last call asked\n"),
            "done": ("record", "the service has it already"),
            "done in part": ("resend", "the service did only a part of what the last call asked"),
        }[lost]
        assert changes(refreshed(repo)) == {"alpha": action}
        assert said in text
        assert "the last call may have succeeded" not in text
        repo.apply("--refresh")
        assert cloud.writes() == ([] if lost == "done" else ["PUT alpha"])
        assert_settled(repo, cloud)

    def test_is_told_beside_an_edit_since(self, lost: str, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", config_desc="third", train_instance_count=2)
        (change,) = refreshed(repo).document["changes"]
        action = "resend" if lost == "done in part" else "update"
        assert (change["action"], change["last_call"]) == (action, lost)
        repo.done("plan", "--refresh", "--out", "saved.plan")
        repo.done("apply", "saved.plan")
        assert cloud.writes() == ["PUT alpha"]
        assert_settled(repo, cloud)

    def test_is_unclear_and_guarded_after_an_edit_in_the_service(
        self, lost: str, repo: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change("alpha", log_url="/ml/theirs/")
        (change,) = refreshed(repo).document["changes"]
        assert (change["action"], change["last_call"]) == ("resend", "unclear")
        repo.run("apply", "--auto-approve", "--refresh", code=5)
        assert cloud.writes() == []

    def test_is_not_compared_where_it_is_ignored(self, repo: Repository, cloud: Cloud) -> None:
        repo.job("alpha", config_desc="second", ignore_changes=["log_url"])
        cloud.before = lambda asked: LOST if asked.method == "PUT" else None
        repo.run("apply", "--auto-approve", code=3)
        cloud.before = nothing
        cloud.console.change("alpha", log_url="/ml/theirs/")
        (change,) = refreshed(repo).document["changes"]
        assert (change["action"], change["last_call"]) == ("update", "not done")


def nothing(asked: Asked) -> Reply | None:
    return None


@pytest.mark.parametrize(
    ("live", "options", "code"),
    [
        ({}, [], 0),
        ({"log_url": "/ml/attempted/"}, [], 0),
        ({"log_url": "/ml/earlier/"}, [], 0),
        ({"log_url": "/ml/earlier/"}, ["--refresh=all"], 0),
        ({"config_desc": "earlier"}, [], 0),
        ({"log_url": "/ml/earlier/", "worker_server_num": 4}, [], 5),
        ({"log_url": "/ml/theirs/"}, [], 5),
        ({"log_url": "/ml/attempted/", "worker_server_num": 4}, [], 5),
        ({"log_url": "/ml/theirs/"}, ["--refresh=all"], 5),
        ({"log_url": "/ml/theirs/"}, ["--overwrite"], 0),
        ({"log_url": "/ml/theirs/"}, ["--refresh=none"], 0),
    ],
    ids=str,
)
def test_what_is_sent_again_undoes_nobodys_change(
    live: dict[str, Any], options: list[str], code: int, repo: Repository, cloud: Cloud
) -> None:
    """A crash may have kept the call from being begun, and somebody else has changed it since."""
    before = repo.state["job_configs"]["alpha"]["params"]
    earlier = {**before, "log_url": "/ml/earlier/", "config_desc": "earlier"}
    as_pending(repo, "alpha", {**before, "log_url": "/ml/attempted/"}, before, earlier)
    if live:
        cloud.console.change("alpha", **live)
    ran = repo.run("apply", "--auto-approve", *options)
    assert ran.code == code, ran
    assert cloud.writes() == ([] if code else ["PUT alpha"])
    assert ("nothing was sent: " in ran.stderr) is bool(code)
    assert repo.state["job_configs"]["alpha"].get("pending", False) is bool(code)


@pytest.mark.parametrize("place", ["job", "settings", "defaults"])
def test_what_is_ignored_does_not_cause_a_call(place: str, repo: Repository, cloud: Cloud) -> None:
    ignored = ["config_desc", "hyperparameters.seed"]
    if place == "settings":
        repo.settings(cloud.settings(f"[drift]\nignore = {json.dumps(ignored)}"))
    elif place == "defaults":
        repo.settings(cloud.settings(f"[defaults]\nignore_changes = {json.dumps(ignored)}"))
    more = {"ignore_changes": ignored} if place == "job" else {}
    repo.job("alpha", config_desc="first", **more)
    cloud.console.change("alpha", config_desc="theirs", parameter=[{"label": "seed", "value": "1"}])
    assert_settled(repo, cloud)
    cloud.console.change("alpha", worker_server_num=2)
    found = fields(refreshed(repo))
    assert found["train_instance_count"] == (1, 2, 1, "update", "changed there")
    # The call for it sends the whole job config: that it overwrites the rest is shown, too.
    assert set(found) == {"train_instance_count", *ignored}
    repo.job("alpha", config_desc="mine", **more)
    assert set(fields(refreshed(repo))) == {"train_instance_count", *ignored}


def test_what_is_ignored_and_overwritten_is_shown(repo: Repository, cloud: Cloud) -> None:
    repo.job("alpha", ignore_changes=["config_desc"], log_url="/ml/log/")
    cloud.console.change("alpha", config_desc="theirs")
    found = fields(refreshed(repo))
    assert found["log_url"][-1] == "edited here"
    assert found["config_desc"][1] == "theirs"


def test_an_edit_of_an_ignored_key_is_sent(repo: Repository, cloud: Cloud) -> None:
    repo.job("alpha", config_desc="mine", ignore_changes=["config_desc"])
    assert fields(refreshed(repo)) == {
        "config_desc": ("first", "first", "mine", "update", "edited here")
    }
    cloud.console.change("alpha", config_desc="theirs")
    repo.apply("--refresh")
    assert cloud.console.config("alpha")["config_desc"] == "mine"


def test_an_interrupted_edit_of_an_ignored_key_is_not_forgotten(
    repo: Repository, cloud: Cloud
) -> None:
    repo.job("alpha", config_desc="mine", ignore_changes=["config_desc"])
    as_pending(repo, "alpha", {"config_desc": "mine"})
    repo.apply("--refresh")
    assert cloud.console.config("alpha")["config_desc"] == "mine"


class TestSecrets:
    """``token`` is named as sensitive, ``config_desc`` comes from the environment."""

    @pytest.fixture
    def secretive(self, repo: Repository, cloud: Cloud) -> Repository:
        repo.environment["DESCRIPTION"] = "hidden-words"
        self.write(repo)
        repo.apply()
        cloud.take()
        return repo

    def write(self, repo: Repository, **params: Any) -> None:
        repo.job(
            "alpha",
            **{
                "config_desc": "${env.DESCRIPTION}",
                "hyperparameters": {"token": "hidden-token", "lr": "1"},
                "sensitive": ["token"],
                **params,
            },
        )

    def everything(self, repo: Repository) -> str:
        """All that a refreshed plan says, and every file of ours it leaves."""
        ran = [
            repo.done("plan", "--refresh"),
            repo.done("plan", "--refresh", "--format", "json"),
            repo.done("plan", "--refresh", "--out", "saved.plan"),
            repo.done("show", "saved.plan"),
        ]
        files = [path.read_text() for path in repo.root.glob("*.plan")]
        return "".join([item.stdout + item.stderr for item in ran] + files)

    def test_that_are_equal_are_no_change(self, secretive: Repository, cloud: Cloud) -> None:
        assert_settled(secretive, cloud)

    def test_changed_there_are_noticed_repaired_and_never_shown(
        self, secretive: Repository, cloud: Cloud
    ) -> None:
        cloud.console.change(
            "alpha",
            config_desc="intruding-words",
            parameter=[
                {"label": "token", "value": "intruding-token"},
                {"label": "lr", "value": "2"},
            ],
        )
        told = fields(refreshed(secretive))
        assert {path: item[-1] for path, item in told.items()} == dict.fromkeys(
            ["config_desc", "hyperparameters.token", "hyperparameters.lr"], "changed there"
        )
        said = self.everything(secretive)
        assert "hidden-" not in said
        assert "intruding-" not in said
        assert "(sensitive) -> (sensitive)  (changed in the service)" in said
        ran = secretive.apply("--refresh", "--overwrite")
        assert "intruding-" not in ran.stdout + ran.stderr
        assert cloud.console.config("alpha")["config_desc"] == "hidden-words"
        assert "intruding-" not in (secretive.root / "majobctl.state.json").read_text()
        assert_settled(secretive, cloud)

    def test_that_left_the_files_are_not_shown_though_the_service_has_them(
        self, secretive: Repository, cloud: Cloud
    ) -> None:
        self.write(secretive, config_desc=None, hyperparameters={"lr": "1"}, sensitive=None)
        said = self.everything(secretive)
        assert "hyperparameters.token" in said
        assert "hidden-" not in said

    def test_of_an_interrupted_first_call_are_not_shown_either(
        self, secretive: Repository, cloud: Cloud
    ) -> None:
        document = secretive.state
        entry = document["job_configs"]["alpha"]
        params = entry["params"]
        entry.update({"params": {}, "pending": True, "attempted": params})
        secretive.state_path.write_text(json.dumps(document))
        self.write(secretive, config_desc=None, hyperparameters={"lr": "1"}, sensitive=None)
        said = self.everything(secretive)
        assert "hyperparameters.token" in said
        assert "hidden-" not in said

    @pytest.mark.parametrize("named", ["key", "hyperparameters"])
    def test_that_only_the_service_has_are_known_by_name(
        self, named: str, secretive: Repository, cloud: Cloud
    ) -> None:
        if named == "key":
            defaults = f'sensitive = ["{named}", "log_url"]'
            secretive.settings(cloud.settings(f"[defaults]\n{defaults}"))
            secretive.job("beta", config_desc="first")
        else:
            secretive.job("beta", hyperparameters={"lr": "1"}, sensitive=["hyperparameters"])
        cloud.console.change("beta", parameter=[{"label": "key", "value": "hidden-key"}])
        said = self.everything(secretive)
        assert "- hyperparameters.key          (sensitive)" in said
        assert "hidden-" not in said

    def test_that_are_secret_no_more_are_recorded_as_they_are(
        self, secretive: Repository, cloud: Cloud
    ) -> None:
        self.write(secretive, sensitive=None)
        assert changes(refreshed(secretive)) == {"alpha": "record"}
        secretive.apply("--refresh")
        assert cloud.writes() == []
        kept = secretive.state["job_configs"]["alpha"]["params"]["hyperparameters"]
        assert kept == {"lr": "1", "token": "hidden-token"}
        assert_settled(secretive, cloud)

    def test_are_compared_without_a_state(self, secretive: Repository, cloud: Cloud) -> None:
        secretive.state_path.unlink()
        assert changes(refreshed(secretive, "--target", "alpha")) == {"alpha": "record"}
        cloud.console.change("alpha", config_desc="intruding-words")
        assert changes(refreshed(secretive, "--target", "alpha")) == {"alpha": "add"}
        assert "intruding-" not in self.everything(secretive)
        secretive.apply("--refresh", "--overwrite")
        assert cloud.writes() == ["PUT alpha"]
        assert_settled(secretive, cloud)


def test_a_change_while_yes_is_awaited_is_not_overwritten(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change("alpha", config_desc="theirs")
    cloud.console.change("beta", config_desc="theirs")
    with terminal(repo, "apply", "--refresh") as shown:
        shown.expect("Only yes is accepted")
        cloud.console.change("beta", config_desc="theirs, too")
        shown.type("yes\n")
        code, _ = shown.finish()
        assert code == 5
        assert "1 changed meanwhile" in shown.plain
        assert "job_config.beta: it was changed in the service after the plan was made" in (
            shown.plain
        )
    assert cloud.writes() == ["PUT alpha"]
    assert cloud.console.config("beta")["config_desc"] == "theirs, too"
    assert repo.state["job_configs"]["beta"]["params"]["config_desc"] == "first"
    assert "pending" not in repo.state["job_configs"]["beta"]


def test_a_plan_that_is_not_approved_sends_nothing(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change("alpha", config_desc="theirs")
    with terminal(repo, "apply", "--refresh") as shown:
        shown.expect("Only yes is accepted")
        shown.type("no\n")
        assert shown.finish()[0] == 1
    assert cloud.writes() == []


@pytest.mark.parametrize("asked", ["", "beta"])
def test_a_service_that_cannot_be_read_ends_the_plan(
    asked: str, repo: Repository, cloud: Cloud
) -> None:
    refusal = Reply(403, {"error_code": "ModelArts.0210", "error_msg": "wrong project"})
    cloud.before = lambda item: refusal if item.name == asked else None
    state = repo.state_path.read_bytes()
    for arguments in (["plan", "--refresh"], ["apply", "--refresh", "--auto-approve"]):
        ran = repo.run(*arguments)
        assert (ran.code, ran.stdout) == (1, "")
        assert "ModelArts.0210 wrong project" in ran.stderr
        assert ("job_config.beta: " in ran.stderr) == (asked == "beta")
    assert cloud.writes() == []
    assert repo.state_path.read_bytes() == state


def test_an_empty_repository_reads_nothing(on_cloud: Repository, cloud: Cloud) -> None:
    ran = on_cloud.done("plan", "--refresh")
    assert ran.stdout == "No changes. There are no job configs to compare.\n"
    on_cloud.apply("--refresh")
    assert cloud.asked == []
    assert not on_cloud.state_path.exists()


def test_the_same_plan_gives_the_same_bytes(repo: Repository, cloud: Cloud) -> None:
    cloud.console.change("alpha", config_desc="theirs")
    repo.remove("gamma")
    first = repo.done("plan", "--refresh", "--format", "json", "--parallelism", "1").stdout
    assert repo.done("plan", "--refresh", "--format", "json").stdout == first
    repo.done("plan", "--refresh", "--out", "one.plan")
    repo.done("plan", "--refresh", "--out", "two.plan")
    one, two = ((repo.root / f"{name}.plan").read_bytes() for name in ("one", "two"))
    assert one == two


def test_the_same_plan_gives_the_same_bytes_without_a_state(repo: Repository, cloud: Cloud) -> None:
    repo.state_path.unlink()
    repo.job("alpha", config_desc="secret words", sensitive=["config_desc"])
    first = repo.done("plan", "--refresh", "--format", "json").stdout
    assert repo.done("plan", "--refresh", "--format", "json").stdout == first


def test_a_value_without_a_name_is_visible_and_repaired(repo: Repository, cloud: Cloud) -> None:
    def withdraw(asked: Any) -> Reply | None:
        if asked != ("GET", "alpha"):
            return None
        document = {**cloud.console.config("alpha"), "spec_id": 77, "spec_code": None}
        return Reply(200, document)

    cloud.after = withdraw
    assert fields(refreshed(repo)) == {
        "train_instance_type": (
            "modelarts.vm.gpu.p100",
            "(spec_id 77)",
            "modelarts.vm.gpu.p100",
            "update",
            "changed there",
        )
    }
    repo.apply("--refresh", "--overwrite")
    assert cloud.writes() == ["PUT alpha"]


@pytest.fixture(params=["null", "empty", "missing", "mixed"])
def blanks(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["replace", "merge"])
def whimsical(
    request: pytest.FixtureRequest, blanks: Any, tmp_path: Path, repository: Repository
) -> Iterator[tuple[Repository, Cloud]]:
    """A repository without job configs, and a cloud with this PUT and these blanks."""
    faults = Faults(put=request.param, blanks=blanks)
    with running(tmp_path, faults=faults) as cloud:
        repository.environment.update(cloud.environment)
        repository.settings(cloud.settings("[apply]\ncreate_missing = true"))
        yield repository, cloud


def write(repo: Repository, jobs: Mapping[str, Mapping[str, Any]]) -> None:
    repo.write("jobs/all.toml", toml_of(jobs))


@pytest.mark.slow
@settings(max_examples=6)
@given(
    st.lists(service_params, min_size=3, max_size=3),
    st.lists(service_params, min_size=3, max_size=3),
    st.lists(service_params, min_size=3, max_size=3),
)
def test_no_difference_is_left_or_made_up_whatever_the_service_does_with_blanks(
    whimsical: tuple[Repository, Cloud],
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    third: list[dict[str, Any]],
) -> None:
    repo, cloud = whimsical
    names = ["a", "b-B", "c_3"]
    repo.state_path.unlink(missing_ok=True)
    for name in cloud.console.names():
        cloud.console.delete(name)
    write(repo, dict(zip(names, first, strict=True)))
    repo.apply()
    assert_settled(repo, cloud)
    write(repo, dict(zip(names, second, strict=True)))
    repo.apply()
    assert_settled(repo, cloud)
    # And once more with a state that knows nothing of what is there.
    repo.state_path.unlink()
    write(repo, dict(zip(names, third, strict=True)))
    repo.apply("--refresh", "--overwrite", "--verify")
    assert_settled(repo, cloud)
