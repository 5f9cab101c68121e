"""The backtest: every run once, the same wherever it runs, and the scores of the draws that were made."""

import json
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from bayeslr.curves import CurveSet
from bayeslr.errors import BayeslrError, BayeslrWarning, ConvergenceWarning, CurveError, ModelError
from bayeslr.evaluation import (
    BayesianForecast,
    BlockBootstrap,
    PointFit,
    Predictions,
    StackedForecast,
    backtest,
    by_query,
    default_forecasters,
    horizon,
    leave_one_run_out,
    leave_one_size_out,
    score_run,
    stacked,
)
from bayeslr.forecast import Forecast, predict
from bayeslr.inference import check, fit
from bayeslr.laws import AnnealingLaw, MultiPowerLaw
from bayeslr.model import CurveParts, ScalingModel


@dataclass(frozen=True)
class Guess:
    """A forecaster that knows the answer up to noise of its own; for the tests alone."""

    sd: float = 0.01
    problems: tuple = ()
    skip: str = "large"

    def forecast(self, split, *, seed):
        draws, missing = {}, {}
        for k, curve in enumerate(split.scored):
            if curve.name.endswith(self.skip):
                missing[curve.name] = "too large"
            else:
                noise = np.random.default_rng([seed, k]).standard_normal((100, len(curve)))
                draws[curve.name] = curve.loss + self.sd * noise
        return Predictions(draws=draws, missing=missing, health="REVIEW", problems=self.problems)


@pytest.fixture(scope="module")
def sizes(small_curves):
    large = [replace(c, name=f"{c.name} large", size="large", params=4e7, loss=c.loss - 0.2) for c in small_curves]
    return CurveSet(curves=(*small_curves, *large))


def test_rows_are_the_scores_of_each_run_and_forecaster(branched):
    result = backtest(leave_one_run_out(branched), {"good": Guess(), "wide": Guess(sd=0.1)}, seed=4)
    assert len(result.runs) == 8
    assert list(result.runs["split"][::2]) == list(branched.names)
    split = leave_one_run_out(branched)[1]
    expected = score_run(Guess().forecast(split, seed=4).draws["cosine"], branched["cosine"].loss)
    row = result.runs.set_index(["forecaster", "run"]).loc[("good", "cosine")]
    assert row["crps"] == expected.crps
    assert (row["health"], row["missing"], row["n"], row["size"]) == ("REVIEW", "", 47, "small")
    pit = result.pit.query("forecaster == 'good' and run == 'cosine'")
    np.testing.assert_array_equal(pit["pit"], expected.pit)
    np.testing.assert_array_equal(pit["step"], branched["cosine"].steps)
    # means count each run alike, whatever its number of observations
    by_hand = result.runs.query("forecaster == 'wide'")["width_90"].sum() / 4
    assert result.mean.loc["wide", "width_90"] == pytest.approx(by_hand, rel=1e-12)
    assert list(result.mean.index) == ["good", "wide"]
    assert list(result.mean["runs"]) == [4, 4]


def test_what_is_missing_stays_in_the_table(sizes):
    result = backtest(leave_one_size_out(sizes), {"guess": Guess()}, seed=0)
    assert list(result.runs["missing"]) == [""] * 3 + ["too large"] * 3
    assert result.runs["crps"].isna().sum() == 3
    assert result.mean.loc["guess", ["runs", "missing"]].tolist() == [3, 3]
    assert np.isfinite(result.mean.loc["guess", "crps"])


def test_means_of_the_runs_that_all_predict(sizes):
    forecasters = {"all": Guess(skip="nothing"), "some": Guess(sd=0.1)}
    result = backtest(leave_one_size_out(sizes), forecasters, seed=0)
    assert list(result.mean["runs"]) == [6, 3]
    common = result.common
    assert common.mean[["runs", "missing"]].to_numpy().tolist() == [[3, 0], [3, 0]]
    assert set(common.runs["run"]) == set(common.pit["run"]) == {"constant", "cosine", "drops"}
    by_hand = result.runs.query("forecaster == 'all' and size == 'small'")["crps"].mean()
    assert common.mean.loc["all", "crps"] == pytest.approx(by_hand, rel=1e-12)
    assert common.common.runs.equals(common.runs)


def test_json_has_the_first_forecaster_on_top(sizes):
    result = backtest(leave_one_size_out(sizes), {"guess": Guess(), "point fit": PointFit(starts=1)}, seed=0)
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    scores = {f"coverage_{p}" for p in (50, 80, 90, 95)}
    scores |= {"final_in_90", "crps", "interval_score", "mae", "mape", "width_90"}
    assert values["forecaster"] == "guess"
    assert [row["run"] for row in values["runs"]] == list(sizes.names)
    assert all(scores <= row.keys() for row in [*values["runs"], values["mean"]])
    assert values["mean"]["crps"] == pytest.approx(result.mean.loc["guess", "crps"])
    assert values["runs"][5]["crps"] is None
    point = values["baselines"]["point fit"]
    assert point["mean"]["runs"] == 0
    assert "no training run" in point["runs"][0]["missing"]
    # no run has been predicted by both
    assert values["common_mean"] is point["common_mean"] is None


def test_json_has_the_means_of_the_common_runs(sizes):
    result = backtest(leave_one_size_out(sizes), {"all": Guess(skip="nothing"), "some": Guess(sd=0.1)}, seed=0)
    values = result.to_dict()
    assert (values["mean"]["runs"], values["common_mean"]["runs"]) == (6, 3)
    assert values["common_mean"]["crps"] == pytest.approx(result.common.mean.loc["all", "crps"], rel=1e-12)
    assert values["baselines"]["some"]["common_mean"]["crps"] == result.common.mean.loc["some", "crps"]


def test_a_fit_that_fails_is_named_and_stays(small_curves):
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    with pytest.warns(ConvergenceWarning, match="split 'split', guess: chains disagree"):
        result = backtest(split, {"guess": Guess(problems=("chains disagree",))}, seed=0)
    assert len(result.runs) == 1


def test_what_several_splits_have_in_common_is_said_once(small_curves):
    # what a fit says twice, with another number, is one finding
    told_twice = Guess(problems=("r_hat is 1.2", "r_hat is 1.3", "slow"))
    with pytest.warns(ConvergenceWarning) as told:
        backtest(leave_one_run_out(small_curves), {"guess": told_twice}, seed=0)
    first = small_curves.names[0]
    assert sorted(str(warning.message) for warning in told) == [
        f"split {first!r} (for example, as 2 of the other 2 splits), guess: {problem}"
        for problem in ("r_hat is 1.2", "slow")
    ]


def test_every_executor_gives_the_same(small_curves):
    splits = leave_one_run_out(small_curves)[:2]
    forecasters = {"bootstrap": BlockBootstrap(num_draws=5, starts=1)}
    there = backtest(splits, forecasters, seed=2, executor=ThreadPoolExecutor(2))
    pd.testing.assert_frame_equal(backtest(splits, forecasters, seed=2).runs, there.runs, rtol=1e-7)
    assert not there.runs["crps"].equals(backtest(splits, forecasters, seed=3).runs["crps"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_dask_and_processes_give_the_same(small_curves, quick):
    distributed = pytest.importorskip("distributed")
    splits = leave_one_run_out(small_curves)[:2]
    forecasters = {"bayeslr": BayesianForecast(settings=quick), "bootstrap": BlockBootstrap(num_draws=5, starts=1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short fits, and what dask's own cluster says at its start and end
        here = backtest(splits, forecasters, seed=2)
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster) as client:
            there = backtest(splits, forecasters, seed=2, executor=client.get_executor())
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            apart = backtest(splits, forecasters, seed=2, executor=pool)
    pd.testing.assert_frame_equal(here.runs, there.runs, rtol=1e-5)
    pd.testing.assert_frame_equal(here.runs, apart.runs, rtol=1e-5)


def test_the_model_on_simulated_curves(small_curves, quick):
    """A fit of few draws: the draws that are scored are those of `fit` and `predict`."""
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    curve = small_curves["cosine"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        result = backtest(split, {"bayeslr": BayesianForecast(settings=quick)}, seed=1)
        posterior = fit(split.train, seed=1, **quick)
        draws = predict(posterior, curve.schedule, size="small", steps=curve.steps, seed=1).observed["schedule"]
    row = result.runs.iloc[0]
    assert row["crps"] == pytest.approx(score_run(draws, curve.loss).crps, rel=1e-6)
    assert row["health"] == check(posterior).status
    assert row["mape"] < 1.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_is_continued_with_its_own_effects(small_curves, quick):
    curves = CurveSet(curves=tuple(replace(c, loss=c.loss + 0.01 * (c.name == "constant")) for c in small_curves))
    split = horizon(curves, fraction=0.6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        own = backtest(split, {"bayeslr": BayesianForecast(settings=quick)}, seed=1)
    assert own.mean.loc["bayeslr", "mape"] < 0.3
    assert (own.runs["n"] == 20).all()
    # a new run of this schedule would be predicted between the runs, .007 lower
    assert abs(own.runs.set_index("run").loc["constant", "final_error"]) < 0.004


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"curves": []}, CurveError, "no splits"),
        ({"forecasters": {}}, ModelError, "no forecasters"),
    ],
)
def test_nothing_to_do_is_one_line(small_curves, arguments, error, message):
    with pytest.raises(error, match=message):
        backtest(**({"curves": small_curves, "forecasters": {"guess": Guess()}, "seed": 0} | arguments))


def test_two_splits_of_one_name(small_curves):
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    with pytest.raises(BayeslrError, match="2 splits named 'split'"):
        backtest([split, split], {"guess": Guess()}, seed=0)


def test_the_default_has_the_model_first_and_three_baselines():
    assert list(default_forecasters()) == ["bayeslr", "point fit", "independent noise", "block bootstrap"]
    assert list(default_forecasters(baselines=False)) == ["bayeslr"]


def test_models_stand_beside_each_other_before_the_baselines():
    models = {"ours": ScalingModel(), "theirs": ScalingModel(law=MultiPowerLaw(warmup="peak"))}
    found = default_forecasters(models, settings={"num_samples": 70})
    assert list(found) == ["ours", "theirs", "point fit", "independent noise", "block bootstrap"]
    assert [found[name].model for name in models] == list(models.values())
    assert found["point fit"].law.warmup == found["independent noise"].model.law.warmup == "as_logged"
    other = default_forecasters(dict(reversed(models.items())))
    assert other["point fit"].law.warmup == other["independent noise"].model.law.warmup == "peak"
    for wrong, message in (({}, "no models"), ({"point fit": ScalingModel()}, "a model called 'point fit'")):
        with pytest.raises(ModelError, match=message):
            default_forecasters(wrong)
    assert list(default_forecasters({"point fit": ScalingModel()}, baselines=False)) == ["point fit"]


@dataclass(frozen=True)
class Member:
    """What stands for the fit of a model: the model, and one draw in ten of a loss of its own."""

    name: str

    settings: ClassVar = {"health": []}

    @property
    def health(self):
        return SimpleNamespace(status={"first": "PASS", "second": "REVIEW"}[self.name])

    def size_of(self, curve):
        return 0


def test_a_stack_mixes_by_weights_that_only_training_runs_decide(small_curves, monkeypatch):
    """Weights of 3 to 1: three draws in four are those of the first model, whatever the held-out run says."""
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    level, compared = {"first": 2.0, "second": 4.0}, []
    models = {name: ScalingModel(law=AnnealingLaw()) for name in level}

    def fitted(self, split, *, seed):
        assert seed == 5
        return Member(next(name for name, model in models.items() if model is self.model))

    def predicted(self, posterior, split, together, *, seed):
        (curve,) = together
        draws = {curve.name: np.full((200, len(curve)), level[posterior.name])}
        parts = {
            curve.name: CurveParts(
                **dict.fromkeys(("base", "forward", "annealing", "shared", "run"), draws[curve.name]),
                residual_sd=draws[curve.name],
            )
        }
        return Forecast(
            schedules={curve.name: curve.schedule},
            steps={curve.name: curve.steps},
            size="small",
            latent=draws,
            observed=draws,
            parts=parts,
        )

    def compare(posteriors):
        compared.append(list(posteriors))
        warnings.warn("run left out badly", ConvergenceWarning, stacklevel=1)
        return pd.DataFrame({"weight": {"second": 0.25, "first": 0.75}})

    monkeypatch.setattr(BayesianForecast, "fitted", fitted)
    monkeypatch.setattr(BayesianForecast, "predicted", predicted)
    monkeypatch.setattr(stacked, "compare_models", compare)
    found = StackedForecast(models=models).forecast(split, seed=5)
    assert compared == [["first", "second"]]
    draws = found.draws["cosine"]
    assert draws.shape[1] == len(small_curves["cosine"])
    assert (draws[:, 0] == 2.0).mean() == pytest.approx(0.75, abs=0.01)
    assert (found.health, found.problems, found.missing) == ("REVIEW", ("run left out badly",), {})


@pytest.mark.parametrize(
    ("models", "settings", "message"),
    [
        (("a",), {}, "found 1 model"),
        (("a", "b"), {"method": "laplace"}, "found method='laplace'; allowed: 'nuts'"),
        (("a", "b"), {"draws": 5}, "settings: found 'draws'"),
    ],
)
def test_what_cannot_be_stacked_is_one_line(models, settings, message):
    with pytest.raises(ModelError, match=rf"^[^\n]*{message}[^\n]*$"):
        StackedForecast(models=dict.fromkeys(models, ScalingModel()), settings=settings)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_stack_of_two_laws_lies_between_them(small_curves, quick):
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    models = {"annealing": ScalingModel(law=AnnealingLaw()), "multi-power": ScalingModel(law=MultiPowerLaw())}
    forecasters = default_forecasters(models, settings=quick, baselines=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        result = backtest(split, forecasters | {"stack": StackedForecast(models=models, settings=quick)}, seed=1)
    assert list(result.runs["missing"]) == [""] * 3
    crps = result.mean["crps"]
    assert crps["stack"] < 1.2 * max(crps["annealing"], crps["multi-power"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_model_beats_the_baselines_on_published_curves(data_dir):
    from bayeslr.logs import read_curves

    curves = read_curves(data_dir / "multi-power-law" / "runs.csv", where="size == '25M'")
    split = by_query(curves, train="split == 'train'", test="split == 'test'")
    mean = backtest(split, seed=0).mean
    print(mean.round(4).T.to_string())
    for baseline in mean.index[1:]:
        assert mean.loc["bayeslr", "crps"] < mean.loc[baseline, "crps"]
        assert not mean.loc["bayeslr", "interval_score"] > mean.loc[baseline, "interval_score"]
    assert mean.loc["bayeslr", "coverage_90"] > 0.85
