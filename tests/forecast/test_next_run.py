"""What a candidate tells: against a Gaussian whose conditional variance is known, and on a posterior."""

import json

import numpy as np
import pytest

from bayeslr.errors import ExtrapolationWarning, PosteriorError
from bayeslr.forecast import Plan, next_run, predict, usual_candidates
from bayeslr.forecast.next_run import _logged, _points
from bayeslr.forecast.regression import decided, explained, penalty
from bayeslr.schedules import constant, cosine, parse_schedule, wsd

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
TARGET = wsd(decay_steps=400, **COMMON)


def test_the_regression_finds_the_conditional_variance_of_a_gaussian():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(7, 7))
    draws = rng.standard_normal((20_000, 7)) @ factor.T
    cov = factor @ factor.T
    exact = cov[0, 0] - cov[0, 1:] @ np.linalg.solve(cov[1:, 1:], cov[1:, 0])
    known = explained(draws[:, 1:], draws[:, :1])
    assert ((draws[:, 0] - known[:, 0]) ** 2).mean() == pytest.approx(exact, rel=0.05)


def test_points_that_say_nothing_explain_nothing():
    """With as many points as a tenth of the draws, a regression that saw its own draws would claim a tenth."""
    rng = np.random.default_rng(1)
    target = rng.standard_normal((300, 1))
    known = explained(rng.standard_normal((300, 30)), target)
    assert ((target - known) ** 2).mean() > 0.95 * target.var()


def test_the_value_of_a_decision_is_that_of_the_textbook():
    """One of two choices is worth 0, the other N(0, 1): knowing it exactly saves 1 / sqrt(2 pi)."""
    rng = np.random.default_rng(2)
    losses = np.column_stack([np.zeros(200_000), rng.standard_normal(200_000)])
    found = decided(losses, losses)
    assert found["regret"] == pytest.approx(1.0 / np.sqrt(2.0 * np.pi), abs=0.01)
    assert found["regret_after"] == 0.0
    blind = decided(losses, np.zeros_like(losses))
    assert blind["regret_after"] == pytest.approx(blind["regret"], abs=0.01)


def test_a_run_is_looked_at_along_its_length_and_where_it_falls():
    steps = _points(TARGET)
    assert steps[-1] == 2000
    assert steps[0] > 100
    assert (steps > 1600).sum() >= 6


def test_few_steps_stand_for_all_that_a_fit_would_see(small_posterior):
    """A fitted run has 47 losses after its warm-up: each of twelve stands for four, of half the noise."""
    forecast = predict(small_posterior, {"a": TARGET}, steps=np.linspace(200, 2000, 12).astype(int), seed=0)
    latent, measured = forecast.latent["a"], forecast.observed["a"]
    found = _logged(small_posterior, forecast, "a") - latent
    assert found.std() / (measured - latent).std() == pytest.approx(np.sqrt(12 / 47), rel=1e-9)


def test_the_target_itself_tells_most(small_posterior):
    candidates = {"itself": TARGET, "short": constant(**COMMON | {"total_steps": 300}), "cosine": cosine(**COMMON)}
    found = next_run(small_posterior, TARGET, candidates, seed=3, choices={"a": TARGET, "b": cosine(**COMMON)})
    gain = found.candidates["narrowing"]
    assert gain["itself"] > gain["cosine"] > gain["short"] - 0.02
    assert (gain >= 0.0).all()
    assert (gain < 1.0).all()
    table = found.candidates
    np.testing.assert_allclose(table["width_after"], table["width"] * (1.0 - gain))
    np.testing.assert_array_equal(table["cost"], table["steps"])
    assert (table["regret_after"] <= table["regret"]).all()
    assert table["regret_per_cost"].max() in (0.0, 1.0)
    assert json.loads(json.dumps(found.to_dict()))["best"] == found.best == table.index[0]
    assert len(repr(found)) < 120
    # the constant run and the drops keep their rate for long
    assert found.advice == ()


def test_what_the_reader_of_the_ranking_must_know_is_said(small_posterior):
    """The unit of the cost; which candidates were made already; that the usual ones are no longer than the runs."""
    usual = next_run(small_posterior, TARGET, num_draws=200)
    said = " ".join(usual.sentences)
    assert "What a run costs here: its steps." in said
    assert "1.00 for the best candidate" in said
    assert "as long as the longest fitted run (2,000 steps) and half as long" in said
    # the constant run was fitted; the fitted cosine ends at a tenth of the peak, the usual one at zero
    assert "another seed of the run would be seen: constant (constant)." in said
    assert usual.seed == 0
    # a candidate that the library made up can be run: it is written down
    spec = usual.candidates["schedule"].iloc[0]
    assert f"{usual.best} as a schedule: {spec}" in said
    assert parse_schedule(spec) == usual_candidates(small_posterior)[usual.best].schedule
    own = {"again": cosine(final_lr=1e-4, **COMMON), "short": constant(**COMMON | {"total_steps": 500})}
    named = next_run(small_posterior, TARGET, own, num_draws=200, cost="flops", tokens_per_step=4096)
    said = " ".join(named.sentences)
    assert "No candidate was named" not in said
    assert "another seed of the run would be seen: again (cosine)." in said
    assert "6 FLOPs a parameter and token of its steps (4.096k an update)" in said


def test_a_decision_that_is_made_ranks_by_what_else_a_candidate_tells(small_posterior):
    good, bad = TARGET, constant(**COMMON | {"total_steps": 200})
    found = next_run(
        small_posterior,
        TARGET,
        {"short": constant(**COMMON | {"total_steps": 300}), "itself": TARGET},
        choices={"good": good, "bad": bad},
        num_draws=400,
    )
    assert found.candidates["regret"].max() < 1e-9
    assert (found.candidates["regret_per_cost"] == 0.0).all()
    assert found.candidates["narrowing_per_cost"].is_monotonic_decreasing
    assert "The decision is made" in " ".join(found.sentences)


def test_checkpoints_and_flops_are_counted(small_posterior):
    candidates = {"branch": wsd(decay_steps=200, **COMMON), "cosine": cosine(**COMMON | {"peak_lr": 9e-4})}
    steps = next_run(small_posterior, TARGET, candidates, seed=3, reuse=True, num_draws=300).candidates["cost"]
    # the branch leaves the constant run where its rate begins to fall, one update after the decay does
    assert steps["branch"] == 199
    assert steps["cosine"] == 1999
    flops = next_run(small_posterior, TARGET, candidates, seed=3, cost="flops", tokens_per_step=50, num_draws=300)
    assert flops.candidates["cost"]["branch"] == pytest.approx(6 * 1e7 * 2000 * 50)


def test_a_run_of_another_batch_size_was_not_made_yet(of_one_batch):
    made = of_one_batch.curves.curves[0]
    asked = {"candidates": {"again": made.schedule}, "seed": 3, "reuse": True, "num_draws": 300}
    same = next_run(of_one_batch, TARGET, **asked, batch_size=256)
    assert f"again ({made.name})" in " ".join(same.notes)
    with pytest.warns(ExtrapolationWarning, match="no run of this size has the batch size 1024"):
        other = next_run(of_one_batch, TARGET, **asked, batch_size=1024)
    assert "Made already" not in " ".join(other.notes)
    assert other.candidates["cost"]["again"] == made.schedule.total_steps


def test_usual_candidates_have_the_scale_of_the_data(small_posterior):
    found = usual_candidates(small_posterior)
    assert len(found) == 10
    assert {plan.schedule.peak_lr for plan in found.values()} == {1e-3}
    assert {plan.schedule.total_steps for plan in found.values()} == {1000, 2000}


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"candidates": {}}, "no candidate"),
        ({"choices": {"one": TARGET}}, "one choice"),
        (
            {"candidates": {"a": Plan(schedule=TARGET, size="7B")}},
            "candidate a: size: found .7B.* small .10,000,000. alone",
        ),
        ({"candidates": {"b": Plan(schedule=TARGET, size="7X")}}, "candidate b: size: found '7X'; allowed: small"),
        ({"ci_prob": 1.0}, "ci_prob"),
    ],
)
def test_wrong_questions_are_refused(small_posterior, settings, found):
    with pytest.raises(PosteriorError, match=found):
        next_run(small_posterior, TARGET, seed=0, **settings)


def test_a_regression_on_few_draws_is_not_taken_for_a_worse_one():
    """The conditional variance of a Gaussian, from so few draws that errors of the regression are a seventh of it."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        inputs = rng.standard_normal((200, 20))
        target = inputs[:, :1] + rng.standard_normal((200, 1))
        found.append(((target - explained(inputs, target)) ** 2).mean())
    assert np.mean(found) > 1.1
    assert np.mean(found) / penalty(200, 20) == pytest.approx(1.0, abs=0.03)
