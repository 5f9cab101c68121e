"""Simulation-based calibration: the ranks and their test by known cases, and the whole family of models (slow).

The slow family draws parameters and losses from each model and fits it, `BAYESLR_SBC_SIMULATIONS` times (100). Every
quantity must stay within an envelope whose false-alarm probability is 1% over all quantities of all eight models
together (Bonferroni). Two controls, whose simulator is not the fitted model, must fall outside the same envelope.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_plots import plot_ecdf_pit
from scipy import stats

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import ModelError
from bayeslr.evaluation import Calibration, calibrate, sbc
from bayeslr.inference import fit
from bayeslr.laws import AnnealingLaw
from bayeslr.model import Discrepancy, NoDiscrepancy, Noise, ScalingModel
from bayeslr.schedules import constant, cosine, wsd

SIMULATIONS = int(os.environ.get("BAYESLR_SBC_SIMULATIONS", "100"))
FALSE_ALARMS = 0.01  # of the whole family
NOISES = {"normal": Noise(), "student": Noise(df=4.0)}
POOLINGS = ("none", "complete", "partial", "trend")


def templates(sizes=(1e7,), points=24):
    """Runs of different lengths, so that arrays are padded: three of one size, or two of each of several."""
    common = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
    plans = {
        "wsd": wsd(final_lr=0.0, decay_steps=400, **common),
        "constant": constant(**common),
        "cosine": cosine(final_lr=1e-4, **common),
    }
    curves = []
    for size in sizes:
        for k, (name, plan) in enumerate(list(plans.items())[: 3 if len(sizes) == 1 else 2]):
            steps = np.linspace(140, 2000, points - 2 * k).astype(int)
            loss = AnnealingLaw().loss(plan, steps, L0=2.6, A=0.42, alpha=0.55, C=0.9, decay=0.99)
            label = f"{size / 1e6:.0f}M"
            curves.append(
                LossCurve(name=f"{name}-{label}", steps=steps, loss=loss, schedule=plan, params=size, size=label)
            )
    return CurveSet(curves=tuple(curves))


def calibration(pit, num_draws=99):
    """A calibration whose ranks come from numbers between 0 and 1, a column a quantity."""
    ranks = pd.DataFrame({name: np.floor(np.asarray(column) * (num_draws + 1)) for name, column in pit.items()})
    return Calibration(ranks=ranks.astype(int), num_draws=num_draws, fits=pd.DataFrame(), redrawn=0, seed=3)


def test_uniform_ranks_lie_inside_and_others_outside():
    rng = np.random.default_rng(2)
    even = rng.uniform(size=200)
    found = calibration(
        {
            "calibrated": even,
            "biased": even**1.6,
            "too_narrow": stats.norm.cdf(1.6 * stats.norm.ppf(even)),
            "too_wide": stats.norm.cdf(0.6 * stats.norm.ppf(even)),
        }
    ).uniform(ci_prob=0.99)
    assert found["inside"].to_dict() == {"calibrated": True, "biased": False, "too_narrow": False, "too_wide": False}
    assert (found["p_value"] < 0.01).to_dict() == {name: name != "calibrated" for name in found.index}
    assert found.loc["biased", "mean"] < 0.45
    # of a posterior whose sd is 1 / 1.6 of what it should be, the central 90% hold what 1.645 / 1.6 sd hold
    narrow = 2.0 * stats.norm.cdf(1.645 / 1.6) - 1.0
    assert found.loc["too_narrow", "coverage_90"] == pytest.approx(narrow, abs=3 * np.sqrt(narrow * (1 - narrow) / 200))


def test_the_envelope_raises_false_alarms_as_often_as_it_says():
    """Of 1000 calibrated quantities 5% are outside: 50, with a standard deviation of 7; four of them are allowed."""
    pit = np.random.default_rng(8).uniform(size=(60, 1000))
    found = calibration({str(k): column for k, column in enumerate(pit.T)}).uniform(ci_prob=0.95)
    assert 50 - 28 <= np.sum(~found["inside"]) <= 50 + 28


def test_arviz_draws_the_ranks():
    tree = calibration({"alpha[10M]": np.linspace(0.005, 0.995, 40)}).to_datatree()
    values = tree["prior_sbc"]["alpha[10M]"]
    assert dict(values.sizes) == {"chain": 1, "draw": 40}
    assert 0.0 < values.min() < values.max() < 1.0
    plot_ecdf_pit(tree, backend="none")


@pytest.fixture(scope="module")
def ignorant():
    """Calibration of a fit that never looks at the losses: its draws are those of the prior."""
    model = ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy(), pooling="none", noise=Noise(spread=0.5))
    curves = templates()
    pool = model.prior_predictive(curves, num_samples=60, seed=77)

    def prior(curves, model, *, seed, num_samples, num_chains, **settings):
        chosen = np.random.default_rng(seed).integers(60, size=(num_chains, num_samples))
        draws = {name: value[chosen] for name, value in pool.items() if name != "loss"}
        dims = {name: ("chain", "draw", "size")[: np.ndim(value)] for name, value in draws.items()}
        data = xr.Dataset({name: (dims[name], value) for name, value in draws.items()})
        stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros(chosen.shape, bool))})
        tree = xr.DataTree.from_dict({"posterior": data, "sample_stats": stats})
        health = ["never looked"] * (seed % 2)  # said of every other fit
        return SimpleNamespace(draws=data, tree=tree, settings={"health": health}, sizes=("10M",))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sbc, "fit", prior)
        run = {"simulations": 60, "seed": 4, "num_draws": 19, "num_samples": 20}
        with ThreadPoolExecutor(1) as pool_of_one:
            return calibrate(model, curves, **run), calibrate(model, curves, executor=pool_of_one, **run)


def test_a_fit_that_ignores_the_data_is_seen_in_the_log_likelihood_alone(ignorant):
    found = ignorant[0].uniform(ci_prob=0.99)
    parameters = found.drop(index="log_likelihood")
    assert {"level[10M]", "alpha[10M]", "L0[10M]", "decay[10M]", "noise[10M]"} <= set(parameters.index)
    # all draws come from a pool of 60, so that the test is that of the pool: the mean rank within four sd
    assert parameters["mean"].between(0.5 - 4 * 0.29 / 7.7, 0.5 + 4 * 0.29 / 7.7).all()
    assert not found.loc["log_likelihood", "inside"]
    assert 0 < ignorant[0].fits["failed"].sum() < 60
    assert ignorant[0].ranks.to_numpy().min() >= 0
    assert ignorant[0].ranks.to_numpy().max() <= 19


def test_an_executor_changes_nothing(ignorant):
    pd.testing.assert_frame_equal(ignorant[0].ranks, ignorant[1].ranks)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"simulations": 1}, "simulations=1"),
        ({"num_draws": 1}, "num_draws=1"),
        ({"num_draws": 101, "num_samples": 50}, "at most 100"),
    ],
)
def test_impossible_numbers_are_refused(settings, found):
    with pytest.raises(ModelError, match=found):
        calibrate(ScalingModel(), templates(), seed=0, **settings)


class Broken:
    """A simulator, every other of whose draws has a loss that no log could hold."""

    def __init__(self, bad):
        self.bad = bad

    def prior_predictive(self, curves, *, num_samples, seed):
        loss = np.full((num_samples, len(curves), 24), 2.5)
        loss[::2, 1, 3] = self.bad
        loss[:, 1, 22:] = np.nan  # padding
        return {"loss": loss, "alpha": np.random.default_rng(seed).uniform(size=num_samples)}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 0.0])
def test_unusable_losses_are_drawn_again_and_counted(bad):
    truths, redrawn = sbc._draw(Broken(bad), templates(), 10, 5)
    assert len(truths) == 10
    assert redrawn == 10  # draws 0, 2, 4, 6, 8 of the first ten, and of the next ten
    assert len({float(truth["alpha"]) for truth in truths}) == 10
    assert all(truth["loss"][1, 3] == 2.5 for truth in truths)


def test_a_prior_without_usable_curves_is_refused():
    broken = Broken(np.nan)
    broken.prior_predictive = lambda curves, num_samples, seed: {"loss": np.full((num_samples, 3, 24), np.nan)}
    with pytest.raises(ModelError, match="0 of 40 draws"):
        sbc._draw(broken, templates(), 2, 0)


def report(name, found):
    """Print what was found, for the record."""
    total = found.fits["seconds"]
    outside = found.uniform(ci_prob=threshold(found)).query("not inside")
    print(
        f"\n{name}: {len(found.fits)} fits of {total.median():.2f} s (first {total.iloc[0]:.1f} s), "
        f"{found.fits['failed'].sum()} failed, {found.fits['divergences'].sum()} divergences, smallest ess "
        f"{found.fits['ess'].min():.0f}, {found.redrawn} redrawn, {found.ranks.shape[1]} quantities, "
        f"smallest p {found.uniform(ci_prob=0.99)['p_value'].min():.2g}, {len(outside)} outside"
    )
    if len(outside):
        print(outside)
    return outside


def threshold(found):
    """Probability of one envelope such that all of the family's together raise false alarms in 1% of families."""
    return 1.0 - FALSE_ALARMS / (len(NOISES) * len(POOLINGS) * found.ranks.shape[1])


@pytest.mark.slow
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("noise", NOISES)
def test_ranks_are_uniform_for_every_noise_and_pooling(noise, pooling):
    model = ScalingModel(pooling=pooling, noise=NOISES[noise])
    sizes = (1e7,) if pooling == "none" else (1e7, 4e7)
    found = calibrate(model, templates(sizes), simulations=SIMULATIONS, seed=11)
    outside = report(f"{noise} noise, pooling {pooling}", found)
    assert list(outside.index) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("quantity", "fitted", "simulator"),
    [
        ("noise[10M]", {"noise": Noise(spread=0.3)}, {"noise": Noise(center=0.002, spread=0.3)}),
        ("discrepancy_run_memory", {}, {"discrepancy": Discrepancy(run_memory=0.07)}),
    ],
    ids=["wrong noise scale", "another prior"],
)
def test_controls_are_found_out(quantity, fitted, simulator):
    """The simulator's noise is twice as large as the model's prior says; or one scale's prior is shifted by a factor of
    two, 2.3 of its standard deviations."""
    found = calibrate(
        ScalingModel(pooling="none", **fitted),
        templates(),
        simulations=SIMULATIONS,
        seed=12,
        simulator=ScalingModel(pooling="none", **fitted | simulator),
    )
    outside = report(f"control {quantity}", found)
    if SIMULATIONS < 50:
        pytest.skip(f"{SIMULATIONS} simulations are too few to find controls out with certainty")
    assert quantity in outside.index


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayeslr.errors.ConvergenceWarning")
def test_programs_are_compiled_once():
    compiled = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    run = {"simulations": 2, "num_draws": 20, "num_warmup": 50, "num_samples": 50, "num_chains": 1}
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        calibrate(ScalingModel(pooling="none"), templates(), seed=0, **run)
        first = len(compiled)
        calibrate(ScalingModel(pooling="none"), templates(), seed=1, **run)
        again = len(compiled) - first
        fit(templates(points=40), ScalingModel(pooling="none"), seed=0, num_warmup=50, num_samples=50, num_chains=1)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert first > 0
    assert again == 0
    assert len(compiled) > first  # other shapes are another program: the listener listens
