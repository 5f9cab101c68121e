"""Predictions against what must follow from the posterior by itself."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from bayeslr.curves import CurveSet, Setup
from bayeslr.errors import ExtrapolationWarning, FitWarning, PosteriorError, untold
from bayeslr.forecast import compare, compare_schedules, predict, reach
from bayeslr.forecast.extrapolation import extrapolations
from bayeslr.forecast.residual import residual_process
from bayeslr.forecast.setups import find_setups, with_setup
from bayeslr.forecast.sizes import find_target
from bayeslr.laws import AnnealingLaw
from bayeslr.model import ScalingModel
from bayeslr.schedules import constant, cosine, parse_schedule, wsd

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
WSD = wsd(decay_steps=500, **COMMON)


@pytest.fixture(scope="module")
def forecast(small_posterior):
    return predict(small_posterior, {"wsd": WSD, "constant": constant(**COMMON)}, seed=3)


def test_the_median_of_an_unseen_schedule_is_close_to_the_truth(forecast, small_truth):
    band = forecast.band(ci_prob=0.9).query("schedule == 'wsd'")
    truth = AnnealingLaw().loss(WSD, band["step"].to_numpy(), **small_truth)
    late = (band["step"] > 300).to_numpy()
    assert np.abs(band["median"].to_numpy() - truth)[late].max() < 0.01
    assert ((band["lower"] < truth) & (truth < band["upper"])).mean() > 0.9


def test_bands_are_quantiles_of_the_draws_and_nest(forecast):
    wide, narrow = forecast.band(ci_prob=0.9), forecast.band(ci_prob=0.5)
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (narrow["upper"] <= wide["upper"]).all()
    inside = (forecast.observed["wsd"] >= wide["lower"].to_numpy()[: len(forecast.steps["wsd"])]) & (
        forecast.observed["wsd"] <= wide["upper"].to_numpy()[: len(forecast.steps["wsd"])]
    )
    assert inside.mean() == pytest.approx(0.9, abs=0.002)
    final = forecast.final_loss(ci_prob=0.9).loc["wsd"]
    last = wide.query("schedule == 'wsd'").iloc[-1]
    np.testing.assert_array_equal(final[["lower", "median", "upper"]], last[["lower", "median", "upper"]].astype(float))


def test_noise_is_what_separates_observed_from_latent(forecast, small_posterior):
    noise = forecast.observed["wsd"] - forecast.latent["wsd"]
    sigma = small_posterior.sample(["noise"])["noise"].mean()
    # 2000 draws x 200 steps: the ratio's standard error is below 0.01 including the spread of sigma
    assert noise.std() == pytest.approx(sigma, rel=0.15)
    assert np.abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 0.15


def test_same_seed_same_draws_and_steps_do_not_disturb_the_law(small_posterior, forecast):
    again = predict(small_posterior, {"wsd": WSD, "constant": constant(**COMMON)}, seed=3)
    np.testing.assert_array_equal(again.observed["wsd"], forecast.observed["wsd"])
    other = predict(small_posterior, WSD, seed=4)
    assert not np.array_equal(other.observed["schedule"], forecast.observed["wsd"])
    few = predict(small_posterior, WSD, steps=[1500, 2000], seed=3)
    np.testing.assert_allclose(few.parts["schedule"].base[:, 0], forecast.parts["wsd"].base[:, 0])
    # the law takes other updates together for a few steps than for many
    np.testing.assert_allclose(
        few.parts["schedule"].annealing[:, -1], forecast.parts["wsd"].annealing[:, -1], rtol=2e-4
    )


def test_parts_are_the_terms_of_the_law_at_the_draws(forecast, small_posterior):
    law, draws = small_posterior.model.law, small_posterior.sample(num_draws=2000)
    for name, plan in forecast.schedules.items():
        values = {p.name: np.ravel(draws[p.name][5])[0] for p in law.parameters}
        features = law.features(plan, forecast.steps[name], small_posterior.scale_of(0), Setup())
        terms, parts = law.terms(values, features), forecast.parts[name]
        np.testing.assert_allclose(parts.base[5], float(terms.base), rtol=1e-9)
        np.testing.assert_allclose(parts.forward[5], terms.forward, rtol=1e-9)
        np.testing.assert_allclose(parts.annealing[5], terms.annealing, rtol=1e-9, atol=1e-12)


def test_bands_open_with_the_horizon(small_posterior):
    long = constant(peak_lr=1e-3, warmup_steps=100, total_steps=8000)
    with pytest.warns(ExtrapolationWarning, match="area"):
        forecast = predict(small_posterior, long, steps=[2000, 8000], seed=0)
    width = forecast.band(latent=True).eval("upper - lower").to_numpy()
    assert width[1] > 2.0 * width[0]
    assert any("area" in message for message in forecast.warnings)


def test_a_rate_outside_the_fitted_ones_is_said(small_posterior):
    with pytest.warns(ExtrapolationWarning, match="peak rate 0.005"):
        predict(small_posterior, cosine(peak_lr=5e-3, warmup_steps=100, total_steps=500), seed=0)


def test_annealing_that_no_fitted_run_tells_of_is_said(small_posterior):
    flat = replace(small_posterior, curves=CurveSet(curves=(small_posterior.curves["constant"],)))
    common = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
    for posterior, plan, said in (
        (flat, cosine(**common), True),
        (flat, constant(**common), False),
        (small_posterior, cosine(**common), False),
    ):
        found = extrapolations(posterior, {"plan": plan}, {"plan": 1.0}, find_target(posterior, None), {})
        assert any("no fitted run does" in line for line in found) == said


def test_a_doubtful_fit_is_told_wherever_its_forecast_is_shown(small_posterior):
    """REVIEW, too, which no warning tells of."""
    flat = replace(small_posterior, curves=CurveSet(curves=(small_posterior.curves["constant"],)))
    plans = {"one": constant(**COMMON), "other": constant(**COMMON | {"peak_lr": 1.1e-3})}
    assert flat.health.status == "REVIEW"
    forecast = predict(flat, plans, steps=2000, num_draws=100, seed=0)
    said = f"health of the fit {flat.health.doubt}"
    assert flat.health.doubt.startswith("REVIEW: ")
    assert "annealing in the runs" in said
    compared = compare_schedules(forecast)
    for answer in (forecast, compared, forecast.select(["one"])):
        assert said in repr(answer)
        assert said in answer._repr_html_()
    assert compared.to_dict()["health"] == flat.health.doubt
    sound = replace(forecast, health="")
    assert "health" not in repr(sound) + repr(compare_schedules(sound))


def test_many_warnings_are_issued_as_a_few_and_kept_as_many(small_posterior):
    many = {f"{k}": cosine(peak_lr=5e-3 + 1e-4 * k, warmup_steps=100, total_steps=500) for k in range(30)}
    with pytest.warns(ExtrapolationWarning) as caught:
        forecast = predict(small_posterior, many, steps=500, num_draws=50, seed=0)
    lines = [str(item.message) for item in caught if item.category is ExtrapolationWarning]
    assert lines[:8] == list(forecast.warnings[:8])
    assert lines[8:] == ["22 more such warnings are in the forecast's warnings"]
    assert len(forecast.warnings) == 30


def test_what_is_wrong_with_the_fit_is_another_warning_than_a_far_question(small_posterior):
    said = "do not trust this fit yet: of this test"
    doubted = replace(small_posterior, settings=dict(small_posterior.settings) | {"health": [said]})
    far = cosine(peak_lr=5e-3, warmup_steps=100, total_steps=500)
    for ask in (lambda: predict(doubted, far, seed=0).warnings, lambda: reach_of(doubted).warnings):
        with pytest.warns() as caught:
            told = ask()
        kinds = {str(item.message): item.category for item in caught}
        assert kinds.pop(said) is FitWarning
        assert set(kinds.values()) == {ExtrapolationWarning}
        assert {said, *kinds} == set(told)
    assert not issubclass(FitWarning, ExtrapolationWarning)


def test_what_failed_is_told_of_the_draws_as_they_are(small_posterior):
    """A file says how its fit was, and somebody may have changed its draws since."""
    groups = {name: node.to_dataset().copy(deep=True) for name, node in small_posterior.tree.children.items()}
    groups["sampled"]["level"].values[0] += 0.01
    changed = replace(small_posterior, tree=xr.DataTree.from_dict(groups))
    with pytest.warns(FitWarning, match=r"^do not trust this fit yet: largest R-hat .*level") as caught:
        forecast = predict(changed, WSD, seed=0, num_draws=50)
    (said,) = {str(item.message) for item in caught if item.category is FitWarning}
    assert said in forecast.warnings
    assert forecast.health.startswith("FAIL: agreement of chains")
    told = replace(changed, settings=dict(changed.settings) | {"health": ["do not trust this fit yet: of old"]})
    with pytest.warns(FitWarning):
        assert predict(told, WSD, seed=0, num_draws=50).warnings == forecast.warnings
    with untold():
        lines = compare(changed, {"a": WSD, "b": constant(**COMMON)}, seed=0, num_draws=50).warnings
    assert sum("do not trust" in line and "R-hat" in line for line in lines) == 1


def reach_of(posterior):
    return reach(posterior, "constant(peak_lr=5e-3, warmup_steps=100, total_steps=400..900)", loss=2.0, seed=0)


def test_the_residual_process_keeps_its_moments_and_its_start():
    rng = np.random.default_rng(0)
    places, sd = np.linspace(0.0, 1.0, 6), np.full((20_000, 6), 0.3)
    free = residual_process(sd, places, 0.5, rng)
    np.testing.assert_allclose(free.std(axis=0), 0.3, rtol=0.03)  # 5 standard errors
    assert np.corrcoef(free[:, 0], free[:, 5])[0, 1] == pytest.approx(np.exp(-2.0), abs=0.03)
    start = (0.0, np.full(20_000, 2.0), np.zeros(20_000))
    held = residual_process(sd, places, 0.5, rng, start=start)
    np.testing.assert_allclose(held[:, 0], 0.6, atol=1e-12)
    assert held[:, 5].mean() == pytest.approx(0.6 * np.exp(-2.0), abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plans": {}}, "at least one"),
        ({"size": "large"}, "size: found 'large'; allowed: small"),
        ({"size": 4e8}, "fit two or more sizes"),
        ({"size": -1.0}, r"size: found -1\.0; allowed: small \(10,000,000\)$"),
        ({"steps": [0, 10]}, "found 0; allowed: 1 to 2000"),
        ({"steps": [10, 2001]}, "found 2001"),
        ({"steps": 0}, "positive interval"),
        ({"steps": [1.5]}, "whole numbers"),
    ],
)
def test_wrong_questions_get_one_line(small_posterior, change, message):
    arguments = {"plans": WSD, "seed": 0} | change
    with pytest.raises(PosteriorError, match=message) as caught:
        predict(small_posterior, **arguments)
    assert "\n" not in str(caught.value)


def test_a_plan_must_continue_the_observed_run(small_posterior, small_curves):
    partial = replace(small_curves["constant"], name="new")
    short = constant(peak_lr=1e-3, warmup_steps=100, total_steps=1500)
    with pytest.raises(PosteriorError, match="observed to step 1980"):
        predict(small_posterior, short, seed=0, observed=partial)
    longer = cosine(peak_lr=1e-3, warmup_steps=100, total_steps=4000)
    with pytest.raises(PosteriorError, match="not those of the observed run"):
        predict(small_posterior, longer, seed=0, observed=partial)


@pytest.mark.slow  # fits twice more
def test_an_observed_beginning_moves_and_narrows_the_band(small_posterior, small_curves, small_truth):
    """A run that lies 0.02 above the law (an odd seed) is predicted to stay above it."""
    plan = constant(peak_lr=1e-3, warmup_steps=100, total_steps=3000)
    steps = np.arange(140, 2001, 40)
    loss = AnnealingLaw().loss(plan, steps, **small_truth) + 0.02
    partial = replace(small_curves["constant"], name="new", steps=steps, loss=loss, schedule=plan)
    blind = predict(small_posterior, plan, steps=[2040, 3000], seed=0).band()
    seen = predict(small_posterior, plan, steps=[2040, 3000], seed=0, observed=partial).band()
    assert seen["median"][0] - blind["median"][0] > 0.008
    assert seen.eval("upper - lower")[0] < blind.eval("upper - lower")[0]


def test_beyond_runs_whose_rates_fall_all_along(small_posterior):
    """From cosines alone progress cannot be told from annealing: said for a longer run, not for one as long."""
    common = {"peak_lr": 1e-3, "final_lr": 1e-4, "warmup_steps": 100}
    longer = cosine(total_steps=3000, **common)
    cosines = replace(small_posterior, curves=CurveSet(curves=(small_posterior.curves["cosine"],)))
    with pytest.warns(ExtrapolationWarning, match=r"^plan: trains 1\.5 times the area [^\n]* fall all along"):
        predict(cosines, {"plan": longer}, seed=0, num_draws=20)
    predict(cosines, {"plan": cosine(total_steps=2000, **common)}, seed=0, num_draws=20)
    predict(small_posterior, {"plan": longer}, seed=0, num_draws=20)


def test_plans_may_be_text_or_a_list(small_posterior):
    settings = {"num_draws": 20, "steps": 500}
    spec = "cosine(peak_lr=1e-3, final_lr=1e-4, warmup_steps=100, total_steps=2000)"
    plan = parse_schedule(spec)
    by_name = predict(small_posterior, {"cosine": plan}, **settings)
    for same in (predict(small_posterior, spec, **settings), predict(small_posterior, [plan], **settings)):
        assert same.names == ("cosine",)
        np.testing.assert_array_equal(same.observed["cosine"], by_name.observed["cosine"])
    assert predict(small_posterior, [spec, spec], **settings).names == ("cosine 1", "cosine 2")
    with pytest.raises(PosteriorError, match=r"^predict: there is no schedule; allowed: at least one$"):
        predict(small_posterior, [])


def test_the_seed_has_a_default_that_is_shown(small_posterior):
    spec = "constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
    default, zero, other = (
        predict(small_posterior, spec, num_draws=20, **seed) for seed in ({}, {"seed": 0}, {"seed": 5})
    )
    np.testing.assert_array_equal(default.observed["constant"], zero.observed["constant"])
    assert not np.array_equal(default.observed["constant"], other.observed["constant"])
    assert "seed 0" in repr(default)
    assert "seed 5" in repr(other)
    assert "seed 5" in other._repr_html_()
    assert "seed 0" in repr(small_posterior)


def test_draws_are_labelled_and_paired(small_posterior):
    plans = {
        "a": "constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)",
        "b": "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)",
    }
    forecast = predict(small_posterior, plans, num_draws=30, steps=100)
    draws = forecast.draws("b")
    assert dict(draws.sizes) == {"draw": 30, "step": forecast.steps["b"].size}
    np.testing.assert_array_equal(draws["loss"], forecast.observed["b"])
    np.testing.assert_array_equal(draws["latent"].sel(step=2000), forecast.latent["b"][:, -1])
    assert float(draws["lr"].sel(step=2000)) == plan_rate(forecast, "b")
    gap = (forecast.draws("a")["latent"] - draws["latent"]).sel(step=2000)
    np.testing.assert_allclose(gap, forecast.latent["a"][:, -1] - forecast.latent["b"][:, -1])
    assert forecast.to_dataframe().equals(forecast.band())
    for wrong, found in ((None, "no name"), ("c", "'c'")):
        with pytest.raises(PosteriorError, match=rf"^draws: found {found}; allowed: 'a', 'b'$"):
            forecast.draws(wrong)


def test_of_a_single_step_all_effects_of_a_run_are_one_number_of_the_same_spread(small_posterior):
    equal = {f"run {k}": WSD for k in range(200)}
    spread = []
    for steps in ([2000], [1999, 2000]):
        found = predict(small_posterior, equal, steps=steps, seed=3)
        run = np.stack([parts.run[:, -1] for parts in found.parts.values()])
        spread.append(np.square(run).mean(axis=0))
    ratio = np.log(spread[0] / spread[1])
    # two means of 200 squares, each draw for itself: F(200, 200), whose logarithm has a standard deviation of .142; of
    # 2,000 draws the mean's is .0032 and that of the deviation 1.6%: bounds at four of these, false alarms below 2e-4
    assert np.abs(ratio.mean()) < 0.013
    assert ratio.std() == pytest.approx(0.142, rel=0.066)


def test_what_is_drawn_for_a_schedule_does_not_depend_on_the_others(small_posterior):
    cosine = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
    other = "constant(peak_lr=1e-3, warmup_steps=100, total_steps=6000)"
    settings = {"num_draws": 30, "steps": 500}
    alone = predict(small_posterior, {"a": cosine}, **settings)
    among = predict(small_posterior, {"longer": other, "b": cosine, "again": cosine}, **settings)
    np.testing.assert_allclose(among.observed["b"], alone.observed["a"], rtol=1e-9)
    # the law and what runs of a schedule share are the same, what single runs differ by is not
    np.testing.assert_allclose(among.parts["again"].expected, among.parts["b"].expected, rtol=1e-9)
    assert not np.allclose(among.latent["again"], among.latent["b"], rtol=1e-9)


def plan_rate(forecast, name):
    return forecast.schedules[name].lr[-1]


def test_a_batch_that_was_not_fitted_is_as_uncertain_as_theory(of_one_batch, small_posterior):
    known = predict(small_posterior, WSD, seed=3)
    same = predict(of_one_batch, WSD, seed=3)
    np.testing.assert_array_equal(same.observed["schedule"], known.observed["schedule"])
    with pytest.warns(
        ExtrapolationWarning, match=r"no run of this size has the batch size 1024 \(fitted: 256\), and wh"
    ):
        larger = predict(of_one_batch, WSD, seed=3, batch_size=1024)
    with pytest.warns(ExtrapolationWarning):
        smaller = predict(of_one_batch, WSD, seed=3, batch_size=64)
    # four times the batch is progress, and less noise: of every draw, or nearly so
    finals = [forecast.latent["schedule"][:, -1] for forecast in (smaller, same, larger)]
    assert np.median(finals[0]) > np.median(finals[1]) > np.median(finals[2])
    for far in (finals[0], finals[2]):
        assert far.std() > 2.0 * finals[1].std()


def test_the_priors_of_the_batch_are_those_of_the_law(of_one_batch):
    """By the plain formulas, of 2,000 draws whose errors were taken away: progress to the power, floor to the power."""
    with pytest.warns(ExtrapolationWarning):
        found = predict(of_one_batch, WSD, seed=3, batch_size=1024).parts["schedule"]
    base = predict(of_one_batch, WSD, seed=3).parts["schedule"]
    alpha = of_one_batch.sample(["alpha"], num_draws=2000)["alpha"][:, 0]
    power = -np.log(found.forward[:, -1] / base.forward[:, -1]) / (alpha * np.log(4.0))
    # Normal(0.3, 0.2): standard errors of 0.0045 and 0.0032, bounds of five of them
    assert power.mean() == pytest.approx(0.3, abs=0.023)
    assert power.std() == pytest.approx(0.2, abs=0.016)


def test_a_batch_of_runs_that_do_not_say_theirs_has_no_influence(small_posterior):
    with pytest.warns(ExtrapolationWarning, match="batch size 512 has no influence: no fitted run says its own"):
        found = predict(small_posterior, WSD, seed=3, batch_size=512)
    np.testing.assert_array_equal(
        found.observed["schedule"], predict(small_posterior, WSD, seed=3).observed["schedule"]
    )


def test_among_several_batches_the_one_that_is_meant_is_said(of_one_batch):
    first, *rest = of_one_batch.curves
    mixed = replace(of_one_batch, curves=CurveSet(curves=(replace(first, batch_size=128.0), *rest)))
    with pytest.warns(ExtrapolationWarning, match="none was given, and fitted runs have 128, 256; taken to be 256"):
        predict(mixed, WSD)


def test_each_schedule_may_have_a_batch_of_its_own(of_one_batch):
    """As asked for alone: the same curve for 256 and for 1024, whose draws are paired."""
    plans = {"as fitted": WSD, "larger": WSD}
    with pytest.warns(ExtrapolationWarning, match="^larger: no run of this size has the batch size 1024"):
        both = predict(of_one_batch, plans, seed=3, batch_size={"larger": 1024})
    with pytest.warns(ExtrapolationWarning):
        alone = predict(of_one_batch, WSD, seed=3, batch_size=1024)
    known = predict(of_one_batch, WSD, seed=3)
    np.testing.assert_allclose(both.parts["larger"].expected, alone.parts["schedule"].expected, rtol=1e-9)
    np.testing.assert_allclose(both.parts["as fitted"].law, known.parts["schedule"].law, rtol=1e-9)
    gap = both.parts["larger"].law - both.parts["as fitted"].law
    one = np.random.default_rng(0).permuted(both.parts["larger"].law, axis=0) - both.parts["as fitted"].law
    assert gap[:, -1].std() < one[:, -1].std()


def test_schedules_of_one_batch_are_named_together(of_one_batch):
    batches = {f"plan {k}": 1024.0 for k in range(9)} | {"other": 64.0, "known": 256.0}
    setups = {name: Setup(batch_size=batch) for name, batch in batches.items()}
    first, second = extrapolations(of_one_batch, {}, {}, find_target(of_one_batch, None), setups)
    assert first.startswith("plan 0, plan 1, plan 2, 6 more: no run of this size has the batch size 1024 ")
    assert second.startswith("other: no run of this size has the batch size 64 ")


def test_among_several_weight_decays_the_one_that_is_meant_is_said(small_posterior):
    first, *rest = small_posterior.curves
    settings = small_posterior.settings | {"scale": small_posterior.settings["scale"] | {"weight_decay": 0.08}}
    curves = CurveSet(curves=(replace(first, weight_decay=0.04), *rest))
    mixed = replace(small_posterior, curves=curves, settings=settings)
    taken = "weight decay: none was given, and fitted runs have 0.04, 0.1; taken to be their mean, 0.08"
    with pytest.warns(ExtrapolationWarning, match=taken):
        by_default = predict(mixed, WSD, seed=3)
    given = predict(mixed, WSD, seed=3, weight_decay=0.1)
    assert given.latent["schedule"][:, -1].mean() != by_default.latent["schedule"][:, -1].mean()
    # a law that does not know of weight decays takes none
    plain = replace(mixed, model=ScalingModel(law=AnnealingLaw()))
    assert extrapolations(plain, {}, {}, find_target(plain, None), {"plan": Setup()}) == []


def test_a_weight_decay_that_was_not_fitted_is_named(of_one_batch):
    """Where runs say theirs, and where none does; one that is that of the runs, or none, is nothing to say."""
    target, told = find_target(of_one_batch, None), {}
    silent = CurveSet(curves=tuple(replace(c, weight_decay=None, metadata={}) for c in of_one_batch.curves))
    for name, posterior in (("said", of_one_batch), ("not said", replace(of_one_batch, curves=silent))):
        asked = {str(decay): Setup(weight_decay=decay) for decay in (None, 0.1, 0.3, 0.0)}
        told[name] = extrapolations(posterior, {}, {}, target, asked)
    rest = "what another one does is known from theory alone, and was not tested"
    assert told["said"] == [
        f"{name}: no fitted run has the weight decay {value} (fitted: 0.1); {rest}"
        for name, value in (("0.3", "0.3"), ("0.0", "0"))
    ]
    assert [line.partition(";")[0] for line in told["not said"]] == [
        f"{name}: no fitted run has the weight decay {value} (none says its own)"
        for name, value in (("0.1", "0.1"), ("0.3", "0.3"), ("0.0", "0"))
    ]


def test_a_run_that_has_started_has_its_own_batch(of_one_batch):
    """Also where the fitted runs have several, and nothing is asked for."""
    first, *rest = of_one_batch.curves
    mixed = replace(of_one_batch, curves=CurveSet(curves=(replace(first, batch_size=128.0), *rest)))
    question = {"posterior": mixed, "target": find_target(mixed, None), "names": ["plan"], "weight_decay": None}
    assert find_setups(**question, batch_size=None)["plan"].batch_size is None
    for run in mixed.curves:
        own = {"batch_size": run.batch_size}
        for asked in (None, run.batch_size, {"plan": run.batch_size}, {"plan": None}):
            assert find_setups(**question, batch_size=asked, started=run)["plan"].batch_size == own["batch_size"]
        with pytest.raises(
            PosteriorError, match=r"batch_size: found 512 for plan, which continues a run that has \d+; al"
        ):
            find_setups(**question, batch_size=512.0, started=run)


def test_a_number_for_all_counts_for_a_run_that_does_not_say_its_own(small_curves):
    run = small_curves["drops"]
    found = with_setup(run, weight_decay={"plan": 0.1}, batch_size=512)
    assert (found.weight_decay, found.batch_size) == (run.weight_decay, 512.0)
    assert with_setup(found, weight_decay=None, batch_size=64).batch_size == 512.0


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ({"batch_size": {"plan": 64}}, r"batch_size: found a number for 'plan'; allowed: .* \(schedule\)"),
        ({"weight_decay": {"schedule": -1}}, r"weight_decay: found -1 for schedule; allowed: a number from 0 on"),
        ({"batch_size": 0}, r"batch_size: found 0 for schedule; allowed: a number above 0"),
        ({"weight_decay": -0.1}, r"weight_decay: found -0\.1"),
        ({"batch_size": float("nan")}, "found nan"),
        ({"batch_size": "512"}, "found '512'"),
        ({"batch_size": True}, "found True"),
        ({"weight_decay": [512]}, r"found \[512\]"),
    ],
)
def test_a_setup_that_cannot_be_is_one_line(small_posterior, setup, message):
    with pytest.raises(PosteriorError, match=rf"^[^\n]*{message}[^\n]*$"):
        predict(small_posterior, WSD, **setup)
