"""Health: a good posterior passes, and each kind of trouble is found in one that was doctored to have it."""

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayeslr.curves import CurveSet
from bayeslr.errors import ScheduleMismatchWarning
from bayeslr.inference import check, fit, steady_share
from bayeslr.laws import EffectiveRateLaw
from bayeslr.laws.annealing import TAU
from bayeslr.logs import read_logs


def doctor(posterior, *, draws=None, stats=None):
    groups = {name: node.to_dataset().copy(deep=True) for name, node in posterior.tree.children.items()}
    if draws:
        groups["posterior"] = draws(posterior.draws.copy(deep=True))
    if stats:
        groups["sample_stats"] = stats(groups["sample_stats"])
    return replace(posterior, tree=xr.DataTree.from_dict(groups))


def status(posterior, name):
    (found,) = [item for item in check(posterior).checks if item.name.startswith(name)]
    assert (found.advice == "") == (found.status == "PASS")
    return found.status


def test_a_good_posterior_passes(small_posterior):
    health = check(small_posterior)
    assert health.status == "PASS", str(health)
    assert all(item.status == "PASS" and not item.advice and item.evidence for item in health.checks)
    assert str(health).splitlines()[0] == "PASS"


def test_names_say_what_was_looked_at_not_how_it_came_out(small_posterior):
    """A failed check called "chains agree" reads as if they did; and the page has every name."""
    page = (Path(__file__).parents[2] / "docs" / "health.md").read_text(encoding="utf-8").splitlines()
    terms = {term for line, below in pairwise(page) if below.startswith(": ") for term in line.split(", ")}
    names = [item.name for item in check(small_posterior).checks]
    assert set(names) <= terms
    outcome = re.compile(
        r"(no|enough|one) |.* (agrees?|holds?|was|were|follows?|describes?|identified|complete|came)( |$)"
    )
    assert not [name for name in names if outcome.match(name)]


def test_chains_that_disagree_fail(small_posterior):
    def shifted(draws):
        draws["alpha"][0] += 5.0 * float(draws["alpha"].std())
        return draws

    bad = doctor(small_posterior, draws=shifted)
    assert status(bad, "agreement of chains") == "FAIL"
    health = check(bad)
    assert health.status == "FAIL"
    (found,) = [item for item in health.checks if item.name == "agreement of chains"]
    assert "alpha[small]" in found.evidence
    assert str(health).startswith("FAIL\nFAIL")


def test_chains_that_disagree_a_little_are_for_review(small_posterior):
    def shifted(draws):
        draws["alpha"][0] += 0.35 * float(draws["alpha"].std())
        return draws

    assert status(doctor(small_posterior, draws=shifted), "agreement of chains") == "REVIEW"


def test_one_chain_is_for_review(small_posterior):
    single = doctor(
        small_posterior, draws=lambda draws: draws.isel(chain=[0]), stats=lambda stats: stats.isel(chain=[0])
    )
    assert status(single, "agreement of chains") == "REVIEW"


def test_chains_that_crawl_have_too_few_draws(small_posterior):
    def crawling(draws):
        steps = np.random.default_rng(0).normal(size=draws["alpha"].shape)
        walk = np.cumsum(steps, axis=1)
        draws["alpha"][:] = 0.5 + 0.001 * (walk - walk.mean(axis=1, keepdims=True))
        return draws

    bad = doctor(small_posterior, draws=crawling)
    assert status(bad, "number of draws (bulk)") == "FAIL"
    assert check(bad).status == "FAIL"


def test_a_chain_that_stands_still_fails(small_posterior):
    def stuck(draws):
        draws["alpha"][:] = 0.5
        return draws

    assert check(doctor(small_posterior, draws=stuck)).status == "FAIL"


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "PASS"), (0.0009, "PASS"), (0.002, "REVIEW"), (0.009, "REVIEW"), (0.02, "FAIL")]
)
def test_divergences(small_posterior, share, expected):
    """One draw in two thousand is told, and moves nothing."""

    def diverged(stats):
        stats["diverging"].to_numpy().ravel()[: int(share * stats["diverging"].size)] = True
        return stats

    bad = doctor(small_posterior, stats=diverged)
    assert status(bad, "divergences") == expected
    (check,) = (item for item in bad.health.checks if item.name == "divergences")
    assert check.evidence.startswith(f"{int(share * 2800)} of 2800 draws diverged")
    assert ("too few" in check.evidence) == (share == 0.0009)


def test_trajectories_that_were_cut_are_for_review(small_posterior):
    def deep(stats):
        stats["reached_max_tree_depth"][0, :3] = True
        return stats

    assert status(doctor(small_posterior, stats=deep), "length of trajectories") == "REVIEW"


def test_energies_that_crawl_are_for_review(small_posterior):
    def crawling(stats):
        stats["energy"][:] = np.linspace(0.0, 50.0, stats.sizes["draw"])[None, :]
        return stats

    assert status(doctor(small_posterior, stats=crawling), "mixing of energy") == "REVIEW"


@pytest.mark.parametrize(("name", "factor"), [("alpha", 30.0), ("tau", 1e4), ("level", 5.0)])
def test_parameters_far_in_the_tail_of_their_prior_fail(small_posterior, name, factor):
    def scaled(draws):
        draws[name] = draws[name] * factor
        return draws

    bad = doctor(small_posterior, draws=scaled)
    # all of these lie more than four prior standard deviations away: no curve of the usual kind does
    assert status(bad, "agreement of priors and data") == "FAIL"
    chosen = replace(bad, model=replace(bad.model, priors={name: "LogNormal(0, 3)"}))
    assert status(chosen, "agreement of priors and data") == "PASS"


@pytest.mark.parametrize(("factor", "expected"), [(2.0, "PASS"), (8.0, "REVIEW")])
def test_a_shape_that_no_other_runs_have_is_for_review(small_posterior, factor, expected):
    """No unit moves it, so that a shape within four prior standard deviations is nothing to report."""

    def scaled(draws):
        draws["norm_ratio"] = draws["norm_ratio"] * factor
        return draws

    bad = doctor(small_posterior, draws=scaled)
    assert status(bad, "agreement of priors and data") == expected
    (check,) = (item for item in bad.health.checks if item.name == "agreement of priors and data")
    if expected == "REVIEW":
        assert "norm_ratio lies" in check.evidence
        assert "another shape" in check.advice


@dataclass(frozen=True, kw_only=True)
class _OneMemory(EffectiveRateLaw):
    """A law whose memory another run would tell."""

    @property
    def parameters(self):
        return tuple(TAU if each.name == "tau" else each for each in super().parameters)


def test_a_memory_as_vague_as_its_prior_is_for_review_where_it_is_the_only_one(small_posterior):
    def vague(draws):
        spread = np.random.default_rng(0).normal(size=draws["tau"].shape)
        draws["tau"][:] = float(draws["tau"].median()) * np.exp(1.2 * spread)
        return draws

    mixed = doctor(small_posterior, draws=vague)
    assert status(mixed, "identification of parameters") == "PASS"
    model = replace(mixed.model, law=_OneMemory(rate=mixed.model.law.rate))
    assert status(replace(mixed, model=model), "identification of parameters") == "REVIEW"


def test_without_annealing_it_is_for_review(small_posterior):
    flat = replace(small_posterior, curves=CurveSet(curves=(small_posterior.curves["constant"],)))
    assert status(flat, "annealing in the runs") == "REVIEW"


def test_annealing_that_is_planned_but_not_observed_does_not_count(small_posterior):
    """The drop of this run begins at update 1000; its losses are known up to step 900."""
    early = CurveSet(curves=(small_posterior.curves["drops"],)).until(900)
    assert status(replace(small_posterior, curves=early), "annealing in the runs") == "REVIEW"


def test_annealing_that_was_undone_counts(small_posterior):
    curve = small_posterior.curves["cosine"]
    rates = curve.schedule.lr.copy()
    rates[-1] = rates.max()
    again = replace(curve, schedule=type(curve.schedule)(lr=rates, warmup_steps=curve.schedule.warmup_steps))
    assert status(replace(small_posterior, curves=CurveSet(curves=(again,))), "annealing in the runs") == "PASS"


@pytest.mark.parametrize(
    ("factor", "expected"), [(0.1, "PASS"), (1.5, "PASS"), (3.0, "REVIEW"), (9.0, "REVIEW"), (15.0, "FAIL")]
)
@pytest.mark.parametrize("name", ["memory", "run_memory", "bend", "offset", "residual"])
def test_errors_of_the_law_beyond_the_usual_are_found(small_posterior, name, factor, expected):
    site = f"discrepancy_{name}"
    if name == "offset" and factor == 3.0:
        factor = 4.0  # seeds differ more from source to source than errors of the law do: its prior is wider

    def scaled(draws):
        usual = getattr(small_posterior.model.discrepancy, name)
        draws[site] = draws[site] * (factor * usual / float(draws[site].median()))
        return draws

    bad = doctor(small_posterior, draws=scaled)
    assert status(bad, "size of the law's errors") == expected
    chosen = replace(bad, model=replace(bad.model, priors={site: "LogNormal(0, 3)"}))
    assert status(chosen, "size of the law's errors") == "PASS", "a prior of the user's own"
    (found,) = [item for item in check(bad).checks if item.name == "size of the law's errors"]
    assert (site in found.evidence) == (expected != "PASS")
    # these runs have one peak rate
    assert "peak rates" not in found.advice


def test_rates_that_fall_all_along_are_for_review(small_posterior):
    """By a plain loop: how far runs go at their first rate, as a share of the longest run's sum of rates."""
    assert status(small_posterior, "constant stretch in the runs") == "PASS"
    assert steady_share(small_posterior) == pytest.approx(1.0)
    curve = small_posterior.curves["cosine"]
    rates, seen, total, kept = curve.schedule.lr, 0.0, 0.0, True
    for update, rate in enumerate(rates[: curve.steps[-1]], start=1):
        total += rate
        kept = kept and (update <= curve.schedule.warmup_steps or rate > 0.95 * rates.max())
        if kept and update in curve.steps:
            seen = total
    alone = replace(small_posterior, curves=CurveSet(curves=(curve,)))
    assert steady_share(alone) == pytest.approx(seen / total, rel=1e-9)
    assert 0.2 < steady_share(alone) < 0.33
    assert status(alone, "constant stretch in the runs") == "REVIEW"
    # what is planned but not observed does not count
    early = small_posterior.curves["constant"]
    short = replace(small_posterior, curves=CurveSet(curves=(curve, early.take(early.steps <= 300))))
    assert status(short, "constant stretch in the runs") == "REVIEW"


def test_a_stretch_of_noisy_losses_is_no_misfit(small_curves):
    """Training losses: over a short cool-down they fall by less than they scatter. A run that is off is found still."""
    rng = np.random.default_rng(1)
    cosine = small_curves["cosine"]
    short = [replace(cosine.take(cosine.steps > 1200), name=f"short{k}") for k in range(4)]
    curves = [
        replace(curve, loss=curve.loss + 0.3 * rng.standard_normal(len(curve))) for curve in (*small_curves, *short)
    ]
    found = fit(CurveSet(curves=tuple(curves)), method="laplace", seed=0, progress=False)
    assert status(found, "distance of fit and losses") == "PASS"
    off = [replace(curve, loss=curve.loss + (3.0 if curve.name == "short0" else 0.0)) for curve in found.curves]
    assert status(replace(found, curves=CurveSet(curves=tuple(off))), "distance of fit and losses") == "FAIL"


def test_a_schedule_that_the_log_contradicts_is_said_by_the_check_as_well(small_posterior, tmp_path):
    curve = small_posterior.curves["cosine"]
    rates = curve.schedule.lr[np.minimum(curve.steps, 1999)]
    rows = [f"{step},{loss},{rate}" for step, loss, rate in zip(curve.steps, curve.loss, rates, strict=True)]
    log = tmp_path / "cosine.csv"
    log.write_text("\n".join(["step,loss,lr", *rows]))
    with pytest.warns(ScheduleMismatchWarning):
        (wrong,) = read_logs(log, schedule="constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)")
    curves = [replace(one, metadata=wrong.metadata) if one.name == "cosine" else one for one in small_posterior.curves]
    found = replace(small_posterior, curves=CurveSet(curves=tuple(curves)))
    assert status(found, "agreement of schedules and logs") == "REVIEW"
    assert not [item for item in check(small_posterior).checks if item.name == "agreement of schedules and logs"]
