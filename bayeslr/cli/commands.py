"""The commands."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

import bayeslr as bl
from bayeslr.cli.answers import (
    draw,
    free_name,
    health_values,
    keep,
    print_csv,
    print_json,
    print_parts,
    print_result,
    rows,
    tell,
    writable,
    write,
)
from bayeslr.cli.backtest import backtest
from bayeslr.cli.compare import compare
from bayeslr.cli.decisions import optimize, reach
from bayeslr.cli.init import init
from bayeslr.cli.options import (
    Adaptation,
    BatchSize,
    BytesPerToken,
    ChainDraws,
    Chains,
    CiProb,
    Debug,
    Draws,
    Force,
    Format,
    LawName,
    LossColumn,
    LossUnit,
    Method,
    Observed,
    Plans,
    Plot,
    PosteriorFile,
    Seed,
    Size,
    Steps,
    TargetAcceptProb,
    WeightDecay,
)
from bayeslr.cli.planning import metric, next_run
from bayeslr.cli.program import app
from bayeslr.cli.questions import ask, losses_of, named_value, probability, read_curves
from bayeslr.cli.report import report
from bayeslr.cli.terminal import is_quiet, program_name, say, spelled, tell_line, watched
from bayeslr.cli.watch import watch

__all__ = ["app"]

app.command()(backtest)
app.command()(compare)
app.command()(init)
app.command()(optimize)
app.command()(reach)
app.command()(next_run)
app.command()(watch)
app.command()(metric)
app.command()(report)
PICTURES = (".png", ".pdf", ".svg")


@app.command()
def fit(
    logs: Annotated[list[Path], typer.Argument(metavar="MANIFEST_OR_LOGS...", help="A manifest, or logs of runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("posterior.nc"),
    where: Annotated[str | None, typer.Option(metavar="QUERY", help="Runs to fit: \"split == 'train'\".")] = None,
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    step: Annotated[str | None, typer.Option(metavar="COL", help="Column of the step in the logs.")] = None,
    lr: Annotated[str | None, typer.Option(metavar="COL", help="Column of the rate in the logs.")] = None,
    schedule: Annotated[str | None, typer.Option(metavar="SPEC", help="Schedule of logs without a manifest.")] = None,
    params: Annotated[str | None, typer.Option(help="Parameters of logs without a manifest, such as 25M.")] = None,
    size: Annotated[str | None, typer.Option(help="Label of the size of logs without a manifest.")] = None,
    allow_late_start: Annotated[
        bool, typer.Option("--allow-late-start", help="Accept runs without the history before their first step.")
    ] = False,
    max_step: Annotated[int | None, typer.Option(min=1, help="Fit only observations up to this step.")] = None,
    keep_spikes: Annotated[
        bool, typer.Option("--keep-spikes", help="Fit single losses that stand far out of their curves, too.")
    ] = False,
    law: Annotated[
        LawName,
        typer.Option(help="The law: of the effective rate (default), or one of the published ones."),
    ] = LawName.EFFECTIVE_RATE,
    warmup: Annotated[Literal["as_logged", "peak"], typer.Option(help="How warm-up is counted.")] = "as_logged",
    pooling: Annotated[
        Literal["auto", "none", "complete", "partial", "trend"], typer.Option(help="How sizes are related.")
    ] = "auto",
    prior: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PRIOR", help="A prior: alpha='LogNormal(-0.7, 0.4)'.")
    ] = None,
    method: Method = "nuts",
    chains: Chains = 4,
    draws: ChainDraws = None,
    num_warmup: Adaptation = 250,
    target_accept_prob: TargetAcceptProb = 0.85,
    seed: Seed = 0,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Fit the law to training logs and write the posterior."""
    # before what takes seconds to import
    writable(output, "--output", force)
    from bayeslr.model import LAWS

    priors = dict(named_value("--prior", text) for text in prior or [])
    curves, lines = read_curves(
        logs,
        where=where,
        schedule=schedule,
        params=params,
        size=size,
        losses=losses_of(loss, loss_unit, bytes_per_token),
        step=step,
        lr=lr,
        allow_late_start=allow_late_start,
    )
    if max_step is not None:
        curves = curves.until(max_step)
    model = bl.ScalingModel(law=LAWS[law](warmup=warmup), pooling=pooling, priors=priors)
    # whatever is wrong with the input has been said by now, in one line
    for line in [] if is_quiet() else lines:
        tell_line(line)
    say(f"fitting {law} law to {curves!r}")
    posterior = bl.fit(
        curves,
        model,
        seed=seed,
        num_warmup=num_warmup,
        target_accept_prob=target_accept_prob,
        num_samples=draws,
        num_chains=chains,
        keep_spikes=keep_spikes,
        method=method,
        progress=watched(),
    )
    health, table = bl.check(posterior), posterior.summary()
    keep(posterior, output, force)
    if format == "json":
        head = {"posterior": str(output), "method": posterior.method, "assumptions": list(posterior.assumptions)}
        print_json(head | {"health": health_values(health), "parameters": rows(table)})
    elif format == "csv":
        print_csv(table, index_label="parameter")
    else:
        lines = [*posterior.assumptions, *bl.report.tables.health_lines(spelled(health)), f"posterior: {output}"]
        shown = table.drop(index=[name for name in table.index if str(name).startswith("discrepancy_")])
        print_parts([bl.report.tables.summary_table(shown, ci_prob=0.9), "", *lines, "", *_next_steps(curves, output)])


@app.command()
def summary(
    posterior: PosteriorFile,
    ci_prob: CiProb = 0.9,
    everything: Annotated[
        bool, typer.Option("--all", help="The scales of the error model as well. JSON and CSV always have them.")
    ] = False,
    format: Format = "table",  # noqa: A002
    debug: Debug = False,
) -> None:
    """Show what was learned: in sentences, and as parameters."""
    probability(ci_prob)
    fitted = bl.load_posterior(posterior)
    table = fitted.summary(ci_prob=ci_prob)
    if format != "table":
        tell(fitted.settings.get("health", ()))
    if format == "json":
        print_json(rows(table))
    elif format == "csv":
        print_csv(table, index_label="parameter")
    else:
        say("asking what it says of its own runs")
        lines = bl.report.outlook(fitted, ci_prob=ci_prob)
        hidden = [] if everything else [name for name in table.index if str(name).startswith("discrepancy_")]
        shown = bl.report.tables.summary_table(table.drop(index=hidden), ci_prob=ci_prob)
        told = [f"warning: {text}" for text in fitted.settings.get("health", ())]
        rest = [f"{len(hidden)} scales of the error model are not shown; --all shows them."] if hidden else []
        print_parts([" ".join(lines), "", shown, *([""] if rest or told else []), *rest, *told])


@app.command()
def check(posterior: PosteriorFile, format: Format = "table", debug: Debug = False) -> None:  # noqa: A002
    """Check whether a fit can be trusted: PASS, REVIEW or FAIL.

    The exit code is 0 for PASS and REVIEW, and 1 for FAIL.
    """
    health = bl.check(bl.load_posterior(posterior))
    if format == "json":
        print_json(health_values(health))
    elif format == "csv":
        import pandas as pd

        print_csv(pd.DataFrame(health_values(health)["checks"]).set_index("name"), index_label="name")
    else:
        print_parts([f"{posterior}: {health.status}", "", bl.report.tables.health_table(spelled(health))])
    if health.status == "FAIL":
        raise typer.Exit(1)


@app.command()
def predict(
    posterior: PosteriorFile,
    schedule: Plans,
    size: Size = None,
    ci_prob: CiProb = 0.9,
    steps: Steps = None,
    observed: Observed = None,
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    batch_size: BatchSize = None,
    weight_decay: WeightDecay = None,
    latent: Annotated[bool, typer.Option("--latent", help="Bands of the curve without measurement noise.")] = False,
    draws: Draws = 2000,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV file of the bands to write.")] = None,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Predict the loss under schedules that were not run.

    The final loss is printed; the bands go to a file (-o) or a picture (--plot).
    """
    probability(ci_prob)
    writable(output, "--output", force)
    writable(plot, "--plot", force, PICTURES)
    losses = losses_of(loss, loss_unit, bytes_per_token)
    forecast, started, basis = ask(
        posterior,
        schedule,
        size,
        steps,
        observed,
        losses,
        draws,
        seed,
        batch_size=batch_size,
        weight_decay=weight_decay,
    )
    bands = forecast.band(ci_prob=ci_prob, latent=latent)
    final = forecast.final_loss(ci_prob=ci_prob, latent=latent)
    if output is not None:
        write(output, lambda path: bands.to_csv(path, index=False, float_format="%.8g", lineterminator="\n"), force)
    if plot is not None:
        draw(plot, bl.report.plots.plot_bands(forecast, started=started, ci_prob=ci_prob, latent=latent), force)
    if format != "table":
        tell(forecast.warnings)
    if format == "json":
        columns = {name: group.drop(columns="schedule").to_dict("list") for name, group in bands.groupby("schedule")}
        head = {"size": forecast.size, "ci_prob": ci_prob, "latent": latent, "basis": basis}
        print_json(head | {"final_loss": rows(final), "bands": columns, "warnings": list(forecast.warnings)})
    elif format == "csv":
        print_csv(bands)
    else:
        table = bl.report.tables.final_loss_table(final, ci_prob=ci_prob, latent=latent)
        print_result([table, *filter(None, [basis])], forecast.warnings, output, plot)


@app.command()
def demo(
    plot: Annotated[Path | None, typer.Option(help="Picture to write. Default: bayeslr-demo.png, numbered.")] = None,
    seed: Seed = 0,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Fit curves that ship with bayeslr, and predict what happened."""
    target = plot or free_name(Path("bayeslr-demo.png"))
    writable(target, "--plot", force, PICTURES)
    say("fitting three sizes of small language models")
    from bayeslr.cli.demo import NEXT_STEPS, run

    shown = run(seed=seed, progress=watched())
    draw(target, shown.figure, force)
    print_parts([*shown.text, f"picture: {target}", "", *NEXT_STEPS])


def _next_steps(curves: "bl.CurveSet", output: Path) -> list[str]:
    """Return commands to go on with, with the rate and the length of the runs that were fitted."""
    longest = max(curves, key=lambda curve: curve.schedule.total_steps).schedule
    common = f"peak_lr={longest.peak_lr:.4g}, warmup_steps={longest.warmup_steps}"
    cosine = f"cosine({common}, total_steps={2 * longest.total_steps})"
    sizes = bl.curves.Sizes.of(curves).labels
    size = f" --size {shlex.quote(sizes[-1])}" if len(sizes) > 1 else ""
    return [
        "Next, for example:",
        f"  {program_name()} predict {output}{size} --plot bands.png \\",
        f"      --schedule '{cosine}'",
    ]
