"""``majobctl ci``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.annotations import Annotations, path_in_workspace
from majobctl.cli.failures import show_problems
from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.text import printable, reason_of

if TYPE_CHECKING:
    from majobctl.forges import Forge
    from majobctl.plan.drift import Drift
    from majobctl.plan.plan import Plan

_environments = click.argument("environments", metavar="[ENVIRONMENT]...", nargs=-1)


@click.group("ci")
def command() -> None:
    """Plan, apply or look for drift in a job of GitHub Actions or GitLab CI.

    The CI's own variables say which of them it is, and what the job is about. Each command takes
    the environments to work on; `docs/ci.md` has the files that call it.
    """


@command.command("plan")
@_environments
@options.variable_options
def plan_command(environments: tuple[str, ...]) -> int:
    """Check and plan; keep one comment on the pull request up to date.

    In a pull or merge request, the plans of all ENVIRONMENTs are in one comment (GitLab: a note),
    which each push updates. It needs no credentials of the service. On the default branch, the
    configurations to be sent are read, and each plan is saved for `majobctl ci apply` in the same
    run, as majobctl-ENVIRONMENT-RUN.plan.

    Problems are annotated at their lines: on GitHub in the log, on GitLab in
    gl-code-quality-report.json. Each plan is also in majobctl-plan-ENVIRONMENT.html. On GitHub, the
    output "changes" of the step is true or false.

    The exit code is 0 with or without changes; 1 if a plan failed or a policy denies it, or if the
    comment could not be written.

    \b
    Example:
      majobctl ci plan dev prod
    """
    from majobctl.plan.plan import Plan

    forge = _forge("majobctl plan")
    if not forge.request:
        _check_branch(forge)
    report = Annotations(is_github=forge.name == "GitHub")
    plans: dict[str, Plan | Sequence[Problem]] = {}

    def plan_one(environment: str) -> None:
        plans[environment] = ()
        try:
            plans[environment] = _planned(forge, environment, report)
        except ConfigError as error:
            plans[environment] = error.problems
            raise

    errors = _each(_chosen(environments), plan_one)
    report.write()
    try:
        _publish_plans(forge, plans)
    except MajobctlError as error:
        text = f"the comment could not be written, and may show an older plan: {error}"
        errors.append(MajobctlError(text))
    made = [it for it in plans.values() if isinstance(it, Plan)]
    _add_to("GITHUB_OUTPUT", f"changes={str(any(it.changes for it in made)).lower()}\n")
    return _ended(errors, 1 if any(it.denials for it in made) else 0)


@command.command("apply")
@click.argument("wanted", metavar="[ENVIRONMENT]", required=False)
@options.variable_options
@options.parallelism_option
@options.lock_timeout(120)
def apply_command(wanted: str | None) -> int:
    """Apply the plan that `majobctl ci plan` saved in this run.

    It works only on the default branch, and applies exactly that plan if somebody agreed to it: on
    GitHub, approved the deployment to the environment ENVIRONMENT (without one: production); on
    GitLab, started this job by hand. Otherwise, it makes a new plan that does not read the service,
    so that what was changed there is held back.

    The exit codes are those of `majobctl apply`.

    \b
    Example:
      majobctl ci apply prod
    """
    from majobctl.cli.apply import applied
    from majobctl.operations import SavedPlan, plan

    forge = _forge("majobctl apply")
    _check_branch(forge)
    (name,) = _chosen((wanted,) if wanted else ())
    file = _plan_file(name, forge)
    if not os.path.isfile(file):
        raise MajobctlError(
            f"{file} is missing: the plan that `majobctl ci plan` made in this run\n"
            "nothing was sent; let the workflow pass it on to this job, as an artifact"
        )
    _check_own(file)
    if not forge.is_approved(name):
        said = "Nobody approved this plan: what was changed in the service will be held back."
        terminal.say(said, err=True)
        plan(invocation.repository(name), out=file)
    saved = SavedPlan.read(invocation.read_file(file), file)
    return applied(saved, environment=name)


@command.command("drift")
@_environments
@options.variable_options
@options.parallelism_option
def drift_command(environments: tuple[str, ...]) -> int:
    """Keep one issue open for each environment that has drifted.

    It is opened if the service differs from what was applied, updated while that lasts, and closed
    when the drift is gone. On GitLab, this needs MAJOBCTL_NOTE_TOKEN; without it, the exit code is
    2 if there is drift.

    \b
    Example:
      majobctl ci drift dev prod
    """
    forge, drifted = _forge("majobctl drift"), set[str]()

    def look(environment: str) -> None:
        if _drift(forge, environment).changes:
            drifted.add(environment)

    errors = _each(_chosen(environments), look)
    return _ended(errors, options.HAS_CHANGES if drifted and forge.cannot_write else 0)


def _forge(instead: str) -> Forge:
    from majobctl.forges import forge_of

    return forge_of(os.environ, instead)


def _chosen(environments: Sequence[str]) -> list[str]:
    """The environments to work on, each once; "" for none."""
    context, given = click.get_current_context(), options.kept("environment")["environment"]
    source = context.get_parameter_source("environment")
    if environments and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("name the environment once: as an argument, or with -e")
    return list(dict.fromkeys(environments)) or [given]


def _check_branch(forge: Forge) -> None:
    """Raises MajobctlError in a run that is not of the default branch."""
    branch, default = forge.branches()
    if branch != default:
        which = f"the branch {printable(branch)}" if branch else "a pull request or a tag"
        raise MajobctlError(
            f"this run is for {which}, not for the default branch {printable(default)}\n"
            "only runs for the default branch save and apply plans; nothing was sent"
        )


def _each(names: Sequence[str], act: Callable[[str], object]) -> list[Exception]:
    """Does it for each environment. The error of the only one is for the end; those of several are
    shown where they happened, and the end says of which."""
    errors: list[Exception] = []
    failed: list[str] = []
    for name in names:
        if len(names) > 1:
            click.echo(f"Environment {printable(name)}:")
        try:
            act(name)
        except (MajobctlError, OSError) as error:
            errors.append(error)
            failed.append(printable(name))
            if len(names) > 1:
                _show(error)
    if failed and len(names) > 1:
        errors = [MajobctlError(f"failed: {', '.join(failed)}; the reasons are above")]
    return errors


def _show(error: Exception) -> None:
    if isinstance(error, ConfigError):
        show_problems(error.problems, (), error.secret_names)
    else:
        invocation.warn(error if isinstance(error, MajobctlError) else reason_of(error))


def _ended(errors: list[Exception], code: int) -> int:
    for error in errors[:-1]:
        _show(error)
    if errors:
        raise errors[-1]
    return code


def _planned(forge: Forge, environment: str, report: Annotations) -> Plan:
    from majobctl.operations import plan, validate
    from majobctl.operations.output_files import write_rendered
    from majobctl.render.html import plan_html
    from majobctl.render.text import plan_text

    repository = replace(invocation.repository(environment), warn=report.warn)
    try:
        report.add((), validate(repository).warnings)
    except ConfigError as error:
        report.add(error.problems, error.warnings)
        raise
    if forge.request:
        made = plan(repository)
    else:
        made = plan(repository, refresh="changed", out=_plan_file(environment, forge))
    report.add(made.denials, made.warnings)
    page = f"{_joined('majobctl-plan', environment)}.html"
    write_rendered(plan_html(made), page, repository.load_settings())
    terminal.say(plan_text(made, terminal.painter()))
    return made


def _plan_file(environment: str, forge: Forge) -> str:
    """The run is in the name, so that no other run's plan is taken for this one's."""
    return f"{_joined('majobctl', environment, forge.run)}.plan"


def _joined(*parts: str) -> str:
    return "-".join(filter(None, parts))


def _check_own(file: str) -> None:
    """Raises MajobctlError for a plan of the repository: a job for another environment may have
    kept it among its artifacts, and nobody was shown it."""
    from majobctl.git import is_tracked

    if is_tracked(file):
        raise MajobctlError(
            f"{file} is in git: it may be another plan than the one that this run made\n"
            f"nothing was sent; remove it with `git rm {file}`, and run the pipeline again"
        )


def _publish_plans(forge: Forge, plans: dict[str, Plan | Sequence[Problem]]) -> None:
    from majobctl.operations.publishing import publish
    from majobctl.render.comment import plans_markdown

    text = plans_markdown(plans, forge.commit, forge.url, forge.most)
    _add_to("GITHUB_STEP_SUMMARY", text)
    if forge.request and forge.cannot_write:
        terminal.say(f"There is no comment: {forge.cannot_write}.", err=True)
    elif forge.request:
        publish(forge, forge.comments(), _marker("plan", [*plans]), text)


def _drift(forge: Forge, environment: str) -> Drift:
    from majobctl.operations import drift
    from majobctl.operations.publishing import publish, withdraw
    from majobctl.render.drift_markdown import drift_markdown
    from majobctl.render.text import drift_text

    found = drift(invocation.repository(environment))
    terminal.say(drift_text(found, terminal.painter()))
    text = drift_markdown(found)
    _add_to("GITHUB_STEP_SUMMARY", text)
    if forge.cannot_write:
        terminal.say(f"There is no issue: {forge.cannot_write}.", err=True)
    else:
        title = "Training job configurations have drifted" + f" ({environment})" * bool(environment)
        act = publish if found.changes else withdraw
        act(forge, forge.issues(title), _marker("drift", [environment]), text)
    return found


def _marker(what: str, environments: Sequence[str]) -> str:
    from majobctl.render.comment import marker

    folder = Path(path_in_workspace()("majobctl.toml")).parent
    return marker(what, environments, folder.as_posix())


def _add_to(variable: str, text: str) -> None:
    """Adds ``text`` to the file that GitHub names; GitLab has none."""
    if file := os.environ.get(variable):
        try:
            with open(file, "a", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            reason = f"{variable}: {printable(file)} cannot be written: {reason_of(error)}"
            raise MajobctlError(reason) from error
