"""majobctl: plan and apply for ModelArts training job configurations.

The command is ``majobctl``; in Python, ``majobctl.session.Session`` and
``majobctl.estimator.Estimator`` follow the ModelArts SDK."""

__version__ = "0.2.0"
