"""Training logs: every format becomes one tidy table, and every table a curve.

:func:`read_curves` reads the runs of a manifest, :func:`read_logs` logs without one. :mod:`bayeslr.logs.formats` has
one module per format and the one place that tells formats apart; :mod:`~bayeslr.logs.columns` says how columns are
found, :mod:`~bayeslr.logs.counters` which of them counts updates, :mod:`~bayeslr.logs.history` what becomes of
repetitions, restarts and disorder, and :mod:`~bayeslr.logs.plausible` what cannot be a loss.
"""

from bayeslr.logs.reading import read_curves, read_logs

__all__ = ["read_curves", "read_logs"]
