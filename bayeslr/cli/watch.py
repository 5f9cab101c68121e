"""The command ``watch``: a run that is under way, looked at once or until it ends."""

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

import bayeslr as bl
from bayeslr.cli.answers import draw, print_csv, print_json, print_parts, tell, warned, writable
from bayeslr.cli.decisions import PICTURES, load
from bayeslr.cli.options import (
    BatchSizeOfAll,
    BytesPerToken,
    CiProb,
    Debug,
    Draws,
    Format,
    LossColumn,
    LossUnit,
    Plot,
    PosteriorFile,
    Seed,
    Size,
    WeightDecayOfAll,
)
from bayeslr.cli.questions import Losses, losses_of, probability, read_log
from bayeslr.cli.terminal import watched
from bayeslr.errors import BayeslrError, untold

__all__ = ["watch"]


def watch(
    posterior: PosteriorFile,
    observed: Annotated[Path, typer.Option(metavar="LOG", help="Log of the run; it may not exist yet.")],
    schedule: Annotated[str, typer.Option(metavar="SPEC", help="Schedule of the run, or @file.csv.")],
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where forecasts are kept. Default: LOG with .watch.json.")
    ] = None,
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="New steps for another fit. Default: a twentieth of the run.")
    ] = None,
    follow: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=1.0, help="Look again after so long, until the run ends.")
    ] = None,
    method: Annotated[
        Literal["nuts", "laplace"] | None, typer.Option(help="How to fit again. Default: as the posterior was.")
    ] = None,
    alarm_below: Annotated[
        float, typer.Option(metavar="P", help="Alarm where the run is as far off with less than P.")
    ] = 0.01,
    size: Size = None,
    batch_size: BatchSizeOfAll = None,
    weight_decay: WeightDecayOfAll = None,
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    ci_prob: CiProb = 0.9,
    draws: Draws = 2000,
    seed: Seed = 0,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    debug: Debug = False,
) -> None:
    """Watch a run: its forecast as the log grows, past forecasts kept, an alarm (exit code 1) when it leaves them."""
    probability(ci_prob)
    # what was drawn at the last look is drawn again at the next
    writable(plot, "--plot", True, PICTURES)
    kept = state or observed.with_name(f"{observed.name}.watch.json")
    writable(kept, "--observed" if state is None else "--state", True)
    plan = bl.schedules.parse_schedule(schedule)
    fitted = load(posterior)
    found = bl.load_watch(kept) if kept.exists() else None
    while True:
        run = _read(observed, plan, losses_of(loss, loss_unit, bytes_per_token))
        with untold():
            found = bl.watch(
                fitted,
                run,
                plan,
                past=found,
                every=every,
                size=size,
                method=method,
                seed=seed,
                alarm_below=alarm_below,
                ci_prob=ci_prob,
                num_draws=draws,
                progress=watched(),
                weight_decay=weight_decay,
                batch_size=batch_size,
            )
        found.save(kept)
        if plot is not None:
            draw(plot, bl.plots.plot_watch(found, run), True)
        _show(found, kept, plot, format, brief=follow is not None)
        if follow is None or found.last_step >= plan.total_steps:
            break
        time.sleep(follow)
    if found.alarm:
        raise typer.Exit(1)


def _read(observed: Path, plan: "bl.Schedule", losses: Losses) -> "bl.LossCurve | None":
    """Read the log, if there is one with an observation after the warm-up."""
    if not observed.exists() or not observed.stat().st_size:
        return None
    try:
        run = read_log("observed run", observed, losses, plan)
    except BayeslrError:
        # a log that has a header alone is one that has not begun
        if observed.read_text(encoding="utf-8", errors="replace").strip().count("\n"):
            raise
        return None
    return run if run.past_warmup.any() else None


def _show(found: "bl.Watch", kept: Path, plot: Path | None, form: str, *, brief: bool) -> None:
    if form != "table":
        tell(found.warnings)
    if form == "json":
        print_json(found.to_dict())
    elif form == "csv":
        print_csv(found.to_dataframe())
    elif brief:
        print_parts([f"{time.strftime('%H:%M:%S')} {line}" for line in found.sentences if line != found.basis])
    else:
        from bayeslr.report.answers import watch_table

        files = [f"forecasts: {kept}"] + ([f"picture: {plot}"] if plot is not None else [])
        print_parts([watch_table(found), "", *found.sentences, "", *warned(found.warnings), *files])
    sys.stdout.flush()
