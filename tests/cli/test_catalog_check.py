"""What validate, plan and apply say of names that the service did not offer when it was asked."""

from __future__ import annotations

import json

import pytest

from tests.config_repository import BODY, Repository
from tests.fake_service import ACCESS_KEY, PROJECT, SECRET_KEY, FakeService
from tests.live_cloud import Cloud

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


class TestWhatWasLookedUp:
    """By an apply or an import: nobody ran ``flavors``."""

    @pytest.fixture(params=["apply", "refused"])
    def looked_up(self, request: pytest.FixtureRequest, on_emulator: Repository) -> Repository:
        assert not (on_emulator.root / ".majobctl" / "catalogue.json").exists()
        flavor = {} if request.param == "apply" else {"train_instance_type": WRONG}
        on_emulator.job("alpha", **flavor)
        on_emulator.run("apply", "--auto-approve", code=1 if flavor else 0)
        return on_emulator

    def test_is_kept_for_the_next_validate(self, looked_up: Repository) -> None:
        looked_up.job("alpha", train_instance_type=WRONG, framework_type="PiTorch")
        said = looked_up.done("validate").stderr
        assert WARNING in said
        assert 'framework_type "PiTorch" was not offered on ' in said
        looked_up.job("alpha")
        assert looked_up.done("validate").stderr == ""

    def test_by_an_import_is_kept_too(self, repository: Repository, service: FakeService) -> None:
        repository.environment |= {"OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}
        place = f'endpoint = "{service.url}"\nproject_id = "{PROJECT}"'
        repository.settings(f'[provider]\nkind = "modelarts"\n{place}\n')
        service.configs["beta"] = BODY
        repository.done("import", "beta")
        repository.job("alpha", train_instance_type=WRONG, framework_type="PiTorch")
        said = repository.done("validate").stderr
        assert WARNING in said
        assert 'framework_type "PiTorch" was not offered on ' in said

    def test_does_not_make_a_plan_longer(self, looked_up: Repository) -> None:
        looked_up.job("alpha", train_instance_count=2)
        assert "GPUs" not in looked_up.done("plan").stdout
        looked_up.done("flavors")
        assert "GPUs" in looked_up.done("plan").stdout
        looked_up.apply("--overwrite")
        looked_up.job("alpha", train_instance_count=1)
        assert "GPUs" in looked_up.done("plan").stdout

    def test_is_not_seen_by_git(self, repository: Repository, cloud: Cloud) -> None:
        repository.environment.update(cloud.environment)
        repository.settings(cloud.settings())
        repository.job("alpha")
        repository.apply()
        assert (repository.root / ".majobctl" / ".gitignore").read_text() == "*\n"

    def test_that_cannot_be_kept_is_a_warning(self, repository: Repository, cloud: Cloud) -> None:
        repository.environment.update(cloud.environment)
        repository.settings(cloud.settings())
        repository.job("alpha")
        repository.write(".majobctl", "no folder")
        ran = repository.apply()
        assert "catalogue.json cannot be written: File exists; flavors and engines are not" in (
            ran.stderr
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
