"""``Estimator`` where the ModelArts SDK has it: ``from majobctl.estimator import Estimator``."""

from majobctl.service.estimator import Estimator

__all__ = ["Estimator"]
