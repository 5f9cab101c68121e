"""The demonstration tells what was predicted and what was measured."""

from collections import Counter

import pytest

from bayeslr.cli import demo
from bayeslr.datasets import load
from bayeslr.inference import fit
from bayeslr.report import tables


@pytest.mark.filterwarnings("ignore::bayeslr.errors.BayeslrWarning")
def test_the_demo_predicts_what_was_not_fitted(monkeypatch):
    asked = {}

    def quick(curves, **settings):
        asked["fitted"] = curves.names
        return fit(curves, **settings, method="laplace")

    def table(rows, **settings):
        asked["rows"] = rows.set_index("run")
        return tables.demo_table(rows, **settings)

    monkeypatch.setattr(demo, "fit", quick)
    monkeypatch.setattr(demo, "demo_table", table)
    shown = demo.run(seed=0, num_samples=100)
    out = tables.as_text(shown.text)
    assert {name.partition("/")[0] for name in asked["fitted"]} == {"25k", "80k", "200k"}
    curves = load("tiny_lm", where="split == 'test'")
    for curve in curves:
        (line,) = [line for line in out.splitlines() if line.startswith(f"{curve.name} ")]
        step, measured, median, lower, upper, error, inside = line.split()[1:]
        assert int(step.replace(",", "")) == curve.schedule.total_steps
        assert float(measured) == pytest.approx(curve.loss[-1], abs=5.1e-4)
        assert float(error) == pytest.approx(float(median) - float(measured), abs=1.1e-3)
        # the verdict is that of the numbers before they were rounded
        exact = asked["rows"].loc[curve.name]
        assert (float(lower), float(upper)) == pytest.approx((exact["lower"], exact["upper"]), abs=5.1e-4)
        assert (inside == "yes") == (exact["lower"] <= curve.loss[-1] <= exact["upper"])
    held = sum(line.endswith(" yes") for line in out.splitlines())
    assert f"{held} of {len(curves)} final losses" in out
    missed = Counter(line.partition("/")[0] for line in out.splitlines() if line.endswith(" no"))
    told = ", ".join(f"{count} of {size}" for size, count in missed.items())
    assert f"(the others: {told})" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert max(map(len, tables.as_text(demo.NEXT_STEPS).splitlines())) <= 80
    assert len(shown.figure.axes) == 5  # losses, rates, and measured minus predicted loss of three runs
