"""Curves that branch, and short fits."""

from dataclasses import replace

import numpy as np
import pytest

from bayeslr import schedules
from bayeslr.curves import CurveSet

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}

QUICK = {"num_warmup": 50, "num_samples": 50, "num_chains": 1, "max_points_per_run": 16}
"""Settings of a fit whose draws are few: enough to see that everything is connected."""


@pytest.fixture(scope="session")
def quick():
    return QUICK


@pytest.fixture(scope="session")
def branched(small_curves):
    """The small curves and a cool-down from step 1200 of the constant run, whose history it has."""
    trunk = small_curves["constant"]
    plan = schedules.wsd(decay_steps=800, **COMMON)
    own = trunk.steps > 1200
    loss = np.where(own, trunk.loss - 2e-5 * (trunk.steps - 1200), trunk.loss)
    branch = replace(trunk, name="cooldown", loss=loss, schedule=plan, metadata={"split": "test"})
    return CurveSet(curves=(*small_curves, branch))
