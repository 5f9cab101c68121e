"""What each law costs beside the others: ``uv run python tests/benchmarks/law_costs.py [--quick] [--law NAME ...]``.

A row a law, all with the default error model: one gradient of three runs on one core; the default fit of three runs in
a process that has compiled nothing, and again in the same process; the same of eighteen runs of three sizes; and 1,000
forecasts of 100,000 steps, of which the end is asked for, when all is compiled. In parentheses: relative to the first
law. Laws take turns, and with ``--rounds 3`` the least of three measurements counts, so that a busy minute does not hit
one of them.
"""

import argparse
import sys

from benchmark_jobs import launch

from bayeslr.model import LAWS

COLUMNS = {
    "gradient": "gradient us",
    "cold": "3 runs, cold s",
    "warm": "again s",
    "cold_18": "18 runs, cold s",
    "warm_18": "again s",
    "forecasts": "{} forecasts s",
}


def measured(laws, *, quick):
    """Measure once: figures of each column by law."""
    draws, schedules = (50, 20) if quick else (1000, 1000)
    rounds, evaluations = (3, 20) if quick else (40, 100)
    gradients = launch("gradients_of_laws", laws=laws, rounds=rounds, evaluations=evaluations)
    found = {law: {"gradient": 1e6 * gradients[law]} for law in laws}
    # tiny: two chains of a short adaptation, and three runs in place of eighteen
    settings = {"num_chains": 2, "num_warmup": 50} if quick else {}
    for case, end in (("three_runs", ""), ("three_runs" if quick else "eighteen_runs", "_18")):
        for law in laws:
            fit = launch("fit", case=case, model=law, num_samples=draws, fit_settings=settings, cache=None)
            found[law] |= {f"cold{end}": fit["fit_cold_s"], f"warm{end}": fit["fit_warm_s"]}
    for law in laws:
        answer = launch("forecast", schedules=schedules, model=law, num_samples=draws)
        found[law]["forecasts"] = answer["predict_again_s"]
    return found


def least(rounds):
    """Return the least of each figure."""
    first = rounds[0]
    return {law: {key: min(one[law][key] for one in rounds) for key in first[law]} for law in first}


def table(found, schedules):
    """Lay the figures out, each with its ratio to that of the first law."""
    base = found[next(iter(found))]
    head = ("law", *(title.format(f"{schedules:,}") for title in COLUMNS.values()))
    rows = [
        (law, *(f"{figures[key]:.3g} ({figures[key] / base[key]:.2f})" for key in COLUMNS))
        for law, figures in found.items()
    ]
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (head, *rows)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that it works")
    parser.add_argument("--rounds", type=int, default=1, help="measure so often, in turn")
    parser.add_argument("--law", action="append", choices=list(LAWS), help="a law; repeat for several; default: all")
    options = parser.parse_args()
    laws = list(dict.fromkeys(options.law or LAWS))
    rounds = []
    for k in range(options.rounds):
        print(f"round {k + 1} of {options.rounds}", file=sys.stderr, flush=True)
        rounds.append(measured(laws, quick=options.quick))
    print(table(least(rounds), 20 if options.quick else 1000))


if __name__ == "__main__":
    main()
