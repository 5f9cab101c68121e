"""The commands that answer what to do: ``optimize`` and ``reach``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import bayeslr as bl
from bayeslr.cli.answers import draw, print_csv, print_json, print_parts, tell, warned, writable, write
from bayeslr.cli.options import (
    BatchSizeOfAll,
    CiProb,
    Debug,
    Draws,
    Force,
    Format,
    Plot,
    PosteriorFile,
    Seed,
    Size,
    WeightDecayOfAll,
)
from bayeslr.cli.questions import probability
from bayeslr.errors import untold

__all__ = ["Destination", "answer", "check_files", "load", "optimize", "reach"]

PICTURES = (".png", ".pdf", ".svg")

Family = Annotated[
    str,
    typer.Option(
        "--schedule",
        metavar="SPEC",
        help="A schedule with one or two arguments free: decay_steps=1000..30000 or 5%..60% (of total_steps), "
        "decay=['linear', '1-sqrt'].",
    ),
]
Asked = Annotated[
    Literal["schedule", "run"],
    typer.Option("--question", help="Compare schedules (without the luck of single runs), or single runs."),
]
Points = Annotated[int | None, typer.Option("--points", min=2, help="Values of each range to look at.")]
Table = Annotated[Path | None, typer.Option("--output", "-o", help="CSV file of all choices to write.")]


def optimize(
    posterior: PosteriorFile,
    schedule: Family,
    size: Size = None,
    batch_size: BatchSizeOfAll = None,
    weight_decay: WeightDecayOfAll = None,
    within: Annotated[
        float, typer.Option(metavar="LOSS", help="Tolerance: choices that cost no more are as good.")
    ] = 0.002,
    sure: Annotated[
        float, typer.Option("--probability", metavar="P", help="With which probability they keep the tolerance.")
    ] = 0.8,
    risk: Annotated[
        float | None, typer.Option(metavar="P", help="Minimise this quantile of the final loss, not its expectation.")
    ] = None,
    question: Asked = "schedule",
    points: Points = None,
    ci_prob: CiProb = 0.9,
    draws: Draws = 4000,
    seed: Seed = 0,
    output: Table = None,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Choose the best schedule of a family: how long to cool down, with the range of choices that are as good."""
    probability(ci_prob)
    check_files(output, plot, force)
    fitted = load(posterior)
    with untold():
        found = bl.optimize(
            fitted,
            schedule,
            size=size,
            seed=seed,
            within=within,
            probability=sure,
            risk=risk,
            question=question,
            points=points,
            num_draws=draws,
            ci_prob=ci_prob,
            weight_decay=weight_decay,
            batch_size=batch_size,
        )
    from bayeslr.report.answers import optimum_table

    answer(
        found,
        found.candidates.reset_index(),
        lambda: [optimum_table(found)],
        lambda: bl.report.plots.plot_regret(found),
        Destination(output=output, plot=plot, form=format, force=force),
    )


def reach(
    posterior: PosteriorFile,
    schedule: Family,
    loss: Annotated[float | None, typer.Option("--loss", metavar="LOSS", help="The final loss to reach.")] = None,
    beat: Annotated[str | None, typer.Option("--beat", metavar="SPEC", help="Or the schedule to beat.")] = None,
    size: Size = None,
    batch_size: BatchSizeOfAll = None,
    weight_decay: WeightDecayOfAll = None,
    tokens_per_step: Annotated[
        float | None, typer.Option(metavar="N", help="Tokens of an update. Default: from the runs, where they say it.")
    ] = None,
    question: Asked = "schedule",
    points: Points = None,
    ci_prob: CiProb = 0.9,
    draws: Draws = 4000,
    seed: Seed = 0,
    output: Table = None,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Ask how long a run must be to end at a loss, or to beat another schedule: total_steps=20000..200000."""
    probability(ci_prob)
    check_files(output, plot, force)
    baseline = None if beat is None else bl.schedules.parse_schedule(beat)
    fitted = load(posterior)
    with untold():
        found = bl.reach(
            fitted,
            schedule,
            loss=loss,
            baseline=baseline,
            size=size,
            seed=seed,
            tokens_per_step=tokens_per_step,
            question=question,
            points=points,
            num_draws=draws,
            ci_prob=ci_prob,
            weight_decay=weight_decay,
            batch_size=batch_size,
        )
    from bayeslr.report.answers import reach_table

    answer(
        found,
        found.lengths,
        lambda: [reach_table(found)],
        lambda: bl.report.plots.plot_reach(found),
        Destination(output=output, plot=plot, form=format, force=force),
    )


def load(posterior: Path) -> "bl.Posterior":
    """Read a posterior, and find the compiled programs of earlier commands."""
    fitted = bl.load_posterior(posterior)
    from bayeslr.inference import prepare_devices

    prepare_devices()
    return fitted


def check_files(output: Path | None, plot: Path | None, force: bool) -> None:
    """Refuse, before any work is done, files that could not be written at the end."""
    writable(output, "--output", force)
    writable(plot, "--plot", force, PICTURES)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where an answer goes: a CSV file, a picture, and stdout in some form."""

    output: Path | None
    plot: Path | None
    form: str
    force: bool


def answer(
    found: Any,
    table: Any,
    shown: Callable[[], Sequence[Any]],
    picture: Callable[[], Any],
    to: Destination,
) -> None:
    """Print an answer, its sentences and cautions below its tables, and write its table and its picture."""
    if to.output is not None:
        csv = table.to_csv(index=False, float_format="%.8g", lineterminator="\n")
        write(to.output, lambda path: path.write_text(csv), to.force)
    if to.plot is not None:
        draw(to.plot, picture(), to.force)
    if to.form != "table":
        tell(found.warnings)
    if to.form == "json":
        print_json(found.to_dict())
    elif to.form == "csv":
        print_csv(table)
    else:
        parts = [part for table in shown() for part in (table, "")] + [*found.sentences, ""]
        parts += warned(found.warnings)
        parts += [f"{what}: {path}" for what, path in (("table", to.output), ("picture", to.plot)) if path is not None]
        print_parts(parts if parts[-1] else parts[:-1])
