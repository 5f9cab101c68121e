"""How much faster are chains on a GPU? Prints the seconds of a fit by CPU and GPU for 1 to 4096 chains.

    pip install "bayeslr[cuda]"
    python examples/gpu_benchmark.py                # all of it; --quick for a few numbers in a minute
    python examples/gpu_benchmark.py --runs 300 --chains 4

The posterior is that of simulated runs (three, or as many as `--runs` says), in float64 on both. Each device runs
chains as a fit does by default: in parallel on the CPU's cores, all at once on a GPU. "First" is a fit in a process
that has compiled nothing for as many chains, "again" one of the same shapes after it. Judging by the numbers of chains
before, a device stops where a fit would take longer than `--limit`: the table has dashes then.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings

import numpy as np

import bayeslr as bl

CHAINS = (1, 4, 16, 64, 256, 1024, 4096)
PLATFORMS = {"cpu": "cpu", "gpu": "cuda"}


def curves(runs=3):
    """Return simulated runs, by turns constant, cosine and WSD."""
    truth = {"L0": 2.628, "A": 0.429, "alpha": 0.550, "C": 0.411, "decay": 0.999}
    rng, found = np.random.default_rng(0), []
    for k in range(runs):
        length = 12_000 + 400 * (k // 3)
        common = {"peak_lr": 2e-4, "warmup_steps": 500, "total_steps": length}
        plan = (
            bl.schedules.constant(**common),
            bl.schedules.cosine(final_lr=2e-5, **common),
            bl.schedules.wsd(decay_steps=2400, **common),
        )[k % 3]
        steps = np.arange(600, length + 1, 100)
        loss = bl.AnnealingLaw().loss(plan, steps, **truth) + 0.001 * rng.standard_normal(steps.size)
        found.append(bl.LossCurve(name=f"run{k}", steps=steps, loss=loss, schedule=plan))
    return bl.CurveSet(curves=tuple(found))


def measure(runs, chains, draws, limit):
    """Print chains, seconds of the first fit and of the next, until a fit would take longer than the limit."""
    data, before = curves(runs), None
    for count in chains:
        seconds = []
        for seed in (0, 1):
            begun = time.perf_counter()
            bl.fit(data, seed=seed, num_chains=count, num_samples=draws, progress=False)
            seconds.append(time.perf_counter() - begun)
        print(count, *seconds, flush=True)
        growth = seconds[1] / before if before else 1.0
        before = seconds[1]
        if growth * before > limit:
            break


def on(device, options):
    """Measure in a process of its own that sees one device; return seconds by number of chains."""
    command = [sys.executable, __file__, "--measure", "--draws", str(options.draws), "--limit", str(options.limit)]
    command += ["--runs", str(options.runs), "--chains", *map(str, options.chains)]
    print(f"on the {device.upper()} ...", file=sys.stderr)
    environment = os.environ | {"JAX_PLATFORMS": PLATFORMS[device]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{device}: {(done.stderr.strip() or f'ended with {done.returncode}').splitlines()[-1]}")
    rows = (line.split() for line in done.stdout.splitlines())
    return {int(row[0]): (float(row[1]), float(row[2])) for row in rows}


def has_gpu():
    """Whether JAX finds a GPU."""
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices('cuda')"], capture_output=True, env=os.environ
    )
    return done.returncode == 0


def show(found, chains):
    """Print the table."""
    print(f"{'chains':>8} {'CPU first':>10} {'again s':>9} {'GPU first':>10} {'again s':>9} {'CPU/GPU':>9}")
    for count in chains:
        rows = [found.get(device, {}).get(count) for device in ("cpu", "gpu")]
        cells = [f"{row[0]:10.2f} {row[1]:9.2f}" if row else f"{'-':>10} {'-':>9}" for row in rows]
        ratio = f"{rows[0][1] / rows[1][1]:9.2f}" if all(rows) else f"{'-':>9}"
        print(f"{count:8d} {cells[0]} {cells[1]} {ratio}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one and eight chains of 50 draws")
    parser.add_argument("--draws", type=int, default=250, help="draws a chain")
    parser.add_argument("--runs", type=int, default=3, help="simulated runs that are fitted")
    parser.add_argument("--chains", type=int, nargs="+", default=CHAINS, help="numbers of chains, ascending")
    parser.add_argument("--limit", type=float, default=120.0, help="the longest fit that is worth waiting for, seconds")
    parser.add_argument("--device", choices=("cpu", "gpu"), help="one device alone")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.draws, options.chains = 50, (1, 8)
    if options.measure:
        warnings.simplefilter("ignore")
        measure(options.runs, options.chains, options.draws, options.limit)
        return
    devices = [options.device] if options.device else ["cpu", "gpu"]
    if "gpu" in devices and not has_gpu():
        if options.device:
            sys.exit('no GPU: JAX finds none (with one, install "bayeslr[cuda]")')
        print('no GPU: JAX finds none (with one, install "bayeslr[cuda]"); seconds on the CPU alone')
        devices = ["cpu"]
    show({device: on(device, options) for device in devices}, options.chains)


if __name__ == "__main__":
    main()
