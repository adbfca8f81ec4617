from __future__ import annotations

from majobctl import __version__
from tests.config_repository import Repository


def test_the_version_is_reported_by_command_and_option(repository: Repository) -> None:
    for arguments in (["version"], ["--version"]):
        assert repository.done(*arguments).stdout == f"majobctl {__version__}\n"
        assert repository.process(*arguments).stdout == f"majobctl {__version__}\n"
