"""Training logs: every format becomes one tidy table, and every table a curve.

:func:`read_curves` reads the runs of a manifest, :func:`read_logs` logs without one. One module knows one format:
:mod:`~bayeslr.logs.delimited` (CSV), :mod:`~bayeslr.logs.jsonlog` (JSONL, Hugging Face's ``trainer_state.json``),
:mod:`~bayeslr.logs.tensorboard_events`, :mod:`~bayeslr.logs.wandb_file`; :mod:`~bayeslr.logs.columns` says how columns
are found and :mod:`~bayeslr.logs.values` what becomes of repetitions, restarts and disorder.
"""

from bayeslr.logs.reading import read_curves, read_logs

__all__ = ["read_curves", "read_logs"]
