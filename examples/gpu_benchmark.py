"""How much faster are vectorised chains on a GPU? Prints the ratio of CPU and GPU for 1 to 4096 chains.

    pip install "bayeslr[cuda]"
    python examples/gpu_benchmark.py                # all of it; --quick for a few numbers in a minute

The posterior is that of three simulated runs, in float64 on both; the chains run side by side on one device
(chain_method="vectorized"). Each time is that of the second fit: nothing is compiled any more.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings

import numpy as np

import bayeslr as bl


def curves():
    """Three simulated runs."""
    truth = {"L0": 2.628, "A": 0.429, "alpha": 0.550, "C": 0.411, "decay": 0.999}
    common = {"peak_lr": 2e-4, "warmup_steps": 500, "total_steps": 12_000}
    plans = {
        "constant": bl.schedules.constant(**common),
        "cosine": bl.schedules.cosine(final_lr=2e-5, **common),
        "wsd": bl.schedules.wsd(decay_steps=2400, **common),
    }
    rng, found = np.random.default_rng(0), []
    for name, plan in plans.items():
        steps = np.arange(600, 12_001, 100)
        loss = bl.AnnealingLaw().loss(plan, steps, **truth) + 0.001 * rng.standard_normal(steps.size)
        found.append(bl.LossCurve(name=name, steps=steps, loss=loss, schedule=plan))
    return bl.CurveSet(curves=tuple(found))


def measure(chains, draws):
    """Seconds of a fit by vectorised chains, nothing to compile."""
    data, seconds = curves(), []
    for seed in (0, 1):
        begun = time.perf_counter()
        bl.fit(data, seed=seed, num_chains=chains, num_samples=draws, chain_method="vectorized")
        seconds.append(time.perf_counter() - begun)
    return seconds[-1]


def on(platform, chains, draws):
    """Measure in a process of its own that sees one platform."""
    command = [sys.executable, __file__, "--measure", str(chains), "--draws", str(draws)]
    done = subprocess.run(command, env=os.environ | {"JAX_PLATFORMS": platform}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{platform}, {chains} chains: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.split()[-1])


def has_gpu():
    """Whether JAX finds a GPU."""
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices('cuda')"], capture_output=True, env=os.environ
    )
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few chains and draws")
    parser.add_argument("--draws", type=int, default=250, help="draws a chain")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        warnings.simplefilter("ignore")
        print(measure(options.measure, options.draws))
        return
    gpu = has_gpu()
    if not gpu:
        print('no GPU: JAX finds none (with one, install "bayeslr[cuda]"); seconds on the CPU alone')
    print(f"{'chains':>8} {'CPU s':>9} {'GPU s':>9} {'CPU/GPU':>9}")
    draws = 50 if options.quick else options.draws
    for chains in (1, 8) if options.quick else tuple(4**k for k in range(7)):
        cpu = on("cpu", chains, draws)
        shown = f"{chains:8d} {cpu:9.2f}"
        if gpu:
            cuda = on("cuda", chains, draws)
            print(f"{shown} {cuda:9.2f} {cpu / cuda:9.2f}", flush=True)
        else:
            print(f"{shown} {'-':>9} {'-':>9}", flush=True)


if __name__ == "__main__":
    main()
