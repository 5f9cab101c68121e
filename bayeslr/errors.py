"""Every exception and warning that bayeslr raises.

Wrong input is an exception, always a ``ValueError`` too, whose message is one line that says what was found, where, and
what is allowed. Statistical trouble is never an exception: it is a value (:class:`bayeslr.Health`) and a warning.
"""

__all__ = [
    "BayeslrError",
    "BayeslrWarning",
    "ConvergenceWarning",
    "CurveError",
    "DataWarning",
    "ExtrapolationWarning",
    "LogError",
    "ManifestError",
    "ModelError",
    "PosteriorError",
    "ScheduleError",
    "ScheduleMismatchWarning",
]


class BayeslrError(ValueError):
    """Base class: wrong input, described in one line."""


class ScheduleError(BayeslrError):
    """A learning-rate schedule or its spec is not valid."""


class LogError(BayeslrError):
    """A training log cannot be read as a loss curve."""


class ManifestError(BayeslrError):
    """A manifest, or a query on it, is not valid."""


class CurveError(BayeslrError):
    """A loss curve, or a set of them, is not valid."""


class ModelError(BayeslrError):
    """A model setting or a prior is not valid for the data at hand."""


class PosteriorError(BayeslrError):
    """A posterior file, or a question asked of a posterior, is not valid."""


class BayeslrWarning(UserWarning):
    """Base class of the warnings."""


class DataWarning(BayeslrWarning):
    """Something in a log was dropped or repaired."""


class ScheduleMismatchWarning(DataWarning):
    """The logged rates disagree with the nominal schedule."""


class ConvergenceWarning(BayeslrWarning):
    """The sampler did not converge: do not trust the numbers yet."""


class ExtrapolationWarning(BayeslrWarning):
    """A question goes far outside the data that were fitted."""
