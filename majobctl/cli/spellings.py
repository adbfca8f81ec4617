"""What people type who know Terraform, OpenTofu, decK or octoDNS, and what to type instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

_DELETE = "remove the job configs from the files, with apply.delete_removed = true"
_RESEND = "to send one again: majobctl state rm NAME, then majobctl apply --target NAME"
_ENVIRONMENT = "choose an environment, a table [environments.NAME] of the settings: -e NAME"
_NO_PLUGINS = "there is nothing to install; majobctl version prints the version"
_NO_LOGIN = "credentials come from the environment; majobctl flavors tries them"
_LOCK = "an apply always takes the lock, a plan never does; --lock-timeout SECONDS waits for it"

COMMANDS: Mapping[str, str] = {
    "help": "majobctl --help, or majobctl COMMAND --help",
    "destroy": _DELETE,
    "state show": "majobctl show NAME",
    "state replace-provider": "set [provider] in majobctl.toml",
    "workspace": _ENVIRONMENT,
    "env": _ENVIRONMENT,
    "taint": _RESEND,
    "untaint": "nothing is ever marked; majobctl plan shows what apply would do",
    "refresh": "majobctl plan --refresh",
    "output": "majobctl show --format json",
    "console": "majobctl render --origin shows each value and where it comes from",
    "graph": "job configs do not depend on each other; majobctl plan shows all",
    "get": _NO_PLUGINS,
    "providers": _NO_PLUGINS,
    "modules": "majobctl render --origin shows what templates and defaults give",
    "login": _NO_LOGIN,
    "logout": _NO_LOGIN,
    "test": "majobctl validate checks the files, and the examples of policies",
    "force-unlock": "majobctl unlock ID",
    "sync": "majobctl apply",
    "diff": "majobctl plan",
    "dump": "majobctl import --all",
    "reset": _DELETE,
    "ping": "majobctl flavors",
    "gateway": "write the command without it",
}
"""By the command as it is typed there. decK has its own below "gateway", too, which comes last."""

OPTIONS: Mapping[str, str] = {
    "json": "write --format json",
    "refresh-only": "majobctl drift shows what was changed in the service",
    "destroy": _DELETE,
    "replace": _RESEND,
    "upgrade": _NO_PLUGINS,
    "lock": _LOCK,
    "input": "no question is asked where stdin is not a terminal",
    "backend-config": "set [state] in majobctl.toml",
    "migrate-state": "majobctl state move BACKEND",
    "reconfigure": "set [state] in majobctl.toml",
    "dry-run": "majobctl plan shows what apply would do",
    "recursive": "majobctl fmt formats all job files",
    "state-out": "set state.path in majobctl.toml",
    "backup": "the state before is kept beside it, with .backup at the end of its name",
    "doit": "leave it out: majobctl apply asks, and majobctl plan sends nothing",
    "config-file": "majobctl -C DIR",
    "select-tag": "choose job configs with --target GLOB",
    "yes": "write --auto-approve",
    "workspace": _ENVIRONMENT,
}
"""By the name of an option, with one dash or two, that no command of ours has."""


def corrected(error: click.ClickException, arguments: Sequence[str]) -> click.ClickException:
    """The same error, or what to type instead."""
    if isinstance(error, click.NoSuchOption):
        return _with_option(error, arguments)
    if isinstance(error, click.UsageError) and error.ctx:
        words = " ".join(it for it in arguments if not it.startswith("-"))
        is_group = isinstance(error.ctx.command, click.Group)
        for command, hint in COMMANDS.items() if is_group else ():
            if f" {command} " in f" {words} ":
                return click.UsageError(f"No such command: {command}; {hint}")
    return error


def _with_option(error: click.NoSuchOption, arguments: Sequence[str]) -> click.ClickException:
    parameters = error.ctx.command.get_params(error.ctx) if error.ctx else []
    known = {name for it in parameters for name in it.opts}
    for option in (argument.partition("=")[0] for argument in arguments):
        name = option.lstrip("-")
        if option in known or not option.startswith("-"):
            continue
        if option == f"-{name}" and f"-{option}" in known:
            return click.UsageError(f"No such option: {option}; write -{option}", error.ctx)
        if name in OPTIONS and (name != "json" or "--format" in known):
            return click.UsageError(f"No such option: {option}; {OPTIONS[name]}", error.ctx)
    return error
