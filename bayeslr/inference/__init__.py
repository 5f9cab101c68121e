"""Inference: mode, whitening, NUTS, the posterior with its file, and its health."""

# first: it asks whether JAX was there before the library brought it
import bayeslr.laws  # noqa: F401

# isort: split
from bayeslr.files import write_atomically
from bayeslr.inference.engine.devices import ChainMethod, prepare_devices
from bayeslr.inference.fit import fit
from bayeslr.inference.fitted import fitted_curves
from bayeslr.inference.health import LOWERED_SHARE, STEADY_SHARE, anneals, check, steady_share
from bayeslr.inference.loading import load_posterior
from bayeslr.inference.posterior import Posterior
from bayeslr.inference.verdict import Check, Health
from bayeslr.inference.watched import is_watched, progress_bar

__all__ = [
    "LOWERED_SHARE",
    "STEADY_SHARE",
    "ChainMethod",
    "Check",
    "Health",
    "Posterior",
    "anneals",
    "check",
    "fit",
    "fitted_curves",
    "is_watched",
    "load_posterior",
    "prepare_devices",
    "progress_bar",
    "steady_share",
    "write_atomically",
]
