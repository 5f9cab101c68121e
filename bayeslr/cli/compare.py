"""The command ``compare``: plans, what a running run may do next, and runs that are over."""

from typing import Annotated, Literal

import typer

import bayeslr as bl
from bayeslr.cli.answers import writable
from bayeslr.cli.decisions import PICTURES, Destination, answer, load
from bayeslr.cli.options import (
    BatchSize,
    BytesPerToken,
    CiProb,
    Debug,
    Draws,
    Force,
    Format,
    LossColumn,
    LossUnit,
    Observed,
    Plot,
    PosteriorFile,
    Seed,
    Size,
    WeightDecay,
)
from bayeslr.cli.questions import losses_of, named_specs, probability, read_log, read_run, setting
from bayeslr.cli.terminal import say, watched
from bayeslr.errors import untold

__all__ = ["compare"]

Plans = Annotated[
    list[str] | None,
    typer.Option(
        "--schedule",
        metavar="[NAME=]SPEC",
        help="A schedule, or @file.csv with columns step, lr. Repeat for several. One that continues the observed run "
        "is predicted as its continuation.",
    ),
]
Then = Annotated[
    list[str] | None,
    typer.Option(
        "--then",
        metavar="[NAME=]TAIL",
        help="What the observed run may do from its last step on: linear(decay_steps=4000), or "
        "'constant(steps=20000) + linear(decay_steps=4000)'. Repeat for several.",
    ),
]


def compare(
    posterior: PosteriorFile,
    schedule: Plans = None,
    then: Then = None,
    observed: Observed = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="A fitted run that is under way, instead of a log.")
    ] = None,
    finished: Annotated[
        list[str] | None,
        typer.Option("--finished", metavar="NAME|NAME=LOG", help="A finished run: a fitted one, or a log with rates."),
    ] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", metavar="NAME", help="The alternative to beat.")] = None,
    by: Annotated[float, typer.Option("--by", metavar="LOSS", help="By at least so much.")] = 0.0,
    question: Annotated[
        Literal["schedule", "run"] | None,
        typer.Option(
            help="Compare schedules (without the luck of single runs), or single runs. Default: schedules, or single "
            "runs where an observed or a finished one is among them."
        ),
    ] = None,
    size: Size = None,
    ci_prob: CiProb = 0.9,
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    batch_size: BatchSize = None,
    weight_decay: WeightDecay = None,
    draws: Draws = 2000,
    seed: Seed = 0,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Compare schedules: which ends lowest, and how sure that is.

    Beside plans it takes what a running run may do next, and finished runs.
    """
    probability(ci_prob)
    writable(plot, "--plot", force, PICTURES)
    plans = {name: bl.schedules.parse_schedule(spec) for name, spec in named_specs(schedule, "--schedule")}
    tails = dict(named_specs(then, "--then"))
    if len(plans) + len(tails) + len(finished or ()) < 2:
        raise typer.BadParameter(
            "found one alternative; allowed: at least two to compare, of --schedule, --then and --finished",
            param_hint="--schedule",
        )
    if observed is not None and run is not None:
        raise typer.BadParameter("found --observed too; allowed: one of them", param_hint="--run")
    losses = losses_of(loss, loss_unit, bytes_per_token)
    asked = [*plans, *tails]
    decays, batches = setting("--weight-decay", weight_decay, asked), setting("--batch-size", batch_size, asked)
    fitted = load(posterior)
    under_way: bl.LossCurve | str | None = run
    if observed is not None:
        under_way = read_log("observed run", observed, losses, next(iter(plans.values()), None))
        say(f"fitting again with the {len(under_way)} observations of {observed}")
    over = [read_run("--finished", text, fitted, losses) for text in finished or ()]
    with untold():
        found = bl.compare(
            fitted,
            plans,
            observed=under_way,
            then=tails,
            finished=over,
            baseline=baseline,
            by=by,
            size=size,
            seed=seed,
            question=question,
            num_draws=draws,
            ci_prob=ci_prob,
            weight_decay=decays,
            batch_size=batches,
            progress=watched(),
        )
    answer(
        found,
        found.to_dataframe().rename_axis("schedule").reset_index(),
        lambda: bl.report.tables.comparison_tables(found.comparison, ci_prob=ci_prob),
        lambda: bl.report.plots.plot_bands(found.forecast, ci_prob=ci_prob),
        Destination(output=None, plot=plot, form=format, force=force),
    )
