"""The held-out runs that docs/calibration.md reports, and the command that scores them.

    uv run python tests/evaluation/held_out.py                   every set with the baselines
    uv run python tests/evaluation/held_out.py mpl-25M tiny-lm   some of them
    uv run python tests/evaluation/held_out.py --variants        variants of the error model, by Laplace's approximation
    uv run python tests/evaluation/held_out.py --sizes           sizes that were not fitted
    uv run python tests/evaluation/held_out.py --losses          olmo-horizon by each of its validation losses
    uv run python tests/evaluation/held_out.py --noise           how noise follows the rate, by third differences

Settings were chosen on multi-power-law and on EPFL's peak rate 1e-3; the other sets were only reported on.
"""

import argparse
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bayeslr.curves import CurveSet
from bayeslr.datasets import load
from bayeslr.errors import BayeslrWarning
from bayeslr.evaluation import BayesianForecast, Split, backtest, by_query, default_forecasters
from bayeslr.laws import AnnealingLaw
from bayeslr.logs import read_curves
from bayeslr.model import Discrepancy, ErrorModel, NoDiscrepancy, Noise, ScalingModel

DATA = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHOWN = ("runs", "coverage_50", "coverage_90", "final_in_90", "crps", "interval_score", "mae", "mape", "width_90")


def multi_power_law(where: str = "") -> Split:
    """Three schedules a size against six, as published."""
    curves = read_curves(DATA / "multi-power-law" / "runs.csv", where=where or None)
    return by_query(curves, train="split == 'train'", test="split == 'test'")


def epfl_curves(where: str) -> CurveSet:
    """EPFL's curves that a query selects."""
    return read_curves(DATA / "epfl-schedules" / "runs.csv", where=where, loss="val_loss")


def olmo_curves(where: str | None = None, *, loss: str = "c4_en") -> CurveSet:
    """OLMo's ladder, or what a query selects of it, by one of its validation losses."""
    column = f"eval/{loss}-validation/CrossEntropyLoss"
    return read_curves(DATA / "olmo-ladder" / "runs.csv", where=where, loss=column)


def epfl(peak: str, *, cosine: bool = True) -> Split:
    """The constant run and two cool-downs of 25,000 steps or fewer, with or without one cosine, against all others."""
    where = f"dataset == 'slimpajama' and size == 'L12H12D768' and peak_lr == {peak}"
    curves = epfl_curves(where)
    stem = f"slimpajama_L12H12D768_lr{peak}"
    names = [f"{stem}_wsd_linear0.2_25000", f"{stem}_wsd_linear0.4_15000"]
    names += [f"{stem}_cos_sqrt0_25000_to10pct"] if cosine else []
    (trunk,) = CurveSet(curves=(replace(curves[f"{stem}_wsd_linear0_50000"], name="trunk"),)).until(25_000)
    train = CurveSet(curves=(trunk, *(curves[name] for name in names)))
    test = [c for c in curves if c.name not in names and (cosine or "_cos_" in c.name)]
    return Split(name=f"epfl-{peak}", train=train, test=CurveSet(curves=tuple(test)))


def two_rates() -> Split:
    """Three sizes at two peak rates each: what the law is not made for. The longest run of each against the others."""
    curves = epfl_curves("dataset == 'slimpajama' and size in ['L8H6D384', 'L10H8D512', 'L12H10D640']")
    longest = {size: max(c.steps[-1] for c in curves if c.size == size) for size in {c.size for c in curves}}
    train = tuple(c for c in curves if c.steps[-1] < longest[c.size])
    test = tuple(c for c in curves if c.steps[-1] == longest[c.size])
    return Split(name="epfl-two-rates", train=CurveSet(curves=train), test=CurveSet(curves=test))


SHORT, LONG = "horizon in ['0.5xC', '1xC', '2xC']", "horizon in ['5xC', '10xC']"


def olmo(*, train: str, test: str, loss: str = "c4_en") -> Split:
    """Part of OLMo's ladder against another."""
    return by_query(olmo_curves(loss=loss), train=train, test=test)


def tiny_lm() -> Split:
    """Three sizes on three schedules each, against their other schedules and all of a fourth size."""
    return by_query(load("tiny_lm", where="split != 'seed'"), train="split == 'train'", test="split == 'test'")


SETS: dict[str, Callable[[], Split]] = {
    "mpl-25M": lambda: multi_power_law("size == '25M'"),
    "mpl-100M": lambda: multi_power_law("size == '100M'"),
    "mpl-joint": multi_power_law,
    "epfl-1e-3": lambda: epfl("0.001"),
    "epfl-5e-4": lambda: epfl("0.0005"),
    "epfl-cosines": lambda: epfl("0.001", cosine=False),
    "epfl-two-rates": two_rates,
    "olmo-horizon": lambda: olmo(train=SHORT, test=LONG),
    "olmo-1B": lambda: olmo(train="size != '1B'", test="size == '1B'"),
    "tiny-lm": tiny_lm,
}

COMPARED = ("mpl-25M", "mpl-100M", "epfl-1e-3", "epfl-5e-4", "epfl-cosines")
"""Sets on which variants are compared unless others are asked for."""

VARIANTS: dict[str, ErrorModel | ScalingModel] = {
    "default": Discrepancy(),
    "noise follows the rate": ScalingModel(noise=Noise(power=0.5)),
    "the same, rougher residual": ScalingModel(
        noise=Noise(power=0.5), discrepancy=Discrepancy(residual=0.03, residual_length=0.1)
    ),
    "the same, larger effects of runs": ScalingModel(
        noise=Noise(power=0.5), discrepancy=Discrepancy(residual=0.025, residual_length=0.2, run_memory=0.05)
    ),
    "one noise, rougher residual": Discrepancy(residual=0.02, residual_length=0.2),
    "one noise, rougher residual, larger effects of runs": Discrepancy(
        residual=0.02, residual_length=0.2, run_memory=0.045
    ),
    "no mixture of memories": ScalingModel(priors={"memory_spread": "LogNormal(-1.2, 0.3)"}),
    "memory in steps, by its prior": ScalingModel(priors={"area_memory": "Beta(0.02, 3.98)"}),
    "memory in area, by its prior": ScalingModel(priors={"area_memory": "Beta(3.98, 0.02)"}),
    "no memory effects": Discrepancy(memory=1e-3, run_memory=1e-3),
    "no effects of runs": Discrepancy(run_memory=1e-3, offset=1e-4),
    "no bends": Discrepancy(bend=1e-3),
    "no residual process": Discrepancy(residual=1e-4),
    "sizes independent": Discrepancy(common=0.0),
    "all scales halved": Discrepancy(memory=0.02, run_memory=0.0175, bend=0.0325, offset=0.006, residual=0.0075),
    "all scales doubled": Discrepancy(memory=0.08, run_memory=0.07, bend=0.13, offset=0.024, residual=0.03),
    "none: law and white noise": ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy()),
}


def ladder() -> CurveSet:
    """OLMo's ladder up to twice Chinchilla, the largest size by the parameters that its tokens say."""
    curves = olmo_curves(SHORT)
    return CurveSet(curves=tuple(replace(c, params=1.28e9) if c.size == "1B" else c for c in curves))


def epfl_sizes() -> CurveSet:
    """Every size of EPFL's at one peak rate: the constant run, a cool-down and a cosine of 25,000 steps."""
    curves = epfl_curves("dataset == 'slimpajama' and peak_lr == 0.001")
    kept = ("wsd_linear0_50000", "wsd_linear0.2_25000", "cos_sqrt0_25000_to10pct")
    return CurveSet(curves=tuple(c for c in curves if c.size != "L12H12D768" or c.name.endswith(kept)))


SIZES: dict[str, Callable[[], CurveSet]] = {
    "epfl": epfl_sizes,
    "openwebtext2": lambda: epfl_curves("dataset == 'openwebtext2' and peak_lr == 0.001"),
    "olmo": ladder,
    "tiny-lm": lambda: load("tiny_lm", where="split != 'seed' and not run.str.contains('12000|cyclic')"),
}

GROUPS: dict[str, list[tuple[tuple[int, ...], int]]] = {
    "epfl": [((0, 1), 2), ((0, 1, 2), 3), ((0, 1, 2, 3), 4), ((0, 1, 2), 4), ((1, 2, 3, 4), 0)],
    "openwebtext2": [((0, 1), 2)],
    "olmo": [((0, 1), 2), ((1, 2), 0), ((0, 1, 2), 3)],
    "tiny-lm": [((0, 1), 2), ((0, 1, 2), 3), ((1, 2, 3), 0)],
}
"""Places of the fitted sizes and of the one to predict, in ascending order."""

LOSSES = (
    "c4_en",
    "dolma_books",
    "dolma_common-crawl",
    "dolma_pes2o",
    "dolma_reddit",
    "dolma_stack",
    "dolma_wiki",
    "ice",
    "m2d2_s2orc",
    "pile",
    "wikitext_103",
)

QUICK: dict[str, object] = {"method": "laplace", "num_samples": 250}


def read(name: str) -> Split:
    """Build a split; what its logs are warned of is known and described on the page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        return replace(SETS[name](), name=name)


def score(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the library and the baselines on one set, and on those of its runs that all of them can predict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        result = backtest(read(name), default_forecasters(), seed=0, progress=True)
        return result.mean[list(SHOWN)], result.common.mean[list(SHOWN)]


def variants(names: list[str]) -> pd.DataFrame:
    """Score variants of the discrepancy by Laplace's approximation."""
    rows = {}
    for variant, part in VARIANTS.items():
        model = part if isinstance(part, ScalingModel) else ScalingModel(discrepancy=part)
        forecaster = BayesianForecast(model=model, settings=QUICK)
        for name in names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BayeslrWarning)
                rows[variant, name] = backtest(read(name), {"variant": forecaster}, seed=0).mean[list(SHOWN)].iloc[0]
            print(pd.DataFrame({(variant, name): rows[variant, name]}).T.round(4).to_string(header=False), flush=True)
    return pd.DataFrame(rows).T


def unseen_sizes() -> Iterator[Split]:
    """Leave out one size above or below all others, twelve times."""
    for source, groups in GROUPS.items():
        curves = SIZES[source]()
        params = sorted({curve.params or 0.0 for curve in curves})
        for fitted, predicted in groups:
            known = [params[k] for k in fitted]
            yield Split(
                name=f"{source}: {', '.join(f'{p:.2g}' for p in known)} -> {params[predicted]:.3g}",
                train=CurveSet(curves=tuple(curve for curve in curves if curve.params in known)),
                test=CurveSet(curves=tuple(curve for curve in curves if curve.params == params[predicted])),
            )


def sizes() -> pd.DataFrame:
    """Score predictions of sizes that were not fitted."""
    rows = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        for split in unseen_sizes():
            rows[split.name] = backtest(split, {"bayeslr": BayesianForecast()}, seed=0).mean.iloc[0]
            print(split.name, rows[split.name][list(SHOWN)].round(4).to_dict(), flush=True)
    return pd.DataFrame(rows).T[list(SHOWN)]


def losses() -> pd.DataFrame:
    """Score OLMo's longer runs by every validation loss that was logged; the first is that of the sets."""
    rows = {}
    for loss in LOSSES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            split = replace(olmo(train=SHORT, test=LONG, loss=loss), name=loss)
            result = backtest(split, {"bayeslr": BayesianForecast()}, seed=0)
        rows[loss] = result.mean.iloc[0][list(SHOWN)]
        rows[loss]["health"] = result.runs["health"].iloc[0]
        print(loss, rows[loss].to_dict(), flush=True)
    return pd.DataFrame(rows).T


def noise() -> pd.DataFrame:
    """Measure white noise by the rate, as medians of third differences, relative to that at the peak."""
    bands = [0.0, 0.2, 0.4, 0.6, 0.8, 0.98, 1.01]
    rows = {}
    for name in ("mpl-25M", "mpl-100M", "epfl-1e-3", "tiny-lm"):
        split, parts = read(name), []
        smallest = min(curve.params or 0.0 for curve in split.train)
        for curve in (*split.train.after_warmup(), *split.test.after_warmup()):
            if (curve.params or 0.0) == smallest:
                rate = curve.schedule.lr[curve.steps[3:] - 1] / curve.schedule.peak_lr
                parts.append(pd.DataFrame({"rate": rate, "noise": np.abs(np.diff(curve.loss, 3)) / (0.6745 * 20**0.5)}))
        table = pd.concat(parts)
        found = table.groupby(pd.cut(table["rate"], bands, right=False), observed=False)["noise"].median()
        rows[name] = found / found.iloc[-1]
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", default=[], help=f"of {', '.join(SETS)}; default: all")
    parser.add_argument("--variants", action="store_true", help="score variants of the error model")
    parser.add_argument("--sizes", action="store_true", help="score sizes that were not fitted")
    parser.add_argument("--losses", action="store_true", help="score OLMo's horizons by each validation loss")
    parser.add_argument("--noise", action="store_true", help="measure noise by the rate")
    arguments = parser.parse_args()
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        if arguments.losses:
            print(losses().to_string())
            return
        if arguments.noise:
            print(noise().round(2).to_string())
            return
        if arguments.sizes:
            print(sizes().astype(float).round(4).to_string())
            return
        if arguments.variants:
            print(variants(arguments.sets or list(COMPARED)).round(4).to_string())
            return
        for name in arguments.sets or list(SETS):
            whole, common = score(name)
            print(f"\n{name}\n{whole.round(4).to_string()}", flush=True)
            if len(common) and not common["runs"].equals(whole["runs"]):
                print(f"\n{name}, the runs that all can predict\n{common.round(4).to_string()}", flush=True)


if __name__ == "__main__":
    main()
