"""What an import loads: libraries come with the names that need them."""

import subprocess
import sys

import pytest

HEAVY = ("jax", "numpyro", "numpy", "pandas", "xarray", "scipy", "arviz_base", "arviz_stats", "matplotlib", "typer")
# nothing on the way from a posterior file to a band needs these; together they take as long to load as JAX
ABSENT = (
    "bayeslr.logs",
    "scipy.stats",
    "scipy.signal",
    "matplotlib",
    "arviz_plots",
    "numba",
    "jinja2",
    "tensorboard",
    "wandb",
)


def loaded(code):
    """Run code in a fresh process, and return the names of the modules that it has loaded."""
    # a lazy module is in sys.modules before it is loaded: what counts is its code
    tell = "; import sys; print(*(n for n, m in list(sys.modules.items()) if type(m).__name__ != '_LazyModule'))"
    done = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_front_door_loads_nothing_heavy():
    assert not loaded("import bayeslr").intersection(HEAVY)


@pytest.mark.timeout(300)
def test_the_way_to_a_prediction_is_light():
    found = loaded("import bayeslr as bl; bl.load_posterior; bl.predict; bl.compare_schedules; bl.schedules.wsd")
    assert "numpyro" in found
    assert not found.intersection(ABSENT)
