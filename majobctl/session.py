"""``Session`` where the ModelArts SDK has it: ``from majobctl.session import Session``."""

from majobctl.service.session import Session

__all__ = ["Session"]
