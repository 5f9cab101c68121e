"""The page to send: its numbers are the library's, it needs no other file, and no name in it can break it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import bayeslr as bl
from bayeslr.curves import CurveSet
from bayeslr.errors import BayeslrError
from bayeslr.report.html.parts import run_rows

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
PLANS = {"wsd": bl.schedules.wsd(decay_steps=500, **COMMON), "<b>'cosine'": bl.schedules.cosine(**COMMON)}
FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=100..1900)"
VOID = {"meta", "link", "br", "img", "path", "use"}


class Reader(HTMLParser):
    """Collects links and text, and checks that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given[key] for key in ("href", "src", "xlink:href", "action", "data") if key in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def optimum(small_posterior):
    return bl.optimize(small_posterior, FAMILY, seed=1, points=7)


@pytest.fixture(scope="module")
def page(small_posterior, optimum):
    scores = {"forecaster": "bayeslr", "mean": {"runs": 3, "coverage_90": 0.91, "final_in_90": 1.0, "mae": 0.004}}
    return bl.report(
        small_posterior,
        PLANS,
        seed=1,
        num_draws=800,
        decisions=[optimum],
        measured=[small_posterior.curves["constant"]],
        backtest=scores,
        commands=["bayeslr report small.nc"],
    )


def test_its_numbers_are_those_of_the_library(page, small_posterior, optimum):
    forecast = bl.predict(small_posterior, PLANS, seed=1, num_draws=800)
    final = forecast.final_loss()
    text = " ".join(read(page.html).text)
    for name, row in final.iterrows():
        assert page.numbers["final_loss"][name]["median"] == row["median"]
        for key in ("median", "lower", "upper"):
            assert f"{row[key]:.4f}" in text
    for sentence in optimum.sentences:
        assert sentence in text
    embedded = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', page.html, re.DOTALL)[1]
    assert json.loads(embedded) == json.loads(json.dumps(page.numbers))
    assert "91%" in text
    assert len(page.to_dataframe()) == 2
    assert len(repr(page)) < 120


def test_it_asks_for_nothing_and_is_small(page):
    found = read(page.html)
    assert all(link.startswith(("#", "data:")) for link in found.links)
    assert not re.search(r"@import|url\((?!#)", page.html)
    assert len(found.ids) == len(set(found.ids))
    assert len(page.html.encode()) < 2_000_000
    assert {f"#{name}" for name in found.ids} >= {link for link in found.links if link.startswith("#")}


def test_names_are_text(page):
    assert "<b>'cosine'" not in page.html
    assert "<b>'cosine'" in "".join(read(page.html).text)


def test_one_schedule_has_a_question_of_its_own(small_posterior):
    page = bl.report(small_posterior, PLANS["wsd"], seed=1, num_draws=200)
    assert "How low does the loss get" in page.html
    assert page.numbers["comparison"] is None
    assert "is expected to end at" in page.numbers["answer"][0]


def test_it_is_written_once(page, tmp_path):
    path = page.save(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == page.html
    with pytest.raises(BayeslrError, match="exists"):
        page.save(path)
    page.save(path, force=True)


def test_a_backtest_without_means_is_refused(small_posterior):
    with pytest.raises(BayeslrError, match="lacks its means"):
        bl.report(small_posterior, PLANS, seed=1, num_draws=200, backtest={"runs": []})


def test_runs_without_a_label_have_a_size_as_elsewhere(small_curves):
    rows = run_rows(CurveSet(curves=tuple(replace(curve, size=None, params=31e6) for curve in small_curves)))
    assert {row["size"] for row in rows} == {"31M"}
