"""What a notebook shows of each object: well-formed, with the object's numbers, and nothing of the user's as markup."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import bayeslr as bl
from bayeslr import markup
from bayeslr.forecast.shown import comparison_html, comparison_text, forecast_html, forecast_text
from bayeslr.inference.shown import health_html

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
VOID = {"br", "rect", "path", "polygon", "polyline"}


class Balanced(HTMLParser):
    """Collects the text, and demands that every tag is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(html):
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    return " ".join(parser.words), parser.tags


@pytest.fixture(scope="module")
def forecast(small_posterior):
    plans = {"<b>wsd</b>": bl.schedules.wsd(decay_steps=500, **COMMON), "cosine": bl.schedules.cosine(**COMMON)}
    return bl.predict(small_posterior, plans, seed=1, num_draws=200)


def test_a_schedule_shows_a_line_and_its_ends():
    text, tags = read(bl.schedules.cosine(**COMMON)._repr_html_())
    assert "svg" in tags
    assert "2,000 steps" in text
    assert "peak 0.001 to" in text


def test_curves_show_a_row_each(small_curves):
    text, tags = read(small_curves._repr_html_())
    assert all(curve.name in text for curve in small_curves)
    assert f"{small_curves.curves[0].loss[-1]:.4f}" in text
    assert "table" in tags
    assert small_curves.curves[0].name in read(small_curves.curves[0]._repr_html_())[0]


def test_a_forecast_shows_final_losses_and_bands(forecast):
    final = forecast.final_loss()
    text, tags = read(forecast_html(forecast))
    for shown in (text, forecast_text(forecast)):
        assert all(f"{final.loc[name, 'median']:.4f}" in shown for name in forecast.names)
    assert {"svg", "polygon", "table"} <= tags
    assert "b" not in tags, "names of the user are text"
    assert "<b>wsd</b>" in text


def test_a_comparison_shows_who_wins(forecast):
    comparison = bl.compare_schedules(forecast)
    text, _ = read(comparison_html(comparison))
    for shown in (text, comparison_text(comparison)):
        assert f"{comparison.p_best['cosine']:.3f}" in shown
        assert f"{comparison.differences['median'][0]:+.4f}" in shown


def test_a_posterior_shows_parameters_and_health(small_posterior):
    text, _ = read(small_posterior._repr_html_())
    short = repr(small_posterior)
    for shown in (text, short):
        assert "Posterior of 3 runs of the size small" in shown
        assert bl.check(small_posterior).status in shown
        assert f"{small_posterior.draws['alpha'].mean():.3f}" in shown
    assert "discrepancy" not in short
    assert len(short.splitlines()) <= 40


def test_every_object_shows_itself_in_a_few_lines(small_posterior, forecast):
    comparison, health = bl.compare_schedules(forecast), bl.check(small_posterior)
    shown = [small_posterior, forecast, comparison, health, forecast.schedules["cosine"], small_posterior.curves]
    for thing in shown:
        assert len(repr(thing).splitlines()) <= 40
        assert len(repr(thing)) < 4000
        read(thing._repr_html_())
    assert repr(forecast) == forecast_text(forecast)
    assert list(health.to_dataframe()["status"]) == [item.status for item in health.checks]
    assert small_posterior.to_dataframe().equals(small_posterior.summary())
    assert comparison.to_dataframe().loc["cosine", "p_best"] == comparison.p_best["cosine"]


def test_a_backtest_shows_means():
    row = {"split": "a", "forecaster": "bayeslr", "run": "r", "size": "s", "n": 3, "health": "PASS", "missing": ""}
    scores = dict.fromkeys(bl.evaluation.backtest.__globals__["SCORES"], 0.25)
    result = bl.Backtest(runs=pd.DataFrame([row | scores]), pit=pd.DataFrame())
    assert "bayeslr" in repr(result)
    assert "0.25" in read(result._repr_html_())[0]
    assert len(repr(result).splitlines()) <= 5


def test_health_shows_each_check(small_posterior):
    health = bl.check(small_posterior)
    text, _ = read(health_html(health))
    assert all(item.name in text and item.evidence in text for item in health.checks)


def test_many_schedules_stay_short(small_posterior):
    plans = {f"plan {k}": bl.schedules.wsd(decay_steps=100 + 20 * k, **COMMON) for k in range(60)}
    many = bl.predict(small_posterior, plans, seed=1, num_draws=50, steps={name: [2000] for name in plans})
    assert len(forecast_text(many).splitlines()) <= 40
    assert len(comparison_text(bl.compare_schedules(many)).splitlines()) <= 40
    text, _ = read(forecast_html(many))
    assert "and 48 more schedules" in text


def test_bands_are_drawn_where_they_are():
    steps = np.arange(1, 11) * 10.0
    flat = np.ones(10)
    html = markup.bands([(steps, flat, flat + 1, flat + 2)], label="x", width=146, height=118)
    # the axis is 94 wide from 46 on, and the loss of the median lies in the middle of its 100 points
    assert "140.0,50.0" in html
    assert read(html)[0].split()[-1] == "100"
