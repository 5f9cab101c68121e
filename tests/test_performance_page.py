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
