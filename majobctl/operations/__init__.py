"""One module for each thing that majobctl does. The names below are the Python interface
(docs/python.md); each is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from majobctl.operations.applying import apply as apply
    from majobctl.operations.context import ConfigRepository as ConfigRepository
    from majobctl.operations.drift_check import drift as drift
    from majobctl.operations.importing import import_configs as import_configs
    from majobctl.operations.planning import plan as plan
    from majobctl.operations.policies import validate as validate
    from majobctl.operations.pulling import pull as pull
    from majobctl.operations.saved_plan import SavedPlan as SavedPlan
    from majobctl.plan.plan import Selection as Selection
    from majobctl.repository.settings.variables import Overrides as Overrides

_MODULES = {
    "ConfigRepository": "majobctl.operations.context",
    "Overrides": "majobctl.repository.settings.variables",
    "SavedPlan": "majobctl.operations.saved_plan",
    "Selection": "majobctl.plan.plan",
    "apply": "majobctl.operations.applying",
    "drift": "majobctl.operations.drift_check",
    "import_configs": "majobctl.operations.importing",
    "plan": "majobctl.operations.planning",
    "pull": "majobctl.operations.pulling",
    "validate": "majobctl.operations.policies",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
