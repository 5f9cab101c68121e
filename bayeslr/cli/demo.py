"""The demonstration: fit three sizes, predict what was not fitted, and compare with what happened.

The curves ship with the package (:mod:`bayeslr.datasets`, ``docs/data_card_tiny_lm.md``): small language models of four
sizes. Three sizes are fitted on a constant, a cosine and a two-stage schedule; predicted are their other schedules, and
all schedules of the largest size.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table

from bayeslr.cli.terminal import program_name, spelled
from bayeslr.curves import CurveSet, LossCurve
from bayeslr.datasets import load
from bayeslr.forecast import Forecast, predict
from bayeslr.inference import Posterior, check, fit
from bayeslr.report.plots import plot_prediction
from bayeslr.report.tables import demo_table, health_lines

__all__ = ["NEXT_STEPS", "Demonstration", "run"]

NEXT_STEPS = (
    "Next, with logs of your own (CSV, JSONL, Hugging Face, TensorBoard, W&B):",
    f"  {program_name()} fit run1.csv run2.csv run3.csv -o posterior.nc",
    f"  {program_name()} predict posterior.nc \\",
    "      --schedule 'linear(peak_lr=3e-4, total_steps=9000)'",
)

_SHOWN = ("constant_4000", "cosine_4000", "wsd20_4000")
_CI_PROB = 0.9


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
    figure: Any


def run(*, seed: int, progress: bool = False, num_samples: int = 1000) -> Demonstration:
    """Run the demonstration.

    Parameters
    ----------
    seed
        Seed of the fit and the predictions.
    progress
        Whether to show a progress bar on stderr.
    num_samples
        Draws a chain. Default: as many as :func:`bayeslr.fit` takes.

    Returns
    -------
    Demonstration
        Tables, lines and the picture.
    """
    curves = load("tiny_lm", where="split != 'seed'")
    fitted, unseen = curves.select("split == 'train'"), curves.select("split == 'test'")
    posterior = fit(fitted, seed=seed, num_samples=num_samples, progress=progress)
    sizes = {size: CurveSet(curves=tuple(c for c in unseen if c.size == size)) for size in _sizes(unseen)}
    forecasts = {size: _predict(posterior, group, seed=seed) for size, group in sizes.items()}
    finals = {size: _finals(forecasts[size], group) for size, group in sizes.items()}
    rows = pd.concat(finals, names=["size", None])
    inside = rows["measured"].between(rows["lower"], rows["upper"])
    missed = inside[~inside].groupby("size", sort=False).size()
    others = (
        f" (the others: {', '.join(f'{count} of {size}' for size, count in missed.items())})" if len(missed) else ""
    )
    points = [_inside(forecasts[size], group) for size, group in sizes.items()]
    share = sum(held for held, _ in points) / sum(count for _, count in points)
    largest = _sizes(unseen)[-1]
    text: list[Table | str] = [
        f"Real curves of small language models that ship with bayeslr. Fitted: {len(fitted)} runs of the sizes "
        f"{', '.join(_sizes(fitted))}. Predicted: {len(unseen)} runs that were not fitted, among them all of "
        f"the size {largest}.",
        "",
        demo_table(rows, ci_prob=_CI_PROB),
        "",
        f"{inside.sum()} of {len(rows)} final losses lie in their 90% intervals{others}; the 90% bands hold "
        f"{100 * share:.0f}% of all measurements",
        *health_lines(spelled(check(posterior))),
    ]
    return Demonstration(text=text, figure=_picture(posterior, sizes[largest], seed=seed))


def _sizes(curves: CurveSet) -> list[str]:
    """Return the labels of the sizes, smallest first."""
    ordered = sorted(curves, key=lambda curve: curve.params or 0.0)
    return list(dict.fromkeys(str(curve.size) for curve in ordered))


def _predict(posterior: Posterior, curves: CurveSet, *, seed: int) -> Forecast:
    measured = curves.after_warmup()
    return predict(
        posterior,
        {curve.name: curve.schedule for curve in measured},
        size=measured.curves[0].params,
        steps={curve.name: curve.steps for curve in measured},
        seed=seed,
    )


def _finals(forecast: Forecast, curves: CurveSet) -> pd.DataFrame:
    """Return predicted and measured final losses, one row per run."""
    table = forecast.final_loss(ci_prob=_CI_PROB)
    table["measured"] = [float(curves[str(name)].loss[-1]) for name in table.index]
    return table.rename_axis("run").reset_index()[["run", "step", "measured", "median", "lower", "upper"]]


def _inside(forecast: Forecast, curves: CurveSet) -> tuple[int, int]:
    """Count the measurements that lie in their bands, and all of them."""
    bands = forecast.band(ci_prob=_CI_PROB)
    held = count = 0
    for curve in curves.after_warmup():
        band = bands[bands["schedule"] == curve.name]
        held += int(((band["lower"].to_numpy() <= curve.loss) & (curve.loss <= band["upper"].to_numpy())).sum())
        count += len(curve)
    return held, count


def _picture(posterior: Posterior, curves: CurveSet, *, seed: int) -> Any:
    """Draw the largest size, which was not fitted at all, under three schedules."""
    shown: list[LossCurve] = [curve for curve in curves if curve.name.rpartition("/")[2] in _SHOWN]
    return plot_prediction(_predict(posterior, CurveSet(curves=tuple(shown)), seed=seed), shown)
