"""Leave-one-run-out: densities against dense Gaussians, weights against closed forms, refits against brute force."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayeslr import inference
from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import ConvergenceWarning, PosteriorError
from bayeslr.evaluation import compare_models, leave_run_out, loo
from bayeslr.evaluation.run_densities import log_densities
from bayeslr.inference import Posterior
from bayeslr.laws import AnnealingLaw
from bayeslr.model import NoDiscrepancy, Noise, ScalingModel
from bayeslr.schedules import constant, cosine, wsd

SD = 0.05


def runs(sizes=(1e7,), points=10, seeds=2):
    """Runs of three schedules, each with several seeds; losses are pure noise around 3."""
    common = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
    plans = {
        "constant": constant(**common),
        "cosine": cosine(final_lr=1e-4, **common),
        "wsd": wsd(final_lr=0.0, decay_steps=400, **common),
    }
    rng = np.random.default_rng(1)
    curves = []
    for size in sizes:
        for k, (name, plan) in enumerate(plans.items()):
            for seed in range(seeds):
                steps = np.linspace(140, 2000, points - k).astype(int)
                label = f"{size / 1e6:.0f}M"
                curves.append(
                    LossCurve(
                        name=f"{name}-{seed}-{label}",
                        steps=steps,
                        loss=3.0 + SD * rng.standard_normal(steps.size),
                        schedule=plan,
                        params=size,
                        size=label,
                    )
                )
    return CurveSet(curves=tuple(curves))


def dense(structure):
    """Mean and covariance of the valid observations, and their runs, with plain loops."""
    names = [name for name in structure.__dataclass_fields__ if name != "common"]
    s = {name: np.asarray(getattr(structure, name)) for name in names}
    s["shared_shapes"] = s["shared_shapes"] - s["exchange"][None, :, None] * s["response"][:, None, :]
    for level in ("shared", "run"):
        s[f"{level}_shapes"] = s[f"{level}_shapes"] * s[f"{level}_scale"][:, :, None]
    at = [(r, i) for r, i in np.ndindex(s["valid"].shape) if s["valid"][r, i]]
    covariance = np.zeros((len(at), len(at)))
    for a, (r, i) in enumerate(at):
        for b, (other, j) in enumerate(at):
            shared = s["shared_shapes"][r, :, i] @ s["shared_shapes"][other, :, j]
            same_size = s["size_of_run"][r] == s["size_of_run"][other]
            covariance[a, b] = shared * (1.0 if same_size else structure.common)
            if r == other:
                low, high = sorted((i, j))
                covariance[a, b] += s["run_shapes"][r, :, i] @ s["run_shapes"][r, :, j]
                covariance[a, b] += s["sd"][r, i] * s["sd"][r, j] * np.prod(s["autocorrelation"][r, low + 1 : high + 1])
    return np.array([s["mean"][r, i] for r, i in at]), covariance, np.array([r for r, _ in at])


def test_the_density_of_a_run_given_the_others_is_that_of_the_dense_gaussian():
    """Two sizes with effects in common, and runs that are padded: every run depends on every other."""
    curves = runs(sizes=(1e7, 4e7), seeds=1)
    model = ScalingModel(pooling="trend", noise=Noise(power=0.5))
    rng = np.random.default_rng(5)
    medians = {"level": 3.0, "slope": 0.1, "alpha": 0.5, "drop": 0.1, "tau": 40.0, "noise": 0.005}
    scales = {site: parameter.prior.center for site, parameter in model.scales.items()}
    scales |= {"memory_spread": 1.5, "area_memory": 0.4, "norm_ratio": 2.0}
    draws = {name: value * rng.lognormal(0.0, 0.2, (3, 2)) for name, value in medians.items()}
    draws |= {name: value * rng.lognormal(0.0, 0.2, 3) for name, value in scales.items()}
    draws["noise_power"] = rng.lognormal(-0.7, 0.3, 3)
    observations, _ = model.observations(curves, model.scale(curves))
    count = len(curves)
    groups = np.concatenate([np.ones((1, count), bool), ~np.eye(count, dtype=bool)])
    found = log_densities(model, observations, draws, groups)
    given = found[:, :1] - found[:, 1:]
    structure_of = jax.jit(model.structure)
    y = np.asarray(observations.loss)[np.asarray(observations.valid)]
    for d in range(3):
        structure = structure_of(observations, {name: jnp.asarray(draws[name][d]) for name in draws})
        mean, covariance, run = dense(structure)
        for r in range(count):
            own, rest = run == r, run != r
            gain = covariance[np.ix_(own, rest)] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
            center = mean[own] + gain @ (y[rest] - mean[rest])
            left = covariance[np.ix_(own, own)] - gain @ covariance[np.ix_(rest, own)]
            expected = multivariate_normal(center, left).logpdf(y[own])
            assert given[d, r] == pytest.approx(expected, rel=1e-6, abs=1e-5)


PLAIN = ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy(), pooling="none")
KNOWN = {"slope": 0.1, "drop": 0.02, "tau": 50.0}


def residuals(curves, alpha):
    """What the law with a level of zero leaves of each run's losses."""
    scale = ScalingModel().scale(curves)
    law = {
        "L0": -KNOWN["slope"] / alpha,
        "A": KNOWN["slope"] / alpha * scale.area**alpha,
        "alpha": alpha,
        "C": KNOWN["drop"] / (scale.rate * KNOWN["tau"]),
        "decay": 1.0 - 1.0 / KNOWN["tau"],
    }
    return [curve.loss - AnnealingLaw().loss(curve.schedule, curve.steps, **law) for curve in curves]


def law_posterior(curves, *, alpha=0.5, seed=0, shape=(4, 500), model=None):
    """The exact posterior of each size's level, under a flat prior; all else is known, and there is no discrepancy."""
    model = model or PLAIN
    labels = list(dict.fromkeys(curve.size for curve in curves))
    rest = residuals(curves, alpha)
    known = KNOWN | {"alpha": alpha, "noise": SD}
    draws = {name: np.full((*shape, len(labels)), value) for name, value in known.items()}
    level = []
    for k, label in enumerate(labels):
        z = np.concatenate([part for part, curve in zip(rest, curves, strict=True) if curve.size == label])
        level.append(np.random.default_rng([seed, k]).normal(z.mean(), SD / np.sqrt(z.size), shape))
    draws["level"] = np.stack(level, axis=-1)
    width = max(map(len, curves))
    observed = np.stack([np.pad(curve.loss, (0, width - len(curve)), constant_values=np.nan) for curve in curves])
    groups = {
        "posterior": xr.Dataset({name: (("chain", "draw", "size"), value) for name, value in draws.items()}),
        "observed_data": xr.Dataset({"loss": (("run", "obs"), observed)}, coords={"run": list(curves.names)}),
    }
    settings = {
        "method": "nuts",
        "seed": seed,
        "num_warmup": 50,
        "num_samples": shape[1],
        "num_chains": shape[0],
        "target_accept_prob": 0.9,
        "max_points_per_run": 64,
        "scale": vars(model.scale(curves)),
    }
    return Posterior(tree=xr.DataTree.from_dict(groups), curves=curves, model=model, settings=settings)


def closed_form(curves, alpha=0.5):
    """Exact ``log p(y_r | y_-r)`` of each run of one size under the posterior above."""
    rest = residuals(curves, alpha)
    found = []
    for r, own in enumerate(rest):
        others = np.concatenate([part for k, part in enumerate(rest) if k != r])
        covariance = SD**2 * (np.eye(own.size) + 1.0 / others.size)
        found.append(multivariate_normal(np.full(own.size, others.mean()), covariance).logpdf(own))
    return np.array(found)


def test_weights_give_the_closed_form():
    curves = runs()
    found = leave_run_out(law_posterior(curves), num_draws=2000)
    np.testing.assert_allclose(found.elpd_i.to_numpy(), closed_form(curves), atol=0.05)
    assert found.elpd == pytest.approx(closed_form(curves).sum(), abs=0.1)
    assert tuple(found.elpd_i["run"].to_numpy()) == curves.names
    assert found.pareto_k.to_numpy().max() < 0.7
    assert found.n_samples == 2000
    assert leave_run_out(law_posterior(curves), num_draws=500).n_samples == 500


def with_an_outlier():
    """One run lies four of its standard errors off: whether it is in the fit or not makes a great difference."""
    curves = list(runs())
    curves[2] = replace(curves[2], loss=curves[2].loss + 0.9 * SD * len(curves[2]) ** 0.5)
    return CurveSet(curves=tuple(curves))


def test_a_run_that_weights_cannot_leave_out_is_named_or_refitted(monkeypatch):
    curves = with_an_outlier()
    narrow = law_posterior(curves, shape=(2, 500))
    with pytest.warns(ConvergenceWarning, match="without .*cosine-0-10M.*refit=True"):
        leave_run_out(narrow)
    asked = []

    def refit(rest, model, *, scale, **settings):
        asked.append((rest.names, vars(scale)))
        return law_posterior(rest, model=model, shape=(4, 10_000))

    monkeypatch.setattr(loo, "fit", refit)
    found = leave_run_out(narrow, refit=True)
    k = curves.names.index("cosine-0-10M")
    assert (tuple(name for name in curves.names if name != "cosine-0-10M"), narrow.settings["scale"]) in asked
    assert found.elpd_i.to_numpy()[k] == pytest.approx(closed_form(curves)[k], abs=0.15)
    assert found.elpd == pytest.approx(float(found.elpd_i.sum()))


def test_a_size_cannot_be_refitted_without_its_only_run():
    curves = runs(sizes=(1e7, 4e7), seeds=1)
    curves = CurveSet(curves=curves.curves[:4])
    with pytest.raises(PosteriorError, match="constant-0-40M is the only run of size 40M"):
        leave_run_out(law_posterior(curves, shape=(2, 500)), refit=True)


def test_what_cannot_be_left_out_is_refused():
    one = runs(points=10, seeds=1).select("run == 'wsd-0-10M'")
    with pytest.raises(PosteriorError, match="one run"):
        leave_run_out(law_posterior(one))
    student = replace(PLAIN, noise=Noise(df=4.0))
    with pytest.raises(PosteriorError, match="Student-t"):
        leave_run_out(law_posterior(runs(), model=student))
    whole = law_posterior(runs())
    with pytest.raises(PosteriorError, match="'laplace'"):
        leave_run_out(replace(whole, settings=whole.settings | {"method": "laplace"}))


def test_stacking_weights_are_those_of_the_exact_densities():
    """Two models of equal merit on average: a grid over the weight finds the same maximum."""
    curves = runs()
    posteriors = {"steep": law_posterior(curves, alpha=0.9), "flat": law_posterior(curves, alpha=0.05, seed=1)}
    table = compare_models(posteriors, num_draws=2000)
    exact = {"steep": closed_form(curves, alpha=0.9), "flat": closed_form(curves, alpha=0.05)}
    grid = np.linspace(0.0, 1.0, 1001)[:, None]
    scores = np.logaddexp(np.log(grid + 1e-300) + exact["steep"], np.log(1.0 - grid + 1e-300) + exact["flat"]).sum(
        axis=1
    )
    assert table["weight"].sum() == pytest.approx(1.0)
    assert table.loc["steep", "weight"] == pytest.approx(float(grid[np.argmax(scores), 0]), abs=0.1)
    for name, values in exact.items():
        assert table.loc[name, "elpd"] == pytest.approx(values.sum(), abs=0.2)
    assert list(table["rank"]) == [0, 1]


@pytest.mark.filterwarnings("ignore::bayeslr.errors.ConvergenceWarning")
def test_the_weights_survive_densities_beyond_the_range_of_numbers(monkeypatch):
    """ArviZ takes their exponential; a run of a thousand points may have a log density of 5000."""
    curves = runs()
    posteriors = {"steep": law_posterior(curves, alpha=0.9), "flat": law_posterior(curves, alpha=0.05, seed=1)}
    usual = compare_models(posteriors)
    original = loo.leave_run_out

    def raised(posterior, **settings):
        result = original(posterior, **settings)
        return replace(result, elpd_i=result.elpd_i + 5000.0, elpd=result.elpd + 5000.0 * result.n_data_points)

    monkeypatch.setattr(loo, "leave_run_out", raised)
    found = compare_models(posteriors)
    np.testing.assert_allclose(found["weight"], usual["weight"])
    np.testing.assert_allclose(found["elpd"], usual["elpd"] + 5000.0 * len(curves))


def test_only_models_of_the_same_observations_are_compared():
    one = law_posterior(runs())
    with pytest.raises(PosteriorError, match="two or more"):
        compare_models({"one": one})
    with pytest.raises(PosteriorError, match="the same runs"):
        compare_models({"one": one, "two": law_posterior(CurveSet(curves=runs().curves[:4]))})
    with pytest.raises(PosteriorError, match="other observations"):
        compare_models({"one": one, "two": law_posterior(with_an_outlier())})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_refits_and_weights_agree_with_brute_force(small_curves, small_posterior):
    """Every run of a real fit, discrepancy and all: fit without it, and average its density over the draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighted = leave_run_out(small_posterior)
        refitted = leave_run_out(small_posterior, refit=True)
    model, scale = small_posterior.model, small_posterior.scale
    observations, _ = model.observations(small_curves.after_warmup(), scale)
    for k, name in enumerate(small_curves.names):
        rest = CurveSet(curves=tuple(curve for curve in small_curves if curve.name != name))
        posterior = inference.fit(rest, model, seed=40 + k, scale=scale, num_chains=2, num_samples=1000)
        draws = posterior.sample()
        groups = np.stack([np.ones(3, bool), np.array(small_curves.names) != name])
        density = log_densities(model, observations, draws, groups)
        exact = logsumexp(density[:, 0] - density[:, 1]) - np.log(len(density))
        k_hat = float(weighted.pareto_k.to_numpy()[k])
        print(
            f"\n{name}: exact {exact:.2f}, weighted {weighted.elpd_i.values[k]:.2f} (k {k_hat:.2f}), "
            f"with refits {refitted.elpd_i.values[k]:.2f}"
        )
        # the standard error of an average of 1000 densities that vary by a few nats
        assert refitted.elpd_i.to_numpy()[k] == pytest.approx(exact, abs=0.6)
