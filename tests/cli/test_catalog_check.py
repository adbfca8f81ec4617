"""What validate, plan and apply say of names that the service did not offer when it was asked."""

from __future__ import annotations

import json

import pytest

from tests.config_repository import Repository
from tests.fake_service import FakeService

WRONG = "modelarts.vm.gpu.p10"
WARNING = (
    "Warning: jobs/alpha.toml:8: job_config.alpha: train_instance_type"
    f' "{WRONG}" was not offered on '
)


@pytest.fixture
def warned(on_emulator: Repository) -> Repository:
    """A config repository with a flavor that is not in the list it has."""
    on_emulator.done("flavors")
    on_emulator.job("alpha", train_instance_type=WRONG)
    return on_emulator


def test_validate_warns_and_ends_well(warned: Repository) -> None:
    ran = warned.done("validate")
    assert ran.stdout == "1 job config is valid.\n"
    assert ran.stderr.startswith(WARNING)
    (warning,) = warned.done("validate", "--format", "json").document["warnings"]
    assert (warning["file"], warning["line"]) == ("jobs/alpha.toml", 8)
    assert WRONG in warning["message"]


def test_plan_warns_on_stderr_and_in_the_document(warned: Repository) -> None:
    assert warned.done("plan").stderr.startswith(WARNING)
    ran = warned.done("plan", "--format", "json")
    assert ran.stderr.startswith(WARNING)
    (warning,) = ran.document["warnings"]
    assert f"Warning: {warning}\n" == ran.stderr


def test_apply_warns_and_asks_the_service_itself(warned: Repository) -> None:
    ran = warned.run("apply", "--auto-approve", code=1)
    assert ran.stderr.startswith(WARNING)
    assert f'"{WRONG}" does not exist; did you mean' in ran.stderr


def test_a_list_that_is_out_of_date_hinders_nothing(warned: Repository) -> None:
    path = warned.root / ".majobctl" / "catalogue.json"
    document = json.loads(path.read_bytes())
    document["flavors"]["items"] = []
    path.write_text(json.dumps(document))
    warned.job("alpha", config_desc="mine")
    ran = warned.apply()
    assert "was not offered on" in ran.stderr
    assert ran.last_line.startswith("Apply complete: 1 added")


def test_a_damaged_cache_is_one_warning(warned: Repository) -> None:
    warned.write(".majobctl/catalogue.json", "{")
    for command in ("validate", "plan"):
        assert warned.done(command).stderr == (
            "Warning: .majobctl/catalogue.json: it is damaged: it is not JSON (line 1, column"
            " 2); `majobctl flavors` writes it again\n"
        )


def test_without_a_cache_nothing_is_said_and_nothing_asked(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("alpha", train_instance_type=WRONG)
    assert on_rest.done("validate").stderr == ""
    on_rest.done("flavors")
    rest.forget_requests()
    on_rest.environment.clear()
    for command in ("validate", "plan"):
        assert on_rest.done(command).stderr.startswith(WARNING)
    assert rest.requests == []
