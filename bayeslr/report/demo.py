"""The demonstration: fit three schedules, predict a fourth one that was not fitted, and compare with what happened.

The curves are simulated from the law with known parameters, those that the paper found for its models of one size
(arXiv 2408.11029: 2.628 + 0.429 S1^-0.550 - 0.411 S2, decay 0.999, peak rate 2e-4), with a little measurement noise.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.table import Table

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.forecast import predict
from bayeslr.inference import check, fit
from bayeslr.laws import annealing_area, forward_area
from bayeslr.report.plots import plot_prediction
from bayeslr.report.tables import demo_table, health_lines
from bayeslr.schedules import Schedule, constant, cosine, multistep, wsd

__all__ = ["FITTED", "NEXT_STEPS", "Demonstration", "run", "simulate"]

NEXT_STEPS = (
    "Next, with logs of your own (CSV, JSONL, Hugging Face, TensorBoard, W&B):",
    "  bayeslr fit run1.csv run2.csv run3.csv -o posterior.nc",
    "  bayeslr predict posterior.nc --schedule 'linear(peak_lr=3e-4, total_steps=9000)'",
)

_STEPS = 12_000
_WARMUP = 500
_PEAK = 2e-4
_NOISE = 0.001
_TRUTH = {"L0": 2.628, "A": 0.429, "alpha": 0.550, "C": 0.411, "decay": 0.999}
FITTED = {
    "constant": constant(peak_lr=_PEAK, warmup_steps=_WARMUP, total_steps=_STEPS),
    "cosine": cosine(peak_lr=_PEAK, final_lr=0.1 * _PEAK, warmup_steps=_WARMUP, total_steps=_STEPS),
    "two-stage": multistep(
        peak_lr=_PEAK, warmup_steps=_WARMUP, milestones=[_STEPS // 2], lrs=[0.3 * _PEAK], total_steps=_STEPS
    ),
}
_UNSEEN = {"wsd": wsd(peak_lr=_PEAK, warmup_steps=_WARMUP, decay_steps=_STEPS // 6, total_steps=_STEPS)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstration:
    """What the demonstration shows.

    Parameters
    ----------
    text
        Tables and lines of text.
    figure
        The picture.
    """

    text: list[Table | str]
    figure: Figure


def simulate(schedules: dict[str, Schedule], *, seed: int) -> CurveSet:
    """Simulate loss curves from the law with the paper's parameters.

    Parameters
    ----------
    schedules
        The schedules, by name.
    seed
        Seed of the measurement noise.

    Returns
    -------
    CurveSet
        One curve a schedule, its loss every 100 steps after the warm-up.
    """
    rng = np.random.default_rng(seed)
    curves = []
    for name, schedule in schedules.items():
        steps = np.arange(schedule.warmup_steps + 100, schedule.total_steps + 1, 100, dtype=np.int64)
        forward = _TRUTH["A"] * forward_area(schedule, steps) ** -_TRUTH["alpha"]
        annealing = _TRUTH["C"] * annealing_area(schedule, steps, decay=_TRUTH["decay"])
        loss = _TRUTH["L0"] + forward - annealing + _NOISE * rng.standard_normal(steps.size)
        curves.append(LossCurve(name=name, steps=steps, loss=loss, schedule=schedule, size="demo"))
    return CurveSet(curves=tuple(curves))


def run(*, seed: int, progress: bool = False, num_samples: int = 1000) -> Demonstration:
    """Run the demonstration.

    Parameters
    ----------
    seed
        Seed of the simulated noise, the fit and the prediction.
    progress
        Whether to show a progress bar on stderr.
    num_samples
        Draws a chain. Default 1000.

    Returns
    -------
    Demonstration
        Tables, lines and the picture.
    """
    curves = simulate(FITTED | _UNSEEN, seed=seed)
    measured = curves["wsd"]
    posterior = fit(CurveSet(curves=curves.curves[:-1]), seed=seed, num_samples=num_samples, progress=progress)
    forecast = predict(posterior, _UNSEEN, steps=measured.steps, seed=seed)
    band = forecast.band(ci_prob=0.9)
    inside = ((band["lower"] <= measured.loss) & (measured.loss <= band["upper"])).mean()
    rows = pd.DataFrame(
        {
            "step": measured.steps,
            "true": measured.loss,
            **{key: band[key].to_numpy() for key in ("median", "lower", "upper")},
        }
    )
    shown = rows.iloc[np.linspace(len(rows) // 6, len(rows) - 1, 6).round().astype(int)]
    text: list[Table | str] = [
        f"Curves simulated from the annealing law with known parameters and noise of {_NOISE:g}: no real training "
        f"runs. Fitted: {', '.join(FITTED)}. Predicted: {', '.join(_UNSEEN)}, {_STEPS:,} steps.",
        "",
        demo_table(shown, ci_prob=0.9),
        "",
        f"the 90% band holds {100 * inside:.0f}% of the {len(rows)} measurements",
        *health_lines(check(posterior)),
    ]
    return Demonstration(text=text, figure=plot_prediction(forecast, [measured]))
