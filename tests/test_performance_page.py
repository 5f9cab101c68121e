"""The tables of docs/performance.md are those of docs/performance.json."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"
spec = importlib.util.spec_from_file_location("benchmark_page", FOLDER / "benchmark_page.py")
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)


def test_the_page_shows_the_measured_figures():
    source = page.DOCS / "performance.json"
    if not source.exists():
        pytest.skip("nothing has been measured yet")
    kept = json.loads(source.read_text(encoding="utf-8"))
    assert page.written() == page.tables(kept), "write it anew with: uv run python tests/benchmarks/benchmark_page.py"
    assert not kept["machine"]["quick"]


def test_rates_are_effective_draws_by_seconds():
    row = {"ess": 400.0, "sampling_s": 2.0, "process_s": 10.0, "leapfrogs": 7.0}
    found = {
        "default": row | {"fit_cold_s": 5.0, "fit_warm_s": 3.0},
        "by_hand_features": row,
        "by_hand": row | {"ess": None},
    }
    gradient = {"by_hand": {"gradient_s": 30.0}, "by_hand_features": {"gradient_s": 3.0}}
    rates = page.rates(found, gradient)
    assert rates["default"]["rate"] == 200.0
    assert rates["default"]["wall_rate"] == pytest.approx(400.0 / 7.0)  # the second fit of the process does not count
    assert rates["by_hand"]["rate"] is None
    assert rates["by_hand, computed"]["sampling_s"] == 20.0
    assert rates["by_hand, computed"]["rate"] == 20.0


def test_costs_of_laws_are_the_least_of_all_rounds_relative_to_the_first(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    costs = importlib.import_module("law_costs")
    jobs = []

    def launch(name, /, **settings):
        jobs.append((name, settings.get("case"), settings.get("model")))
        times = {"a": 2.0 - 0.1 * len(jobs), "b": 5.0}
        if name == "gradients_of_laws":
            return {law: 1e-6 * times[law] for law in settings["laws"]}
        time = times[settings["model"]]
        return {"fit_cold_s": 10.0 * time, "fit_warm_s": time, "predict_again_s": 0.1 * time}

    monkeypatch.setattr(costs, "launch", launch)
    found = costs.least([costs.measured(["a", "b"], quick=False) for _ in range(2)])
    assert jobs[:7] == [
        ("gradients_of_laws", None, None),
        ("fit", "three_runs", "a"),
        ("fit", "three_runs", "b"),
        ("fit", "eighteen_runs", "a"),
        ("fit", "eighteen_runs", "b"),
        ("forecast", None, "a"),
        ("forecast", None, "b"),
    ]
    assert found["a"]["gradient"] == pytest.approx(2.0 - 0.8)
    assert found["b"]["cold_18"] == 50.0
    shown = costs.table({law: dict.fromkeys(costs.COLUMNS, value) for law, value in (("a", 2.0), ("b", 5.0))}, 1000)
    assert shown.splitlines()[0].startswith("| law |")
    assert "1,000 forecasts s" in shown
    assert shown.count("2 (1.00)") == shown.count("5 (2.50)") == len(costs.COLUMNS)
