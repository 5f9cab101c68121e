"""The page on extending the library: its code runs as it stands there."""

import importlib
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bayeslr as bl
from bayeslr.curves import CurveSet
from bayeslr.errors import BayeslrWarning, ModelError
from bayeslr.laws import rate_removed

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
MODULES = {found[1]: block for block in BLOCKS if (found := re.match(r"# (\w+)\.py\n", block))}
TRUTH = {"level": 2.9, "slope": 0.1, "power": 0.55, "gain": 0.12}


def block(containing):
    """The block that has some text and is no module of its own."""
    (found,) = [text for text in BLOCKS if containing in text and text not in MODULES.values()]
    return found


def by_formula(schedule, steps, area):
    """The loss of the page's law, in plain NumPy."""
    covered = np.cumsum(schedule.lr)[steps - 1] / area
    removed = rate_removed(schedule, steps) / schedule.peak_lr
    forward = TRUTH["slope"] / TRUTH["power"] * (covered ** -TRUTH["power"] - 1.0)
    return TRUTH["level"] + forward - TRUTH["gain"] * removed


@pytest.fixture(scope="module")
def area(small_curves):
    return float(np.sum(small_curves["constant"].schedule.lr))


@pytest.fixture(scope="module")
def names(small_curves, area, tmp_path_factory):
    """What the code of the page finds and makes, in a folder with the page's modules."""
    folder, rng = tmp_path_factory.mktemp("page"), np.random.default_rng(3)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    curves = CurveSet(
        curves=tuple(
            replace(c, loss=by_formula(c.schedule, c.steps, area) + 0.001 * rng.standard_normal(len(c)))
            for c in small_curves
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.chdir(folder)
        yield {"curves": curves}
    for name in MODULES:
        sys.modules.pop(name, None)


def run(text, names):
    with warnings.catch_warnings():
        # of the approximation, which the page says is for trying out
        warnings.simplefilter("ignore", BayeslrWarning)
        exec(compile(text, PAGE.name, "exec"), names)


@pytest.fixture(scope="module")
def with_law(names):
    run(block("bl.check"), names)
    return names


@pytest.fixture(scope="module")
def with_errors(with_law):
    fitted = dict(with_law)
    run(block("from my_errors"), fitted)
    return fitted


def test_no_block_is_left_out():
    """Each block is a module or has a test below."""
    tested = ("bl.check", "bl.backtest", "from my_errors", "from my_logs", '"all.csv"', "posterior.save", "to_netcdf")
    assert sorted(MODULES) == ["my_errors", "my_law", "my_logs"]
    assert [block(text) for text in tested] == [text for text in BLOCKS if text not in MODULES.values()]
    assert len(MODULES["my_law"].splitlines()) <= 60


def test_the_law_finds_what_made_the_curves(with_law, area):
    draws = with_law["posterior"].sample()
    for name, value in TRUTH.items():
        assert abs(draws[name].mean() - value) < 4.0 * draws[name].std(), name
        assert draws[name].std() < 0.15 * value, name
    statuses = {item.name: item.status for item in bl.check(with_law["posterior"]).checks}
    assert statuses["agreement of priors and data"] == statuses["size of the law's errors"] == "PASS"
    final = with_law["forecast"].final_loss().loc["wsd"]
    truth = by_formula(with_law["plan"], np.array([2000]), area)[0]
    assert final["lower"] < truth < final["upper"]
    assert final["upper"] - final["lower"] < 0.05


@pytest.mark.slow
def test_it_is_backtested_beside_others(with_law):
    names = dict(with_law)
    run(block("bl.backtest"), names)
    result = names["result"]
    assert result.forecasters == ("instant", "multi-power", "point fit")
    assert (result.runs["missing"] == "").all()
    # of curves that its own law made
    assert result.mean["mae"]["instant"] < 0.005


def test_the_error_model_is_the_one_that_runs(with_errors):
    posterior = with_errors["posterior"]
    assert set(posterior.sample_effects()) == {"effect_offset"}
    assert posterior.sample_effects()["effect_offset"].shape[1:] == (3, 1)
    assert {"discrepancy_offset", "discrepancy_wander"} < set(posterior.summary().index)


@pytest.mark.parametrize("kept", ["law", "errors"])
def test_a_file_refuses_it_as_the_page_says(with_law, with_errors, kept):
    names = dict(with_law if kept == "law" else with_errors)
    with pytest.raises(ModelError) as caught:
        run(block("posterior.save"), names)
    if kept == "law":
        (shown,) = re.findall(r"^ModelError: (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert str(caught.value) == shown
    assert not Path("posterior.nc").exists()
    run(block("to_netcdf"), names)
    assert Path("draws.nc").stat().st_size > 0
    assert Path("bands.csv").read_text().startswith("schedule,step,lr,mean,median,lower,upper\n")


def test_logs_of_a_new_format_become_curves(names):
    original = {curve.name: curve for curve in names["curves"] if curve.name != "drops"}
    for name, curve in original.items():
        rates = curve.schedule.lr[curve.steps - 1]
        lines = [
            f"12:00:{k % 60:02d} update {step} on gpu0 ce={loss!r} eta={rate!r}\n"
            for k, (step, loss, rate) in enumerate(
                zip(curve.steps.tolist(), curve.loss.tolist(), rates.tolist(), strict=True)
            )
        ]
        Path(f"{name}.mylog").write_text("".join(["warming up\n", *lines]))
    found = dict(names)
    run(block("from my_logs"), found)
    whole = found["curves"]
    run(block('"all.csv"'), found)
    for curves in (whole, found["curves"]):
        assert curves.names == tuple(original)
        for name, curve in original.items():
            np.testing.assert_array_equal(curves[name].steps, curve.steps)
            np.testing.assert_array_equal(curves[name].loss, curve.loss)
            assert curves[name].schedule.peak_lr == pytest.approx(1e-3, rel=2e-3)
    again = importlib.import_module("my_logs").read_my_logs(["cosine.mylog"], schedules=original["cosine"].schedule)
    assert again["cosine"].schedule == original["cosine"].schedule
