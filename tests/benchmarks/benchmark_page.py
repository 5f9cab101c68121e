"""Tables and picture of docs/performance.md from docs/performance.json. Run this file to write them anew."""

import json
from pathlib import Path

from matplotlib.figure import Figure

DOCS = Path(__file__).parents[2] / "docs"
START = "<!-- figures: written by tests/benchmarks/benchmark_page.py, compared by tests/test_performance_page.py -->\n"
END = "<!-- end of figures -->"
LABELS = {
    "default": "bayeslr, default (with discrepancy)",
    "no discrepancy": "bayeslr, `AnnealingLaw()` and `NoDiscrepancy()`",
    "by_hand": "NumPyro by hand, S2 by `lax.scan`",
    "by_hand_features": "NumPyro by hand, S2 from the table",
    "pymc": "PyMC + nutpie: L0, A, alpha, C, decay",
    "pymc_scaled": "PyMC + nutpie: the library's parameters",
    "laplace": 'bayeslr, `method="laplace"`',
}
AXES = {
    "steps": "training steps",
    "observations, all": "observations a run, no thinning",
    "observations, thinned": "observations a run, thinned to 64",
    "runs": "runs",
    "sizes": "sizes, 3 runs each",
    "chains": "chains, vectorised",
}


def number(value, unit=1.0):
    """Write a number with three digits; a dash where there is none."""
    if value is None or value != value:
        return "-"
    value = value * unit
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head, rows):
    """Lay out a table."""
    lines = [head, tuple("---" if k == 0 else "---:" for k in range(len(head))), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def gradients(found):
    """One gradient of the log density, beside the library's."""
    base = found.get("default", {}).get("gradient_s")
    rows = [
        (LABELS[name], number(row["gradient_s"], 1e6), number(row["gradient_s"] / base) if base else "-")
        for name, row in ordered(found)
    ]
    return table(("system", "µs a gradient", "relative"), rows)


def profile(found):
    """Parts of one gradient on one core, by case."""
    titles = {"three_runs": "3 runs", "eighteen_runs": "18 runs"}
    cases = [case for case in titles if case in found]
    names = [name for name, *_ in found[cases[0]]["parts"]]
    rows = [
        (
            name,
            *(text for case in cases for text in (number(found[case]["parts"][k][1]), str(found[case]["parts"][k][2]))),
        )
        for k, name in enumerate(names)
    ]
    return table(("part", *(text for case in cases for text in (f"{titles[case]}: µs", "kernels"))), rows)


def ordered(found):
    """The systems in the order of the labels."""
    return [(name, found[name]) for name in LABELS if found.get(name)]


def rates(found, gradient):
    """Effective draws a second of sampling and of the whole process; by hand, also from the cost of a gradient."""
    result = {}
    for name, row in ordered(found):
        sampling = row["sampling_s"]
        ess = row.get("ess")
        result[name] = {
            "ess": ess,
            "leapfrogs": row.get("leapfrogs"),
            "sampling_s": sampling,
            "rate": ess / sampling if ess and sampling else None,
            "process_s": row["process_s"] if "fit_cold_s" not in row else row["process_s"] - row["fit_warm_s"],
        }
        result[name]["wall_rate"] = ess / result[name]["process_s"] if ess else None
    quick_one, slow, fast = found.get("by_hand_features"), gradient.get("by_hand"), gradient.get("by_hand_features")
    if quick_one and slow and fast and quick_one.get("ess"):
        seconds = quick_one["sampling_s"] * slow["gradient_s"] / fast["gradient_s"]
        result["by_hand, computed"] = {
            "ess": quick_one["ess"],
            "leapfrogs": quick_one["leapfrogs"],
            "sampling_s": seconds,
            "rate": quick_one["ess"] / seconds,
            "process_s": None,
            "wall_rate": None,
        }
    return result


def effective(found, gradient):
    """The table of effective draws."""
    measured = rates(found, gradient)
    best = measured.get("no discrepancy", {}).get("rate")
    rows = []
    for name, row in measured.items():
        label = LABELS.get(name, "the same, computed: draws of the next row, cost of this gradient")
        rows.append(
            (
                label,
                number(row["leapfrogs"]),
                number(row["ess"]),
                number(row["sampling_s"]),
                number(row["rate"]),
                number(best / row["rate"]) if best and row["rate"] else "-",
                number(row["process_s"]),
                number(row["wall_rate"]),
            )
        )
    head = ("system", "leapfrogs a draw", "min ESS", "sampling s", "ESS/s sampling", "bayeslr is faster by")
    return table((*head, "cold process s", "ESS/s wall"), rows)


def fits(found, hierarchy):
    """Seconds of fits, cold and warm."""
    rows = [(f"3 runs: {LABELS[name]}", row) for name, row in ordered(found) if "fit_cold_s" in row]
    rows += [("18 runs of 3 sizes: default", row) for row in [hierarchy.get("default")] if row]
    lines = [
        (
            label,
            str(row["parameters"]),
            number(row["fit_cold_s"]),
            number(row.get("cached_s")),
            number(row["fit_warm_s"]),
            number(row["sampling_s"]),
            number(row["peak_rss_mb"]),
            row["health"],
        )
        for label, row in rows
    ]
    head = ("fit of 4 x 1000 draws", "parameters", "nothing compiled s", "from the cache s", "same process s")
    return table((*head, "sampling s", "peak MB", "health"), lines)


def memory(found):
    """Largest memory of the processes of peers."""
    rows = [(LABELS[name], number(row["peak_rss_mb"])) for name, row in ordered(found)]
    return table(("system", "peak MB"), rows)


def forecasts(found):
    """Predictions of ends and their comparison."""
    rows = [
        (
            f"{int(name):,}",
            *(number(row[key]) for key in ("build_s", "predict_s", "predict_again_s", "compare_s", "peak_rss_mb")),
        )
        for name, row in sorted(found.items(), key=lambda item: int(item[0]))
    ]
    return table(("schedules of 100,000 steps", "build s", "predict s", "again s", "compare s", "peak MB"), rows)


def refits(found):
    """Programs compiled by each refit."""
    row = found["nine"]
    lines = [
        (str(k + 1), str(count), number(longest), number(seconds))
        for k, (count, longest, seconds) in enumerate(
            zip(row["compiled"], row["longest_compile_s"], row["fit_s"], strict=True)
        )
    ]
    return table(("refit", "programs compiled", "longest s", "fit s"), lines)


def axis(name, found):
    """One axis of the scaling figures."""
    keys = {
        "gradient_s": ("µs a gradient", 1e6),
        "by_hand_gradient_s": ("by hand: µs a gradient", 1e6),
        "features_s": ("features s", 1.0),
        "fit_cold_s": ("fit, nothing compiled s", 1.0),
        "sampling_s": ("sampling s", 1.0),
        "leapfrogs": ("leapfrogs a draw", 1.0),
        "ess": ("min ESS", 1.0),
        "peak_rss_mb": ("peak MB", 1.0),
    }
    rows = sorted(((int(value), row) for value, row in found.items() if row), key=lambda item: item[0])
    shown = [key for key in keys if any(row.get(key) is not None for _, row in rows)]
    lines = [(f"{value:,}", *(number(row.get(key), keys[key][1]) for key in shown)) for value, row in rows]
    return table((AXES[name], *(keys[key][0] for key in shown)), lines)


def tables(kept):
    """All tables of the page."""
    found = kept["tables"]
    machine, versions = kept["machine"], kept["versions"]
    told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    parts = [f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB. Versions: {told}.\n"]
    gradient = found.get("gradient", {})
    if gradient:
        parts += ["### Gradient of the log density\n", gradients(gradient)]
    if found.get("profile"):
        parts += ["### Parts of a gradient, on one core\n", profile(found["profile"])]
    if found.get("ess"):
        parts += ["### Effective draws\n", effective(found["ess"], gradient)]
        parts += ["### Fits, cold and warm\n", fits(found["ess"], found.get("hierarchy", {}))]
        parts += ["### Memory\n", memory(found["ess"])]
    if found.get("forecast"):
        parts += ["### Forecasts\n", forecasts(found["forecast"])]
    if found.get("refits"):
        parts += ["### Refits of a backtest\n", refits(found["refits"])]
    scaling = [axis(name, found[name]) for name in AXES if found.get(name)]
    if scaling:
        parts += ["### Scaling\n", *scaling]
    return "\n".join(parts)


def draw(kept, path):
    """Draw the gradient and the fit along each axis."""
    found = {name: kept["tables"].get(name) for name in AXES if kept["tables"].get(name)}
    if not found:
        return
    figure = Figure(figsize=(10, 6), layout="constrained")
    places = figure.subplots(2, 3, sharey=True).ravel()
    lines = {}
    for place, (name, rows) in zip(places, found.items(), strict=False):
        values = sorted(int(value) for value in rows)
        for key, label, unit, color in (
            ("gradient_s", "gradient, ms", 1e3, "C0"),
            ("by_hand_gradient_s", "gradient of NumPyro by hand, ms", 1e3, "C2"),
            ("fit_cold_s", "fit with nothing compiled, s", 1.0, "C1"),
        ):
            points = [(v, (rows[str(v)] or {}).get(key)) for v in values]
            points = [(v, unit * y) for v, y in points if y is not None]
            if points:
                (lines[label],) = place.plot(*zip(*points, strict=True), "o-", color=color)
        place.set(xscale="log", yscale="log", xlabel=AXES[name])
        place.grid(alpha=0.3)
    for place in places[len(found) :]:
        place.remove()
    figure.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=3)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)


def written():
    """The figures on the page."""
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    return text[text.index(START) + len(START) : text.index(END)]


def write(kept):
    """Put the figures on the page."""
    page = DOCS / "performance.md"
    text = page.read_text(encoding="utf-8")
    head, tail = text[: text.index(START) + len(START)], text[text.index(END) :]
    page.write_text(f"{head}{tables(kept)}{tail}", encoding="utf-8")


if __name__ == "__main__":
    read = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    draw(read, DOCS / "images" / "scaling.png")
    write(read)
