"""What a gradient, a fit, effective draws, a forecast and a backtest cost, beside what a user would otherwise write."""

import os

import pytest
from benchmark_cases import quick, three_runs
from benchmark_jobs import launch

pytestmark = pytest.mark.timeout(4 * 3600)
QUICK = quick()
SYSTEMS = ("default", "no discrepancy", "by_hand", "by_hand_features", "pymc", "pymc_scaled")
DRAWS = 100 if QUICK else 1000
# plain NUTS by hand adapts a thousand steps by NumPyro's convention, nutpie four hundred
BUDGET_S = 15.0 if QUICK else float(os.environ.get("BAYESLR_BENCH_BUDGET", "600"))


def once(benchmark, name, /, **settings):
    """Run a job under pytest-benchmark, which keeps the seconds of the process and the figures."""
    found = benchmark.pedantic(launch, args=(name,), kwargs=settings, rounds=1, iterations=1)
    benchmark.extra_info.update(found or {"timeout": True})
    return found


@pytest.mark.parametrize("name", SYSTEMS)
def test_gradient(name, benchmark, figures):
    found = once(benchmark, "gradient", name=name, evaluations=50 if QUICK else 500)
    figures.setdefault("gradient", {})[name] = found
    assert found["gradient_s"] > 0


@pytest.mark.parametrize("model", ["default", "no discrepancy"])
def test_effective_draws_of_the_library(model, benchmark, figures, tmp_path):
    """Three processes: nothing compiled yet, everything compiled, and as a floor no sampler at all."""
    settings = {"case": "three_runs", "model": model, "num_samples": DRAWS}
    cold = once(benchmark, "fit", cache=tmp_path, **settings)
    cached = launch("fit", cache=tmp_path, **settings)
    figures.setdefault("data", {})["fit"] = three_runs()[1]
    figures.setdefault("ess", {})[model] = cold | {
        "cached_s": cached["fit_cold_s"],
        "cached_process_s": cached["process_s"],
    }
    assert cold["ess"] > 0


@pytest.mark.parametrize("name", SYSTEMS[2:])
def test_effective_draws_of_peers(name, benchmark, figures):
    warmup = 100 if QUICK else (400 if name.startswith("pymc") else 1000)
    found = once(benchmark, "peer", name=name, num_warmup=warmup, num_samples=DRAWS, budget_s=BUDGET_S)
    figures.setdefault("ess", {})[name] = found
    assert found["sampling_s"] > 0


def test_laplace_is_the_floor(benchmark, figures):
    found = once(benchmark, "fit", case="three_runs", num_samples=DRAWS, method="laplace")
    figures.setdefault("ess", {})["laplace"] = found


def test_hierarchical_fit(benchmark, figures):
    settings = {"num_samples": 50 if QUICK else 1000, "timeout_s": 3000.0, "cache": None}
    found = once(benchmark, "fit", case="eighteen_runs", **settings)
    figures.setdefault("hierarchy", {})["default"] = found
    assert found is not None


@pytest.mark.parametrize("schedules", [10, 20 if QUICK else 1000])
def test_forecast(schedules, benchmark, figures):
    found = once(benchmark, "forecast", schedules=schedules, num_samples=DRAWS)
    figures.setdefault("forecast", {})[str(schedules)] = found
    assert found["schedules"] == schedules


def test_refits_compile_once(benchmark, figures):
    """Refits that leave one of nine runs out: the first compiles, the others do not (a piece of a second at most)."""
    found = once(benchmark, "refits", cache=None, folds=3 if QUICK else 9, num_samples=50 if QUICK else 250)
    figures.setdefault("refits", {})["nine"] = found
    assert found["longest_compile_s"][0] > 0


@pytest.mark.parametrize("case", ["three_runs", "eighteen_runs"])
def test_parts_of_a_gradient(case, benchmark, figures):
    found = once(benchmark, "profile", case=case)
    figures.setdefault("profile", {})[case] = found
    whole, *less = [time_us for _, time_us, _ in found["parts"]]
    assert min(less) < whole
