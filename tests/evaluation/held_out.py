"""The held-out runs that docs/calibration.md reports, and the command that scores them.

    uv run python tests/evaluation/held_out.py                   every set with the baselines
    uv run python tests/evaluation/held_out.py mpl-25M tiny-lm   some of them
    uv run python tests/evaluation/held_out.py --hard            rates, sizes and schedules far from the fitted
    uv run python tests/evaluation/held_out.py --quick --alone   by Laplace's approximation, without the baselines
    uv run python tests/evaluation/held_out.py --points 32       by fewer observations of a run
    uv run python tests/evaluation/held_out.py --variants        variants of the error model, by Laplace's approximation
    uv run python tests/evaluation/held_out.py --laws            published laws, the default and their stack, by NUTS
    uv run python tests/evaluation/held_out.py --sizes           sizes that were not fitted
    uv run python tests/evaluation/held_out.py --sizes --quick --level-scatter 0.002     by another prior
    uv run python tests/evaluation/held_out.py --scatter         how far fitted sizes lie from their trend
    uv run python tests/evaluation/held_out.py --trends          how parameters move with size, by source
    uv run python tests/evaluation/held_out.py --memories        how far memories spread, by set, all runs fitted
    uv run python tests/evaluation/held_out.py --losses          olmo-horizon by each of its validation losses
    uv run python tests/evaluation/held_out.py --losses --apart  the same, each of its sizes on its own
    uv run python tests/evaluation/held_out.py --schedules       differences of final losses, as schedules and as runs
    uv run python tests/evaluation/held_out.py --noise           how noise follows the rate, by third differences
    uv run python tests/evaluation/held_out.py --seeds           how far seeds differ, against the noise
    uv run python tests/evaluation/held_out.py --decays --quick  weight decays as logged, not said, and wrong

Settings were chosen on multi-power-law and on EPFL's peak rate 1e-3; the other sets were only reported on.
"""

import argparse
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.curves.scatter import WHITE_NOISE, differences
from bayeslr.datasets import load
from bayeslr.errors import BayeslrWarning
from bayeslr.evaluation import (
    Backtest,
    BayesianForecast,
    Split,
    StackedForecast,
    backtest,
    by_query,
    default_forecasters,
)
from bayeslr.forecast import predict
from bayeslr.forecast.questions import final_draws
from bayeslr.inference import Posterior, fit
from bayeslr.laws import AnnealingLaw, EffectiveRateLaw, IdentityRate, MixedMemoryLaw, Parameter, PowerRate
from bayeslr.laws.annealing import LEVEL
from bayeslr.logs import read_curves
from bayeslr.model import LAWS, Discrepancy, ErrorModel, NoDiscrepancy, Noise, ScalingModel
from bayeslr.model.pooling import Pooling

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


SHAPES = ("1024x28", "512x16", "256x23", "1280x15", "1536x50", "256x71", "384x13", "512x12", "768x3")
"""Gemstones' shapes, width by depth."""

CORPORA = {"c4": "c4_original", "redpajama": "rpj", "refinedweb": "rw_original"}
"""Corpora of the final losses."""

SHORT, LONG = "horizon in ['0.5xC', '1xC', '2xC']", "horizon in ['5xC', '10xC']"


def olmo(*, train: str, test: str, loss: str = "c4_en") -> Split:
    """Part of OLMo's ladder against another."""
    return by_query(olmo_curves(loss=loss), train=train, test=test)


def many() -> Split:
    """Every run of EPFL's sizes on SlimPajama, against every eighth that has a cool-down."""
    curves = epfl_curves("dataset == 'slimpajama'")
    test = [c for k, c in enumerate(curves) if k % 8 == 3 and "wsd" in c.name and "linear0_" not in c.name]
    train = [c for c in curves if c not in test]
    return Split(name="epfl-many", train=CurveSet(curves=tuple(train)), test=CurveSet(curves=tuple(test)))


def tiny_lm() -> Split:
    """Three sizes on three schedules each, against their other schedules and all of a fourth size."""
    return by_query(load("tiny_lm", where="split != 'seed'"), train="split == 'train'", test="split == 'test'")


def epfl_rates(fitted: tuple[str, ...], asked: tuple[str, ...]) -> Split:
    """EPFL's 124M: what :func:`epfl` fits at some peak rates, and what it predicts at some, unless it was fitted."""
    parts = {peak: epfl(peak) for peak in {*fitted, *asked}}
    train = tuple(replace(c, name=f"{c.name} at {peak}") for peak in fitted for c in parts[peak].train)
    test = tuple(c for peak in asked for c in parts[peak].test)
    return Split(name="epfl rates", train=CurveSet(curves=train), test=CurveSet(curves=test))


OTHER_RATES = {
    "slimpajama": ("L8H6D384", "L8H8D512", "L10H8D512", "L12H10D640"),
    "openwebtext2": ("L10H8D512", "L12H10D640", "L12H14D896"),
}
"""EPFL's sizes with runs at two peak rates, but that of the sets above."""


def other_rate(dataset: str, size: str, way: str) -> Split:
    """All runs of one of EPFL's sizes at one peak rate against those at the other, which is twice as high or half."""
    curves = epfl_curves(f"dataset == '{dataset}' and size == '{size}'")
    low, high = (
        CurveSet(curves=tuple(c for c in curves if c.schedule.peak_lr == peak))
        for peak in sorted({c.schedule.peak_lr for c in curves})
    )
    return Split(name=size, train=low if way == "up" else high, test=high if way == "up" else low)


def muon(recipe: str) -> Split:
    """Two runs of Muon at one rate against five runs of a recipe."""
    curves = read_curves(DATA / "modded-nanogpt" / "runs.csv", where=f"recipe in ['muon-lr.025-wd.025', '{recipe}']")
    first = [c for c in curves if c.metadata["recipe"] == "muon-lr.025-wd.025"]
    asked = [c for c in curves if c.metadata["recipe"] == recipe and c not in first[:2]]
    return Split(name="muon", train=CurveSet(curves=tuple(first[:2])), test=CurveSet(curves=tuple(asked[:5])))


def translation() -> Split:
    """Two seeds of a cyclic schedule of WMT against the others."""
    curves = read_curves(DATA / "algoperf-wmt" / "runs.csv", where="submission == 'cyclic_lr' and trial == 3")
    ordered = sorted(curves, key=lambda c: int(c.metadata["seed"]))
    return Split(name="wmt", train=CurveSet(curves=tuple(ordered[:2])), test=CurveSet(curves=tuple(ordered[2:])))


def gemstones(shape: str, fitted: str) -> Split:
    """Runs of one shape at its rate and at half of it, and ten cool-downs.

    Fitted are ``"cool"``: the constant run and the three shortest cool-downs, against the other seven; ``"hot"``: the
    constant run, against that at half the rate; ``"both"``: these two, against all cool-downs.
    """
    curves = read_curves(DATA / "gemstones" / "runs.csv", where=f"size == '{shape}'")
    cools = sorted((c for c in curves if c.metadata["kind"] == "cool"), key=lambda c: int(c.metadata["begin"]))
    hot, half = ([c for c in curves if c.metadata["kind"] == kind] for kind in ("hot", "half"))
    train, test = {"cool": ([*hot, *cools[:3]], cools[3:]), "hot": (hot, half), "both": ([*hot, *half], cools)}[fitted]
    return Split(name=shape, train=CurveSet(curves=tuple(train)), test=CurveSet(curves=tuple(test)))


def gemstones_ladder() -> Split:
    """Shapes below 150 million parameters against those above; the peak rate falls with the size."""
    curves = read_curves(DATA / "gemstones" / "runs.csv", where="kind != 'half'")
    small = tuple(c for c in curves if (c.params or 0.0) < 1.5e8)
    large = tuple(c for c in curves if (c.params or 0.0) >= 1.5e8)
    return Split(name="gemstones", train=CurveSet(curves=small), test=CurveSet(curves=large))


def finals(corpus: str) -> Split:
    """Final losses alone of five sizes, a run each at a quarter to eight times Chinchilla, against 16 and 32 times."""
    curves = read_curves(DATA / "gadre-finals" / "runs.csv", where=f"corpus == '{corpus}'")
    return by_query(curves, train="multiplier <= 8", test="multiplier > 8")


def one_curve(size: str, fitted: str, asked: str) -> Split:
    """One curve against another of another schedule, the benchmark of the annealing law's authors."""
    curves = read_curves(DATA / "multi-power-law" / "runs.csv", where=f"size == '{size}'")
    kinds = {"wsd": "wsd_20000_24000", "cosine": "cosine_24000"}
    train, test = (CurveSet(curves=(curves[f"{size}/{kinds[kind]}"],)) for kind in (fitted, asked))
    return Split(name=f"{size}: {fitted} to {asked}", train=train, test=test)


SETS: dict[str, Callable[[], Split]] = {
    "mpl-25M": lambda: multi_power_law("size == '25M'"),
    "mpl-100M": lambda: multi_power_law("size == '100M'"),
    "mpl-joint": multi_power_law,
    "epfl-1e-3": lambda: epfl("0.001"),
    "epfl-5e-4": lambda: epfl("0.0005"),
    "epfl-cosines": lambda: epfl("0.001", cosine=False),
    "epfl-two-rates": two_rates,
    "epfl-124M-two-rates": lambda: epfl_rates(("0.0005", "0.001"), ("0.0005", "0.001")),
    "olmo-horizon": lambda: olmo(train=SHORT, test=LONG),
    "olmo-1B": lambda: olmo(train="size != '1B'", test="size == '1B'"),
    "tiny-lm": tiny_lm,
    "muon": lambda: muon("muon-lr.025-wd.025"),
    "wmt": translation,
    **{f"gemstones-{shape}": partial(gemstones, shape, "cool") for shape in SHAPES},
}

HARD: dict[str, Callable[[], Split]] = {
    "epfl-to-1e-3": lambda: epfl_rates(("0.0005",), ("0.001",)),
    "epfl-to-5e-4": lambda: epfl_rates(("0.001",), ("0.0005",)),
    **{
        f"{dataset}-{size}-{way}": partial(other_rate, dataset, size, way)
        for dataset, sizes in OTHER_RATES.items()
        for size in sizes
        for way in ("up", "down")
    },
    "muon-to-.035": lambda: muon("muon-lr.035-wd.025"),
    **{f"gemstones-{shape}-to-half": partial(gemstones, shape, "hot") for shape in SHAPES},
    **{f"gemstones-{shape}-two-rates": partial(gemstones, shape, "both") for shape in SHAPES},
    "gemstones-ladder": gemstones_ladder,
    "epfl-many": many,
    **{f"gadre-{name}": partial(finals, corpus) for name, corpus in CORPORA.items()},
    **{
        f"mpl-{size}-{fitted}-to-{asked}": partial(one_curve, size, fitted, asked)
        for size in ("25M", "100M")
        for fitted, asked in (("wsd", "cosine"), ("cosine", "wsd"))
    },
}
"""Peak rates, sizes and schedules that are far from what was fitted, and many runs together."""

COMPARED = ("mpl-25M", "mpl-100M", "epfl-1e-3", "epfl-5e-4", "epfl-cosines")
"""Sets on which variants are compared unless others are asked for."""

COMPARED_LAWS = ("effective-rate", "annealing", "multi-power")
"""The default and two published laws."""

VARIANTS: dict[str, ErrorModel | ScalingModel] = {
    "default": Discrepancy(),
    "power of the rate": ScalingModel(law=EffectiveRateLaw(rate=PowerRate())),
    "the rate itself": ScalingModel(law=EffectiveRateLaw(rate=IdentityRate())),
    "mixed-memory law": ScalingModel(law=MixedMemoryLaw()),
    "one noise": ScalingModel(noise=Noise(power=None)),
    "no memory effects": Discrepancy(memory=1e-3, run_memory=1e-3),
    "linear in what was removed": Discrepancy(curvature=1e-2, drift=1e-2),
    "no effects of runs": Discrepancy(run_memory=1e-3, offset=1e-2),
    "no bends": Discrepancy(bend=1e-3),
    "no residual process": Discrepancy(residual=1e-4),
    "peaks half as different": Discrepancy(peak=0.09),
    "sizes independent": Discrepancy(common=0.0),
    "random start left to the law": Discrepancy(start=0.0),
    "amplitude fixed": Discrepancy(amplitude_spread=0.0),
    "all scales halved": Discrepancy(
        memory=0.025, run_memory=0.004, bend=0.0325, ahead=0.04, early=0.05, peak=0.09, offset=0.5, residual=0.006
    ),
    "all scales doubled": Discrepancy(
        memory=0.1, run_memory=0.016, bend=0.13, ahead=0.16, early=0.2, peak=0.36, offset=2.0, residual=0.024
    ),
    "none: law and white noise": ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy()),
}


def ladder(loss: str = "c4_en") -> CurveSet:
    """OLMo's ladder up to twice Chinchilla, the largest size by the parameters that its tokens say."""
    curves = olmo_curves(SHORT, loss=loss)
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

MIXED = (
    *("mpl-25M", "mpl-100M", "epfl-1e-3", "epfl-5e-4", "tiny-lm", "olmo-1B", "muon", "wmt"),
    *(f"gemstones-{shape}" for shape in SHAPES[:4]),
)
"""Sets whose memories are measured."""

DIFFERENT = (
    *("mpl-25M", "mpl-100M", "epfl-1e-3", "epfl-5e-4", "epfl-cosines", "epfl-124M-two-rates", "tiny-lm"),
    *(f"gemstones-{shape}-two-rates" for shape in SHAPES),
)
"""Sets whose differences are scored by both questions."""

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
        return replace((SETS | HARD)[name](), name=name)


def score(name: str, *, quick: bool, alone: bool, points: int | None) -> Backtest:
    """Score the library, and unless it is alone the baselines, on one set."""
    settings = (QUICK if quick else {}) | ({"max_points_per_run": points} if points else {})
    forecasters = default_forecasters(settings=settings or None, baselines=not alone)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        return backtest(read(name), forecasters, seed=0, progress=True)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedOnce(BayesianForecast):
    """A forecaster that fits a split once, though it is asked alone and in a stack."""

    kept: dict[str, Posterior]

    def fitted(self, split: Split, *, seed: int) -> Posterior:
        if split.name not in self.kept:
            self.kept[split.name] = super().fitted(split, seed=seed)
        return self.kept[split.name]


@dataclass(frozen=True, kw_only=True, eq=False)
class StackOf(StackedForecast):
    """A stack of forecasters that are there."""

    members: dict[str, BayesianForecast]

    def _members(self) -> dict[str, BayesianForecast]:
        return self.members


def laws(names: list[str]) -> pd.DataFrame:
    """Score the laws that ship, and their stack, with the default error model."""
    rows = {}
    models = {law: ScalingModel(law=LAWS[law]()) for law in COMPARED_LAWS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        for name in names:
            each = {law: FittedOnce(model=model, kept={}) for law, model in models.items()}
            result = backtest(read(name), {**each, "stack": StackOf(models=models, members=dict(each))}, seed=0)
            health = result.runs.groupby("forecaster")["health"].first()
            for law, row in result.mean.iterrows():
                rows[name, law] = {**row[list(SHOWN)], "health": health[law]}
            print(name, result.mean[list(SHOWN)].round(4).to_string(), sep="\n", flush=True)
    return pd.DataFrame(rows).T


def unseen_sizes(*sources: str) -> Iterator[Split]:
    """Leave out one size above or below all others, twelve times in all sources."""
    for source in sources or GROUPS:
        curves = SIZES[source]()
        params = sorted({curve.params or 0.0 for curve in curves})
        for fitted, predicted in GROUPS[source]:
            known = [params[k] for k in fitted]
            yield Split(
                name=f"{source}: {', '.join(f'{p:.2g}' for p in known)} -> {params[predicted]:.3g}",
                train=CurveSet(curves=tuple(curve for curve in curves if curve.params in known)),
                test=CurveSet(curves=tuple(curve for curve in curves if curve.params == params[predicted])),
            )


@dataclass(frozen=True, kw_only=True)
class Scattering(EffectiveRateLaw):
    """The default with another prior median of the level's scatter around its trend, as a share of the loss."""

    level_scatter: float = LEVEL.deviation

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The default's, the level with another deviation."""
        own = replace(LEVEL, deviation=self.level_scatter)
        return tuple(own if parameter.name == "level" else parameter for parameter in super().parameters)


def sizes(*, quick: bool, level_scatter: float) -> pd.DataFrame:
    """Score predictions of sizes that were not fitted."""
    rows = {}
    model = ScalingModel(law=Scattering(level_scatter=level_scatter))
    forecaster = BayesianForecast(model=model, settings=QUICK if quick else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        for split in unseen_sizes():
            rows[split.name] = backtest(split, {"bayeslr": forecaster}, seed=0).mean.iloc[0]
            print(split.name, rows[split.name][list(SHOWN)].round(4).to_dict(), flush=True)
    return pd.DataFrame(rows).T[list(SHOWN)]


def scatter() -> pd.DataFrame:
    """Measure how far fitted sizes lie from their trend: taken at their own longest runs, and as the library does."""
    rows = {}
    for source, build in SIZES.items():
        curves, model = build(), ScalingModel()
        observed = curves.after_warmup()
        common = model.for_curves(observed).scale(observed)
        own = replace(common, level_areas=common.areas, level_rates=common.rates)
        for name, scale in (("own", own), ("common", common)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BayeslrWarning)
                posterior = fit(curves, model, seed=0, scale=scale, **QUICK)
            drawn = posterior.sample([f"level{part}" for part in ("", "_mean", "_gap", "_beta", "_sd")] + ["slope_sd"])
            x = np.log(np.array(posterior.params, dtype=float))
            exact, rng = drawn | {"level_sd": np.zeros(len(drawn["level_sd"]))}, np.random.default_rng(0)
            on_trend = [Pooling(name="trend").unseen(LEVEL, exact, place, rng) for place in x - x.mean()]
            rows[source, name] = {
                "sizes": len(x),
                "furthest area": float(np.exp(np.abs(np.log(common.areas) - np.log(common.level_areas)).max())),
                "furthest level": float(np.abs(np.median(drawn["level"] - np.stack(on_trend, axis=1), axis=0)).max()),
                "level_sd": float(np.median(drawn["level_sd"])),
                "slope_sd": float(np.median(drawn["slope_sd"])),
            }
    return pd.DataFrame(rows).T


def shapes() -> CurveSet:
    """Constant run and three cool-downs of gemstones' shapes, but that of three layers, which is off all trends."""
    curves = read_curves(DATA / "gemstones" / "runs.csv", where="kind != 'half' and size != '768x3'")
    return CurveSet(curves=tuple(c for c in curves if c.metadata["begin"] in (0, 4770, 14310, 23840)))


def trends() -> pd.DataFrame:
    """Measure how parameters move with the size, every source on its own; slopes are per unit of log N."""
    rows = {}
    further = {f"olmo, {loss}": partial(ladder, loss) for loss in LOSSES if loss not in ("c4_en", "ice")}
    for source, build in (SIZES | further | {"gemstones": shapes}).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            posterior = fit(build(), seed=0, **QUICK)
        log_params = np.log(np.array(posterior.params, dtype=float))
        areas = np.log(posterior.scale.level_areas)
        row = {"sizes": len(log_params), "area": float(np.polyfit(log_params, areas, 1)[0])}
        names = ["level_gap", "level_beta", *(f"{name}_slope" for name in ("slope", "alpha", "drop", "tau"))]
        drawn = posterior.sample(names)
        drawn["level_gap"] = drawn["level_gap"] / posterior.scale.loss
        for name in names:
            row |= {name: float(drawn[name].mean()), f"{name} sd": float(drawn[name].std())}
        rows[source] = row
    return pd.DataFrame(rows).T


def memories() -> pd.DataFrame:
    """Measure how memories mix where all runs of a set are fitted, within priors that leave it open."""
    rows = {}
    model = ScalingModel(priors={"memory_spread": "LogNormal(0, 1)", "area_memory": "Beta(1, 1)"})
    for name in MIXED:
        split = read(name)
        curves = {curve.name: curve for curve in (*split.test, *split.train)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            posterior = fit(CurveSet(curves=tuple(curves.values())), model, seed=0, **QUICK)
        for parameter in model.priors:
            low, median, high = posterior.draws[parameter].quantile([0.05, 0.5, 0.95]).values
            rows[name, parameter] = {"runs": len(curves), "low": low, "median": median, "high": high}
    return pd.DataFrame(rows).T


def differences_of_schedules(names: list[str], *, quick: bool) -> pd.DataFrame:
    """Score differences of final losses by both questions, of all pairs of test runs of a fitted size."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name in names:
        split = read(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            posterior = fit(split.train, seed=0, **(QUICK if quick else {}))
            found: dict[str, list[tuple[bool, float]]] = {"schedule": [], "run": []}
            for size in {curve.size for curve in split.test} & {curve.size for curve in split.train}:
                runs = [curve for curve in split.test if curve.size == size]
                forecast = predict(
                    posterior,
                    {run.name: run.schedule for run in runs},
                    size=size,
                    seed=0,
                    steps={run.name: run.steps[-1:] for run in runs},
                    num_draws=4000,
                    weight_decay={run.name: run.weight_decay for run in runs},
                    batch_size={run.name: run.batch_size for run in runs},
                )
                ends = {question: final_draws(forecast, question) for question in found}
                for one, other in combinations(range(len(runs)), 2):
                    measured = runs[one].loss[-1] - runs[other].loss[-1]
                    for question, final in ends.items():
                        low, high = np.quantile(final[:, one] - final[:, other], [0.05, 0.95])
                        found[question].append((low <= measured <= high, high - low))
        for question, scored in found.items():
            held, width = np.mean(scored, axis=0)
            rows[name, question] = {"pairs": len(scored), "in_90": held, "width_90": width}
        print(name, {key: rows[name, key] for key in found}, flush=True)
    return pd.DataFrame(rows).T


def losses(*, quick: bool, apart: bool) -> pd.DataFrame:
    """Score OLMo's longer runs by every validation loss that was logged; the first is that of the sets."""
    rows = {}
    forecaster = BayesianForecast(settings=QUICK if quick else {})
    for loss in LOSSES:
        split = replace(olmo(train=SHORT, test=LONG, loss=loss), name=loss)
        for size in dict.fromkeys(curve.size for curve in split.test) if apart else [""]:
            label = f"{loss} {size}".strip()
            where = f"size == {size!r}"
            own = replace(split, train=split.train.select(where), test=split.test.select(where)) if apart else split
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BayeslrWarning)
                result = backtest(replace(own, name=label), {"bayeslr": forecaster}, seed=0)
            health = result.runs["health"].iloc[0]
            rows[label] = {**result.mean.iloc[0][list(SHOWN)], "health": health}
            print(
                f"{label:26}",
                pd.Series(rows[label]).drop("health").astype(float).round(4).to_dict(),
                health,
                flush=True,
            )
    found = pd.DataFrame(rows).T
    return pd.concat([found, found[list(SHOWN)].astype(float).mean().to_frame("mean").T])


DECAYS: dict[str, float | None] = {
    "not said": None,
    "0.01 said": 0.01,
    "0.03 said": 0.03,
    "0.3 said": 0.3,
    "1 said": 1.0,
}
"""Other weight decays than that of the runs, which is 0.1."""

DECAYED = ("epfl-1e-3", "epfl-5e-4", "epfl-cosines", "epfl-two-rates", "epfl-124M-two-rates", "olmo-horizon", "tiny-lm")
"""Sets whose weight decay is known."""


def saying(curves: CurveSet, weight_decay: float | None) -> CurveSet:
    """Return runs that say another weight decay than theirs, or none."""
    return CurveSet(
        curves=tuple(
            replace(
                curve,
                weight_decay=weight_decay,
                metadata={name: value for name, value in curve.metadata.items() if name != "weight_decay"},
            )
            for curve in curves
        )
    )


def decays(names: list[str], *, quick: bool) -> pd.DataFrame:
    """Score sets whose weight decay is known as they are, without it, and with wrong ones."""
    rows = {}
    for name in names:
        split = read(name)
        said = {"as it is": split} | {
            label: replace(split, train=saying(split.train, decay), test=saying(split.test, decay))
            for label, decay in DECAYS.items()
        }
        for label, told in said.items():
            forecaster = FittedOnce(settings=QUICK if quick else {}, kept={})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BayeslrWarning)
                found = backtest(told, {"bayeslr": forecaster}, seed=0).mean.iloc[0][list(SHOWN)].to_dict()
                draws = forecaster.fitted(told, seed=0).draws
            if "weight_decay" in draws:
                found |= dict(
                    zip(
                        ("low", "median", "high"), draws["weight_decay"].quantile([0.05, 0.5, 0.95]).values, strict=True
                    )
                )
            rows[name, label] = found
            print(name, label, {key: round(float(value), 4) for key, value in found.items()}, flush=True)
    return pd.DataFrame(rows).T


def jitter(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return third differences of losses, scaled so that the median of white noise is its standard deviation."""
    scaled: NDArray[np.float64] = differences(loss) / WHITE_NOISE
    return scaled


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
                parts.append(pd.DataFrame({"rate": rate, "noise": jitter(curve.loss)}))
        table = pd.concat(parts)
        found = table.groupby(pd.cut(table["rate"], bands, right=False), observed=False)["noise"].median()
        rows[name] = found / found.iloc[-1]
    return pd.DataFrame(rows).T


def seeds() -> pd.DataFrame:
    """Measure how far the mean loss between 40% and 80% of a run differs between seeds, and the noise there."""
    groups: dict[str, list[LossCurve]] = {}
    for curve in load("tiny_lm", where="run.str.contains('constant_4000') or run.str.contains('cosine_4000')"):
        if curve.size in ("25k", "80k"):
            groups.setdefault(f"tiny-lm {curve.name.split('_seed')[0]}", []).append(curve)
    for curve in read_curves(DATA / "modded-nanogpt" / "runs.csv"):
        groups.setdefault(f"modded-nanogpt {curve.metadata['recipe']}", []).append(curve)
    for curve in read_curves(DATA / "algoperf-wmt" / "runs.csv"):
        groups.setdefault(f"wmt {curve.metadata['submission']} {curve.metadata['trial']}", []).append(curve)
    rows = {}
    for name, curves in groups.items():
        count = min(map(len, curves))
        part = slice(int(0.4 * count), int(0.8 * count))
        if len(curves) < 3 or count < 15:
            continue
        between = np.std([curve.loss[part].mean() for curve in curves], ddof=1)
        within = np.mean([np.median(jitter(curve.loss[part])) for curve in curves])
        rows[name] = {"runs": len(curves), "between seeds": between, "noise": within, "ratio": between / within}
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", default=[], help=f"of {', '.join(SETS)}; default: all")
    parser.add_argument("--variants", action="store_true", help="score variants of the error model")
    parser.add_argument("--laws", action="store_true", help="score published laws and their stack")
    parser.add_argument("--sizes", action="store_true", help="score sizes that were not fitted")
    parser.add_argument(
        "--level-scatter", type=float, default=LEVEL.deviation, help="with --sizes: prior median of the level's scatter"
    )
    parser.add_argument("--scatter", action="store_true", help="measure how far fitted sizes lie from their trend")
    parser.add_argument("--trends", action="store_true", help="measure how parameters move with the size")
    parser.add_argument("--memories", action="store_true", help="measure how memories mix where all runs are fitted")
    parser.add_argument("--losses", action="store_true", help="score OLMo's horizons by each validation loss")
    parser.add_argument("--apart", action="store_true", help="with --losses: each size on its own")
    parser.add_argument("--schedules", action="store_true", help="score differences of schedules and of single runs")
    parser.add_argument("--noise", action="store_true", help="measure noise by the rate")
    parser.add_argument("--seeds", action="store_true", help="measure how far seeds differ, against the noise")
    parser.add_argument("--decays", action="store_true", help="score weight decays as they are, not said, and wrong")
    parser.add_argument("--hard", action="store_true", help=f"score {', '.join(HARD)}")
    parser.add_argument("--quick", action="store_true", help="by Laplace's approximation instead of NUTS")
    parser.add_argument("--alone", action="store_true", help="without the baselines")
    parser.add_argument("--points", type=int, help="observations of a run that are fitted, of single sets")
    arguments = parser.parse_args()
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        if arguments.losses:
            print(losses(quick=arguments.quick, apart=arguments.apart).to_string())
            return
        if arguments.laws:
            found = laws(arguments.sets or [name for name in COMPARED if name != "epfl-5e-4"])
            print(found.to_string())
            return
        if arguments.schedules:
            names = arguments.sets or DIFFERENT
            print(differences_of_schedules(list(names), quick=arguments.quick).round(4).to_string())
            return
        if arguments.noise:
            print(noise().round(2).to_string())
            return
        if arguments.seeds:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BayeslrWarning)
                print(seeds().round(4).to_string())
            return
        if arguments.decays:
            print(decays(arguments.sets or list(DECAYED), quick=arguments.quick).round(4).to_string())
            return
        if arguments.memories:
            print(memories().round(2).to_string())
            return
        if arguments.trends:
            print(trends().round(3).to_string())
            return
        if arguments.scatter:
            print(scatter().round(4).to_string())
            return
        if arguments.sizes:
            found = sizes(quick=arguments.quick, level_scatter=arguments.level_scatter)
            print(found.astype(float).round(4).to_string())
            return
        if arguments.variants:
            print(variants(arguments.sets or list(COMPARED)).round(4).to_string())
            return
        for name in arguments.sets or list(HARD if arguments.hard else SETS):
            scored = score(name, quick=arguments.quick, alone=arguments.alone, points=arguments.points)
            whole, common, pairs = scored.mean[list(SHOWN)], scored.common.mean[list(SHOWN)], scored.mean_pairs
            whole["health"] = scored.runs.groupby("forecaster")["health"].first()
            whole[["pairs", *(f"pairs_{name}" for name in pairs.columns[1:])]] = pairs.reindex(whole.index)
            print(f"\n{name}\n{whole.round(4).to_string()}", flush=True)
            if len(common) and not common["runs"].equals(whole["runs"]):
                print(f"\n{name}, the runs that all can predict\n{common.round(4).to_string()}", flush=True)


if __name__ == "__main__":
    main()
