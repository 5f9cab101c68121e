"""Tables fit 80 columns, round by what is known, and take the user's names literally."""

import numpy as np
import pandas as pd
import pytest

from bayeslr.report import tables


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
