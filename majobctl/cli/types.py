"""What options and arguments accept: paths of a user, the names of job configs, project ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from majobctl.errors import ConfigError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_WITH_GLOBS = "show, pull, render, import, state rm, --target and --exclude take globs"


def completed(function: str, *more: str) -> Callable[..., list[CompletionItem[str]]]:
    """What ``shell_complete`` of an option wants: a function of the module for it."""

    def complete(context: click.Context, _: click.Parameter, word: str) -> Any:
        from majobctl.cli import completion

        return getattr(completion, function)(context, word, *more)

    return complete


class UserPath(click.types.StringParamType):
    """A path in which ``~`` is the home folder, even if no shell has replaced it. ``kind`` is what
    a shell completes: "file" or "dir"."""

    def __init__(self, kind: str = "file", *, is_existing: bool = False) -> None:
        self.kind, self.is_existing = kind, is_existing

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from majobctl.files import at_home

        path, existing = at_home(value), click.Path(exists=True, dir_okay=False)
        return existing.convert(path, param, ctx) if self.is_existing else path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        return completed("paths", self.kind)(ctx, param, incomplete)


class ProjectId(click.types.StringParamType):
    """The id of a project; "" for none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from majobctl.target import checked_project_id

        try:
            return checked_project_id(value) if value else ""
        except ConfigError as error:
            return self.fail(error.problems[0].message, param, ctx)


class JobConfigName(click.types.StringParamType):
    """The name of one job config, also as ``job_config.NAME``. A shell completes those that
    ``source`` has: "state", "files" or "both"."""

    completes = "names"

    def __init__(self, source: str = "both") -> None:
        self.source = source

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from majobctl.job_config.fields import is_glob, plain_name
        from majobctl.text import quoted

        if is_glob(name := plain_name(value)):
            problem = f"{quoted(name)} is a glob; this takes one name"
            raise click.UsageError(f"{problem}, and {_WITH_GLOBS}", ctx)
        return name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        return completed(self.completes, self.source)(ctx, param, incomplete)


class JobConfigGlob(JobConfigName):
    """A name or a glob, which is resolved where the names are known; or a path, if one fits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from majobctl.files import at_home

        return at_home(value)


class JobConfigOrFile(JobConfigGlob):
    completes = "names_and_files"
