"""The backtest: fit a part of the curves, forecast the rest, score, compare.

Each pair of a split and a forecaster is one job. Jobs know nothing of each other and every one gets the same seed, so
that the result does not depend on where they run: in this process, in others, or on other machines through any
:class:`concurrent.futures.Executor`, such as that of dask (``Client(...).get_executor()``).
"""

import math
import multiprocessing
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from bayeslr.curves import CurveSet
from bayeslr.errors import ConvergenceWarning, CurveError, ModelError
from bayeslr.evaluation.baselines import BayesianForecast, BlockBootstrap, Forecaster, PointFit, independent_noise
from bayeslr.evaluation.scores import PairScore, RunScore, score_pair, score_run
from bayeslr.evaluation.splits import Split, leave_one_run_out
from bayeslr.inference import prepare_devices, progress_bar
from bayeslr.laws import AnnealingLaw
from bayeslr.markup import box, paragraph, table
from bayeslr.model import ScalingModel
from bayeslr.written import without_numbers

__all__ = ["Backtest", "backtest", "default_forecasters"]

SCORES = tuple(score.name for score in fields(RunScore) if score.name not in ("n", "pit"))
"""Columns of the tables, in order."""

PAIR_SCORES = ("in_90", "width_90", "sign")
"""What is averaged over pairs of runs."""

_SHOWN = ("runs", "coverage_90", "final_in_90", "crps", "mae", "width_90")
_PIT = ["split", "forecaster", "run", "step", "pit"]
_PAIR = ["split", "forecaster", "run", "other", "size", *(score.name for score in fields(PairScore))]
_MOST_WORKERS = 4
_BASELINES = ("point fit", "independent noise", "block bootstrap")
# a fit uses all cores of its process and its sampler is not made for two threads at once
_ONE_FIT_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtest:
    """Scores of forecasters on runs that they had not seen.

    Parameters
    ----------
    runs
        A row for each split, forecaster and run: ``split, forecaster, run, size, n``, the scores of
        :class:`~bayeslr.evaluation.RunScore`, ``health`` (``"PASS"``, ``"REVIEW"``, ``"FAIL"`` or empty) and
        ``missing`` (why there is no forecast, then every score is not a number; else empty).
    pit
        One row per observation, of forecasts that have a band: ``split, forecaster, run, step, pit``.
    pairs
        One row per pair of test runs of one size, of forecasts that have a band: ``split, forecaster, run, other,
        size`` and the scores of :class:`~bayeslr.evaluation.PairScore`, those of the difference of their final losses.
    """

    runs: pd.DataFrame
    pit: pd.DataFrame
    pairs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_PAIR))

    def __repr__(self) -> str:
        table = self.mean[list(_SHOWN)].to_string(float_format="%.4g")
        return f"Backtest of {self.runs['run'].nunique()} runs that were held out; means of each forecaster:\n{table}"

    def _repr_html_(self) -> str:
        rows = [
            (str(name), *("-" if value != value else f"{value:.4g}" for value in row))
            for name, row in zip(self.mean.index, self.mean[list(_SHOWN)].to_numpy(), strict=True)
        ]
        told = f"Backtest of {self.runs['run'].nunique()} runs that were held out; means of each forecaster"
        return box(paragraph(told, strong=True), table(("forecaster", *_SHOWN), rows))

    def to_dataframe(self) -> pd.DataFrame:
        """Return the scores: one row per split, forecaster and run."""
        return self.runs

    @property
    def forecasters(self) -> tuple[str, ...]:
        """Names of the forecasters, the first one is the one that the others are compared with."""
        return tuple(dict.fromkeys(self.runs["forecaster"]))

    @property
    def mean(self) -> pd.DataFrame:
        """Averages of the runs' scores, each run counted alike.

        One row per forecaster: the scores, with ``runs``, how many were scored, and ``missing``, how many were not.
        """
        grouped = self.runs.groupby("forecaster", sort=False)
        table = grouped[list(SCORES)].mean()
        table.insert(0, "runs", grouped["missing"].agg(lambda reasons: int((reasons == "").sum())))
        table.insert(1, "missing", grouped["missing"].agg(lambda reasons: int((reasons != "").sum())))
        return table

    @property
    def mean_pairs(self) -> pd.DataFrame:
        """Averages over the pairs: one row per forecaster, with ``pairs``, their number."""
        grouped = self.pairs.groupby("forecaster", sort=False)
        table = grouped[list(PAIR_SCORES)].mean()
        table.insert(0, "pairs", grouped.size())
        return table

    @property
    def common(self) -> "Backtest":
        """The same of those runs alone that every forecaster predicted: means of different runs do not compare."""
        absent = self.runs.loc[self.runs["missing"] != "", ["split", "run"]].drop_duplicates()

        def kept(table: pd.DataFrame, column: str = "run") -> pd.DataFrame:
            return table[~_names(table, column).isin(_names(absent, "run"))]

        return Backtest(
            runs=kept(self.runs),
            pit=kept(self.pit),
            pairs=kept(kept(self.pairs), "other"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values.

        Returns
        -------
        dict
            Of the first forecaster: its name (``forecaster``), ``runs`` (a list of objects), ``mean`` and
            ``common_mean``, the same over the runs that every forecaster predicted (none where there is no such run),
            and ``mean_pairs``, that of differences of final losses (none where it has no bands or there are no pairs);
            of the others the same by name under ``baselines``. A score that is not defined is None.
        """
        first, *others = self.forecasters
        means = {
            key: {str(name): _plain(row) for name, row in table.to_dict("index").items()}
            for key, table in (
                ("mean", self.mean),
                ("common_mean", self.common.mean),
                ("mean_pairs", self.mean_pairs),
            )
        }

        def part(forecaster: str) -> dict[str, Any]:
            rows = self.runs[self.runs["forecaster"] == forecaster].drop(columns="forecaster").to_dict("records")
            found = {key: by_name.get(forecaster) for key, by_name in means.items()}
            return {"runs": [_plain(row) for row in rows], **found}

        return {"forecaster": first, **part(first), "baselines": {name: part(name) for name in others}}


def default_forecasters(
    model: ScalingModel | Mapping[str, ScalingModel] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    baselines: bool = True,
) -> dict[str, Forecaster]:
    """Return the model, or several beside each other, and the baselines that a backtest compares them with.

    Parameters
    ----------
    model
        The model, called ``bayeslr``, or models by name. Default: the library's.
    settings
        Further arguments of :func:`bayeslr.fit` for the fits of posteriors.
    baselines
        Whether to have baselines at all.

    Returns
    -------
    dict
        Forecasters by name, the models first. Baselines take what they keep of a model from the first one.

    Raises
    ------
    ModelError
        If there is no model, one has the name of a baseline, or a setting is no argument of ``fit``.
    """
    models = dict(model) if isinstance(model, Mapping) else {"bayeslr": model or ScalingModel()}
    taken = next((name for name in models if baselines and name in _BASELINES), None)
    if not models or taken is not None:
        found = "no models" if taken is None else f"a model called {taken!r}"
        raise ModelError(f"backtest: found {found}; allowed: at least one, with other names than the baselines")
    forecasters: dict[str, Forecaster] = {
        name: BayesianForecast(model=one, settings=settings or {}) for name, one in models.items()
    }
    if baselines:
        # the paper's recipe, whatever the model is
        first = next(iter(models.values()))
        law = AnnealingLaw(warmup=first.law.warmup)
        parts = (PointFit(law=law), independent_noise(first, settings=settings), BlockBootstrap(law=law))
        forecasters |= dict(zip(_BASELINES, parts, strict=True))
    return forecasters


def backtest(
    curves: CurveSet | Split | Sequence[Split],
    forecasters: Mapping[str, Forecaster] | None = None,
    *,
    seed: int,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> Backtest:
    """Score forecasts on runs that were held out.

    Parameters
    ----------
    curves
        What to fit and what to score: one split or several of different names. Curves are split by leaving one run out.
    forecasters
        Forecasters by name, the one of interest first. Default: :func:`default_forecasters`.
    seed
        Seed of every fit and forecast.
    executor
        Where the jobs run. Default: worker processes, a worker for two cores and four at most, or this process where
        that makes one worker. Of a dask cluster: ``Client(...).get_executor()``. The result is the same.
    progress
        Whether to show a progress bar. Default: where a person watches, in a terminal or a notebook.

    Returns
    -------
    Backtest
        Scores of every run, and their means.

    Raises
    ------
    CurveError
        If there is no split, or two have the same name.
    ModelError
        If there is no forecaster, or the curves cannot be fitted.

    Warns
    -----
    ConvergenceWarning
        Of fits that fail their check, by the names of the split and the forecaster; what several splits have in common
        is said once. Their scores stay in the table.
    """
    splits = _splits(curves)
    entrants = default_forecasters() if forecasters is None else dict(forecasters)
    if not entrants:
        raise ModelError("backtest: there are no forecasters; allowed: at least one")
    jobs = [(split, name, forecaster) for split in splits for name, forecaster in entrants.items()]
    with progress_bar(total=len(jobs), desc="backtest", unit="fit", progress=progress) as bar:
        if executor is not None:
            results = _run_all(jobs, seed, executor, bar)
        elif (workers := _workers(len(jobs))) > 1:
            # JAX cannot be forked
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                results = _run_all(jobs, seed, pool, bar)
        else:
            results = []
            for job in jobs:
                results.append(_run(*job, seed))
                bar.update()
    told: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for (split, name, _), result in zip(jobs, results, strict=True):
        for problem in result.problems:
            told.setdefault((name, without_numbers(problem)), []).append((split.name, problem))
    for (name, _), found in told.items():
        (where, problem), others = found[0], len(dict(found)) - 1
        also = f" (for example, as {others} of the other {len(splits) - 1} splits)" if others else ""
        warnings.warn(f"split {where!r}{also}, {name}: {problem}", ConvergenceWarning, stacklevel=2)
    places = [part for result in results for part in result.places]
    return Backtest(
        runs=pd.DataFrame([row for result in results for row in result.rows]),
        pairs=pd.DataFrame([row for result in results for row in result.pairs], columns=_PAIR),
        pit=pd.concat(places, ignore_index=True) if places else pd.DataFrame(columns=_PIT),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Result:
    """What a job sends back: rows of the tables, and what must be said of its fit."""

    rows: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    places: list[pd.DataFrame]
    problems: tuple[str, ...]


def _splits(curves: CurveSet | Split | Sequence[Split]) -> tuple[Split, ...]:
    if isinstance(curves, Split):
        return (curves,)
    splits = leave_one_run_out(curves) if isinstance(curves, CurveSet) else tuple(curves)
    names = [split.name for split in splits]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not splits or twice is not None:
        found = "no splits" if twice is None else f"{names.count(twice)} splits named {twice!r}"
        raise CurveError(f"backtest: found {found}; allowed: at least one, each with a name of its own")
    return splits


def _workers(jobs: int) -> int:
    return min(jobs, _MOST_WORKERS, (os.cpu_count() or 1) // 2)


def _run_all(
    jobs: Sequence[tuple[Split, str, Forecaster]], seed: int, executor: Executor, bar: "tqdm[Any]"
) -> list[_Result]:
    """Run jobs through an executor; where one cannot be done, those that have not begun are given up."""
    futures = [executor.submit(_run, *job, seed) for job in jobs]
    try:
        for future in as_completed(futures):
            future.result()
            bar.update()
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


def _run(split: Split, name: str, forecaster: Forecaster, seed: int) -> _Result:
    """Fit, forecast and score one split."""
    with _ONE_FIT_AT_A_TIME:
        prepare_devices()
        predictions = forecaster.forecast(split, seed=seed)
    rows: list[dict[str, Any]] = []
    places: list[pd.DataFrame] = []
    for curve in split.scored:
        labels = {"split": split.name, "forecaster": name, "run": curve.name}
        row: dict[str, Any] = labels | {"size": curve.size, "n": len(curve)} | dict.fromkeys(SCORES, math.nan)
        reason = predictions.missing.get(curve.name, "")
        if not reason:
            score = score_run(predictions.draws[curve.name], curve.loss, seed=seed)
            row |= score.numbers()
            if np.isfinite(score.pit).all():
                places.append(pd.DataFrame(labels | {"step": curve.steps, "pit": score.pit}))
        rows.append(row | {"health": predictions.health, "missing": reason})
    pairs = [
        {"split": split.name, "forecaster": name, "run": one.name, "other": other.name, "size": one.size}
        | asdict(score_pair(predictions.draws[one.name][:, -1] - predictions.draws[other.name][:, -1], difference))
        for one, other in combinations([curve for curve in split.scored if curve.name in predictions.draws], 2)
        if (one.size, one.params) == (other.size, other.params)
        and len(predictions.draws[one.name]) == len(predictions.draws[other.name]) > 1
        for difference in [float(one.loss[-1] - other.loss[-1])]
    ]
    return _Result(rows=rows, pairs=pairs, places=places, problems=predictions.problems)


def _names(table: pd.DataFrame, column: str) -> pd.MultiIndex:
    """Return the runs that a table's rows are about."""
    return pd.MultiIndex.from_frame(table[["split", column]])


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return values that JSON has: numbers of Python, and None for what is not a number."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        value = value.item() if isinstance(value, np.generic) else value
        found[str(key)] = None if isinstance(value, float) and not math.isfinite(value) else value
    return found
