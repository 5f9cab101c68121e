"""Every answer says what it rests on: the runs, how far beyond them was asked, and the health of the fit."""

from dataclasses import replace

import pytest

from bayeslr.errors import ExtrapolationWarning
from bayeslr.forecast import compare, next_run, optimize, reach, watch
from bayeslr.forecast.questions import cautions, rests_on
from bayeslr.inference import Check, Health, check
from bayeslr.schedules import constant, cosine, wsd

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
TARGET = wsd(decay_steps=500, **COMMON)
FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=100..1900)"
LENGTHS = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=800..4000, decay_steps=20%)"


def asked(posterior, kind):
    settings = {"seed": 0, "num_draws": 200}
    match kind:
        case "optimize":
            return optimize(posterior, FAMILY, points=3, **settings)
        case "reach":
            return reach(posterior, LENGTHS, loss=2.9, points=3, **settings)
        case "next_run":
            return next_run(posterior, TARGET, {"cosine": cosine(**COMMON)}, **settings)
        case _:
            return compare(posterior, {"wsd": TARGET, "cosine": cosine(**COMMON)}, **settings)


@pytest.mark.parametrize("kind", ["optimize", "reach", "next_run", "compare"])
def test_every_answer_says_what_it_rests_on(small_posterior, kind):
    found = asked(small_posterior, kind)
    assert found.basis in found.sentences
    assert "3 runs of up to 1,980 steps, peak rate 0.001" in found.basis
    assert found.basis.endswith(f"Health of the fit: {check(small_posterior).status}.")
    assert found.basis in found.to_dict()["sentences"]


def test_how_far_beyond_the_runs_was_asked(small_posterior):
    # a warm-up from zero counts half; the runs were seen up to step 1,980
    further, ratio = constant(**COMMON | {"total_steps": 9800}), (9800 - 50) / (1980 - 50)
    told = rests_on(small_posterior, [TARGET, further], None)
    far = f"was asked for up to 9,800 steps, {ratio:.1f} times the area (sum of rates) of the longest of them"
    assert f"{far}, beyond the 4" in told
    assert "they may be too narrow" in told
    near = rests_on(small_posterior, [constant(**COMMON | {"total_steps": 4000})], None)
    assert "of the longest of them, within the 4 times up to which intervals are tested: they widen with it" in near
    assert "was asked no further than they go" in rests_on(small_posterior, [TARGET], None)
    # many updates at a low rate are no large sum of rates, and yet many updates
    slow = rests_on(small_posterior, [constant(**COMMON | {"total_steps": 4000, "peak_lr": 2e-4})], None)
    assert "was asked for up to 4,000 steps, at rates so low that their sum goes no further" in slow


def test_other_sizes_and_other_peaks_are_told(small_posterior):
    with pytest.warns(ExtrapolationWarning, match=r"0\.0013"):
        found = next_run(
            small_posterior,
            wsd(decay_steps=500, **COMMON | {"peak_lr": 1.3e-3}),
            {"cosine": cosine(**COMMON)},
            seed=0,
            num_draws=200,
        )
    assert any("no run of this size has the peak rate 0.0013" in line for line in found.warnings)
    several = replace(
        small_posterior,
        settings={**small_posterior.settings, "health": ["the fit failed: told in an earlier warning"]},
    )
    assert "told in an earlier warning" in " ".join(asked_with_warnings(several).warnings)


def test_a_failed_check_is_said_once_with_what_to_do(small_posterior):
    told = "do not trust this fit yet: largest R-hat 2"
    health = Health(checks=(Check(name="agreement of chains", status="FAIL", evidence="R-hat 2", advice="run longer"),))
    failed = replace(small_posterior, settings={**small_posterior.settings, "health": [told]})
    failed.__dict__["health"] = health
    lines = cautions(failed, [told], ())
    assert lines == ("do not trust this fit yet (FAIL): agreement of chains: R-hat 2 -> run longer",)


@pytest.mark.parametrize("kind", ["optimize", "reach", "next_run", "compare", "watch"])
def test_the_seed_has_a_default_and_is_kept(small_posterior, kind):
    calls = {
        "optimize": lambda **k: optimize(small_posterior, FAMILY, points=3, num_draws=200, **k),
        "reach": lambda **k: reach(small_posterior, LENGTHS, loss=2.9, points=3, num_draws=200, **k),
        "next_run": lambda **k: next_run(small_posterior, TARGET, {"a": cosine(**COMMON)}, num_draws=200, **k),
        "compare": lambda **k: compare(small_posterior, {"a": TARGET, "b": cosine(**COMMON)}, num_draws=200, **k),
        "watch": lambda **k: watch(small_posterior, None, TARGET, num_draws=200, **k),
    }
    default, given, other = calls[kind](), calls[kind](seed=0), calls[kind](seed=7)
    assert default.to_dict() == given.to_dict()
    assert (default.seed, other.seed) == (0, 7)
    assert other.to_dict()["seed"] == 7
    if kind != "compare":
        assert "seed=0" in repr(default)


def asked_with_warnings(posterior):
    with pytest.warns(Warning, match="told in an earlier warning"):
        return asked(posterior, "optimize")
