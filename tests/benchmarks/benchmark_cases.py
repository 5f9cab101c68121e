"""The curves that are measured on: public ones where they are at hand, else simulated ones of the same shape."""

import os
import warnings
from pathlib import Path

import numpy as np

from bayeslr import schedules
from bayeslr.curves import CurveSet, LossCurve, Setup
from bayeslr.errors import BayeslrWarning
from bayeslr.laws import AnnealingLaw, EffectiveRateLaw, Scale
from bayeslr.logs import read_curves

TRUTH = {"A": 0.43, "alpha": 0.55, "C": 0.41, "decay": 0.999}
HIERARCHY = "dataset == 'slimpajama' and size in ['L8H6D384', 'L10H8D512', 'L12H10D640']"


def quick():
    """Whether everything is to be run with tiny settings, to see that it works."""
    return os.environ.get("BAYESLR_BENCH_QUICK", "") not in ("", "0")


def data_dir():
    """The folder with the public curves, or none."""
    folder = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[3] / "shared" / "data"))
    return folder if folder.is_dir() else None


def three_runs():
    """The three published training runs of 24,000 steps at 25M parameters, and what to call them."""
    if folder := data_dir():
        where = "size == '25M' and split == 'train'"
        return read_curves(folder / "multi-power-law" / "runs.csv", where=where), "25M, 3 runs"
    return simulated(runs=3, steps=24_000), "simulated, 3 runs"


def nine_runs():
    """The nine published runs at 25M parameters."""
    if folder := data_dir():
        return read_curves(folder / "multi-power-law" / "runs.csv", where="size == '25M'"), "25M, 9 runs"
    return simulated(runs=9, steps=24_000), "simulated, 9 runs"


def eighteen_runs():
    """Eighteen runs of three sizes."""
    if folder := data_dir():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            curves = read_curves(folder / "epfl-schedules" / "runs.csv", where=HIERARCHY, loss="val_loss")
        return curves, "EPFL, 18 runs of 3 sizes"
    return simulated(runs=18, sizes=3, steps=24_000), "simulated, 18 runs of 3 sizes"


def plan(kind, steps):
    """One of six schedules of a length."""
    common = {"peak_lr": 3e-4, "warmup_steps": max(1, steps // 50), "total_steps": steps}
    builders = (
        lambda: schedules.constant(**common),
        lambda: schedules.cosine(final_lr=3e-5, **common),
        lambda: schedules.wsd(decay_steps=steps // 5, **common),
        lambda: schedules.multistep(milestones=[steps // 2, 3 * steps // 4], lrs=[1e-4, 3e-5], **common),
        lambda: schedules.linear(final_lr=0.0, **common),
        lambda: schedules.wsd(decay_steps=steps // 2, decay="1-sqrt", **common),
    )
    return builders[kind % len(builders)]()


def simulated(*, runs=3, sizes=1, steps=24_000, observations=200):
    """Runs simulated from the law, with a white noise of 0.001 and an offset of each run of 0.003."""
    rng = np.random.default_rng(0)
    curves = []
    for k in range(runs):
        size = k % sizes
        schedule = plan(k // sizes, steps)
        first = schedule.warmup_steps + max(1, steps // 50)
        at = np.unique(np.linspace(first, steps, observations).round().astype(np.int64))
        clean = AnnealingLaw().loss(schedule, at, L0=3.0 - 0.25 * size, **TRUTH)
        loss = clean + 0.003 * rng.standard_normal() + 0.001 * rng.standard_normal(at.size)
        curves.append(
            LossCurve(
                name=f"run{k}", steps=at, loss=loss, schedule=schedule, params=25e6 * 2.0**size, size=f"size{size}"
            )
        )
    return CurveSet(curves=tuple(curves))


def thinned(curves, points=64):
    """The observations that a fit uses."""
    return curves.after_warmup().thin(points)


def three_hundred_runs():
    """Three hundred simulated runs of three sizes."""
    return simulated(runs=300, sizes=3, steps=24_000), "simulated, 300 runs of 3 sizes"


def final_losses(*, runs=3000, sizes=10, whole=0):
    """Simulated runs of ten sizes, several lengths, rates and batch sizes; of all but some only the end is known."""
    rng, law = np.random.default_rng(0), EffectiveRateLaw(batch="power")
    truth = {"alpha": 0.5, "memory_spread": 0.7, "area_memory": 0.4, "norm_ratio": 2.0}
    truth |= {"batch_progress": 0.3, "batch_noise": 0.7}
    # how far real sizes lie off their trend
    off = {
        name: rng.normal(0.0, sd, sizes)
        for name, sd in (("level", 0.01), ("slope", 0.05), ("drop", 0.05), ("tau", 0.2))
    }
    curves = []
    for k in range(runs):
        size = k % sizes
        steps = int(rng.choice([4000, 8000, 16_000, 32_000]))
        common = {"peak_lr": float(rng.choice([3e-4, 6e-4, 1.2e-3])), "warmup_steps": 400, "total_steps": steps}
        if k % 3:
            schedule = schedules.cosine(final_lr=common["peak_lr"] / 10.0, **common)
        else:
            schedule = schedules.wsd(final_lr=0.0, decay_steps=steps // 5, **common)
        setup = Setup(weight_decay=0.1, batch_size=float(rng.choice([256, 512, 1024])))
        scale = Scale(area=10.0, rate=6e-4, loss=3.0, memory=130.0, batch=512.0)
        params = 25e6 * 1.6**size
        own = {
            "level": 1.9 + 1.4 * (params / 25e6) ** -0.3 + off["level"][size],
            "slope": 0.2 * (params / 25e6) ** -0.1 * np.exp(off["slope"][size]),
            "drop": 0.1 * np.exp(off["drop"][size]),
            "tau": 200.0 * np.exp(off["tau"][size]),
        }
        values = {name: np.asarray(value) for name, value in (truth | own).items()}
        at = np.linspace(steps // 20, steps, 60).astype(int)[0 if k < whole else -1 :]
        clean = law.terms(values, law.features(schedule, at, scale, setup)).total
        curves.append(
            LossCurve(
                name=f"run{k}",
                steps=at,
                loss=np.asarray(clean) + 0.004 * rng.standard_normal(at.size),
                schedule=schedule,
                params=params,
                size=f"size{size}",
                batch_size=setup.batch_size,
                weight_decay=setup.weight_decay,
            )
        )
    return CurveSet(curves=tuple(curves)), f"simulated, {runs} final losses of {sizes} sizes"
