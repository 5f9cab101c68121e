"""The main job on real curves: logs in, bands out, checked on schedules that were not fitted."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslr.curves import CurveSet, Sizes
from bayeslr.errors import BayeslrWarning
from bayeslr.forecast import predict
from bayeslr.inference import check, fit
from bayeslr.inference.engine.density import starting_points
from bayeslr.inference.engine.devices import place_chains
from bayeslr.inference.engine.mode import find_mode
from bayeslr.inference.engine.program import program_for
from bayeslr.logs import read_curves
from bayeslr.model import Discrepancy, ScalingModel

EPFL = "slimpajama_L12H12D768_lr0.001"


def scores(posterior, curves):
    """Coverage of the 90% band, whether it holds the final loss, and MAPE of the median, one row per run."""
    rows = {}
    for curve in curves.after_warmup():
        forecast = predict(posterior, curve.schedule, size=curve.params, steps=curve.steps, seed=1, num_draws=1000)
        band = forecast.band(ci_prob=0.9)
        inside = (band["lower"].to_numpy() <= curve.loss) & (curve.loss <= band["upper"].to_numpy())
        error = np.abs(band["median"].to_numpy() - curve.loss) / curve.loss
        rows[curve.name] = {"coverage": inside.mean(), "final": bool(inside[-1]), "mape": 100 * error.mean()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    print(table.round(3).to_string(), table.mean(numeric_only=False).round(3).to_dict(), sep="\n")
    return table


def multi_power_law(data_dir, where):
    return read_curves(data_dir / "multi-power-law" / "runs.csv", where=where)


@pytest.mark.parametrize("size", ["25M", pytest.param("100M", marks=pytest.mark.slow)])
def test_three_runs_predict_six(data_dir, size):
    train = multi_power_law(data_dir, f"size == '{size}' and split == 'train'")
    test = multi_power_law(data_dir, f"size == '{size}' and split == 'test'")
    posterior = fit(train, seed=0)
    health = check(posterior)
    assert health.status == "PASS", str(health)
    table = scores(posterior, test)
    assert table["mape"].mean() <= 0.15
    assert table["coverage"].mean() >= 0.85
    # of six final losses at 90%, fewer than four are held once in sixty times; one of them lies on the very edge
    assert table["final"].sum() >= 4


def test_a_loss_from_the_first_updates_does_not_decide_on_the_forecast(data_dir):
    """Two constant runs whose first loss is 0.2 to 0.3 above the power law of what follows, against their cool-downs.

    With that loss and without it, forecasts agree; where the law must explain it, they do not.
    """
    curves = read_curves(data_dir / "gemstones" / "runs.csv", where="size == '1024x28'")
    fitted = CurveSet(curves=tuple(c for c in curves if c.metadata["kind"] != "cool"))
    later = CurveSet(curves=tuple(replace(c, steps=c.steps[2:], loss=c.loss[2:]) for c in fitted))
    (plan,) = (c for c in curves if c.metadata["begin"] == 23840)

    def final(runs, discrepancy):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            posterior = fit(runs, ScalingModel(discrepancy=discrepancy), method="laplace", num_samples=250, seed=0)
            return predict(posterior, plan.schedule, size=plan.params, seed=1).final_loss().iloc[0]

    whole, without = final(fitted, Discrepancy()), final(later, Discrepancy())
    assert abs(whole["median"] - without["median"]) < 0.25 * (without["upper"] - without["lower"])
    assert whole["lower"] < plan.loss[-1] < whole["upper"]
    control = final(fitted, Discrepancy(start=0.0))
    assert abs(control["median"] - plan.loss[-1]) > 3.0 * abs(whole["median"] - plan.loss[-1])


@pytest.mark.slow
def test_no_other_start_finds_a_higher_mode(data_dir):
    """Whether the scatter of OLMo's curves is noise or residual may be two modes, far apart in log density."""
    loss = "eval/c4_en-validation/CrossEntropyLoss"
    curves = read_curves(data_dir / "olmo-ladder" / "runs.csv", where="horizon in ['0.5xC', '1xC', '2xC']", loss=loss)
    observed = curves.after_warmup().thin(64)
    model = ScalingModel().resolved(Sizes.of(observed).params)
    observations, _ = model.observations(observed, model.scale(observed))
    program = program_for(
        model, observations, num_warmup=250, target_accept_prob=0.65, placement=place_chains("auto", num_chains=4)
    )
    program.prepare(observations, num_chains=None)

    def search(starts):
        places = [np.asarray(program.unconstrain(start, observations)) for start in starts]
        return find_mode(lambda where: program.values_and_gradients(where, observations), places)

    starts = starting_points(model, observations)
    found = search(starts)
    # starts that the library does not have: less noise still, and most of the scatter in the residual
    others = [starts[0] | {"noise": 0.03 * starts[0]["noise"]}, starts[1] | {"discrepancy_residual": np.array(0.045)}]
    assert found.potential < search(others).potential + 0.01


@pytest.mark.slow
def test_mixed_peak_rates_are_told(data_dir):
    """Where errors of runs at two peak rates are larger than usual, the advice names the rates.

    They are where the law must explain the random start; with an effect of it, they are not.
    """
    left = ScalingModel(discrepancy=Discrepancy(start=0.0))

    def found(where, model=left):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayeslrWarning)
            curves = read_curves(data_dir / "epfl-schedules" / "runs.csv", where=where, loss="val_loss")
            health = check(fit(curves, model, seed=0, method="laplace", num_samples=250))
        (item,) = [item for item in health.checks if item.name == "size of the law's errors"]
        return item

    one_size = "dataset == 'slimpajama' and size == 'L8H6D384'"
    mixed = found(one_size)
    assert mixed.status == "REVIEW"
    assert "peak rates of 0.001 and 0.002 are mixed" in mixed.advice
    assert found(one_size, ScalingModel()).status == "PASS"
    # the control: one of the two rates
    assert found(f"{one_size} and peak_lr == 0.001").status == "PASS"


@pytest.mark.slow
def test_two_sizes_together_predict_a_third(data_dir):
    posterior = fit(multi_power_law(data_dir, "split == 'train'"), seed=0)
    assert check(posterior).status == "PASS", str(check(posterior))
    assert posterior.model.pooling == "trend"
    table = scores(posterior, multi_power_law(data_dir, "split == 'test'"))
    assert table["mape"].mean() <= 0.15
    plan = posterior.curves["25M/cosine_24000"].schedule
    final = {size: predict(posterior, plan, size=size, seed=0).final_loss() for size in (25e6, 1e8, 4e8)}
    medians = [table["median"].iloc[0] for table in final.values()]
    widths = [(table["upper"] - table["lower"]).iloc[0] for table in final.values()]
    assert medians[0] > medians[1] > medians[2]
    assert widths[2] > widths[1]


@pytest.mark.slow
def test_cool_downs_that_start_mid_way_predict_cosines(data_dir):
    where = "dataset == 'slimpajama' and size == 'L12H12D768' and peak_lr == 0.001"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        curves = read_curves(data_dir / "epfl-schedules" / "runs.csv", where=where, loss="val_loss")
    cooldown = curves[f"{EPFL}_wsd_linear0.2_25000"]
    assert cooldown.steps[0] < 1000  # its file starts at step 20,000: the trunk was joined
    names = [f"{EPFL}_wsd_linear0.2_25000", f"{EPFL}_wsd_linear0.4_15000", f"{EPFL}_wsd_linear0_50000"]
    train = CurveSet(curves=tuple(curves[name] for name in names)).until(25_000)
    owned = train.owned()
    assert sum(mask.sum() for mask in owned) < sum(map(len, train))
    posterior = fit(train, seed=0)
    table = scores(posterior, CurveSet(curves=tuple(c for c in curves if "_cos_" in c.name)))
    assert table["mape"].mean() < 0.4
    assert table["final"].mean() >= 0.8
