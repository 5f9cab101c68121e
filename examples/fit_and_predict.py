"""Fit a posterior to three runs of one model, predict a fourth schedule, and draw its band.

Run it: ``uv run python examples/fit_and_predict.py``. The curves are simulated from the law with known parameters, so
that the prediction can be compared with the truth; replace ``simulated_runs`` by ``bl.read_curves("runs.csv")`` for
your own.
"""

import argparse

import numpy as np

import bayeslr as bl

TRUTH = {"L0": 2.6, "A": 0.45, "alpha": 0.5, "C": 0.45, "decay": 0.998}
PEAK, WARMUP = 3e-4, 500


def simulated_runs() -> bl.CurveSet:
    """Return three runs of 10,000 steps: constant, cosine, and a two-stage drop."""
    plans = {
        "constant": bl.schedules.constant(peak_lr=PEAK, warmup_steps=WARMUP, total_steps=10_000),
        "cosine": bl.schedules.cosine(peak_lr=PEAK, final_lr=PEAK / 10, warmup_steps=WARMUP, total_steps=10_000),
        "two-stage": bl.schedules.multistep(
            peak_lr=PEAK, warmup_steps=WARMUP, milestones=[6_000], lrs=[PEAK / 4], total_steps=10_000
        ),
    }
    rng = np.random.default_rng(0)
    return bl.CurveSet(curves=tuple(simulated(name, plan, rng) for name, plan in plans.items()))


def simulated(name: str, plan: bl.Schedule, rng: np.random.Generator) -> bl.LossCurve:
    """Measure the law every 100 steps, with the noise of a validation loss."""
    steps = np.arange(WARMUP + 100, plan.total_steps + 1, 100)
    loss = bl.laws.AnnealingLaw().loss(plan, steps, **TRUTH) + 0.001 * rng.standard_normal(steps.size)
    return bl.LossCurve(name=name, steps=steps, loss=loss, schedule=plan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000, help="draws a chain")
    parser.add_argument("--plot", default=None, help="where to write the picture")
    options = parser.parse_args()

    posterior = bl.fit(simulated_runs(), seed=0, num_samples=options.draws)
    print(posterior.summary().round(4).to_string())
    print(bl.check(posterior), "\n")

    plan = bl.schedules.wsd(peak_lr=PEAK, warmup_steps=WARMUP, decay_steps=4_000, total_steps=20_000)
    forecast = bl.predict(posterior, {"wsd": plan}, seed=1)
    truth = bl.laws.AnnealingLaw().loss(plan, np.array([plan.total_steps]), **TRUTH)[0]
    print(forecast.final_loss(ci_prob=0.9).round(4).to_string())
    print(f"true final loss {truth:.4f}")
    if options.plot:
        bl.plots.plot_bands(forecast).savefig(options.plot)


if __name__ == "__main__":
    main()
