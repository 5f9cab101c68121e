"""Ask the library thousands of damaged and hostile inputs, and print what became of them.

    uv run python tests/fuzz/campaign.py --inputs 5000 --seed 0

Every input is given to a child process with 4 GB of memory above what it needs to start, and thirty seconds of
processor time (on a machine that is busy with other things an answer takes longer: five minutes at most). The table
counts, by kind of input:

- clear line: one printable line of at most 500 characters that says what is wrong;
- right result: accepted, and the answer is that of a second way to it (see ``worker.py``);
- silent change: accepted, and the answer is another one;
- traceback: an exception of another class than the library's own (the command line would make a line of it, but nobody
  foresaw it), or a child that died;
- hang, memory above 4 GB, code run: code, or a file written that nobody asked for, or a connection.

The exit code is 1 if one of the last five columns is not zero.
"""

import argparse
import base64
import json
import os
import select
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from inputs import KINDS, TRAPS

PATIENCE = 30
LONGEST = 300
OUTCOMES = {
    "line": "clear line",
    "right": "right result",
    "silent": "silent change",
    "traceback": "traceback",
    "hang": "hang",
    "memory": "memory > 4 GB",
    "code": "code run",
}
BAD = ("silent", "traceback", "hang", "memory", "code")


class Worker:
    """A child process, started again when an input ends it."""

    def __init__(self, posterior=None):
        self._command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        self._command += [] if posterior is None else [str(posterior)]
        self._process = None

    def ask(self, kind, payload):
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"},
            )
            if self._process.stdout.readline() != b"ready\n":
                raise RuntimeError("the worker does not start")
        line = json.dumps({"kind": kind, "payload": written(payload)}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return {"outcome": "traceback", "said": "the process is gone"}
        if not self._answers():
            self.stop()
            return {"outcome": "hang", "said": f"no answer within {PATIENCE} s"}
        answer = self._process.stdout.readline()
        if not answer:
            code = self._process.wait()
            self.stop()
            return {"outcome": "traceback", "said": f"the process ended with {code}"}
        return json.loads(answer)

    def _answers(self):
        """Wait for an answer, second by second: a campaign that is paused for a while has not waited that long."""
        begin = self._processor_time()
        for _ in range(LONGEST):
            if select.select([self._process.stdout], [], [], 1.0)[0]:
                return True
            if self._processor_time() - begin > PATIENCE:
                return False
        return False

    def _processor_time(self):
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        # of the process itself, by user and system
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


def written(payload):
    """A payload as JSON has it."""
    if isinstance(payload, bytes):
        return {"bytes": base64.b64encode(payload).decode()}
    return [written(part) for part in payload] if isinstance(payload, tuple) else payload


def ask_kind(worker, kind, count, start):
    """Return the outcomes of so many inputs of a kind, and the inputs whose outcome is bad."""
    counts, bad = Counter(), []

    def tried(payload):
        answer = worker.ask(kind, payload)
        counts[answer["outcome"]] += 1
        if answer["outcome"] in BAD:
            bad.append((kind, answer["outcome"], answer["said"], payload))

    for trap in TRAPS.get(kind, [])[:count]:
        tried(trap)
    rest = count - sum(counts.values())
    if rest > 0:
        plan = settings(
            max_examples=rest,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        seed(start)(plan(given(KINDS[kind])(tried)))()
    return counts, bad


def fitted(folder):
    """A small posterior file."""
    import numpy as np

    import bayeslr as bl

    plans = {
        "constant": bl.schedules.constant(peak_lr=1e-3, warmup_steps=20, total_steps=1000),
        "cosine": bl.schedules.cosine(peak_lr=1e-3, warmup_steps=20, total_steps=1000),
    }
    steps = np.arange(40, 1001, 40)
    law = {"L0": 2.6, "A": 0.42, "alpha": 0.55, "C": 0.9, "decay": 0.99}
    rng = np.random.default_rng(0)
    curves = bl.CurveSet(
        curves=tuple(
            bl.LossCurve(
                name=name,
                steps=steps,
                loss=bl.AnnealingLaw().loss(plan, steps, **law) + 0.001 * rng.standard_normal(steps.size),
                schedule=plan,
                params=1e7,
                size="small",
            )
            for name, plan in plans.items()
        )
    )
    posterior = bl.fit(curves, seed=0, method="laplace", num_chains=2, num_samples=100)
    return posterior.save(Path(folder) / "p.nc")


def table(counts):
    """The counts as a table."""
    head = ["kind", "inputs", *OUTCOMES.values()]
    rows = [[kind, sum(c.values()), *(c[key] for key in OUTCOMES)] for kind, c in counts.items()]
    rows.append(["all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))])
    widths = [max(len(str(row[k])) for row in [head, *rows]) for k in range(len(head))]
    return "\n".join(
        "  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]
    )


def main():
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5000, help="how many, all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only these kinds")
    parser.add_argument("--posterior", type=Path, help="posterior file to damage; default: a small one, fitted here")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    counts, bad = {}, []
    with tempfile.TemporaryDirectory() as folder:
        posterior = options.posterior or (fitted(folder) if "posterior file" in kinds else None)
        worker = Worker(posterior)
        for k, kind in enumerate(kinds):
            share = options.inputs // len(kinds) + (k < options.inputs % len(kinds))
            counts[kind], found = ask_kind(worker, kind, share, options.seed + k)
            bad += found
            print(f"{kind}: {dict(counts[kind])}", file=sys.stderr, flush=True)
        worker.stop()
    print(table(counts))
    alike = {}
    for kind, outcome, said, payload in bad:
        alike.setdefault((kind, outcome, said[:60]), []).append(payload)
    for (kind, outcome, said), payloads in list(alike.items())[:40]:
        print(f"\n{kind}: {OUTCOMES[outcome]}: {len(payloads)} like: {said}\n  {payloads[0]!r:.300}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
