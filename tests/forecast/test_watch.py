"""A run that is watched: what is kept, what an alarm is, and how often one is given for nothing."""

import json
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslr.curves import Setup
from bayeslr.errors import DataWarning, FitWarning, PosteriorError
from bayeslr.forecast import load_watch, predict, replay, watch
from bayeslr.forecast.looks import Look, Watch
from bayeslr.forecast.watch import _held
from bayeslr.logs import read_logs
from bayeslr.report import tables
from bayeslr.report.answers import watch_table
from bayeslr.schedules import constant, wsd

PLAN = wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=500)


@pytest.fixture(scope="module")
def run(small_posterior, small_curves):
    """A run as the model thinks it possible: a draw of the forecast."""
    steps = small_curves["constant"].steps
    forecast = predict(small_posterior, {"run": PLAN}, steps=steps, seed=11, num_draws=400)
    return replace(small_curves["constant"], name="new", loss=forecast.observed["run"][7], schedule=PLAN)


@pytest.fixture(scope="module")
def watched(small_posterior, run):
    with said_to_be_approximate():
        return replay(small_posterior, run, shares=(0.3, 0.6), method="laplace", seed=0)


@contextmanager
def said_to_be_approximate():
    """It is said that fits are approximations; how good they are, which is said as well, does not matter here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        yield
    assert any(issubclass(each.category, FitWarning) and "Laplace" in str(each.message) for each in caught)


def test_every_forecast_is_kept_and_held_against_what_followed(watched, run):
    table = watched.to_dataframe()
    seen = run.steps[run.steps <= 1200]
    assert list(table["step"]) == [0, seen[seen <= 600][-1], seen[-1]]
    assert list(table["seen"]) == [(seen <= 600).sum(), ((seen > 600) & (seen <= 1200)).sum(), 0]
    assert not watched.alarm
    assert table["p_value"].min() > 0.01
    assert table["width"].iloc[-1] < table["width"].iloc[0]
    assert watched.looks[-1].band["step"].iloc[0] == seen[-1] + 1
    assert json.loads(json.dumps(watched.to_dict()))["alarm"] is False
    assert "The run follows its forecast" in watched.sentences[1]
    assert any("quick approximation" in line for line in watched.warnings)
    assert len(repr(watched)) < 120


def test_it_is_written_and_read_again(watched, tmp_path):
    path = watched.save(tmp_path / "run.watch.json")
    read = load_watch(path)
    pd.testing.assert_frame_equal(read.to_dataframe(), watched.to_dataframe())
    np.testing.assert_allclose(read.plan.lr, watched.plan.lr, rtol=1e-12)
    np.testing.assert_allclose(read.looks[-1].draws, watched.looks[-1].draws, atol=1e-6)
    assert read.warnings == watched.warnings
    for text, found in (("{}", "not a file written by watch"), ('{"bayeslr_watch": 9}', "format 9")):
        path.write_text(text)
        with pytest.raises(PosteriorError, match=found):
            load_watch(path)
    with pytest.raises(PosteriorError, match="cannot be read"):
        load_watch(tmp_path / "none.json")


def test_a_run_that_leaves_its_band_gives_an_alarm_without_a_fit(small_posterior, watched, run):
    """What is new is held against the last forecast; with a long interval between fits, none is made."""
    late = run.steps <= 1300
    off = replace(run.take(late), loss=(run.loss + np.where(run.steps > 1200, 0.2, 0.0))[late])
    with said_to_be_approximate():
        found = watch(small_posterior, off, PLAN, past=watched, every=1000, seed=0)
    assert len(found.looks) == len(watched.looks)
    assert found.alarm
    assert found.sentences[0].startswith("ALARM: since step")
    assert "higher" in found.sentences[0]
    assert "counts for little" in found.sentences[1]
    assert found.looks[-1].outside == 1.0


def made(draws):
    """A watch whose forecast is given."""
    steps = np.arange(1, draws.shape[1] + 1)
    lower, median, upper = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    band = pd.DataFrame({"step": steps, "median": median, "lower": lower, "upper": upper})
    look = Look(step=0, final={"median": 0.0, "lower": -1.0, "upper": 1.0}, band=band, draws=draws)
    plan = constant(peak_lr=1.0, total_steps=draws.shape[1])
    return Watch(plan=plan, looks=(look,), last_step=0, last_loss=np.nan, ci_prob=0.9, alarm_below=0.05)


def test_a_single_spike_is_no_alarm(small_posterior, watched, run):
    """One of the new losses is two nats too high, also the newest; a run whose last third is too high is off."""
    seen = run.steps > watched.last_step
    assert seen.sum() >= 6
    spikes = [np.where(run.steps == run.steps[seen][k], run.loss + 2.0, run.loss) for k in (0, 2, -1)]
    late = np.where(run.steps > run.steps[seen][-seen.sum() // 3], run.loss + 1.0, run.loss)
    found = [_held(watched, replace(run, loss=loss)) for loss in (run.loss, *spikes, late)]
    assert [one.alarm for one in found] == [False, False, False, False, True]


def test_a_forecast_that_nothing_followed_is_held_against_nothing(small_curves):
    """The table shows dashes there, and elsewhere the share and the probability that the sentence has."""
    rng = np.random.default_rng(1)
    base = made(np.cumsum(rng.standard_normal((400, 40)), axis=1))
    curve = replace(small_curves["constant"], steps=np.arange(2, 41), loss=np.full(39, 30.0), schedule=base.plan)
    held = _held(base, curve)
    last = tables.as_text([watch_table(base)]).splitlines()[-1].split()
    assert last[-3:] == ["0", "-", "-"]
    *_, seen, outside, chance, state = tables.as_text([watch_table(held)]).splitlines()[-1].split()
    assert (seen, state) == ("39", "ALARM")
    assert f"with probability {chance}." in held.sentences[0]
    assert outside.endswith("%")


def test_alarms_come_as_often_as_their_level_says(small_curves):
    """Curves that wander like the draws do, 400 of them: about a twentieth gives an alarm."""
    rng = np.random.default_rng(0)
    draws = np.cumsum(rng.standard_normal((800, 40)), axis=1)
    base, alarms = made(draws[:400]), []
    for row in draws[400:]:
        curve = replace(small_curves["constant"], steps=np.arange(2, 42)[:39], loss=row[1:], schedule=base.plan)
        alarms.append(_held(base, curve).alarm)
    assert 0.02 < np.mean(alarms) < 0.09


def test_logs_and_plans_that_do_not_fit_are_refused(small_posterior, watched, run):
    with pytest.raises(PosteriorError, match="one that grows"):
        watch(small_posterior, run.take(run.steps <= 500), PLAN, past=watched, seed=0)
    with pytest.raises(PosteriorError, match="not that of the forecasts so far"):
        watch(small_posterior, None, constant(peak_lr=1e-3, total_steps=2000), past=watched, seed=0)
    with pytest.raises(PosteriorError, match="no share"):
        replay(small_posterior, run, shares=(), seed=0)


def test_warnings_name_the_code_that_asked(small_posterior, run):
    with pytest.warns(FitWarning) as said:
        replay(small_posterior, run, shares=(0.1,), method="laplace", seed=0)
    assert {warning.filename for warning in said} == {__file__}


NEWS = pytest.mark.filterwarnings("ignore::bayeslr.errors.ExtrapolationWarning")


@NEWS
def test_what_was_said_of_the_run_is_kept_for_the_next_look(small_posterior, run, tmp_path):
    """Of a log that does not say its weight decay, the first look is told; a look that is not is the same."""
    early = replace(run.take(run.steps <= 700), weight_decay=None, metadata={})
    first = watch(small_posterior, None, PLAN, weight_decay=0.3, size=small_posterior.sizes[0], seed=0)
    kept = load_watch(first.save(tmp_path / "kept.json"))
    assert (kept.setup.batch_size, kept.setup.weight_decay, kept.size) == (None, 0.3, small_posterior.sizes[0])
    with said_to_be_approximate():
        found = [
            watch(small_posterior, early, PLAN, past=past, method="laplace", seed=0, **said)
            for past, said in ((kept, {}), (first, {"weight_decay": 0.3}), (replace(first, setup=Setup()), {}))
        ]
    assert [look.setup.weight_decay for look in found] == [0.3, 0.3, None]
    told, again, other = [look.to_dataframe()["median"].iloc[-1] for look in found]
    assert told == again != other
    several = replace(small_posterior, model=replace(small_posterior.model, pooling="complete"))
    for what, said in (("weight_decay 0.2", {"weight_decay": 0.2}), ("size 3000000.0", {"size": 3e6})):
        with pytest.raises(PosteriorError, match=f"found {what}, but the forecasts so far"):
            watch(several, early, PLAN, past=kept, seed=0, **said)
    added = watch(small_posterior, None, PLAN, past=first, batch_size=64.0, seed=0)
    assert added.setup == Setup(weight_decay=0.3, batch_size=64.0)


@NEWS
def test_a_run_that_is_replayed_has_its_own_setup(small_posterior, run):
    own = replace(run, weight_decay=0.3, batch_size=7.0)
    assert replay(small_posterior, own, shares=(0.01,), seed=0).setup == Setup(weight_decay=0.3, batch_size=7.0)


@pytest.mark.parametrize("lost", ["nan", "0.0"])
def test_a_run_that_diverged_gives_an_alarm(small_posterior, run, tmp_path, lost):
    """Its log goes on, without losses; until then it followed its forecast, and read again it still is an alarm."""
    rows = [f"{step},{loss if step <= 900 else lost}" for step, loss in zip(run.steps, run.loss, strict=True)]
    log = tmp_path / "run.csv"
    log.write_text("\n".join(["step,loss", *rows]))
    with pytest.warns(DataWarning, match="the run diverged"):
        (observed,) = read_logs(log, schedule=PLAN)
    found = watch(small_posterior, observed, PLAN, every=10_000, seed=0)
    assert found.alarm
    assert found.sentences[0].startswith(f"ALARM: after step {observed.steps[-1]} the log has no loss any more")
    assert load_watch(found.save(tmp_path / "kept.json")).alarm
    # one loss that is missing is no divergence
    log.write_text("\n".join(["step,loss", *rows[:20], f"{run.steps[20]},{lost}"]))
    with pytest.warns(DataWarning):
        (observed,) = read_logs(log, schedule=PLAN)
    assert not watch(small_posterior, observed, PLAN, every=10_000, seed=0).alarm
