"""A fit from end to end: what comes out, seeds, recovery of the truth, and wrong settings."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl

from bayeslr import inference
from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import ConvergenceWarning, DataWarning, ModelError, PosteriorError
from bayeslr.inference import fitted_curves
from bayeslr.inference.fit import default_points
from bayeslr.inference.inputs import bounded
from bayeslr.laws import AnnealingLaw
from bayeslr.schedules import wsd

SETTINGS = {"num_chains": 2, "num_warmup": 250}


def test_groups_and_labels(small_posterior, small_curves):
    draws = small_posterior.draws
    groups = {"posterior", "effects", "sample_stats", "observed_data", "constant_data"}
    assert set(small_posterior.tree.children) >= groups
    assert dict(draws["alpha"].sizes) == {"chain": 2, "draw": 1400, "size": 1}
    effects = small_posterior.tree["effects"].to_dataset()
    assert dict(effects["effect_offset"].sizes) == {"chain": 2, "draw": 1400, "run": 3, "offset": 1}
    assert dict(effects["effect_memory"].sizes) == {"chain": 2, "draw": 1400, "size": 1, "memory": 8}
    assert small_posterior.sizes == ("small",)
    assert small_posterior.params == (1e7,)
    assert small_posterior.runs == small_curves.names
    assert small_posterior.method == "nuts"
    observed = small_posterior.tree["observed_data"]["loss"].to_numpy()
    np.testing.assert_array_equal(observed, np.concatenate([curve.loss for curve in small_curves]))
    assert all(np.all(np.isfinite(array)) for array in (*draws.values(), *effects.values()))
    joined = small_posterior.sample_effects(num_draws=7)
    assert set(joined) == set(effects)
    np.testing.assert_array_equal(joined["effect_offset"][0], effects["effect_offset"][0, 0])
    assert joined["effect_offset"].shape == (7, 3, 1)


def test_the_truth_is_recovered(small_posterior, small_curves):
    """What single curves pin down lies within five posterior standard deviations of the truth (the discrepancy, which
    these curves do not have, widens them), and the posterior is far narrower than the prior."""
    draws = small_posterior.sample()
    curve = small_curves["constant"]
    known = {"L0": 2.6, "A": 0.42, "alpha": 0.55}
    # the default law's L0 is that of a rate of zero: C / (1 - decay) * peak lower
    lowest = 2.6 - 0.9 / 0.01 * 1e-3
    level = AnnealingLaw().loss(curve.schedule, np.array([curve.schedule.total_steps]), C=0.0, decay=0.5, **known)
    truth = {"L0": lowest, "alpha": 0.55, "level": float(level[0])}
    for name, value in truth.items():
        assert abs(draws[name].mean() - value) < 5.0 * draws[name].std(), name
    assert draws["level"].std() < 0.01
    assert draws["alpha"].std() < 0.1
    assert draws["noise"].mean() == pytest.approx(0.001, rel=0.5)


def test_reported_parameters_are_consistent(small_posterior):
    draws, scale = small_posterior.sample(), small_posterior.scale_of(0)
    at_reference = draws["L0"] + draws["drop"] + draws["slope"] / draws["alpha"]
    np.testing.assert_allclose(at_reference, draws["level"], rtol=1e-9)
    np.testing.assert_allclose(draws["A"] * scale.area ** -draws["alpha"], draws["slope"] / draws["alpha"], rtol=1e-9)
    np.testing.assert_allclose(draws["C"] * scale.rate * draws["tau"], draws["drop"], rtol=1e-9)


@pytest.mark.filterwarnings("ignore::bayeslr.errors.ConvergenceWarning")
def test_the_seed_decides(small_posterior, small_curves):
    again = inference.fit(small_curves, seed=0, num_samples=50, **SETTINGS)
    for name, array in again.draws.items():
        np.testing.assert_array_equal(array, small_posterior.draws[name][:, :50], err_msg=str(name))


@pytest.mark.filterwarnings("ignore::bayeslr.errors.ConvergenceWarning")
def test_another_seed_gives_other_draws_of_the_same_posterior(small_posterior, small_curves):
    other = inference.fit(small_curves, seed=1, num_samples=200, **SETTINGS)
    one, two = small_posterior.sample(), other.sample()
    assert not np.any(one["alpha"][:50] == two["alpha"][:50])
    for name in ("level", "alpha", "drop"):
        assert abs(one[name].mean() - two[name].mean()) < 0.5 * one[name].std()
        assert one[name].std() == pytest.approx(two[name].std(), rel=0.4)


def test_sample_joins_and_thins(small_posterior):
    full, few = small_posterior.sample(["alpha"]), small_posterior.sample(["alpha"], num_draws=10)
    assert set(full) == {"alpha"}
    assert full["alpha"].shape == (2800, 1)
    assert few["alpha"].shape == (10, 1)
    assert few["alpha"][0] == full["alpha"][0]
    assert few["alpha"][-1] == full["alpha"][-1]
    np.testing.assert_array_equal(full["alpha"][1400:, 0], small_posterior.draws["alpha"].to_numpy()[1, :, 0])


@pytest.mark.parametrize(
    ("names", "found"), [(["gamma"], "gamma"), (["alpha", "beta", "delta"], "beta, delta"), ([], "no name")]
)
def test_an_unknown_name_is_one_line(small_posterior, names, found):
    with pytest.raises(PosteriorError, match=rf"^sample: found {found}; allowed: ([^\n]*, )?alpha, [^\n]*$"):
        small_posterior.sample(names)


def test_summary_agrees_with_numpy(small_posterior):
    table = small_posterior.summary(ci_prob=0.8)
    draws = small_posterior.sample(["L0"])["L0"][:, 0]
    row = table.loc["L0[small]"]
    assert list(table.columns) == ["mean", "sd", "lower", "upper", "ess_bulk", "ess_tail", "r_hat"]
    assert row["mean"] == pytest.approx(draws.mean())
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(draws, [0.1, 0.9]), atol=0.05 * draws.std())
    assert list(small_posterior.summary(var_names=["alpha"]).index) == ["alpha[small]"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_samples": 10},
        {"num_warmup": 0},
        {"num_chains": 0},
        {"target_accept_prob": 1.0},
        {"target_accept_prob": 0.2},
        {"chain_method": "threads"},
    ],
)
def test_wrong_settings_are_one_line(wrong, small_curves):
    with pytest.raises(ModelError, match=r"^[^\n]*; allowed: [^\n]*$"):
        inference.fit(small_curves, seed=0, **wrong)


@pytest.mark.filterwarnings("ignore::bayeslr.errors.ConvergenceWarning")
def test_a_fit_of_many_runs_takes_the_draws_that_it_needs(small_curves, monkeypatch, tmp_path):
    """Three runs count as many here; and a number that is asked for is what comes out."""
    module = sys.modules["bayeslr.inference.fit"]
    monkeypatch.setattr(module, "_RUNS_OF_ALL_DRAWS", 2)
    monkeypatch.setattr(module, "suffice", lambda positions: positions.shape[1] >= 300)
    few = inference.fit(small_curves, seed=0, **SETTINGS)
    length = few.draws["alpha"].sizes["draw"]
    assert length == 300
    assert few.settings["num_samples"] == length
    few.save(tmp_path / "few.nc")
    assert inference.load_posterior(tmp_path / "few.nc").settings["num_samples"] == length
    asked = inference.fit(small_curves, seed=0, num_samples=length + 50, **SETTINGS)
    assert asked.draws["alpha"].sizes["draw"] == length + 50


def test_many_runs_are_thinned_harder():
    assert default_points([200] * 96) == 64
    assert default_points([200] * 300) == 16
    assert default_points([200] * 150) == 40
    assert default_points([200] * 500) == 8
    assert default_points([200] * 5000) == 8
    # short runs take nothing from the long ones
    assert default_points([1] * 3000 + [200] * 5) == 64


def long_log(count, *, name="long", seed=0):
    schedule = wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=count // 5, total_steps=count)
    noise = 0.01 * np.random.default_rng(seed).standard_normal(count)
    steps = np.arange(1, count + 1)
    return LossCurve(name=name, steps=steps, loss=2.5 + 4.0 * steps**-0.4 + noise, schedule=schedule)


def test_of_very_long_logs_a_posterior_keeps_ten_thousand_observations():
    short, long = long_log(500, name="short"), long_log(30_000)
    kept = bounded(CurveSet(curves=(short, long)), None)
    assert [len(curve) for curve in kept] == [400, 10_000], "without the warm-up of 100 steps"
    assert kept["long"].steps[-1] == 30_000
    # where all runs together have more than a million, fewer; never fewer than are to be fitted
    many = CurveSet(curves=tuple(long_log(3000, name=f"run {k}", seed=k) for k in range(500)))
    assert {len(curve) for curve in bounded(many, None)} == {2000}
    assert {len(curve) for curve in bounded(many, 2500)} == {2500}
    usual = CurveSet(curves=(short,))
    assert bounded(usual, None) is usual


def test_the_check_looks_at_a_thousand_observations_of_a_run(small_posterior, small_curves):
    """Evenly over all of them, and the same curve as at every step."""
    every = {name: (steps, parts.law) for name, steps, _, parts, _ in fitted_curves(small_posterior, num_draws=3)}
    few = fitted_curves(small_posterior, num_draws=3, max_points_per_run=7)
    for name, steps, loss, parts, noise in few:
        assert len(steps) == 7
        assert (steps[0], steps[-1]) == (every[name][0][0], every[name][0][-1])
        assert np.diff(np.searchsorted(every[name][0], steps)).std() < 0.6
        at = np.searchsorted(every[name][0], steps)
        np.testing.assert_allclose(parts.law, every[name][1][:, at], rtol=2e-4)
        np.testing.assert_array_equal(loss, small_curves[name].after_warmup().loss[at])
        assert noise.shape == parts.law.shape


def test_too_few_observations_are_one_line(small_curves):
    curve = small_curves["cosine"]
    few = CurveSet(curves=(curve.take(np.arange(len(curve)) < 3),))
    with pytest.raises(ModelError, match=r"^curves: found 3 observations[^\n]*at least 8$"):
        inference.fit(few, seed=0)


def test_small_solves_keep_to_one_thread_for_as_long_as_a_fit_lasts(small_curves, monkeypatch):
    """Shared among threads they take several times as long; other users of BLAS get their threads back."""

    class SeenError(Exception):
        """Stops the fit where it would begin to work."""

    def threads():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    def look(*_):
        assert threads()
        assert set(threads()) == {1}
        raise SeenError

    before = threads()
    monkeypatch.setattr(sys.modules["bayeslr.inference.fit"], "find_mode", look)
    with pytest.raises(SeenError):
        inference.fit(small_curves, seed=0)
    assert threads() == before


def test_a_spike_is_left_out_unless_it_is_to_be_kept(small_curves):
    """One loss of three times the others; kept, it makes the fit fail its check."""
    first, *others = small_curves
    place = len(first) // 2
    loss = first.loss.copy()
    loss[place] *= 3.0
    spiked = CurveSet(curves=(replace(first, loss=loss), *others))
    quick = {"method": "laplace", "num_samples": 100, "seed": 0}
    with pytest.warns(DataWarning, match=r"^1 loss stands far out of the curves and is left out of the fit: ") as told:
        posterior = inference.fit(spiked, **quick)
    (line,) = {str(one.message) for one in told if one.category is DataWarning}
    assert f"{loss[place]:.4g} at step {first.steps[place]} of run {first.name!r}" in line
    assert line.endswith("to keep such losses, fit with keep_spikes=True")
    assert first.steps[place] not in posterior.curves[first.name].steps
    assert len(posterior.curves[first.name]) == len(first) - 1
    assert posterior.health.status != "FAIL"
    with pytest.warns(ConvergenceWarning, match=r"^do not trust this fit yet"):
        kept = inference.fit(spiked, keep_spikes=True, **quick)
    assert len(kept.curves[first.name]) == len(first)
    assert kept.settings["keep_spikes"]
    assert not posterior.settings["keep_spikes"]


def test_keep_spikes_is_true_or_false(small_curves):
    with pytest.raises(ModelError, match=r"^fit: keep_spikes='yes'; allowed: True, False$"):
        inference.fit(small_curves, keep_spikes="yes")
