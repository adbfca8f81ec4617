"""The rules between keys: tables 1 to 3 of "Modifying a Training Job Configuration"."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from majobctl.job_config.violations import Violation


@dataclass(frozen=True, slots=True)
class Needs:
    """One key makes sense only with another; if they go ``together``, so does that one."""

    key: str
    other: str
    together: bool = False

    @property
    def text(self) -> str:
        key, other = f"`{self.key}`", f"`{self.other}`"
        return f"{key} and {other} go together." if self.together else f"{key} needs {other}."

    @property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """Each key that needs another, with that one."""
        pair = (self.key, self.other)
        return (pair, pair[::-1]) if self.together else (pair,)

    def violations(self, params: Mapping[str, Any]) -> Iterator[Violation]:
        end = " as well" if self.together else ""
        for key, other in self.pairs:
            if key in params and other not in params and not excluded(key, params):
                yield Violation((key,), f"{key} needs {other}{end}", with_key=other)


@dataclass(frozen=True, slots=True)
class Excludes:
    """One key cannot be used with any of the others."""

    key: str
    others: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"`{self.key}` cannot be used with {', '.join(f'`{key}`' for key in self.others)}."

    def violations(self, params: Mapping[str, Any]) -> Iterator[Violation]:
        if self.key in params:
            for other in self.others:
                if other in params:
                    message = f"{other} cannot be used together with {self.key}; keep one of them"
                    yield Violation((other,), message, with_key=self.key)


@dataclass(frozen=True, slots=True)
class LiesInside:
    """A file's path continues a directory's."""

    file: str
    directory: str

    @property
    def text(self) -> str:
        return f"`{self.file}` must be inside `{self.directory}`."

    def violations(self, params: Mapping[str, Any]) -> Iterator[Violation]:
        file, directory = params.get(self.file), params.get(self.directory)
        if not (isinstance(file, str) and isinstance(directory, str)):
            return  # One of them is missing, wrong, or not known.
        if file.endswith("/"):
            message = f"{self.file} must be a file inside {self.directory}, not a directory"
            yield Violation((self.file,), message)
        elif not file.startswith(directory.rstrip("/") + "/"):
            message, other = f"{self.file} must be inside {self.directory}", self.directory
            yield Violation(
                (self.file,), message, with_key=other, value=directory, value_path=(other,)
            )


@dataclass(frozen=True, slots=True)
class HasAlgorithm:
    """There must be something to run: a built-in algorithm, code with an engine, or an image."""

    @property
    def text(self) -> str:
        return (
            "One algorithm is required: `model_name`; or `code_dir` and `boot_file` with"
            " `framework_type` and `framework_version`; or a custom image, `user_image_url`"
            " (which may have code, too)."
        )

    def violations(self, params: Mapping[str, Any]) -> Iterator[Violation]:
        # A command needs an image, which is an algorithm.
        if not {"model_name", "user_image_url", "user_command"}.isdisjoint(params):
            return
        code = [key for key in ("code_dir", "boot_file") if key in params]
        engine = [key for key in ("framework_type", "framework_version") if key in params]
        both = "framework_type and framework_version"
        if code and not engine:
            message = f"{code[0]} needs {both} (or user_image_url) to run with"
            yield Violation((code[0],), message)
        elif engine and not code:
            yield Violation((engine[0],), f"{engine[0]} needs code_dir and boot_file to run")
        elif not code:
            message = f"set model_name, or code_dir, boot_file, {both}, or user_image_url"
            yield Violation((), f"no algorithm: {message}")


Rule = Needs | Excludes | LiesInside | HasAlgorithm
"""``text`` is its sentence on the reference page."""
_INSIDE = LiesInside("boot_file", "code_dir")
_CODE = ("code_dir", "boot_file", "framework_type", "framework_version")
RULES: tuple[Rule, ...] = (
    Needs("code_dir", "boot_file", together=True),
    _INSIDE,
    Needs("framework_type", "framework_version", together=True),
    Excludes("model_name", (*_CODE, "user_image_url", "user_command")),
    Needs("user_command", "user_image_url"),
    HasAlgorithm(),
    Needs("dataset_id", "dataset_version_id", together=True),
    Excludes("inputs", ("dataset_id", "dataset_version_id", "data_source")),
    Excludes("data_source", ("dataset_id", "dataset_version_id")),
)


def excluded(key: str, params: Mapping[str, Any]) -> bool:
    """Whether ``key`` cannot be used: to say what it needs would contradict that."""
    exclusive = (rule for rule in RULES if isinstance(rule, Excludes) and key in rule.others)
    return any(rule.key in params for rule in exclusive)


def broken_rules(params: Mapping[str, Any]) -> list[Violation]:
    outside = [it for it in _INSIDE.violations(params) if not excluded(_INSIDE.file, params)]
    return [*_broken_between(tuple(params)), *outside]


@lru_cache(maxsize=1024)
def _broken_between(keys: Collection[str]) -> list[Violation]:
    """The rules about which keys are set. Cached: many job configs have equal keys."""
    present = dict.fromkeys(keys)
    return [violation for rule in RULES for violation in rule.violations(present)]
