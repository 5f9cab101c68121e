"""Strict settings for every test, and where the public loss curves are."""

import os
import tempfile
from pathlib import Path

# before JAX is imported: most of the suite's time is compilation, which its processes share, and with the next run
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "bayeslr-compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import jax
import numpy as np
import pytest

from bayeslr import inference, schedules
from bayeslr.curves import CurveSet, LossCurve
from bayeslr.laws import AnnealingLaw

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# settled before the first use of JAX, so that results do not depend on which test runs first
jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture(scope="session")
def data_dir():
    """The folder with the public curves; without it, tests that need it are skipped at home and fail in CI."""
    folder = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no public curves in {folder}; set BAYESLR_DATA"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


SMALL_TRUTH = {"L0": 2.6, "A": 0.42, "alpha": 0.55, "C": 0.9, "decay": 0.99}


@pytest.fixture(scope="session")
def small_truth():
    """The parameters of the law that made `small_curves`."""
    return SMALL_TRUTH


@pytest.fixture(scope="session")
def small_curves():
    """Three simulated runs of 2000 steps of one size: constant, cosine and a drop in two stages."""
    common = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
    plans = {
        "constant": schedules.constant(**common),
        "cosine": schedules.cosine(final_lr=1e-4, **common),
        "drops": schedules.multistep(milestones=[1000, 1500], lrs=[3e-4, 1e-4], **common),
    }
    steps, rng = np.arange(140, 2001, 40), np.random.default_rng(5)
    return CurveSet(
        curves=tuple(
            LossCurve(
                name=name,
                steps=steps,
                loss=AnnealingLaw().loss(plan, steps, **SMALL_TRUTH) + 0.001 * rng.standard_normal(steps.size),
                schedule=plan,
                params=1e7,
                size="small",
                weight_decay=0.1,
                metadata={"split": "train"},
            )
            for name, plan in plans.items()
        )
    )


@pytest.fixture(scope="session")
def small_posterior(small_curves):
    """A posterior of `small_curves`, fitted once a session; draws enough to pass its health check."""
    return inference.fit(small_curves, seed=0, num_chains=2, num_warmup=250, num_samples=1400)
