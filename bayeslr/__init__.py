"""Bayesian learning-rate scaling laws: from training logs to calibrated loss bands for schedules nobody has run yet.

>>> import bayeslr as bl
>>> curves = bl.read_curves("runs.csv")  # doctest: +SKIP
>>> posterior = bl.fit(curves, seed=0)  # doctest: +SKIP
>>> plans = {"wsd": bl.schedules.wsd(peak_lr=3e-4, warmup_steps=500, decay_steps=4000, total_steps=24_000)}
>>> bl.predict(posterior, plans, seed=1).final_loss(ci_prob=0.9)  # doctest: +SKIP

The names are listed in the stub beside this file and loaded at their first use (SPEC 1), so that the import is quick.
"""

import lazy_loader

# it notices a fork after any use of JAX from here on
import bayeslr.forking  # noqa: F401

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
