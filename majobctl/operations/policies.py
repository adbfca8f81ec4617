"""Job configs and plans under the policies of now: what they break."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from majobctl.errors import ConfigError, DeniedError, MajobctlError, Problem
from majobctl.job_config.fields import documented_order
from majobctl.job_config.job_config import JobConfig, Source
from majobctl.job_config.secrets import Masker, is_masked, value_at
from majobctl.plan.change import SENDING, Action, Change, Params
from majobctl.plan.diff import differing_places
from majobctl.plan.plan import Plan
from majobctl.policy.verdict import Verdict
from majobctl.policy.words import FACTS
from majobctl.repository.impact import read_prices
from majobctl.repository.jobs.layers import Origin
from majobctl.repository.policies import read_policies
from majobctl.repository.settings.settings import read_settings
from majobctl.repository.settings.variables import Overrides
from majobctl.text import counted, nearest, quoted

if TYPE_CHECKING:
    from majobctl.operations.context import ConfigRepository, RepositoryOrPath
    from majobctl.policy.policy import Policy
    from majobctl.repository.config import Config
    from majobctl.repository.settings.settings import Settings

_LEAVING = (Action.DELETE, Action.FORGET)


def validate(repository: RepositoryOrPath) -> Config:
    """The valid config, with every job config judged, and every example of a policy. What breaks a
    policy that only warns is among its warnings. Raises as ``load_config``, and ConfigError for
    what breaks a policy that denies, and for a policy that its own examples contradict."""
    from majobctl.operations.context import as_repository

    repository = as_repository(repository)
    try:
        config = repository.load_config()
    except ConfigError as error:
        problems = {*error.problems, *_problems_of_sound_policies(repository)}
        raise ConfigError(sorted(problems), error.warnings, error.secret_names) from None
    if not config.policies:
        return config
    evaluator = _Evaluator(config.settings, config.policies)
    verdicts = [it for own in config.job_configs.values() for it in evaluator.of_job_config(own)]
    warned = [it.problem for it in verdicts if not it.denies]
    warned += _exempt_nothing(config)
    repository.warn_all(warned)
    warnings = tuple(sorted({*config.warnings, *warned}))
    if denied := sorted(it.problem for it in verdicts if it.denies):
        names = {str(it[-1]) for own in config.job_configs.values() for it in own.sensitive}
        raise ConfigError(denied, warnings, names)
    return replace(config, warnings=warnings)


def _problems_of_sound_policies(repository: ConfigRepository) -> list[Problem]:
    """What only a judge finds in the policies that can be read."""
    from majobctl.policy.judge import Judge

    # Without the files of variables: a pipe has been read already.
    environment = Overrides(environment=repository.overrides.environment)
    policies, _ = read_policies(read_settings(repository.folder, environment)[0])
    with contextlib.suppress(MajobctlError):  # The library is missing: the others are still true.
        return Judge(policies).problems()
    return []


def judged(
    repository: ConfigRepository, plan: Plan, settings: Settings, policies: Sequence[Policy]
) -> Plan:
    """``plan`` with what its changes break, and nothing that an earlier judge found. What is
    unchanged is not judged. Raises ConfigError as ``validate`` for the policies themselves."""
    found: list[Verdict] = []
    if policies and plan.changes:
        evaluator = _Evaluator(settings, policies)
        found = [
            verdict
            for change in plan.changes
            for verdict in dict.fromkeys(
                it
                for action in evaluator.actions(change, plan)
                for it in evaluator.of_change(change, action.value)
            )
        ]
    warned = [it.problem for it in found if not it.denies]
    repository.warn_all(warned)
    return replace(plan, violations=tuple(found), warnings=(*plan.warnings, *warned))


def refuse_denied(plan: Plan, is_saved: bool) -> None:
    """Raises DeniedError if policies deny changes of ``plan``, which says which."""
    if denied := len(plan.denials):
        ways = "correct the job configs, leave them out (--exclude)"
        if is_saved:
            ways = "correct the job configs or leave them out (--exclude) and plan again"
        advice = f"{ways}, or add them to the policy's `exempt`"
        what = f"{counted(denied, 'policy violation')}; nothing was sent"
        raise DeniedError(plan.denials, f"{what}\n{advice}")


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """The policies beside ``settings``. Raises ConfigError with every problem in them."""
    policies, problems = read_policies(settings)
    if problems:
        raise ConfigError(sorted(problems))
    return policies


class _Evaluator:
    """The compiled policies, and the facts about job configs that they ask for."""

    def __init__(self, settings: Settings, policies: Sequence[Policy]) -> None:
        from majobctl.policy.judge import Judge

        self._settings, self._policies = settings, policies
        self._judge = Judge(policies)
        self._asks_action = any(it.asks("action") for it in policies)
        if problems := self._judge.problems():
            raise ConfigError(sorted(problems))

    def actions(self, change: Change, plan: Plan) -> Iterator[Action]:
        """What an apply may do, as far as a policy asks: what nobody looked up may have to be
        created."""
        yield change.action
        if not (plan.creates_missing and self._asks_action):
            return
        if change.action in SENDING and not change.was_read:
            yield Action.CREATE

    def of_job_config(self, config: JobConfig) -> Iterator[Verdict]:
        from majobctl.policy.judge import Subject

        params = Masker("", config.name).masked(config.params, [*config.sensitive])
        file = config.source.file if config.source else ""
        facts = self._facts(config.name, file, params)
        for verdict in self._judge.verdicts(Subject(facts=facts, params=params)):
            yield _placed(verdict, config.source, None)

    def of_change(self, change: Change, action: str) -> Iterator[Verdict]:
        from majobctl.policy.judge import Subject

        leaves = change.action in _LEAVING
        params = (change.before if leaves else change.after) or {}
        before = change.before or {}
        file = change.source.file if change.source else ""
        known = {"action": action}
        subject = Subject(
            facts={**self._facts(change.name, file, params), **known},
            params=params,
            before=before,
            facts_before={**self._facts(change.old_name or change.name, file, before), **known},
            changed=[] if leaves else [*_changed(before, params)],
            leaves=leaves,
        )
        for verdict in self._judge.verdicts(subject):
            yield _placed(verdict, change.source, change)

    def _facts(self, name: str, file: str, params: Params) -> dict[str, Any]:
        facts: dict[str, Any] = {"name": name, "environment": self._settings.environment}
        if file:
            facts["file"] = file
        if self._paid is not None and "pool_id" not in params:
            flavor, count = params.get("train_instance_type"), params.get("train_instance_count")
            if secret := next(filter(is_masked, (flavor, count)), None):
                return {**facts, **dict.fromkeys(self._paid, secret)}
            for fact, of_node in self._paid.items():
                one = of_node.get(flavor) if isinstance(flavor, str) else None
                if one is not None and isinstance(count, int):
                    facts[fact] = round(one * count, 6)  # 3 * 4.2 is 12.600000000000001.
        return facts

    @cached_property
    def _paid(self) -> Mapping[str, Mapping[str, Any]] | None:
        """What a node of each flavor has of GPUs, and costs; None if no policy asks."""
        if not any(it.asks("gpus", "price_per_hour") for it in self._policies):
            return None
        from majobctl.operations.impact import gpus_of_nodes

        _, prices = read_prices(self._settings.root)
        return {"gpus": gpus_of_nodes(self._settings)[1], "price_per_hour": prices}


def _changed(before: Params, after: Params) -> Iterator[tuple[str, ...]]:
    """Where the files change what was applied, whatever the service has by now."""
    for place in sorted(differing_places(before, after), key=documented_order):
        if value_at(before, place) is not None:
            yield place


def _placed(verdict: Verdict, source: Source | None, change: Change | None) -> Verdict:
    """``verdict`` at the line of the value; in a saved plan, at its cause or its table."""
    path = () if verdict.path[0] in FACTS else verdict.path
    if isinstance(source, Origin):
        at = source.problem(path, "")
        return replace(verdict, file=at.file, line=at.line)
    causes = [it.cause for it in change.fields if it.path == path] if change else []
    place = next((it for it in causes if it), source)
    return replace(verdict, file=place.file, line=place.line) if place else verdict


def _exempt_nothing(config: Config) -> Iterator[Problem]:
    for policy in config.policies:
        for index, glob in enumerate(policy.exempt):
            if not any(fnmatchcase(name, glob) for name in config.job_configs):
                hint = nearest(glob, config.job_configs)
                message = f"exempt: no job config {quoted(glob)}{hint}"
                yield policy.source.problem(("exempt", index), message)
