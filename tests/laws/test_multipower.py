"""The Multi-Power Law against a double loop over updates of the published formula, and on the published split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslr.curves import Setup
from bayeslr.evaluation import by_query, fit_law
from bayeslr.laws import MultiPowerLaw, Scale
from bayeslr.logs import read_curves
from bayeslr.schedules import constant, cosine, cyclic, multistep, wsd

LAW = MultiPowerLaw()
VALUES = {"level": 2.9, "slope": 0.11, "alpha": 0.45, "drop": 0.16, "tau": 300.0, "beta": 0.6, "gamma": 0.65}
COMMON = {"peak_lr": 3e-4, "warmup_steps": 50, "total_steps": 900}
PLANS = {
    "constant": constant(**COMMON),
    "a drop and another": multistep(milestones=[300, 600], lrs=[9e-5, 3e-5], **COMMON),
    "down and up": multistep(milestones=[300, 400], lrs=[3e-5, 1.5e-4], **COMMON),
    "cosine": cosine(final_lr=3e-5, **COMMON),
    "linear": wsd(final_lr=3e-5, decay_steps=300, **COMMON),
    "linear to zero": wsd(final_lr=0.0, decay_steps=300, **COMMON),
    "cycles": cyclic(rewarmup_steps=20, cycle_steps=200, **COMMON),
    "many cycles": cyclic(rewarmup_steps=4, cycle_steps=36, peak_lr=3e-4, warmup_steps=10, total_steps=900),
}
# changes of up to 96 updates are kept as they are; more are gathered, the coarser the more often the sign changes
COST = {"cosine": 1e-4, "linear": 1e-4, "linear to zero": 1e-4, "cycles": 5e-3, "many cycles": 0.1}


def scale_of(plan, reference=1.0):
    return Scale(area=float(plan.lr.sum()), rate=reference * plan.peak_lr, loss=2.8, memory=30.0)


def double_loop(plan, steps, *, L0, A, alpha, B, C, beta, gamma):
    """The formula as it is printed, update by update; the rates of the warm-up cover area but change nothing."""
    lr, found = plan.lr, []
    for step in steps:
        gained = 0.0
        for k in range(plan.warmup_steps + 1, step):
            if lr[k] != lr[k - 1]:
                # below a ten-thousandth of the peak the power of the rate is that of a ten-thousandth
                x = max(lr[k], 1e-4 * plan.peak_lr) ** -gamma * lr[k:step].sum()
                gained += (lr[k - 1] - lr[k]) * (1.0 - (1.0 + C * x) ** -beta)
        found.append(L0 + A * lr[:step].sum() ** -alpha - B * gained)
    return np.array(found)


def evaluated(plan, steps, values=VALUES, law=LAW, scale=None):
    scale = scale or scale_of(plan)
    terms = law.terms({name: jnp.asarray(v) for name, v in values.items()}, law.features(plan, steps, scale, Setup()))
    return terms, {name: float(v) for name, v in law.reported(values, vars(scale)).items()}


@pytest.mark.parametrize("name", PLANS)
def test_it_is_the_double_loop(name):
    plan = PLANS[name]
    steps = np.unique(np.linspace(plan.warmup_steps + 1, plan.total_steps, 23).astype(int))
    terms, published = evaluated(plan, steps)
    assert tuple(published) == LAW.reported_names == ("L0", "A", "alpha", "B", "C", "beta", "gamma")
    tolerance = COST[name] * VALUES["drop"] if name in COST else 1e-10
    np.testing.assert_allclose(terms.total, double_loop(plan, steps, **published), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["beta", "gamma", "tau", "drop"])
def test_every_parameter_of_the_drop_matters(name):
    """The control: with another value the curve is another, by far more than cells cost."""
    steps = np.array([700, 800, 900])
    one, two = (
        evaluated(PLANS["linear"], steps, values)[0].total for values in (VALUES, VALUES | {name: 1.3 * VALUES[name]})
    )
    assert np.abs(np.asarray(one - two)).max() > 1e-3


def test_another_reference_is_another_unit_and_nothing_else():
    """Runs below the reference peak: the same published parameters give the same curve."""
    plan, steps = PLANS["a drop and another"], np.array([200, 450, 900])
    terms, published = evaluated(plan, steps, scale=scale_of(plan, reference=2.0))
    np.testing.assert_allclose(terms.total, double_loop(plan, steps, **published), rtol=0, atol=1e-10)


def test_level_and_slope_are_those_of_a_constant_rate_at_the_reference_area():
    plan = PLANS["constant"]
    terms, _ = evaluated(plan, np.array([plan.total_steps]))
    assert float(terms.total[0]) == pytest.approx(VALUES["level"], rel=1e-12)
    assert float(terms.slope[0]) == pytest.approx(VALUES["slope"], rel=1e-12)
    assert float(LAW.slope(VALUES, 0.0)) == pytest.approx(VALUES["slope"], rel=1e-12)
    there = jax.grad(lambda x: -(VALUES["slope"] / VALUES["alpha"]) * jnp.exp(-VALUES["alpha"] * x))(-1.3)
    assert float(LAW.slope(VALUES, -1.3)) == pytest.approx(float(there), rel=1e-12)


def test_gradients_are_finite_from_the_first_update_on():
    """Also where nothing has changed yet, and where the rate ends at zero."""
    for plan in PLANS.values():
        steps = np.array([plan.warmup_steps + 1, plan.warmup_steps + 2, plan.total_steps])
        features = LAW.features(plan, steps, scale_of(plan), Setup())
        values = {name: jnp.asarray(v) for name, v in VALUES.items()}
        gradients = jax.jacrev(lambda v, features=features: LAW.terms(v, features).total)(values)
        assert all(np.all(np.isfinite(array)) for array in gradients.values())


@pytest.mark.filterwarnings("ignore:.*are in training runs too:bayeslr.errors.DataWarning")
@pytest.mark.parametrize(
    ("size", "largest", "printed"),
    [
        (
            "25M",
            0.0048,
            {"L0": 3.040, "A": 0.525, "alpha": 0.508, "B": 363.788, "C": 2.066, "beta": 0.583, "gamma": 0.641},
        ),
        pytest.param(
            "100M",
            0.0056,
            {"L0": 2.651, "A": 0.601, "alpha": 0.453, "B": 437.946, "C": 2.132, "beta": 0.598, "gamma": 0.655},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_point_fit_of_published_curves(data_dir, size, largest, printed):
    """Three schedules fitted, six predicted. The authors print mean absolute errors of .0038 to .0044 on these six.

    Their parameters, as their repository prints them, are where a search by AdamW stopped: of the same objective the
    optimum lies far lower, and there the longest cosine is predicted less well, so that the mean is .0046 and .0053.
    """
    curves = read_curves(data_dir / "multi-power-law" / "runs.csv", where=f"size == '{size}'")
    split = by_query(curves, train="split == 'train'", test="split == 'test'")
    train = list(split.train.after_warmup())
    fitted = fit_law(MultiPowerLaw(), train)
    errors = {c.name: float(np.abs(fitted.loss(c.schedule, c.steps) - c.loss).mean()) for c in split.scored}
    print({name: round(error, 5) for name, error in errors.items()}, np.mean(list(errors.values())), fitted.parameters)
    assert np.mean(list(errors.values())) <= largest

    # the program that printed these parameters counts the rise of the warm-up as a change like any other
    moved = printed | {"L0": printed["L0"] + printed["B"] * 3e-4}

    def objective(residuals):
        sizes = np.abs(np.concatenate(residuals)) / 1e-3
        return float(np.where(sizes < 1.0, 0.5 * sizes**2, sizes - 0.5).mean())

    theirs = objective([np.log(c.loss) - np.log(gathered(c.schedule, c.steps, **moved)) for c in train])
    assert objective(fitted.log_residuals()) < 0.6 * theirs


def gathered(plan, steps, *, L0, A, alpha, B, C, beta, gamma):
    """The double loop as sums over arrays."""
    covered = np.cumsum(plan.lr)
    k = np.flatnonzero(np.diff(plan.lr[plan.warmup_steps :])) + plan.warmup_steps + 1
    since = np.maximum(covered[steps - 1][:, None] - covered[k - 1], 0.0)
    gained = 1.0 - (1.0 + C * plan.lr[k] ** -gamma * since) ** -beta
    return L0 + A * covered[steps - 1] ** -alpha - B * gained @ (plan.lr[k - 1] - plan.lr[k])
