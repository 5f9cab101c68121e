"""How costs grow with the length of a run, observations, runs, sizes and chains."""

import pytest
from benchmark_cases import quick
from benchmark_jobs import launch

pytestmark = pytest.mark.timeout(4 * 3600)
QUICK = quick()
TIMEOUT_S = 900.0


def measured(axis, value, figures, *, case_settings, points=64, fit=True, fit_settings=None, evaluations=200):
    """One place of an axis: the gradient, the features, and a whole fit."""
    settings = {"case": "simulated", "case_settings": case_settings}
    row = launch("gradient", name="default", evaluations=evaluations, points=points, **settings)
    if fit:
        settings["fit_settings"] = {"max_points_per_run": points} | (fit_settings or {})
        found = launch(
            "fit", num_samples=50 if QUICK else 1000, again=False, timeout_s=TIMEOUT_S, cache=None, **settings
        )
        row |= (
            {k: found[k] for k in ("fit_cold_s", "sampling_s", "ess", "leapfrogs", "divergences", "health")}
            if found
            else {}
        )
    figures.setdefault(axis, {})[str(value)] = row
    return row


@pytest.mark.parametrize("steps", [1_000, 100_000] if QUICK else [10**k for k in range(3, 8)])
def test_training_steps(steps, figures):
    """The gradient does not see them."""
    row = measured("steps", steps, figures, case_settings={"steps": steps, "observations": 100}, fit=not QUICK)
    by_hand = None
    if steps <= (1_000 if QUICK else 100_000):
        settings = {"case": "simulated", "case_settings": {"steps": steps, "observations": 100}}
        by_hand = launch("gradient", name="by_hand", evaluations=50, **settings)["gradient_s"]
    figures["steps"][str(steps)]["by_hand_gradient_s"] = by_hand
    assert row["gradient_s"] > 0


def test_training_steps_in_turn(figures):
    """One process, the lengths in turn: these gradients can be compared."""
    lengths = [1_000, 100_000] if QUICK else [10**k for k in range(3, 8)]
    found = launch("gradients_in_turn", steps=lengths, rounds=2 if QUICK else 40)
    for length in lengths:
        figures.setdefault("steps", {}).setdefault(str(length), {})["gradient_s"] = found[str(length)]
    seconds = [found[str(length)] for length in lengths]
    assert QUICK or max(seconds) < 1.3 * min(seconds)


@pytest.mark.parametrize("thinning", [True, False])
@pytest.mark.parametrize("observations", [100, 1_000] if QUICK else [10**k for k in range(2, 6)])
def test_observations(observations, thinning, figures):
    """Thinning keeps 64 of them; without it all are used."""
    measured(
        "observations, thinned" if thinning else "observations, all",
        observations,
        figures,
        case_settings={"steps": 200_000, "observations": observations},
        points=64 if thinning else 10**9,
        fit=not QUICK and (thinning or observations <= 1_000),
        evaluations=50 if thinning or observations <= 1_000 else 5,
    )


@pytest.mark.parametrize("runs", [1, 10] if QUICK else [1, 3, 10, 30, 100, 300])
def test_runs(runs, figures):
    measured("runs", runs, figures, case_settings={"runs": runs}, fit=not QUICK and runs <= 100, evaluations=50)


@pytest.mark.parametrize("sizes", [1, 2] if QUICK else [1, 2, 3, 5, 10])
def test_sizes(sizes, figures):
    measured("sizes", sizes, figures, case_settings={"runs": 3 * sizes, "sizes": sizes}, fit=not QUICK, evaluations=50)


@pytest.mark.parametrize("chains", [1, 8] if QUICK else [1, 4, 16, 64])
def test_chains(chains, figures):
    """Vectorised on one device."""
    found = launch(
        "fit",
        case="three_runs",
        num_samples=50 if QUICK else 250,
        again=False,
        timeout_s=TIMEOUT_S,
        fit_settings={"num_chains": chains, "chain_method": "vectorized", "num_warmup": 50 if QUICK else 250},
    )
    figures.setdefault("chains", {})[str(chains)] = found
