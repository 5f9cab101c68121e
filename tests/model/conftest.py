"""Structures with every feature of the likelihood, and simulated curves of one or several sizes."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.laws import AnnealingLaw
from bayeslr.model.bundles import Group
from bayeslr.model.likelihood import Structure
from bayeslr.schedules import constant, cosine, wsd


@pytest.fixture(scope="session", params=[0.0, 0.6], ids=["own", "common"])
def structure(request):
    """Four runs of two sizes, two of them padded, every array random; sizes with and without effects in common."""
    rng = np.random.default_rng(11)
    runs, width, q, p = 4, 7, 3, 2
    valid = np.arange(width)[None, :] < np.array([7, 4, 6, 7])[:, None]
    autocorrelation = rng.uniform(0.0, 0.95, (runs, width)) * valid
    autocorrelation[:, 0] = 0.0
    arrays = {
        "mean": rng.normal(3.0, 0.2, (runs, width)),
        "sd": rng.uniform(0.01, 0.05, (runs, width)),
        "autocorrelation": autocorrelation,
        "run_shapes": rng.normal(0.0, 1.0, (runs, q, width)),
        "run_scale": rng.uniform(0.02, 0.04, (runs, q)),
        "shared_shapes": rng.normal(0.0, 1.0, (runs, p, width)),
        "shared_scale": rng.uniform(0.03, 0.07, (runs, p)),
        "exchange": np.array([1.0, 0.0]),
        "response": rng.normal(0.0, 1.0, (runs, width)),
        "valid": valid,
        "size_of_run": np.array([0, 1, 0, 1]),
        "sizes": np.zeros(2),
    }
    arrays = {name: jnp.asarray(array) for name, array in arrays.items()}
    groups = (Group.of(np.arange(runs), arrays["size_of_run"], 2),)
    return Structure(**arrays, groups=groups, common=request.param)


@pytest.fixture(scope="session")
def make_curves():
    """Curves of the law with chosen scales: lowest loss, peak rate, horizon, model sizes."""

    def make(*, loss=2.6, peak_lr=1e-3, horizon=2000, sizes=(1e7,), noise=0.0, seed=0, points=24, plans=None):
        law, rng = AnnealingLaw(), np.random.default_rng(seed)
        common = {"peak_lr": peak_lr, "warmup_steps": horizon // 20, "total_steps": horizon}
        plans = plans or {
            "constant": constant(**common),
            "cosine": cosine(final_lr=0.1 * peak_lr, **common),
            "wsd": wsd(final_lr=0.0, decay_steps=horizon // 5, **common),
        }
        area = peak_lr * horizon
        curves = []
        for size in sizes:
            shift = (size / 1e7) ** -0.2
            for name, plan in plans.items():
                steps = np.linspace(0.06 * plan.total_steps, plan.total_steps, points).astype(int)
                mean = law.loss(
                    plan,
                    steps,
                    L0=(0.6 + 0.25 * shift) * loss,
                    A=0.1 * loss * area**0.5,
                    alpha=0.5,
                    C=0.05 * loss / peak_lr / (0.02 * horizon),
                    decay=1.0 - 1.0 / (0.02 * horizon),
                )
                label = f"{size / 1e6:.0f}M"
                curves.append(
                    LossCurve(
                        name=f"{name}-{label}",
                        steps=steps,
                        loss=mean + noise * loss * rng.standard_normal(steps.size),
                        schedule=plan,
                        params=size,
                        size=label,
                    )
                )
        return CurveSet(curves=tuple(curves))

    return make
