"""Numbers are written in one way, whoever writes them."""

import re
from fractions import Fraction

import numpy as np
import pytest

import bayeslr as bl
from bayeslr.report import answers, tables
from bayeslr.written import chance, decimals, estimate, nominal, share

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=100..1900)"
LENGTHS = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=800..4000, decay_steps=20%)"
NUMBER = re.compile(r"(?:[<>]?0\.\d{3}\b|\d+\.\d%)(?!\d)")


@pytest.mark.parametrize("draws", [7, 200, 4000])
def test_what_adds_up_to_one_does_so_when_written(draws):
    """Counts over draws: a split such as .1845 and .8155 is .185 and .815, never .18 and .81, or .184 and .816."""
    for k in range(draws + 1):
        one, other = k / draws, 1.0 - k / draws
        texts = chance(one), chance(other)
        if any(text.startswith(("<", ">")) for text in texts):
            assert texts in {("<0.001", ">0.999"), (">0.999", "<0.001")}
            assert min(one, other) < 0.0005
        else:
            assert sum(map(Fraction, texts)) == 1
            assert abs(float(texts[0]) - one) <= 0.0005 + 1e-9
        assert sum(Fraction(share(x).removesuffix("%")) for x in (one, other)) == 100


def test_certainty_is_not_written():
    assert (chance(0.0), chance(1.0), chance(0.0004), chance(0.9996)) == ("<0.001", ">0.999", "<0.001", ">0.999")
    assert chance(float("nan")) == share(float("nan")) == decimals(float("nan")) == "-"


def test_losses_and_intervals():
    assert (decimals(2.83125001), decimals(0.012, signed=True), nominal(0.9), nominal(0.995)) == (
        "2.8313",
        "+0.0120",
        "90%",
        "99.5%",
    )
    assert estimate({"median": 2.8, "lower": 2.7, "upper": 2.9}, 0.5) == "2.8000 (50% interval 2.7000 to 2.9000)"


def test_small_losses_are_not_written_as_none():
    assert [decimals(x) for x in (1.2546e-6, 4.99e-5, 5e-5, 0.0, -2e-7)] == [
        "1.25e-06",
        "4.99e-05",
        "0.0001",
        "0.0000",
        "-2.00e-07",
    ]
    assert decimals(2e-6, signed=True) == "+2.00e-06"
    small = {"median": 1.1e-6, "lower": 1e-6, "upper": 1.2e-6}
    assert estimate(small, 0.9) == "1.10e-06 (90% interval 1.00e-06 to 1.20e-06)"


def both(answer, shown):
    """The estimated probabilities and shares of an answer's sentences, and those of its tables."""
    # a schedule that is written down has numbers of its own
    said = " ".join(line for line in answer.sentences if line != answer.basis and " as a schedule: " not in line)
    return set(NUMBER.findall(said)), set(NUMBER.findall(tables.as_text(shown)))


def test_sentences_write_what_tables_show(small_posterior):
    """Every probability and every estimated share of a sentence stands in the table, digit by digit."""
    plans = {"wsd": bl.schedules.wsd(decay_steps=500, **COMMON), "other": bl.schedules.wsd(decay_steps=900, **COMMON)}
    compared = bl.compare(small_posterior, plans)
    best = bl.optimize(small_posterior, FAMILY, points=9)
    needed = bl.reach(small_posterior, LENGTHS, loss=2.9, points=9)
    useful = bl.next_run(small_posterior, plans["wsd"], {"a": bl.schedules.cosine(**COMMON)}, num_draws=1000)
    for answer, shown in (
        (compared, tables.comparison_tables(compared.comparison, ci_prob=0.9)),
        (best, [answers.optimum_table(best)]),
        (needed, [answers.reach_table(needed)]),
        (useful, [answers.next_run_table(useful)]),
    ):
        said, shown_numbers = both(answer, shown)
        assert said
        assert said <= shown_numbers, answer
    assert f"({share(useful.candidates['narrowing'].iloc[0])} narrower)" in " ".join(useful.sentences)


def test_a_report_writes_what_the_comparison_says(small_posterior):
    plans = {"wsd": bl.schedules.wsd(decay_steps=500, **COMMON), "other": bl.schedules.wsd(decay_steps=900, **COMMON)}
    page = bl.report(small_posterior, plans, num_draws=200)
    found = bl.compare(small_posterior, plans, num_draws=200)
    texts = [chance(p) for p in found.comparison.p_best]
    cells = re.findall(r"<td>([<>&lgt;]*0\.\d{3})</td>", page.html)
    assert set(texts) <= {cell.replace("&lt;", "<").replace("&gt;", ">") for cell in cells}
    assert any(f"with probability {texts[int(np.argmax(found.comparison.p_best))]}" in line for line in found.sentences)
