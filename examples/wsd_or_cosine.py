"""Compare WSD with cosine under uncertainty: which ends lower, how sure is that, and what does a wrong choice cost?

Run it: ``uv run python examples/wsd_or_cosine.py``. With your own logs:
``--manifest runs.csv --where "size == '25M'"``.
"""

import argparse

from fit_and_predict import PEAK, WARMUP, simulated_runs

import bayeslr as bl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000, help="draws a chain")
    parser.add_argument("--manifest", default=None, help="manifest of your own runs")
    parser.add_argument("--where", default=None, help="which of them")
    parser.add_argument("--steps", type=int, default=20_000, help="horizon to compare at")
    options = parser.parse_args()

    curves = bl.read_curves(options.manifest, where=options.where) if options.manifest else simulated_runs()
    posterior = bl.fit(curves, seed=0, num_samples=options.draws)

    peak = PEAK if options.manifest is None else max(curve.schedule.peak_lr for curve in curves)
    shape = {"peak_lr": peak, "warmup_steps": WARMUP, "total_steps": options.steps}
    plans = {
        "cosine to 10%": bl.schedules.cosine(final_lr=peak / 10, **shape),
        "cosine to 0": bl.schedules.cosine(final_lr=0.0, **shape),
        "wsd 10%": bl.schedules.wsd(decay_steps=options.steps // 10, **shape),
        "wsd 20%": bl.schedules.wsd(decay_steps=options.steps // 5, **shape),
        "wsd 20% 1-sqrt": bl.schedules.wsd(decay_steps=options.steps // 5, decay="1-sqrt", **shape),
    }
    comparison = bl.compare_schedules(bl.predict(posterior, plans, seed=1))
    table = comparison.final_loss[["median", "lower", "upper"]]
    table = table.assign(p_best=comparison.p_best, expected_regret=comparison.expected_regret)
    print(table.round(4).to_string(), "\n")
    print(comparison.differences.round(4).to_string(index=False))
    for message in comparison.warnings:
        print("note:", message)


if __name__ == "__main__":
    main()
