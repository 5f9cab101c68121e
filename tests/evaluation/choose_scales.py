"""Choose the prior medians of the error model's scales by held-out log scores, leaving out one source at a time.

    uv run python tests/evaluation/choose_scales.py measure scores.csv        scores of all sources, an hour or two
    uv run python tests/evaluation/choose_scales.py measure scores.csv --sources wmt tiny-lm
    uv run python tests/evaluation/choose_scales.py choose scores.csv         what they choose, and each alone

`measure` fits every split of a source by Laplace's approximation, once as the settings are and once with each setting
larger and smaller by a factor, and appends rows to a file; a row that is there is not measured again, so that it can be
stopped and goes on. A score is the mean log density of the observations of the test runs, in nats an observation: a
normal density with mean and standard deviation of the draws, averaged over a run, over the runs of a split and over the
splits of a source. `choose` puts a parabola through the three scores of each setting, in its logarithm, and
takes the top.
"""

import argparse
import copy
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

import held_out
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import Array
from numpy.typing import NDArray

from bayeslr.curves import CurveSet
from bayeslr.errors import BayeslrWarning
from bayeslr.evaluation import BayesianForecast, Split
from bayeslr.laws import Parameter, Scale, Terms
from bayeslr.model import Discrepancy, ScalingModel
from bayeslr.model.effects import Block, Exposure
from bayeslr.model.observations import Observations

FIXED = ("curvature", "drift", "ahead")
"""Settings that are numbers; the others are medians of priors."""
SETTINGS = ("memory", "bend", "early", "peak", "offset", "residual", *FIXED)
FACTOR = 1.6
FURTHEST = np.log(2.0)
"""A parabola is not believed further away than this."""
LEAST = 1e-3
"""Slope of a score, in nats an observation, below which a setting has no influence."""
WORST = -12.0
"""Log score below which a run's score is not counted further: one run that fails altogether must not choose alone."""


def _sets(*names: str) -> Iterator[Split]:
    return map(held_out.read, names)


def _unseen(source: str) -> Iterator[Split]:
    """Return the first of a source's questions about a size that was not fitted."""
    return islice(held_out.unseen_sizes(source), 1)


def _horizon(loss: str) -> Split:
    return replace(held_out.olmo(train=held_out.SHORT, test=held_out.LONG, loss=loss), name=f"olmo-horizon {loss}")


DRAWS = {"method": "laplace", "num_samples": 100, "num_chains": 1}
"""Enough for a mean and a standard deviation of which only differences count."""
POINTS = 24
"""Observations of a test run that are scored."""

SOURCES: dict[str, Callable[[], Iterable[Split]]] = {
    "multi-power-law": lambda: _sets("mpl-25M", "mpl-100M", "mpl-25M-cosine-to-wsd"),
    "epfl": lambda: chain(_sets("epfl-1e-3", "epfl-cosines", "epfl-124M-two-rates", "epfl-to-5e-4"), _unseen("epfl")),
    "olmo": lambda: chain(map(_horizon, ("c4_en", "pile")), _unseen("olmo")),
    "gemstones": lambda: _sets("gemstones-1024x28", "gemstones-512x16", "gemstones-1024x28-two-rates"),
    "modded-nanogpt": lambda: _sets("muon", "muon-to-.035"),
    "wmt": lambda: _sets("wmt"),
    "tiny-lm": lambda: chain(_sets("tiny-lm"), _unseen("tiny-lm")),
}
"""Few splits a source, of every kind of question."""


@dataclass(frozen=True, kw_only=True)
class AdjustableDiscrepancy(Discrepancy):
    """The library's error model, whose settings are arrays of a fit, so that others of them share compiled programs.

    Medians stand in the data's scale, numbers among the places.
    """

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The library's, their priors relative to the setting."""
        return tuple(
            replace(part, prior=replace(part.prior, center=1.0, relative_to=f"setting_{part.name}"))  # type: ignore[arg-type]
            if part.name in SETTINGS
            else part
            for part in super().parameters
        )

    def places(
        self, lowest: float, log_peaks: NDArray[np.float64], log_batches: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the library's, and room for the settings."""
        return Discrepancy.places(self, lowest, log_peaks, log_batches) | {
            "settings": np.array([getattr(self, n) for n in FIXED])
        }

    def places_ahead(
        self,
        places: Mapping[str, NDArray[np.float64]],
        furthest: float,
        log_peaks: NDArray[np.float64],
        log_batches: NDArray[np.float64],
    ) -> dict[str, NDArray[np.float64]]:
        """Return the library's, and the settings as they are."""
        return Discrepancy.places_ahead(self, places, furthest, log_peaks, log_batches) | {
            "settings": places["settings"]
        }

    def blocks(
        self,
        scales: Mapping[str, Array],
        terms: Terms,
        exposure: Exposure,
        places: Mapping[str, Array],
        slope: Callable[[Array], Array],
    ) -> tuple[Block, ...]:
        """Return the library's, with the settings of this fit."""
        adjusted = copy.copy(self)
        for name, value in zip(FIXED, places["settings"], strict=True):
            object.__setattr__(adjusted, name, value)
        return Discrepancy.blocks(adjusted, scales, terms, exposure, places, slope)


@dataclass(frozen=True, kw_only=True, eq=False)
class AdjustableModel(ScalingModel):
    """The library's model with other settings, which are no part of what tells its programs apart."""

    settings: Mapping[str, float] = field(default_factory=dict)

    def observations(self, curves: CurveSet, scale: Scale) -> tuple[Observations, tuple[str, ...]]:
        """Return the arrays of a fit, with the settings in them."""
        made, runs = super().observations(curves, scale)
        medians = {f"setting_{name}": jnp.asarray(x) for name, x in self.settings.items() if name not in FIXED}
        numbers = jnp.asarray([self.settings[name] for name in FIXED])
        return replace(made, scale=made.scale | medians, places=made.places | {"settings": numbers}), runs


def current() -> dict[str, float]:
    """Return the settings of the library."""
    return {name: float(getattr(Discrepancy(), name)) for name in SETTINGS}


def score(split: Split, settings: Mapping[str, float]) -> dict[str, float]:
    """Fit and predict a split; return its mean log score, and what else one wants to see."""
    split = replace(split, test=split.test.thin(POINTS))
    model = AdjustableModel(discrepancy=AdjustableDiscrepancy(), settings=settings)
    found = BayesianForecast(model=model, settings=DRAWS).forecast(split, seed=0)
    rows = []
    for curve in split.scored:
        if curve.name not in found.draws:
            continue
        draws = found.draws[curve.name]
        sd, error = draws.std(axis=0), curve.loss - draws.mean(axis=0)
        low, middle_low, middle_high, high = np.quantile(draws, [0.05, 0.25, 0.75, 0.95], axis=0)
        rows.append(
            {
                "log_score": max(WORST, float((-0.5 * (error / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))).mean())),
                "coverage_90": float(((low <= curve.loss) & (curve.loss <= high)).mean()),
                "coverage_50": float(((middle_low <= curve.loss) & (curve.loss <= middle_high)).mean()),
                "final_in_90": float(low[-1] <= curve.loss[-1] <= high[-1]),
                "width_90": float((high - low).mean()),
                "mae": float(np.abs(error).mean()),
            }
        )
    return {name: float(value) for name, value in pd.DataFrame(rows).mean().items()}


def variants(base: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the settings to measure, by name: as they are, and each larger and smaller."""
    found = {"base": dict(base)}
    for name in SETTINGS:
        for sign, power in (("+", 1), ("-", -1)):
            found[f"{name} {sign}"] = dict(base) | {name: base[name] * FACTOR**power}
    return found


def measure(file: Path, sources: list[str], base: Mapping[str, float], only: list[str] | None) -> None:
    """Append the scores of some sources to a file."""
    done = set(map(tuple, pd.read_csv(file)[["source", "split", "variant"]].to_numpy())) if file.exists() else set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        for source, split in ((name, split) for name in sources for split in SOURCES[name]()):
            for variant, settings in variants(base).items():
                if (source, split.name, variant) in done or (only and variant not in only):
                    continue
                begin = time.perf_counter()
                row = {"source": source, "split": split.name, "variant": variant} | score(split, settings)
                row["seconds"] = time.perf_counter() - begin
                pd.DataFrame([row]).to_csv(file, mode="a", header=not file.exists(), index=False)
                print({name: round(x, 4) if isinstance(x, float) else x for name, x in row.items()}, flush=True)
            jax.clear_caches()


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the log score by source and variant."""
    return table.pivot_table(index="source", columns="variant", values="log_score", aggfunc="mean")


def measured(scores: pd.DataFrame) -> list[str]:
    """Return the settings that were varied."""
    return [name for name in SETTINGS if f"{name} +" in scores and f"{name} -" in scores]


def parabola(scores: pd.Series, name: str) -> tuple[float, float]:
    """Return slope and curvature of the score in the logarithm of a setting."""
    low, middle, high = scores[f"{name} -"], scores["base"], scores[f"{name} +"]
    unit = np.log(FACTOR)
    return (high - low) / (2.0 * unit), (low + high - 2.0 * middle) / unit**2


def tops(scores: pd.Series, names: list[str]) -> pd.Series:
    """Return where the parabola of each setting has its top, as steps in logarithms that are not too far."""
    found = {}
    for name in names:
        slope, curvature = parabola(scores, name)
        step = -slope / curvature if curvature < 0.0 else np.copysign(np.inf, slope)
        found[name] = float(np.clip(step, -FURTHEST, FURTHEST)) if abs(slope) > LEAST else 0.0
    return pd.Series(found)


def gain(scores: pd.Series, steps: pd.Series) -> float:
    """Return what a source's score gains by some steps, by its parabolas."""
    parts = [(step, *parabola(scores, str(name))) for name, step in steps.items()]
    return float(sum(slope * step + 0.5 * curvature * step**2 for step, slope, curvature in parts))


def choose(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the factors that each source alone, all but one, and all together choose; and what each gains by them."""
    scores = means(table)
    names = measured(scores)
    alone = {source: tops(row, names) for source, row in scores.iterrows()}
    others = {source: tops(scores.drop(index=source).mean(), names) for source in scores.index}
    together = tops(scores.mean(), names)
    factors = {f"only {source}": steps for source, steps in alone.items()}
    factors |= {f"without {source}": steps for source, steps in others.items()}
    gains = {
        "score": scores["base"],
        "own choice": {source: gain(scores.loc[source], steps) for source, steps in alone.items()},
        "choice of the others": {source: gain(scores.loc[source], steps) for source, steps in others.items()},
        "choice of all": {source: gain(scores.loc[source], together) for source in scores.index},
    }
    return np.exp(pd.DataFrame(factors | {"all": together})), pd.DataFrame(gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["measure", "choose"])
    parser.add_argument("file", type=Path, help="CSV of the scores")
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), help=f"of {', '.join(SOURCES)}; default: all")
    parser.add_argument("--variants", nargs="*", help="only some of the variants, such as 'base' and 'peak -'")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="other settings to begin with")
    arguments = parser.parse_args()
    base = current() | {name: float(x) for name, x in (pair.split("=") for pair in arguments.set)}
    if arguments.what == "measure":
        measure(arguments.file, arguments.sources, base, arguments.variants)
        return
    table = pd.read_csv(arguments.file)
    with pd.option_context("display.width", 250, "display.max_columns", 30):
        print(table[table["variant"] == "base"].groupby("source").mean(numeric_only=True).round(4).to_string())
        factors, gains = choose(table)
        print(f"\nfactors\n{factors.round(2).to_string()}")
        print(f"\nnats an observation, and what is gained by\n{gains.round(3).to_string()}")


if __name__ == "__main__":
    main()
