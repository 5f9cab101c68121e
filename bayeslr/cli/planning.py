"""The commands ``next-run`` and ``metric``: what to train next, and what a loss means for a task."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import bayeslr as bl
from bayeslr.cli.decisions import Asked, Destination, Table, answer, check_files, load
from bayeslr.cli.options import (
    BatchSize,
    BatchSizeOfAll,
    CiProb,
    Debug,
    Draws,
    Force,
    Format,
    Plans,
    Plot,
    PosteriorFile,
    Seed,
    Size,
    WeightDecay,
    WeightDecayOfAll,
)
from bayeslr.cli.questions import named_specs, probability, setting
from bayeslr.cli.terminal import say, watched
from bayeslr.errors import untold

__all__ = ["metric", "next_run"]


def next_run(
    posterior: PosteriorFile,
    target: Annotated[str, typer.Option(metavar="SPEC", help="The schedule whose final loss is to be known better.")],
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]SPEC[ on SIZE]",
            help="A run that could be made, of another size with ' on 25M'. Repeat for several. Default: usual ones.",
        ),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]SPEC", help="Schedules between which is to be decided: rank by the regret saved."),
    ] = None,
    cost: Annotated[Literal["steps", "flops"], typer.Option(help="What a run costs.")] = "steps",
    reuse: Annotated[
        bool, typer.Option("--reuse-checkpoints", help="Candidates that begin like a fitted run cost only the rest.")
    ] = False,
    tokens_per_step: Annotated[
        float | None, typer.Option(metavar="N", help="Tokens of an update, for flops. Default: from the runs.")
    ] = None,
    size: Size = None,
    batch_size: BatchSizeOfAll = None,
    weight_decay: WeightDecayOfAll = None,
    question: Asked = "schedule",
    ci_prob: CiProb = 0.9,
    draws: Draws = 4000,
    seed: Seed = 0,
    output: Table = None,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Ask which run to make next: how much each candidate would tell about a target, for what it costs."""
    probability(ci_prob)
    check_files(output, plot, force)
    aim = bl.schedules.parse_schedule(target)
    plans = {name: _plan(spec) for name, spec in named_specs(candidate, "--candidate")}
    choices = {name: bl.schedules.parse_schedule(spec) for name, spec in named_specs(choice, "--choice")}
    fitted = load(posterior)
    with untold():
        found = bl.next_run(
            fitted,
            aim,
            plans or None,
            size=size,
            choices=choices,
            cost=cost,
            reuse=reuse,
            tokens_per_step=tokens_per_step,
            question=question,
            seed=seed,
            num_draws=draws,
            ci_prob=ci_prob,
            weight_decay=weight_decay,
            batch_size=batch_size,
        )
    from bayeslr.report.answers import next_run_table

    answer(
        found,
        found.candidates.reset_index(),
        lambda: [next_run_table(found)],
        lambda: bl.plots.plot_next_run(found),
        Destination(output=output, plot=plot, form=format, force=force),
    )


def metric(
    posterior: PosteriorFile,
    pairs: Annotated[Path, typer.Option(metavar="CSV", help="Pairs of loss and metric, of checkpoints of such runs.")],
    schedule: Plans,
    column: Annotated[
        str | None, typer.Option(metavar="COL", help="Column of the metric. Default: the other one.")
    ] = None,
    loss: Annotated[str, typer.Option(metavar="COL", help="Column of the loss.")] = "loss",
    floor: Annotated[float | None, typer.Option(help="Value of the metric by chance. Default: inferred.")] = None,
    ceiling: Annotated[float | None, typer.Option(help="Value that it cannot exceed. Default: inferred.")] = None,
    top: Annotated[float, typer.Option(help="Largest possible value: 1, or 100 for percentages.")] = 1.0,
    size: Size = None,
    batch_size: BatchSize = None,
    weight_decay: WeightDecay = None,
    ci_prob: CiProb = 0.9,
    draws: Draws = 2000,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV file of the bands to write.")] = None,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Turn bands of loss into bands of another metric, by a link that is fitted to pairs of both."""
    probability(ci_prob)
    check_files(output, plot, force)
    plans = {name: bl.schedules.parse_schedule(spec) for name, spec in named_specs(schedule, "--schedule")}
    name, losses, values = _pairs(pairs, loss, column)
    decays, batches = setting("--weight-decay", weight_decay, plans), setting("--batch-size", batch_size, plans)
    fitted = load(posterior)
    say(f"fitting {name} to {len(losses)} pairs")
    with untold():
        link = bl.fit_metric(
            losses, values, name=name, floor=floor, ceiling=ceiling, top=top, seed=seed, progress=watched()
        )
        forecast = bl.predict(
            fitted, plans, size=size, seed=seed, num_draws=draws, weight_decay=decays, batch_size=batches
        )
        found = link.apply(forecast, seed=seed, ci_prob=ci_prob)
    from bayeslr.report.answers import metric_table

    answer(
        found,
        found.band(),
        lambda: [metric_table(found)],
        lambda: bl.plots.plot_metric(found, link, ci_prob=ci_prob),
        Destination(output=output, plot=plot, form=format, force=force),
    )


def _plan(text: str) -> "bl.forecast.Plan":
    """Read SPEC, or SPEC on SIZE."""
    spec, on, size = text.rpartition(") on ")
    if not on:
        return bl.forecast.Plan(schedule=bl.schedules.parse_schedule(text))
    return bl.forecast.Plan(schedule=bl.schedules.parse_schedule(f"{spec})"), size=size.strip())


def _pairs(path: Path, loss: str, column: str | None) -> tuple[str, list[float], list[float]]:
    """Read the columns of a CSV."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem).strip()
        raise typer.BadParameter(f"{path}: {reason}; allowed: a CSV of pairs", param_hint="--pairs") from None
    others = [str(name) for name in table.columns if name != loss]
    chosen = column or (others[0] if len(others) == 1 else None)
    for option, wanted in (("--loss", loss), ("--column", chosen)):
        if wanted not in table:
            found = ", ".join(map(str, table.columns[:8]))
            raise typer.BadParameter(f"{path}: found the columns {found}; allowed: one of them", param_hint=option)
    kept = table[[loss, str(chosen)]].apply(pd.to_numeric, errors="coerce").dropna()
    return str(chosen), kept[loss].tolist(), kept[str(chosen)].tolist()
