"""Benchmarks run only where their folder is named: ``uv run --group peers pytest -n 0 tests/benchmarks``.

Their figures go to ``docs/performance.json`` and from there into ``docs/performance.md``. With BAYESLR_BENCH_QUICK=1
everything runs with tiny settings, to see that it works, and the figures go to a temporary folder.
"""

import importlib.metadata
import json
import os
import platform
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"


def pytest_configure(config):
    """Refuse to measure two things at once."""
    if (
        _named(config)
        and config.getoption("numprocesses", None)
        and os.environ.get("BAYESLR_BENCH_QUICK", "0") in ("", "0")
    ):
        raise pytest.UsageError("benchmarks are measured one at a time; allowed: -n 0")


def pytest_ignore_collect(collection_path, config):
    """Leave the benchmarks out of the default suite."""
    return None if _named(config) or collection_path == HERE else True


def _named(config):
    wanted = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    return any(path == HERE or HERE in path.parents for path in wanted)


@pytest.fixture(scope="session")
def figures(tmp_path_factory):
    """Figures by table; what is measured replaces the table of an earlier session, the other tables stay."""
    import benchmark_page
    from benchmark_cases import quick

    folder = tmp_path_factory.mktemp("docs") if quick() else DOCS
    target = folder / "performance.json"
    kept = json.loads(target.read_text()) if target.exists() else {"tables": {}}
    yield kept["tables"]
    packages = ("bayeslr", "jax", "numpyro", "numpy", "scipy", "pymc", "nutpie", "numba")
    kept["machine"] = {"cpu": _cpu(), "cores": os.process_cpu_count(), "memory_gb": _memory(), "quick": quick()}
    kept["versions"] = {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in packages}
    target.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    benchmark_page.draw(kept, folder / "images" / "scaling.png")
    if not quick():
        benchmark_page.write(kept)
    print(f"\nfigures: {target}\n{benchmark_page.tables(kept)}")


def _cpu():
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
