"""How good decisions are, measured: the command that docs/decisions takes its figures from.

    uv run python tests/evaluation/decisions.py                    everything, by Laplace's approximation
    uv run python tests/evaluation/decisions.py optimize reach     some of it
    uv run python tests/evaluation/decisions.py --method nuts      by sampling, which takes hours

- ``optimize``: loss that the chosen decay length costs against the best of those that were measured, beside rules of
  thumb, and whether the range of good choices holds what was measured;
- ``reach``: how often the interval of the length holds the truth, on simulated curves and on measured runs;
- ``next-run``: expected against realised narrowing of the target's interval, by fitting again with each candidate;
- ``watch``: six held-out runs looked at after 20, 40, 60 and 80% of their length;
- ``times``: how long answers take once everything is loaded and compiled.
"""

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from held_out import read
from scipy.interpolate import PchipInterpolator
from scipy.stats import spearmanr

from bayeslr import schedules
from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import BayeslrWarning
from bayeslr.evaluation import Split
from bayeslr.forecast import next_run, optimize, predict, reach, replay
from bayeslr.forecast.questions import expected_curves
from bayeslr.inference import Posterior, fit
from bayeslr.report.html import build_report

METHOD = "laplace"
DRAWS, ALL = 400, 1000
"""A chain: fewer than the default for fits that are made again and again, whose time is that of their draws; and the
default."""
WITHIN = 0.002
SAME_SEED = 0.001
"""By how much final losses of one recipe differ, as a standard deviation."""


@cache
def fitted(name: str, *, draws: int | None = None) -> tuple[Split, Posterior]:
    """A set of held-out runs, and the posterior of the others."""
    split = read(name)
    return split, fitted_to(split.train, draws=draws)


def fitted_to(curves: CurveSet, *, draws: int | None = None) -> Posterior:
    """A posterior of some curves, with all draws that the library makes unless told otherwise where it samples."""
    return fit(curves, seed=0, method=METHOD, num_samples=(draws or DRAWS) if METHOD == "laplace" else ALL)


def decay_share(curve: LossCurve) -> tuple[str, float] | None:
    """Shape and share of the decay of a WSD run, or of a constant one; None of others."""
    spec = curve.schedule.spec
    if spec.startswith("constant"):
        return "linear", 0.0
    if not spec.startswith("wsd"):
        return None
    arguments = dict(part.split("=") for part in spec[4:-1].split(", "))
    return arguments["decay"].strip("'"), int(arguments["decay_steps"]) / int(arguments["total_steps"])


def end_loss(curve: LossCurve) -> float:
    """Loss at the end of the schedule, by the last three measurements: logs of EPFL end 200 steps earlier, in which a
    short decay to zero gains up to 0.02."""
    total = curve.schedule.total_steps
    if curve.steps[-1] == total:
        return float(curve.loss[-1])
    line = np.polynomial.Polynomial.fit(curve.steps[-3:], curve.loss[-3:], 1)
    return float(line(total))


def measured_decays(curves: list[LossCurve], total: int) -> tuple[dict[float, float], float]:
    """Final losses by the share of a linear decay, and that of 1-sqrt over a fifth."""
    linear, root = {}, np.nan
    for curve in curves:
        found = decay_share(curve)
        if curve.schedule.total_steps != total or found is None or curve.steps[-1] < 0.98 * total:
            continue
        if found[0] == "linear":
            linear[found[1]] = end_loss(curve)
        elif found == ("1-sqrt", 0.2):
            root = end_loss(curve)
    return dict(sorted(linear.items())), root


def decay_cases() -> Iterator[tuple[str, Posterior, str | None, str, dict[float, float], float, int]]:
    """Sets whose decay lengths were measured: posterior, size, family, losses by share."""
    for name, peak in (("epfl-1e-3", "0.001"), ("epfl-5e-4", "0.0005")):
        split, posterior = fitted(name)
        for total in (15_000, 25_000, 35_000, 50_000):
            linear, root = measured_decays([*split.train, *split.test], total)
            ends = f"{0.05 * total:.0f}..{max(linear, default=0) * total:.0f}"
            family = f"wsd(peak_lr={peak}, warmup_steps=300, total_steps={total}, decay_steps={ends})"
            if len(linear) >= 4:
                yield f"{name}, {total:,} steps", posterior, None, family, linear, root, total
    split, posterior = fitted("tiny-lm")
    for size in ("25k", "80k", "200k", "450k"):
        runs = [curve for curve in [*split.train, *split.test] if curve.size == size]
        linear, root = measured_decays(runs, 4000)
        common = "peak_lr=0.008, final_lr=0.0008, warmup_steps=200, total_steps=4000"
        family = f"wsd({common}, decay_steps=200..{max(linear) * 4000:.0f})"
        params = next(curve.params for curve in runs)
        yield f"tiny-lm {size}", posterior, params, family, linear, root, 4000


def optimize_table() -> pd.DataFrame:
    """Measured regret of the chosen decay, and of rules of thumb, against the lowest of the measured losses."""
    rows = {}
    for label, posterior, size, family, linear, root, total in decay_cases():
        start = time.perf_counter()
        found = optimize(posterior, family, size=size, seed=0, within=WITHIN, probability=0.5)
        seconds = time.perf_counter() - start
        curve = PchipInterpolator(list(linear), list(linear.values()))
        lowest = min(linear.values())
        share = found.candidates.loc[found.best, "decay_steps"] / total
        ends = found.range("decay_steps")
        low, high = (np.nan, np.nan) if ends is None else (ends[0] / total, ends[1] / total)
        inside = {x for x in linear if low <= x <= high}
        good = {x for x, loss in linear.items() if loss - lowest <= WITHIN}
        nearly = {x for x, loss in linear.items() if loss - lowest <= WITHIN + SAME_SEED}
        rows[label] = {
            "chosen": share,
            "measured best": next(x for x, loss in linear.items() if loss == lowest),
            "regret": float(curve(share)) - lowest,
            "10%": linear.get(0.1, np.nan) - lowest,
            "20%": linear.get(0.2, np.nan) - lowest,
            "1-sqrt 20%": root - lowest,
            "from": low,
            "to": high,
            "inside": len(inside),
            "of them good": len(inside & nearly),
            "good": len(good),
            "of them inside": len(good & inside),
            "worst inside": float(curve(np.linspace(low, high, 50)).max()) - lowest,
            "expected": float(found.candidates.loc[found.best, "expected_regret"]),
            "seconds": seconds,
        }
        print(pd.DataFrame({label: rows[label]}).T.round(4).to_string(header=len(rows) == 1), flush=True)
    return pd.DataFrame(rows).T


def simulated(
    posterior: Posterior, plans: Mapping[str, schedules.Schedule], row: int, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return steps, what one draw of the posterior would log there, and what runs of the schedule have in common."""
    steps = {}
    for name, plan in plans.items():
        steps[name] = np.unique(np.linspace(plan.warmup_steps + 50, plan.total_steps, 60).astype(int))
    forecast = predict(posterior, plans, steps=steps, seed=seed)
    common = expected_curves(forecast)
    return {name: (steps[name], forecast.observed[name][row], common[name][row]) for name in plans}


def reach_simulated(count: int) -> pd.DataFrame:
    """Coverage of the length, where curves to fit and the truth come from one draw of a posterior."""
    split, posterior = fitted("mpl-25M")
    family = "wsd(peak_lr=3e-4, final_lr=3e-5, warmup_steps=2160, total_steps=12000..100000, decay_steps=20%)"
    members = {member.name: member.schedule for member in schedules.parse_family(family).members(points=25)}
    lengths = np.array([plan.total_steps for plan in members.values()], dtype=float)
    rows = []
    for k in range(count):
        trained = {curve.name: curve.schedule for curve in split.train}
        made = simulated(posterior, {**trained, **members}, 7 * k, seed=k)
        curves = [replace(c, steps=made[c.name][0], loss=made[c.name][1]) for c in split.train]
        ends = np.minimum.accumulate([made[name][2][-1] for name in members])
        truth = 30_000.0
        target = float(np.interp(truth, lengths, ends))
        found = reach(fitted_to(CurveSet(curves=tuple(curves))), family, loss=target, seed=0)
        rows.append({"truth": truth, **dict(zip(("lower", "median", "upper"), found.interval, strict=True))})
    table = pd.DataFrame(rows)
    table["held"] = (table["lower"] <= table["truth"]) & (table["truth"] <= table["upper"])
    return table


def reach_measured() -> pd.DataFrame:
    """Intervals of the length for losses that were measured at a known one."""
    rows = {}
    for name, peak, warmup in (("epfl-1e-3", 1e-3, 300), ("epfl-5e-4", 5e-4, 300)):
        split, posterior = fitted(name)
        for curve in split.test:
            found = decay_share(curve)
            if found is None or found[1] == 0.0 or curve.schedule.total_steps < 35_000:
                continue
            percent = f"{100 * found[1]:g}%"
            family = (
                f"wsd(peak_lr={peak}, warmup_steps={warmup}, total_steps=12000..150000, decay_steps={percent}, "
                f"decay='{found[0]}')"
            )
            rows[curve.name] = asked(posterior, family, curve)
    for name in ("mpl-25M", "mpl-100M"):
        split, posterior = fitted(name)
        for kind, tail in (("constant", ""), ("cosine", "final_lr=3e-5, ")):
            curve = next(c for c in split.test if c.name.endswith(f"{kind}_72000"))
            family = f"{kind}(peak_lr=3e-4, {tail}warmup_steps=2160, total_steps=12000..200000)"
            rows[curve.name] = asked(posterior, family, curve)
    return pd.DataFrame(rows).T


def asked(posterior: Posterior, family: str, curve: LossCurve) -> dict[str, float]:
    """How long a run must be to end where a measured one did: single runs, since it is one."""
    found = reach(posterior, family, loss=end_loss(curve), seed=0, question="run")
    lower, median, upper = found.interval
    truth = float(curve.schedule.total_steps)
    return {"truth": truth, "lower": lower, "median": median, "upper": upper, "held": lower <= truth <= upper}


def candidates_of(name: str) -> dict[str, schedules.Schedule]:
    """Runs of many kinds and lengths."""
    split, _ = fitted(name)
    peak = split.train.curves[0].schedule.peak_lr
    found = {}
    for total in (6_000, 12_000, 24_000, 48_000):
        common = {"peak_lr": peak, "warmup_steps": min(2160, total // 10), "total_steps": total}
        found[f"constant {total}"] = schedules.constant(**common)
        found[f"cosine {total}"] = schedules.cosine(**common)
        found[f"wsd 10% {total}"] = schedules.wsd(decay_steps=total // 10, **common)
        found[f"wsd 40% {total}"] = schedules.wsd(decay_steps=2 * total // 5, **common)
        found[f"1-sqrt 20% {total}"] = schedules.wsd(decay_steps=total // 5, decay="1-sqrt", **common)
        found[f"drop {total}"] = schedules.multistep(milestones=[total // 2], lrs=[0.2 * peak], **common)
    return found


def width(posterior: Posterior, target: schedules.Schedule) -> float:
    """Width of the 90% interval of what runs of the target have in common at its end."""
    forecast = predict(posterior, target, steps=np.array([target.total_steps]), seed=0, num_draws=4000)
    (ends,) = expected_curves(forecast).values()
    return float(np.diff(np.quantile(ends[:, -1], [0.05, 0.95]))[0])


def next_run_table(repeats: int) -> pd.DataFrame:
    """Expected narrowing, and that of fits with simulated curves of each candidate."""
    split, posterior = fitted("mpl-25M")
    target = next(c.schedule for c in split.test if c.name.endswith("cosine_72000"))
    candidates = candidates_of("mpl-25M")
    answer = next_run(fitted("mpl-25M", draws=ALL)[1], target, candidates, seed=0)
    now, rows = width(posterior, target), {}
    for name, plan in candidates.items():
        after = []
        for k in range(repeats):
            steps, loss, _ = simulated(posterior, {name: plan}, 11 * k, seed=100 + k)[name]
            curve = replace(split.train.curves[0], name="candidate", schedule=plan, steps=steps, loss=loss)
            after.append(width(fitted_to(CurveSet(curves=(*split.train, curve))), target))
        rows[name] = {"expected": answer.candidates.loc[name, "narrowing"], "realised": 1.0 - np.mean(after) / now}
        print(pd.DataFrame({name: rows[name]}).T.round(3).to_string(header=len(rows) == 1), flush=True)
    return pd.DataFrame(rows).T


def next_run_measured() -> pd.DataFrame:
    """The same with the curves that were measured: each held-out run of multi-power-law, to narrow the others."""
    rows = {}
    for name in ("mpl-25M", "mpl-100M"):
        split, posterior = fitted(name)
        for aim in ("cosine_72000", "wsdld_20000_24000"):
            target = next(c.schedule for c in split.test if c.name.endswith(aim))
            others = [c for c in split.test if not c.name.endswith(aim)]
            answer = next_run(fitted(name, draws=ALL)[1], target, {c.name: c.schedule for c in others}, seed=0)
            now = width(posterior, target)
            for curve in others:
                after = width(fitted_to(CurveSet(curves=(*split.train, curve))), target)
                expected = answer.candidates.loc[curve.name, "narrowing"]
                rows[f"{curve.name} for {aim}"] = {"expected": expected, "realised": 1.0 - after / now}
    return pd.DataFrame(rows).T


def watch_table() -> pd.DataFrame:
    """Final losses of six held-out runs in the forecasts at 20, 40, 60 and 80% of their length."""
    split, posterior = fitted("epfl-1e-3")
    ends = [f"wsd_{name}" for name in ("linear0.2_50000", "linear0.6_50000", "sqrt0.2_50000", "linear0.4_35000")]
    ends += [f"cos_{name}" for name in ("linear0_50000_to0", "sqrt0_50000_to10pct")]
    rows = []
    for end in ends:
        run = next(c for c in split.test if c.name.endswith(end))
        found = replay(posterior, run, shares=(0.2, 0.4, 0.6, 0.8), seed=0)
        table, measured = found.to_dataframe(), end_loss(run)
        table["share"] = np.round(table["share"], 1)
        table["held"] = (table["lower"] <= measured) & (measured <= table["upper"])
        rows.append(table.assign(run=end, error=table["median"] - measured))
        shown = ["run", "share", "median", "width", "error", "held", "p_value", "alarm"]
        print(rows[-1][shown].round(4).to_string(), flush=True)
    return pd.concat(rows)


def times_table() -> pd.DataFrame:
    """Seconds of answers, the second of two calls: as a clock has them, and of processors, which others do not slow."""
    split, posterior = fitted("mpl-25M", draws=ALL)
    common = {"peak_lr": 3e-4, "warmup_steps": 2160, "total_steps": 72_000}
    plans = {f"wsd {k}%": schedules.wsd(decay_steps=720 * k, **common) for k in (10, 20, 40)}
    plans["cosine"] = schedules.cosine(**common)
    family = "wsd(peak_lr=3e-4, warmup_steps=2160, total_steps=72000, decay_steps=5%..80%)"
    lengths = "wsd(peak_lr=3e-4, warmup_steps=2160, total_steps=20000..200000, decay_steps=20%)"
    best = optimize(posterior, family, seed=0)
    asked = {
        "optimize, 41 choices": lambda: optimize(posterior, family, seed=0),
        "reach, 41 lengths": lambda: reach(posterior, lengths, loss=3.15, seed=0),
        "next-run, 10 candidates": lambda: next_run(posterior, plans["cosine"], seed=0),
        "report, 4 schedules": lambda: build_report(posterior, plans, seed=0, decisions=[best], measured=split.test),
    }
    rows = {}
    for name, answer in asked.items():
        answer()
        wall, processors = time.perf_counter(), time.process_time()
        answer()
        rows[name] = {"clock": time.perf_counter() - wall, "processors": time.process_time() - processors}
    return pd.DataFrame(rows).T


def run(name: str, count: int) -> None:
    """Print one part."""
    if name == "optimize":
        table = optimize_table()
        print(table.round(4).to_string())
        print(table[["regret", "10%", "20%", "1-sqrt 20%"]].mean().round(4).to_string())
        inside, right, good, held = table[["inside", "of them good", "good", "of them inside"]].sum().astype(int)
        print(
            f"measured shares in the ranges: {inside}, {right} of them within {WITHIN} of the best up to a seed's luck"
        )
        print(f"measured shares within {WITHIN} of the best: {good}, {held} of them in the ranges")
    elif name == "reach":
        table = reach_measured()
        print(table.to_string())
        print(f"measured: {int(table['held'].sum())} of {len(table)} lengths in their 90% interval")
        table = reach_simulated(count)
        print(f"simulated: {int(table['held'].sum())} of {len(table)}, median ratio of ends", end=" ")
        print(f"{(table['upper'] / table['lower']).median():.2f}, median error of the middle", end=" ")
        print(f"{(np.log(table['median'] / table['truth'])).abs().median():.1%}")
    elif name == "next-run":
        for label, table in (("simulated", next_run_table(max(count // 30, 1))), ("measured", next_run_measured())):
            print(table.round(3).to_string())
            print(f"{label}: rank correlation {spearmanr(table['expected'], table['realised']).statistic:.2f}")
    elif name == "times":
        print(times_table().round(2).to_string())
    else:
        table = watch_table()
        grouped = table.groupby("share")
        held, mean_width, alarms = grouped["held"].sum(), grouped["width"].mean(), grouped["alarm"].sum()
        print(pd.DataFrame({"held": held, "width": mean_width, "alarms": alarms}))


def main() -> None:
    global METHOD, DRAWS
    parts = ("optimize", "reach", "next-run", "watch", "times")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=[], help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--method", choices=("laplace", "nuts"), default="laplace")
    parser.add_argument(
        "--count", type=int, default=30, help="simulations of reach; next-run makes one of each candidate for every 30"
    )
    parser.add_argument("--draws", type=int, default=DRAWS, help="a chain, of the fits by Laplace's approximation")
    arguments = parser.parse_args()
    METHOD, DRAWS = arguments.method, arguments.draws
    with warnings.catch_warnings(), pd.option_context("display.width", 240, "display.max_columns", 20):
        warnings.simplefilter("ignore", BayeslrWarning)
        for name in arguments.parts or parts:
            print(f"\n{name}", flush=True)
            run(name, arguments.count)


if __name__ == "__main__":
    main()
