"""Bands are numbers, or there are none."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from bayeslr import inference, schedules
from bayeslr.cli import main
from bayeslr.curves import CurveSet
from bayeslr.errors import ConvergenceWarning, FitWarning, ModelError, PosteriorError
from bayeslr.forecast import guard, predict

PLAN = schedules.wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)
SPEC = ("--schedule", f"a={PLAN.spec}", "--schedule", "b=constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)")


def changed(posterior, name, where, value):
    """The posterior with some draws of a parameter replaced."""
    draws = posterior.draws.copy(deep=True)
    draws[name].values[where] = value
    groups = {key: node.to_dataset() for key, node in posterior.tree.children.items()}
    return replace(posterior, tree=xr.DataTree.from_dict(groups | {"posterior": draws}))


@pytest.mark.parametrize(("name", "value"), [("level", 1e300), ("level", np.nan), ("level", np.inf), ("level", -50.0)])
@pytest.mark.parametrize("command", ["predict", "compare"])
def test_absurd_draws_give_a_line_and_no_band(small_posterior, tmp_path, capsys, name, value, command):
    half = small_posterior.draws.sizes["draw"] // 2 + 5
    broken = changed(small_posterior, name, (slice(None), slice(half)), value)
    with pytest.raises(PosteriorError, match=r"not finite|no prediction"):
        predict(broken, PLAN, seed=0)
    broken.save(tmp_path / "p.nc")
    bands = ("-o", str(tmp_path / "b.csv")) if command == "predict" else ()
    assert main([command, str(tmp_path / "p.nc"), *SPEC, *bands]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("value", [1e300, 1e4])
def test_a_single_absurd_draw_is_no_prediction_either(small_posterior, value):
    """Quantiles do not see it, but means, expected regrets and the ends of a 99.99% band do."""
    broken = changed(small_posterior, "level", (0, 0), value)
    with pytest.raises(PosteriorError, match=r"at its end to .* where fitted losses are at most"):
        predict(broken, PLAN, seed=0, num_draws=None)
    with pytest.raises(PosteriorError, match=r"at its end to .* where fitted losses are at most"):
        predict(broken, PLAN, seed=0, steps=[2000], num_draws=None)


def test_a_loss_a_thousand_times_the_fitted_ones_is_no_prediction(small_posterior):
    broken = changed(small_posterior, "level", slice(None), 100.0 * small_posterior.draws["level"].values)
    with pytest.raises(PosteriorError, match="the final loss of 'schedule' would be"):
        predict(broken, PLAN, seed=0)


def test_a_diverged_run_is_named_before_anything_is_kept(small_curves):
    first, *others = small_curves
    loss = np.where(first.steps > 1000, 1e9, first.loss)
    with pytest.raises(ModelError, match=rf"the loss of '{first.name}' goes from .* to 1e\+09 at step"):
        inference.fit(CurveSet(curves=(replace(first, loss=loss), *others)), seed=0, method="laplace", num_samples=100)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda loss: loss - 3.0, "has the loss -"),
        (lambda loss: np.zeros_like(loss), "has the loss 0 at step"),
        (lambda loss: loss * 1e300, "positive losses such as"),
        (lambda loss: np.full_like(loss, 3.0), "all losses are 3"),
    ],
)
def test_losses_on_which_no_band_can_stand_are_refused_before_the_fit(small_curves, loss, says):
    curves = CurveSet(curves=tuple(replace(curve, loss=loss(curve.loss)) for curve in small_curves))
    with pytest.raises(ModelError, match=says):
        inference.fit(curves, seed=0, method="laplace")


def test_rates_on_which_no_band_can_stand_are_refused_before_the_fit(small_curves):
    curves = CurveSet(
        curves=tuple(
            replace(curve, schedule=schedules.constant(peak_lr=1e300, total_steps=2000)) for curve in small_curves
        )
    )
    with pytest.raises(ModelError, match="has the peak rate 1e"):
        inference.fit(curves, seed=0, method="laplace")


def test_noise_above_the_signal_is_modelled_and_said(small_curves):
    """The band of a run whose noise hides the law holds the noise, no more and no less."""
    rng = np.random.default_rng(0)
    noisy = CurveSet(
        curves=tuple(replace(curve, loss=3.0 + 0.4 * rng.uniform(-1, 1, len(curve))) for curve in small_curves)
    )
    with pytest.warns(ConvergenceWarning, match="in no run a curve is to be seen"):
        posterior = inference.fit(noisy, seed=0, method="laplace", num_chains=1, num_samples=400)
    with pytest.warns(FitWarning, match=r"Laplace|do not trust"):
        final = predict(posterior, PLAN, seed=0).final_loss(ci_prob=0.9).iloc[0]
    assert 2.3 < final["lower"] < 2.8 < final["upper"] < 3.7


def test_what_does_not_fit_into_memory_is_refused_before_it_is_computed(small_posterior, monkeypatch):
    monkeypatch.setattr(guard, "MAX_VALUES", 1000)
    with pytest.raises(PosteriorError, match=r"predict: 50 draws of 200 steps in 1 schedules; allowed: 1000 numbers"):
        predict(small_posterior, PLAN, seed=0, num_draws=50)
    monkeypatch.setattr(guard, "MAX_UPDATES", 1000)
    with pytest.raises(PosteriorError, match=r"2000 updates in 1 schedules; allowed: 1000"):
        predict(small_posterior, PLAN, seed=0, num_draws=50)
    with pytest.raises(PosteriorError, match="a schedule is called"):
        predict(small_posterior, {"x" * 300: PLAN}, seed=0, num_draws=50)
    with pytest.raises(ModelError, match="num_chains times num_samples is 400004"):
        inference.fit(small_posterior.curves, seed=0, num_chains=4, num_samples=100_001)
