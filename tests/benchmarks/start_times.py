"""How long a reader waits: imports and the commands that answer at once, each in a process of its own.

``uv run python tests/benchmarks/start_times.py [POSTERIOR.nc] [--repeat 5]`` prints the least of some times in seconds,
of the clock and of the processor (which says more on a busy machine), beside those of ``import numpy`` in the same run.
Without a posterior it fits runs that ship with the package.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMON = "peak_lr=8e-3, warmup_steps=200"
WSD = f"wsd({COMMON}, decay_steps=3000, total_steps=12000)"
COSINE = f"cosine({COMMON}, total_steps=12000)"
FIT = """
import sys, bayeslr as bl
curves = bl.datasets.load("tiny_lm", where="size == '80k' and split == 'train'")
bl.fit(curves, method="laplace").save(sys.argv[1], force=True)
"""


def seconds(command, repeat):
    """The least times of a command, of the clock and of the processor; the first run, with cold caches, is not one."""
    # compiled modules are kept, as they are wherever a program was installed to be used
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    found = []
    for _ in range(repeat + 1):
        started, used = time.perf_counter(), _processor()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, env=environment, **quiet)
        found.append((time.perf_counter() - started, _processor() - used))
    return [min(times) for times in zip(*found[1:], strict=True)]


def _processor():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("posterior", nargs="?", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        posterior = options.posterior or Path(folder) / "posterior.nc"
        if options.posterior is None:
            subprocess.run([sys.executable, "-c", FIT, str(posterior)], check=True, stderr=subprocess.DEVNULL)
        program = [sys.executable, "-m", "bayeslr"]
        commands = {
            "import numpy": [sys.executable, "-c", "import numpy"],
            "import bayeslr": [sys.executable, "-c", "import bayeslr"],
            "import jax, numpyro": [sys.executable, "-c", "import jax, numpyro"],
            "bayeslr --help": [*program, "--help"],
            "bayeslr predict": [*program, "predict", str(posterior), "--schedule", WSD],
            "bayeslr compare": [*program, "compare", str(posterior), "--schedule", WSD, "--schedule", COSINE],
        }
        print(f"{'':22}  clock  processor   load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for name, command in commands.items():
            clock, processor = seconds(command, options.repeat)
            print(f"{name:22}{clock:7.2f}{processor:11.2f}", flush=True)


if __name__ == "__main__":
    main()
