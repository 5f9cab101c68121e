"""The command ``report``: a page to send."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import bayeslr as bl
from bayeslr.cli.answers import print_parts, warned, writable
from bayeslr.cli.decisions import load
from bayeslr.cli.options import (
    BatchSizeOfAll,
    BytesPerToken,
    CiProb,
    Debug,
    Force,
    LossColumn,
    LossUnit,
    Plans,
    PosteriorFile,
    Seed,
    Size,
    WeightDecayOfAll,
)
from bayeslr.cli.questions import losses_of, named_specs, probability, read_run
from bayeslr.errors import untold

__all__ = ["report"]


def report(
    posterior: PosteriorFile,
    schedule: Plans,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Title of the page. Default: the question.")] = None,
    measured: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|NAME=LOG", help="A measured run to draw: a fitted one, or a log with rates."),
    ] = None,
    optimize: Annotated[
        list[str] | None, typer.Option(metavar="SPEC", help="Add the best of a family: decay_steps=1000..30000.")
    ] = None,
    reach: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Add how long a run must be: total_steps=20000..200000.")
    ] = None,
    target: Annotated[float | None, typer.Option(metavar="LOSS", help="The loss to reach.")] = None,
    backtest: Annotated[
        Path | None, typer.Option(metavar="JSON", help="What `bayeslr backtest --format json` printed.")
    ] = None,
    size: Size = None,
    batch_size: BatchSizeOfAll = None,
    weight_decay: WeightDecayOfAll = None,
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    ci_prob: CiProb = 0.9,
    draws: Annotated[
        int | None,
        typer.Option(
            min=50, help="Posterior draws to use. Default: those of each command, 2000 for bands, 4000 for decisions."
        ),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a page to send: question and answer, bands, comparison, decisions, health and data in one HTML file."""
    probability(ci_prob)
    writable(output, "--output", force, (".html", ".htm"))
    if (reach is None) != (target is None):
        raise typer.BadParameter("found one of them; allowed: --reach and --target together", param_hint="--reach")
    plans = {name: bl.schedules.parse_schedule(spec) for name, spec in named_specs(schedule, "--schedule")}
    scores = None if backtest is None else _read_json(backtest)
    fitted = load(posterior)
    runs = [
        read_run("--measured", text, fitted, losses_of(loss, loss_unit, bytes_per_token)) for text in measured or ()
    ]
    common: dict[str, Any] = {
        "size": size,
        "seed": seed,
        "ci_prob": ci_prob,
        "weight_decay": weight_decay,
        "batch_size": batch_size,
    }
    # a decision on the page is the answer that its own command gives
    common |= {} if draws is None else {"num_draws": draws}
    with untold():
        decisions: list[Any] = [bl.optimize(fitted, family, **common) for family in optimize or ()]
        if reach is not None:
            decisions.append(bl.reach(fitted, reach, loss=target, **common))
        page = bl.report.html.build_report(
            fitted,
            plans,
            title=title,
            measured=runs,
            decisions=decisions,
            backtest=scores,
            commands=[shlex.join(["bayeslr", *sys.argv[1:]])],
            **common,
        )
    page.save(output, force=force)
    sections = [page.numbers["answer"], *([answer.family.text, *answer.sentences] for answer in decisions)]
    lines = [line for section in [*sections, warned(page.numbers["warnings"])] if section for line in (*section, "")]
    print_parts([*lines, f"report: {output} ({len(page.html.encode()) / 1e6:.2f} MB)"])


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "no JSON"
        raise typer.BadParameter(
            f"{path}: {reason}; allowed: what `bayeslr backtest --format json` prints", param_hint="--backtest"
        ) from None
