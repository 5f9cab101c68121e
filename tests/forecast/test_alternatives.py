"""Plans, running runs and finished ones in one comparison."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bayeslr.curves import CurveSet
from bayeslr.errors import ExtrapolationWarning, FitWarning, PosteriorError
from bayeslr.forecast import alternatives, compare, compare_schedules, predict
from bayeslr.schedules import constant, cosine, wsd

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
PLANS = {"wsd": wsd(decay_steps=500, **COMMON), "cosine": cosine(**COMMON)}


@pytest.fixture(scope="module")
def half(small_posterior):
    """A posterior that has seen the constant run, and that run up to step 1200 under another name."""
    run = small_posterior.curves["constant"]
    return replace(run, name="half").take(run.steps <= 1200)


def test_plans_alone_are_the_comparison_of_their_forecast(small_posterior):
    found = compare(small_posterior, PLANS, seed=5, num_draws=1000, baseline="cosine", by=0.01)
    forecast = predict(small_posterior, PLANS, seed=5, num_draws=1000)
    expected = compare_schedules(forecast)
    assert found.comparison.to_dict() == expected.to_dict()
    common = {name: np.asarray(forecast.parts[name].expected)[:, -1] for name in PLANS}
    gap = common["cosine"] - common["wsd"]
    assert found.p_beats["wsd"] == (gap > 0.01).mean()
    assert set(found.kinds.values()) == {"plan"}
    assert json.loads(json.dumps(found.to_dict()))["baseline"]["by"] == 0.01
    assert len(repr(found)) < 120


def test_what_is_open_is_said(small_posterior):
    """Two runs of nearly one schedule, whose difference may be nothing, and two schedules that are far apart."""
    near = {"one": wsd(decay_steps=500, **COMMON), "other": wsd(decay_steps=505, **COMMON)}
    far = {"one": wsd(decay_steps=500, **COMMON), "other": constant(**COMMON)}
    found = [compare(small_posterior, near, question="run", seed=0), compare(small_posterior, far, seed=0)]
    said = "is open: the 90% interval of their difference holds 0."
    assert [any(line.endswith(said) for line in each.sentences) for each in found] == [True, False]


def test_schedules_are_compared_more_surely_than_single_runs(small_posterior):
    single, common = (compare(small_posterior, PLANS, seed=5, question=q) for q in ("run", None))
    widths = [(f.comparison.differences["upper"] - f.comparison.differences["lower"]).iloc[0] for f in (single, common)]
    assert widths[1] < widths[0]
    assert "without the luck" in common.sentences[-1]


def test_a_finished_run_is_known_up_to_its_noise(small_posterior, small_curves):
    over = small_curves["drops"]
    found = compare(small_posterior, PLANS, finished=[over], seed=5)
    row = found.comparison.final_loss.loc["drops"]
    # measured at a tenth of the peak rate
    draws = small_posterior.sample(["noise", "noise_power"])
    noise = float(np.mean(np.ravel(draws["noise"]) * 0.1 ** draws["noise_power"]))
    assert row["median"] == pytest.approx(over.loss[-1], abs=1e-12)
    assert row["sd"] == pytest.approx(0.0, abs=1e-12)
    latent = found.forecast.latent["drops"][:, -1]
    assert latent.std() == pytest.approx(noise, rel=0.1)
    # these curves follow the law exactly, so that a new run is known well, too
    assert latent.std() < 0.4 * found.comparison.final_loss.loc["wsd", "sd"]
    np.testing.assert_array_equal(found.forecast.observed["drops"][0], over.after_warmup().loss)
    assert found.to_dataframe().loc["drops", "kind"] == "finished"


def test_cool_down_now_or_keep_going_from_a_fitted_run(small_posterior):
    """Continuations and new runs come from the same draws, however far each of them reaches."""
    then = {"now": "linear(decay_steps=500)", "later": "constant(steps=6000) + linear(decay_steps=500)"}
    with pytest.warns(ExtrapolationWarning):
        found = compare(small_posterior, {"new": PLANS["wsd"]}, observed="constant", then=then, seed=5)
    assert found.kinds == {"new": "plan", "now": "running", "later": "running"}
    assert found.question == "run"
    assert not any("longest)" in line for line in found.warnings)
    assert any("different lengths" in line for line in found.sentences)
    final = found.comparison.final_loss
    assert final.loc["now", "step"] == int(small_posterior.curves["constant"].steps[-1]) + 500
    assert final.loc["later", "median"] < final.loc["now", "median"]
    ends = {name: found.forecast.latent[name][:, -1] for name in found.kinds}
    # what a size's runs share is drawn once
    assert np.corrcoef(ends["new"], ends["now"])[0, 1] > 0.3
    alone = predict(small_posterior, found.forecast.schedules["now"], run="constant", seed=5, num_draws=4000)
    assert final.loc["now", "median"] == pytest.approx(float(np.median(alone.latent["schedule"][:, -1])), abs=1e-3)


def test_a_peak_that_was_not_fitted_leaves_the_draws_of_others_alone(small_posterior):
    """What is drawn for another peak must not change what is drawn beyond the data, or pairs are none."""
    far = {"far": constant(**COMMON | {"total_steps": 7000})}
    other = {"other": constant(**COMMON | {"peak_lr": 1.4e-3})}
    with pytest.warns(ExtrapolationWarning, match=r"peak rate 0\.0014"):
        alone, beside = (predict(small_posterior, plans, seed=5, num_draws=200) for plans in (far, far | other))
    np.testing.assert_allclose(alone.parts["far"].expected, beside.parts["far"].expected, rtol=1e-12)


def test_a_run_that_was_not_fitted_is_fitted_with_the_rest(small_posterior, half):
    quick = replace(small_posterior, settings={**small_posterior.settings, "method": "laplace"})
    with pytest.warns(FitWarning, match="Laplace"):
        found = compare(
            quick,
            {"nominal": constant(**COMMON), "new": PLANS["cosine"]},
            observed=half,
            then={"now": "linear(decay_steps=500)"},
            seed=5,
        )
    assert found.kinds == {"nominal": "running", "new": "plan", "now": "running"}
    assert found.forecast.names == ("nominal", "new", "now")
    assert found.comparison.final_loss.loc["now", "step"] == int(half.steps[-1]) + 500


@pytest.mark.parametrize(
    "third", [{"peak_lr": 1.4e-3}, {"batch_size": 64.0}, {"batch_size": 4096.0}, {"total_steps": 30_000}]
)
def test_a_third_plan_leaves_the_pairs_of_a_running_run_and_a_new_one_alone(small_posterior, third):
    """Both are drawn beyond the fitted data, in forecasts of their own, and differ by what their schedules say."""
    curves = CurveSet(curves=tuple(replace(c, batch_size=256.0) for c in small_posterior.curves))
    scale = small_posterior.settings["scale"] | {"batch": 0.0, "batches": [256.0]}
    posterior = replace(small_posterior, curves=curves, settings=small_posterior.settings | {"scale": scale})
    batch = third.get("batch_size", 256.0)
    plan = cosine(**COMMON | {name: value for name, value in third.items() if name != "batch_size"})
    widths = []
    for plans, batches in (({}, {}), ({"third": plan}, {"third": batch})):
        with pytest.warns(ExtrapolationWarning):
            found = compare(
                posterior,
                {"long": constant(**COMMON | {"total_steps": 9000})} | plans,
                observed="constant",
                then={"on": "constant(steps=7000)"},
                batch_size=batches,
                seed=5,
                num_draws=500,
            )
        assert not any("none was given" in line for line in found.warnings)
        parts = found.forecast.parts
        # what the runs of the size share, after 20 updates more or less at the same constant rate
        widths.append((parts["on"].shared[:, -1] - parts["long"].shared[:, -1]).std() / parts["on"].shared[:, -1].std())
    assert max(widths) < 0.01


def test_a_tail_has_the_batch_of_its_run(small_posterior):
    first, *rest = small_posterior.curves
    curves = CurveSet(curves=(replace(first, batch_size=128.0), *(replace(c, batch_size=256.0) for c in rest)))
    posterior = replace(small_posterior, curves=curves)
    question = {"observed": first.name, "then": {"on": "linear(decay_steps=500)", "off": "linear(decay_steps=900)"}}
    found = compare(posterior, **question, seed=5, num_draws=100)
    assert not any("none was given" in line for line in found.warnings)
    with pytest.raises(PosteriorError, match="batch_size: found 256 for on, which continues a run that has 128"):
        compare(posterior, **question, batch_size={"on": 256})


def test_plans_have_the_batches_that_are_asked_for_and_finished_runs_their_own(small_posterior, monkeypatch):
    over = replace(small_posterior.curves["drops"], batch_size=128.0, weight_decay=0.05)
    asked = []
    monkeypatch.setattr(alternatives, "predict", lambda *a, **k: asked.append(k) or predict(*a, **k))
    settings = {"weight_decay": {"cosine": 0.2}, "batch_size": 512.0}
    with pytest.warns(ExtrapolationWarning) as told:
        found = compare(small_posterior, PLANS, finished=[over], seed=5, **settings)
    # each batch in a line of its own, with the names of those that have it
    rest = "has no influence: no fitted run says its own"
    lines = [f"wsd, cosine: batch size 512 {rest}", f"drops: batch size 128 {rest}"]
    untested = "(fitted: 0.1); what another one does is known from theory alone, and was not tested"
    # two findings that differ by a number count as one
    lines += [f"2 of 3 choices, for example drops: no fitted run has the weight decay 0.05 {untested}"]
    assert [str(warning.message) for warning in told] == lines
    assert found.warnings == tuple(lines)
    (question,) = asked
    assert question["batch_size"] == {"wsd": 512.0, "cosine": 512.0, "drops": 128.0}
    assert question["weight_decay"] == {"cosine": 0.2, "drops": 0.05}
    # the small fit says no batch, but has a weight norm
    with pytest.warns(ExtrapolationWarning, match="batch size 128|weight decay 0.05"):
        plain = compare(small_posterior, PLANS, finished=[over], seed=5)
    assert not np.allclose(found.forecast.parts["cosine"].law, plain.forecast.parts["cosine"].law, rtol=1e-6)
    np.testing.assert_array_equal(found.forecast.parts["wsd"].law, plain.forecast.parts["wsd"].law)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"plans": {"one": PLANS["wsd"]}}, "found 1"),
        ({"plans": PLANS, "then": {"a": "linear(decay_steps=5)"}}, "needs the run"),
        ({"plans": PLANS, "observed": "nobody"}, "nobody"),
        ({"plans": PLANS, "observed": "constant", "then": {"wsd": "linear(decay_steps=5)"}}, "two called 'wsd'"),
        ({"plans": PLANS, "baseline": "best"}, "the baseline is 'best'"),
        (
            {"plans": PLANS, "batch_size": {"best": 64}},
            r"batch_size: found a number for 'best'; allowed: .*\(wsd, c",
        ),
        ({"plans": PLANS, "observed": "constant", "question": "schedule"}, "single run"),
    ],
)
def test_wrong_questions_are_refused(small_posterior, settings, found):
    with pytest.raises(PosteriorError, match=found):
        compare(small_posterior, seed=0, **settings)
