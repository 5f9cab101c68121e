"""Tables fit 80 columns, round by what is known, and take the user's names literally."""

import numpy as np
import pandas as pd
import pytest

from bayeslr.report import demo, tables


def final(names):
    rows = {
        name: {"step": 24_000, "mean": 2.5, "sd": 0.01, "median": 2.5, "lower": 2.4, "upper": 2.6} for name in names
    }
    return pd.DataFrame.from_dict(rows, orient="index")


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (2.62834, 0.029, "2.628"),
        (2.62834, 0.0029, "2.6283"),
        (5.48, 4.1, "5.5"),
        (0.99903, 0.0001, "0.99903"),
        (0.000163, 0.00011, "1.63e-4"),
        (1234.5, 310.0, "1234"),
        (float("nan"), 1.0, "-"),
        (3.14159, 0.0, "3.142"),
    ],
)
def test_numbers_are_rounded_by_their_sd(value, sd, text):
    row = {"mean": value, "sd": sd, "lower": 0.0, "upper": 0.0, "ess_bulk": 10.0, "ess_tail": np.nan, "r_hat": np.nan}
    out = tables.as_text([tables.summary_table(pd.DataFrame([row], index=["x"]), ci_prob=0.9)])
    assert out.splitlines()[-1].split()[1] == text
    assert out.splitlines()[-1].split()[-2:] == ["-", "-"]


def test_a_laplace_approximation_says_so():
    row = {"mean": 1.0, "sd": 0.1, "lower": 0.8, "upper": 1.2}
    row |= dict.fromkeys(("ess_bulk", "ess_tail", "r_hat"), np.nan)
    summary = pd.DataFrame([row], index=["x"])
    assert "Laplace" not in tables.as_text([tables.summary_table(summary, ci_prob=0.9)])
    summary.attrs["method"] = "laplace"
    out = tables.as_text([tables.summary_table(summary, ci_prob=0.9)])
    said = "Laplace approximation: draws of the Gaussian at the mode, not of the posterior"
    assert " ".join(out.split()).startswith(said)
    assert "nan" not in out


@pytest.mark.parametrize("name", ["[small]", "[bold]wsd[/bold]", ":smile:", "a" * 200, "größe"])
def test_names_are_literal_and_fit(name):
    out = tables.as_text([tables.final_loss_table(final([name]), ci_prob=0.9), f"warning: {name} is odd"])
    assert max(map(len, tables.as_text([tables.final_loss_table(final([name]), ci_prob=0.9)]).splitlines())) <= 80
    assert name in "".join(out.split()) or name in out


def test_text_is_wrapped_at_words():
    lines = tables.as_text(["word " * 60]).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) > 3


def test_the_demo_simulates_the_law_that_it_names():
    curves = demo.simulate(demo.FITTED, seed=0)
    constant = curves["constant"]
    area = np.cumsum(constant.schedule.lr)[constant.steps - 1]
    # at a constant rate nothing is annealed: the published L0, A and alpha alone
    np.testing.assert_allclose(constant.loss, 2.628 + 0.429 * area**-0.550, atol=0.005)
    twice = demo.simulate(demo.FITTED, seed=0)
    np.testing.assert_array_equal(twice["cosine"].loss, curves["cosine"].loss)


# the small posterior was fitted to other rates than the demonstration's
@pytest.mark.filterwarnings("ignore::bayeslr.errors.ExtrapolationWarning")
def test_the_demo_shows_prediction_and_truth(monkeypatch, small_posterior):
    asked = {}

    def fit(curves, **settings):
        asked["fitted"] = curves.names
        return small_posterior

    monkeypatch.setattr(demo, "fit", fit)
    shown = demo.run(seed=0)
    out = tables.as_text(shown.text)
    assert asked["fitted"] == ("constant", "cosine", "two-stage")
    assert "simulated" in out
    assert "12,000" in out
    assert max(map(len, out.splitlines())) <= 80
    assert max(map(len, tables.as_text(demo.NEXT_STEPS).splitlines())) <= 80
    assert len(shown.figure.axes) == 2
