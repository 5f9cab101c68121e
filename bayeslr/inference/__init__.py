"""Inference: mode, whitening, NUTS, the posterior with its file, and its health."""

from bayeslr.files import write_atomically
from bayeslr.inference.devices import ChainMethod, prepare_devices
from bayeslr.inference.fit import fit
from bayeslr.inference.forking import require_unforked
from bayeslr.inference.health import STEADY_SHARE, Check, Health, check, steady_share
from bayeslr.inference.posterior import Posterior, load_posterior

__all__ = [
    "STEADY_SHARE",
    "ChainMethod",
    "Check",
    "Health",
    "Posterior",
    "check",
    "fit",
    "load_posterior",
    "prepare_devices",
    "require_unforked",
    "steady_share",
    "write_atomically",
]
