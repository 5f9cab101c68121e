"""Time and memory of reading a large log: a CSV, JSON lines, TensorBoard events.

    uv run python tests/benchmarks/load_figures.py --rows 1000000

Each file is generated in a temporary folder and read in a process of its own; the seconds are those of `bl.read_logs`
without the imports, by the clock and of the processor; the memory is the largest that the process had, and what it had
before.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("csv", "jsonl", "tensorboard")


def write(path, kind, rows):
    """Write a log of so many rows: training loss and rate at every step, validation loss at every hundredth."""
    if kind == "tensorboard":
        return write_events(path, rows)
    with path.open("w", encoding="utf-8") as file:
        if kind == "csv":
            file.write("step,train_loss,val_loss,lr,grad_norm\n")
        for step in range(1, rows + 1):
            loss = 2.6 + 3.0 * step**-0.2
            val = f"{loss + 0.02:.6f}" if step % 100 == 0 else ""
            if kind == "csv":
                file.write(f"{step},{loss:.6f},{val},0.001,0.5123\n")
            else:
                more = f', "val_loss": {val}' if val else ""
                file.write(f'{{"step": {step}, "train_loss": {loss:.6f}{more}, "lr": 0.001, "grad_norm": 0.5123}}\n')
    return path


def write_events(path, rows):
    """Write half as many steps of two events each: the loss and the rate."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("wb") as file:
        writer = RecordWriter(file)
        for step in range(1, rows // 2 + 1):
            for tag, value in (("val/loss", 2.6 + 3.0 * step**-0.2), ("lr", 1e-3)):
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
                writer.write(Event(step=step, wall_time=1.7e9 + step, summary=summary).SerializeToString())
    return path


def read(path):
    """Read a log and print seconds, memory before and at most, and the observations as JSON."""
    import bayeslr as bl

    bl.read_logs  # noqa: B018 - the import is not a part of reading
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun, worked = time.perf_counter(), time.process_time()
    (curve,) = bl.read_logs(path)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "before": before, "peak": peak, "losses": len(curve)}))


def main():
    """Print one line a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read is not None:
        read(options.read)
        return
    print("| log | rows | file MB | losses | read s | CPU s | peak MB | before MB |\n| --- |" + " ---: |" * 7)
    for kind in options.kind or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            name = "events.out.tfevents.1.host" if kind == "tensorboard" else f"log.{kind}"
            path = write(Path(folder) / name, kind, options.rows)
            command = [sys.executable, "-W", "ignore", __file__, "--read", str(path)]
            done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            size = path.stat().st_size / 1e6
        numbers = [f"{done[name]:.1f}" for name in ("seconds", "cpu")] + [
            f"{done[name]:.0f}" for name in ("peak", "before")
        ]
        print(
            "|",
            " | ".join([kind, f"{options.rows:,}", f"{size:.0f}", f"{done['losses']:,}", *numbers]),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    main()
