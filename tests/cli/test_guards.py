"""What keeps a large mistake from being applied: ``apply.max_change_percent``, and the words for a
plan that forgets most of the state."""

from __future__ import annotations

import pytest

from tests.config_repository import Repository
from tests.fake_service import FakeService

NAMES = [f"config-{number}" for number in range(10)]


@pytest.fixture
def guarded(on_rest: Repository) -> Repository:
    """Ten job configs that are applied, and a bound of 30 percent."""
    for name in NAMES:
        on_rest.job(name)
    on_rest.apply()
    settings = (on_rest.root / "majobctl.toml").read_text(encoding="utf-8")
    on_rest.settings(settings + "\n[apply]\nmax_change_percent = 30\n")
    return on_rest


def change(repository: Repository, number: int) -> None:
    for name in NAMES[:number]:
        repository.job(name, train_instance_count=2)


def test_a_plan_up_to_the_bound_is_applied(guarded: Repository, rest: FakeService) -> None:
    rest.forget_requests()
    change(guarded, 3)
    assert "3 updated" in guarded.apply().last_line
    assert len(rest.puts) == 3


def test_a_plan_over_the_bound_is_refused_and_nothing_is_sent(
    guarded: Repository, rest: FakeService
) -> None:
    rest.forget_requests()
    change(guarded, 4)
    ran = guarded.run("apply", "--auto-approve")
    assert ran.code == 1
    assert "the plan changes 4 of 10 job configs" in ran.stderr
    assert "apply.max_change_percent = 30" in ran.stderr
    assert "--force" in ran.stderr
    assert rest.requests == []


def test_force_applies_it_all_the_same(guarded: Repository, rest: FakeService) -> None:
    change(guarded, 4)
    assert "4 updated" in guarded.done("apply", "--auto-approve", "--force").last_line


def test_the_bound_holds_for_a_saved_plan_too(guarded: Repository, rest: FakeService) -> None:
    change(guarded, 4)
    guarded.done("plan", "--out", "saved.plan")
    rest.forget_requests()
    assert guarded.run("apply", "saved.plan").code == 1
    assert rest.requests == []
    assert guarded.run("apply", "saved.plan", "--force").code == 0


def test_what_is_forgotten_counts_as_a_change(guarded: Repository) -> None:
    for name in NAMES[:4]:
        guarded.remove(name)
    assert "changes 4 of 10" in guarded.run("apply", "--auto-approve").stderr


def test_fewer_than_ten_job_configs_are_not_bounded(guarded: Repository) -> None:
    guarded.done("state", "rm", NAMES[9])
    guarded.remove(NAMES[9])
    change(guarded, 9)
    assert "9 updated" in guarded.apply().last_line


def test_a_plan_that_forgets_more_than_half_of_the_state_says_so(guarded: Repository) -> None:
    for name in NAMES[:5]:
        guarded.remove(name)
    assert "forgets" not in guarded.done("plan").stdout
    guarded.remove(NAMES[5])
    sentence = "This plan forgets 6 of the 10 job configs in the state."
    assert sentence in guarded.done("plan").stdout
    assert sentence in guarded.done("plan", "--format", "json").document["warnings"]
    assert "forgets" not in guarded.done("plan", "--target", "config-9").stdout
