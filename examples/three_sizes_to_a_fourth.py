"""Fit three model sizes together and predict a size that was never trained.

Run it: ``uv run python examples/three_sizes_to_a_fourth.py``. The curves are simulated from a law whose level falls as
a power of the parameters, so that the prediction of the fourth size can be compared with the truth.
"""

import argparse

import numpy as np

import bayeslr as bl

PEAK, WARMUP, STEPS = 1e-3, 200, 6_000
LAW = bl.laws.AnnealingLaw()


def truth(params: float) -> dict[str, float]:
    """Return the law's parameters of a size."""
    return {"L0": 1.8 + 12.0 * params**-0.16, "A": 0.55, "alpha": 0.5, "C": 0.4, "decay": 0.997}


def runs_of(params: float, rng: np.random.Generator) -> list[bl.LossCurve]:
    """Return a constant and a cosine run of a size."""
    plans = {
        "constant": bl.schedules.constant(peak_lr=PEAK, warmup_steps=WARMUP, total_steps=STEPS),
        "cosine": bl.schedules.cosine(peak_lr=PEAK, final_lr=PEAK / 10, warmup_steps=WARMUP, total_steps=STEPS),
    }
    steps = np.arange(WARMUP + 60, STEPS + 1, 60)
    return [
        bl.LossCurve(
            name=f"{params:.0e} {name}",
            steps=steps,
            loss=LAW.loss(plan, steps, **truth(params)) + 0.001 * rng.standard_normal(steps.size),
            schedule=plan,
            params=params,
        )
        for name, plan in plans.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000, help="draws a chain")
    options = parser.parse_args()

    rng = np.random.default_rng(1)
    curves = bl.CurveSet(curves=tuple(run for params in (1e7, 3e7, 1e8) for run in runs_of(params, rng)))
    posterior = bl.fit(curves, seed=0, num_samples=options.draws)
    print(posterior.summary(var_names=["L0", "alpha", "decay"]).round(4).to_string())
    print(bl.check(posterior), "\n")

    plan = bl.schedules.wsd(peak_lr=PEAK, warmup_steps=WARMUP, decay_steps=1_200, total_steps=STEPS)
    for params in (3e7, 3e8):
        forecast = bl.predict(posterior, plan, size=params, seed=2)
        low, high = forecast.final_loss(ci_prob=0.9)[["lower", "upper"]].to_numpy()[0]
        true = LAW.loss(plan, np.array([STEPS]), **truth(params))[0]
        seen = "trained" if params in posterior.params else "never trained"
        print(f"{params:.0e} parameters ({seen}): 90% interval {low:.4f} to {high:.4f}, truth {true:.4f}")


if __name__ == "__main__":
    main()
