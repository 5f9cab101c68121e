"""A law and an error model of the user's own: what is passed is what runs, from the fit to the backtest.

Neither of the two classes below shares a name with what the library ships.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayeslr as bl
from bayeslr.curves import CurveSet
from bayeslr.errors import ModelError, PosteriorError
from bayeslr.evaluation import BayesianForecast, PointFit, fit_law, leave_one_run_out
from bayeslr.inference import posterior as posterior_module
from bayeslr.laws import AnnealingLaw, Law, Parameter, PriorSpec, Terms, rate_removed
from bayeslr.model import LAWS, Block, ErrorModel, NoDiscrepancy, model_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:draws of a Laplace approximation:bayeslr.errors.FitWarning"),
    pytest.mark.filterwarnings("ignore:.*(draws of a Laplace|Pareto k):bayeslr.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:do not trust this fit yet. Pareto k:bayeslr.errors.FitWarning"),
]

LOSS = {"family": "LogNormal", "spread": 0.8, "relative_to": "loss"}


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Seen:
    area: jax.Array
    removed: jax.Array


@dataclass(frozen=True, kw_only=True)
class Saturating(Law):
    """What training still removes dies away exponentially in area; a lowered rate takes effect at once."""

    @property
    def name(self):
        return "saturating"

    @property
    def parameters(self):
        floor = PriorSpec(family="Normal", center=1.0, spread=0.3, relative_to="loss")
        pace = PriorSpec(family="LogNormal", center=2.0, spread=0.5)
        return (
            Parameter(name="floor", support="real", unit="loss", meaning="Loss after a very long time.", prior=floor),
            Parameter(
                name="excess",
                support="positive",
                unit="loss",
                meaning="At the start.",
                prior=PriorSpec(center=0.2, **LOSS),
            ),
            Parameter(name="pace", support="positive", unit="1", meaning="Speed.", prior=pace, slope=0.05),
            Parameter(
                name="cut",
                support="positive",
                unit="loss",
                meaning="By the rate.",
                prior=PriorSpec(center=0.05, **LOSS),
            ),
        )

    def features(self, schedule, steps, scale, setup):
        return Seen(
            area=self.area(schedule, steps) / scale.level_area, removed=rate_removed(schedule, steps) / schedule.peak_lr
        )

    def terms(self, values, features):
        forward = values["excess"] * jnp.exp(-values["pace"] * features.area)
        return Terms(
            base=values["floor"],
            forward=forward,
            drop=values["cut"],
            response=jnp.asarray(features.removed),
            slope=values["pace"] * features.area * forward,
        )

    def slope(self, values, log_area):
        covered = jnp.exp(jnp.asarray(log_area))
        return values["excess"] * values["pace"] * covered * jnp.exp(-values["pace"] * covered)


@dataclass(frozen=True, kw_only=True)
class Tilted(ErrorModel):
    """Each run has a slope of its own in log area; nothing else but a residual of one size everywhere."""

    @property
    def name(self):
        return "tilted"

    @property
    def parameters(self):
        prior = PriorSpec(family="LogNormal", center=0.02, spread=0.3)
        return tuple(
            Parameter(name=name, support="positive", unit="1", meaning="A share of the cut.", prior=prior, shared=True)
            for name in ("tilt", "wander")
        )

    def blocks(self, scales, terms, exposure, places, slope):
        basis = jnp.asarray(exposure.log_area)[None]
        return (Block(name="tilt", level="run", basis=basis, sd=(scales["tilt"] * terms.drop)[None]),)

    def residual_sd(self, scales, terms, exposure):
        return jnp.broadcast_to(scales["wander"] * terms.drop, jnp.shape(exposure.log_area))


TRUTH = {"floor": 2.7, "excess": 0.9, "pace": 3.0, "cut": 0.12}
MODEL = bl.ScalingModel(law=Saturating(), discrepancy=Tilted())
QUICK = {"method": "laplace", "num_samples": 250}
WSD = bl.schedules.wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)


def by_formula(schedule, steps, area, values=TRUTH):
    """The loss in plain NumPy."""
    covered = np.cumsum(schedule.lr)[steps - 1] / area
    removed = np.where(steps > schedule.warmup_steps + 1, schedule.peak_lr - schedule.lr[steps - 1], 0.0)
    return (
        values["floor"]
        + values["excess"] * np.exp(-values["pace"] * covered)
        - values["cut"] * removed / schedule.peak_lr
    )


@pytest.fixture(scope="module")
def area(small_curves):
    return float(np.cumsum(small_curves["constant"].schedule.lr)[small_curves["constant"].steps[-1] - 1])


@pytest.fixture(scope="module")
def own_curves(small_curves, area):
    """Runs of the law above, with white noise."""
    rng = np.random.default_rng(8)
    return CurveSet(
        curves=tuple(
            replace(c, loss=by_formula(c.schedule, c.steps, area) + 0.001 * rng.standard_normal(len(c)))
            for c in small_curves
        )
    )


@pytest.fixture(scope="module", params=["laplace", pytest.param("nuts", marks=pytest.mark.slow)])
def own(own_curves, request):
    settings = QUICK if request.param == "laplace" else {"num_chains": 2, "num_samples": 500}
    return bl.fit(own_curves, MODEL, seed=0, **settings)


@pytest.fixture(scope="module")
def forecast(own):
    return bl.predict(own, {"wsd": WSD}, seed=1)


def test_simulated_truth_is_recovered_and_the_fit_is_healthy(own, own_curves, area):
    assert own.scale.area == pytest.approx(area)
    draws = own.sample()
    for name, value in TRUTH.items():
        assert abs(draws[name].mean() - value) < 4.0 * draws[name].std(), name
        assert draws[name].std() < 0.05 * value, name
    assert draws["noise"].mean() == pytest.approx(0.001, rel=0.3)
    assert set(own.sample_effects()) == {"effect_tilt"}
    assert own.sample_effects()["effect_tilt"].shape == (draws["noise"].size, 3, 1)
    health = bl.check(own)
    assert not [item for item in health.checks if item.status == "FAIL"], str(health)
    assert {"floor[small]", "cut[small]", "discrepancy_tilt"} < set(own.summary().index)


def test_unseen_schedules_are_predicted(forecast, area):
    band = forecast.band(ci_prob=0.9)
    truth = by_formula(WSD, band["step"].to_numpy(), area)
    late = (band["step"] > 300).to_numpy()
    assert np.abs(band["median"].to_numpy() - truth)[late].max() < 0.005
    assert ((band["lower"] < truth) & (truth < band["upper"]))[late].mean() > 0.9
    parts = forecast.parts["wsd"]
    # the error model has no effects of sizes
    np.testing.assert_array_equal(parts.shared, 0.0)
    assert np.all(parts.run[:, :-1].std(axis=0) > 0.0)


def test_what_has_begun_and_what_was_fitted_is_continued(own, own_curves, area):
    plan = bl.schedules.constant(peak_lr=1e-3, warmup_steps=100, total_steps=2400)
    forecast = bl.predict(own, plan, steps=[1990, 2400], seed=0, run="constant")
    truth = by_formula(plan, np.array([1990, 2400]), area)
    np.testing.assert_allclose(forecast.band()["median"], truth, atol=0.01)


def test_pictures_are_those_of_the_law(own, forecast, own_curves, area):
    (ax,) = bl.plots.plot_terms(forecast, name="wsd").axes
    parts = forecast.parts["wsd"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(parts.base + parts.forward, axis=0))
    np.testing.assert_allclose(parts.base.mean(), TRUTH["floor"], atol=0.02)
    assert bl.plots.plot_bands(forecast, curves=[replace(own_curves["cosine"], name="wsd")]).axes
    panels = {ax.get_title(loc="left"): ax for ax in bl.plots.plot_residuals(own, num_draws=50).axes}
    for name, panel in panels.items():
        curve = own_curves[name]
        left = curve.loss - by_formula(curve.schedule, curve.steps, area)
        np.testing.assert_allclose(panel.lines[-1].get_ydata(), left, atol=0.004)


def test_the_point_fit_finds_it(own_curves):
    assert fit_law(Saturating(), list(own_curves), starts=2).parameters == pytest.approx(TRUTH, rel=0.02)


@pytest.mark.slow
def test_it_is_backtested(own_curves):
    split = leave_one_run_out(own_curves)[1]
    forecasters = {"own": BayesianForecast(model=MODEL, settings=QUICK), "point": PointFit(law=Saturating(), starts=2)}
    result = bl.backtest(split, forecasters, seed=0)
    assert list(result.runs["missing"]) == ["", ""]
    assert np.all(result.mean["mae"] < 0.003)
    # the control: the library's own law is another
    other = bl.backtest(split, {"other": PointFit(starts=2)}, seed=0)
    assert other.mean["mae"].iloc[0] > 0.006


@pytest.mark.slow
def test_sizes_follow_a_trend(own_curves):
    sizes = {1e7: 0.0, 4e7: -0.2}
    curves = [
        replace(c, name=f"{c.name}-{params:g}", params=params, size=None, loss=c.loss + change)
        for params, change in sizes.items()
        for c in own_curves
    ]
    posterior = bl.fit(CurveSet(curves=tuple(curves)), MODEL, seed=0, **QUICK)
    assert posterior.model.pooling == "trend"
    floors = posterior.sample(["floor"])["floor"].mean(axis=0)
    np.testing.assert_allclose(floors, [TRUTH["floor"], TRUTH["floor"] - 0.2], atol=0.03)
    finals = [bl.predict(posterior, WSD, size=size, seed=0).final_loss()["median"].iloc[0] for size in (1e7, 2e7, 4e7)]
    assert finals[0] > finals[1] > finals[2]


class Raised(AnnealingLaw):
    """The paper's law and 1.0 on top."""

    def terms(self, values, features):
        terms = super().terms(values, features)
        return replace(terms, base=terms.base + 1.0)


@pytest.fixture(scope="module")
def of_laws(small_curves):
    return {kind: bl.fit(small_curves, bl.ScalingModel(law=kind()), seed=0, **QUICK) for kind in (AnnealingLaw, Raised)}


def test_a_subclass_that_adds_one_moves_the_level_by_one(of_laws):
    draws = {kind: posterior.sample() for kind, posterior in of_laws.items()}
    moved = draws[AnnealingLaw]["level"].mean() - draws[Raised]["level"].mean()
    # the prior of the level, 0.9 wide, pulls it back by a few thousandths of its sd: squared, of 0.01
    assert moved == pytest.approx(1.0, abs=1e-3)
    for name in ("slope", "alpha", "drop", "tau"):
        assert draws[Raised][name].mean() == pytest.approx(draws[AnnealingLaw][name].mean(), rel=0.02), name
    one, two = (bl.predict(posterior, WSD, seed=0).final_loss() for posterior in of_laws.values())
    np.testing.assert_allclose(one["median"], two["median"], atol=1e-3)
    np.testing.assert_allclose(one["upper"] - one["lower"], two["upper"] - two["lower"], rtol=0.05)


class Tenfold(bl.Discrepancy):
    """The library's error model with ten times the residual."""

    def residual_sd(self, scales, terms, exposure):
        return 10.0 * super().residual_sd(scales, terms, exposure)


@pytest.fixture(scope="module")
def of_errors(small_curves, of_laws):
    parts = {"tenfold": Tenfold(), "equal": Tenfold(residual=0.1 * bl.Discrepancy().residual)}
    return {"usual": of_laws[AnnealingLaw]} | {
        name: bl.fit(small_curves, bl.ScalingModel(law=AnnealingLaw(), discrepancy=part), seed=0, **QUICK)
        for name, part in parts.items()
    }


def test_ten_times_the_residual_is_fitted_as_such(of_errors):
    # the residual as a whole, which shares the amplitude with other errors
    scale = {
        name: np.median(posterior.sample()["discrepancy_residual"] * posterior.sample()["discrepancy_amplitude"])
        for name, posterior in of_errors.items()
    }
    width, wander = {}, {}
    for name, posterior in of_errors.items():
        forecast = bl.predict(posterior, WSD, seed=0)
        final = forecast.final_loss(latent=True)
        width[name] = float((final["upper"] - final["lower"]).iloc[0])
        wander[name] = float(np.median(forecast.parts["schedule"].residual_sd[:, -1]))
    # with a prior a tenth as large it is the same model
    assert scale["equal"] == pytest.approx(0.1 * scale["usual"], rel=1e-3)
    assert width["equal"] == pytest.approx(width["usual"], rel=0.02)
    assert wander["equal"] == pytest.approx(wander["usual"], rel=0.02)
    # with the same prior it is another: curves without a residual pull the scale down, but not to a tenth
    assert 0.1 * scale["usual"] < scale["tenfold"] < 0.5 * scale["usual"]
    assert wander["tenfold"] > 1.2 * wander["usual"]
    assert width["tenfold"] > width["usual"]


@pytest.mark.parametrize("which", ["law", "subclass of a law", "error model", "subclass of an error model"])
def test_what_no_file_can_rebuild_is_not_saved(which, of_laws, of_errors, tmp_path):
    usual = of_errors["usual"]
    posterior = {
        "law": replace(usual, model=replace(usual.model, law=Saturating())),
        "subclass of a law": of_laws[Raised],
        "error model": replace(usual, model=replace(usual.model, discrepancy=Tilted())),
        "subclass of an error model": of_errors["tenfold"],
    }[which]
    with pytest.raises(ModelError, match=r"^(law|discrepancy): \w+ is not part of the library[^\n]*$"):
        posterior.save(tmp_path / "p.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("part", "known"), [("law", "effective-rate, annealing"), ("discrepancy", "structured, none")])
def test_a_file_that_names_another_is_refused(part, known, of_laws, tmp_path, monkeypatch):
    def settings(model):
        found = model_settings(model)
        return found | {part: found[part] | {"name": "saturating"}}

    monkeypatch.setattr(posterior_module, "model_settings", settings)
    path = of_laws[AnnealingLaw].save(tmp_path / "p.nc")
    with pytest.raises(PosteriorError, match=rf"^[^\n]*{part}: found 'saturating'; allowed: {known}[^\n]*$"):
        bl.load_posterior(path)


@pytest.mark.parametrize(
    "name", [name if name == "effective-rate" else pytest.param(name, marks=pytest.mark.slow) for name in LAWS]
)
def test_laws_that_ship_come_back_from_a_file(name, small_curves, of_laws, tmp_path):
    if name == "annealing":
        posterior = of_laws[AnnealingLaw]
    else:
        model = bl.ScalingModel(law=LAWS[name](warmup="peak"), discrepancy=NoDiscrepancy())
        posterior = bl.fit(small_curves, model, seed=0, **QUICK)
    again = bl.load_posterior(posterior.save(tmp_path / "p.nc"))
    assert again.model == posterior.model
    assert (type(again.model.law), again.model.law.name) == (LAWS[name], name)
    one, two = (bl.predict(p, WSD, seed=3, steps=[500, 2000]).final_loss() for p in (posterior, again))
    assert one.equals(two)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"law": AnnealingLaw}, "law: found <class .*; allowed: an object of a subclass of Law"),
        ({"law": Tilted()}, "law: found Tilted.*; allowed: an object of a subclass of Law"),
        ({"discrepancy": None}, "discrepancy: found None; allowed: an object of a subclass of ErrorModel"),
        (
            {"law": Saturating(), "priors": {"alpha": "Beta(2, 2)"}},
            "priors: found 'alpha'; allowed: floor, excess, pace",
        ),
        ({"law": Saturating(), "priors": {"cut": "Normal(0, 1)"}}, "priors: cut is positive"),
    ],
)
def test_what_is_no_law_is_one_line(change, message):
    with pytest.raises(ModelError, match=message) as caught:
        bl.ScalingModel(**change)
    assert "\n" not in str(caught.value)
