"""The commands."""

import sys
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
    say,
    tell,
    writable,
    write,
)
from bayeslr.cli.backtest import backtest
from bayeslr.cli.compare import compare
from bayeslr.cli.decisions import optimize, reach
from bayeslr.cli.options import (
    Adaptation,
    ChainDraws,
    Chains,
    CiProb,
    Debug,
    Draws,
    Force,
    Format,
    LossColumn,
    Observed,
    Plans,
    Plot,
    PosteriorFile,
    Seed,
    Size,
    Steps,
)
from bayeslr.cli.questions import ask, named_value, probability, read_curves

__all__ = ["app"]

app = typer.Typer(
    name="bayeslr",
    help="Bayesian learning-rate scaling laws: from training logs to loss bands for schedules nobody has run yet.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(backtest)
app.command()(compare)
app.command()(optimize)
app.command()(reach)
PICTURES = (".png", ".pdf", ".svg")


@app.command()
def fit(
    logs: Annotated[list[Path], typer.Argument(metavar="MANIFEST_OR_LOGS...", help="A manifest, or logs of runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("posterior.nc"),
    where: Annotated[str | None, typer.Option(metavar="QUERY", help="Runs to fit: \"split == 'train'\".")] = None,
    loss: LossColumn = None,
    step: Annotated[str | None, typer.Option(metavar="COL", help="Column of the step in the logs.")] = None,
    lr: Annotated[str | None, typer.Option(metavar="COL", help="Column of the rate in the logs.")] = None,
    schedule: Annotated[str | None, typer.Option(metavar="SPEC", help="Schedule of logs without a manifest.")] = None,
    params: Annotated[str | None, typer.Option(help="Parameters of logs without a manifest, such as 25M.")] = None,
    size: Annotated[str | None, typer.Option(help="Label of the size of logs without a manifest.")] = None,
    allow_late_start: Annotated[
        bool, typer.Option("--allow-late-start", help="Accept runs without the history before their first step.")
    ] = False,
    max_step: Annotated[int | None, typer.Option(min=1, help="Fit only observations up to this step.")] = None,
    law: Annotated[Literal["annealing"], typer.Option(help="The law.")] = "annealing",
    warmup: Annotated[Literal["as_logged", "peak"], typer.Option(help="How warm-up is counted.")] = "as_logged",
    pooling: Annotated[
        Literal["auto", "none", "complete", "partial", "trend"], typer.Option(help="How sizes are related.")
    ] = "auto",
    prior: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PRIOR", help="A prior: alpha='LogNormal(-0.7, 0.4)'.")
    ] = None,
    method: Annotated[
        Literal["nuts", "laplace"], typer.Option(help="Sample the posterior, or draw from the Gaussian at its mode.")
    ] = "nuts",
    chains: Chains = 4,
    draws: ChainDraws = 1000,
    num_warmup: Adaptation = 250,
    seed: Seed = 0,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Fit the law to training logs and write the posterior."""
    writable(output, "--output", force)
    priors = dict(named_value("--prior", text) for text in prior or [])
    curves = read_curves(
        logs,
        where=where,
        schedule=schedule,
        params=params,
        size=size,
        loss=loss,
        step=step,
        lr=lr,
        allow_late_start=allow_late_start,
    )
    if max_step is not None:
        curves = curves.until(max_step)
    model = bl.ScalingModel(law=bl.AnnealingLaw(warmup=warmup), pooling=pooling, priors=priors)
    say(f"fitting {law} law to {curves!r}")
    posterior = bl.fit(
        curves,
        model,
        seed=seed,
        num_warmup=num_warmup,
        num_samples=draws,
        num_chains=chains,
        method=method,
        progress=sys.stderr.isatty(),
    )
    health, table = bl.check(posterior), posterior.summary()
    keep(posterior, output, force)
    if format == "json":
        head = {"posterior": str(output), "method": posterior.method}
        print_json(head | {"health": health_values(health), "parameters": rows(table)})
    elif format == "csv":
        print_csv(table, index_label="parameter")
    else:
        lines = [*bl.report.tables.health_lines(health), f"posterior: {output}"]
        print_parts([bl.report.tables.summary_table(table, ci_prob=0.9), "", *lines])


@app.command()
def summary(posterior: PosteriorFile, ci_prob: CiProb = 0.9, format: Format = "table", debug: Debug = False) -> None:  # noqa: A002
    """Show the parameters: means, intervals, effective sample sizes, R-hat."""
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
        print_parts([bl.report.tables.summary_table(table, ci_prob=ci_prob)])


@app.command()
def check(posterior: PosteriorFile, format: Format = "table", debug: Debug = False) -> None:  # noqa: A002
    """Check whether a posterior can be trusted: exit code 0 for PASS and REVIEW, 1 for FAIL."""
    health = bl.check(bl.load_posterior(posterior))
    if format == "json":
        print_json(health_values(health))
    elif format == "csv":
        import pandas as pd

        print_csv(pd.DataFrame(health_values(health)["checks"]).set_index("name"), index_label="name")
    else:
        print_parts([f"{posterior}: {health.status}", "", bl.report.tables.health_table(health)])
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
    latent: Annotated[bool, typer.Option("--latent", help="Bands of the curve without measurement noise.")] = False,
    draws: Draws = 2000,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV file of the bands to write.")] = None,
    plot: Plot = None,
    format: Format = "table",  # noqa: A002
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Predict the loss under schedules that were not run. The final loss is printed, the bands go to a file (-o)."""
    probability(ci_prob)
    writable(output, "--output", force)
    writable(plot, "--plot", force, PICTURES)
    forecast = ask(posterior, schedule, size, steps, observed, loss, draws, seed)
    bands = forecast.band(ci_prob=ci_prob, latent=latent)
    final = forecast.final_loss(ci_prob=ci_prob, latent=latent)
    if output is not None:
        write(output, lambda path: bands.to_csv(path, index=False, float_format="%.8g", lineterminator="\n"), force)
    if plot is not None:
        draw(plot, bl.report.plots.plot_bands(forecast, ci_prob=ci_prob, latent=latent), force)
    if format != "table":
        tell(forecast.warnings)
    if format == "json":
        columns = {name: group.drop(columns="schedule").to_dict("list") for name, group in bands.groupby("schedule")}
        head = {"size": forecast.size, "ci_prob": ci_prob, "latent": latent}
        print_json(head | {"final_loss": rows(final), "bands": columns, "warnings": list(forecast.warnings)})
    elif format == "csv":
        print_csv(bands)
    else:
        table = bl.report.tables.final_loss_table(final, ci_prob=ci_prob, latent=latent)
        print_result([table], forecast.warnings, output, plot)


@app.command()
def demo(
    plot: Annotated[Path | None, typer.Option(help="Picture to write. Default: bayeslr-demo.png, numbered.")] = None,
    seed: Seed = 0,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Fit three schedules, predict a fourth one that was not fitted, and compare with what happened."""
    target = plot or free_name(Path("bayeslr-demo.png"))
    writable(target, "--plot", force, PICTURES)
    say("fitting three sizes of small language models")
    from bayeslr.cli.demo import NEXT_STEPS, run

    shown = run(seed=seed, progress=sys.stderr.isatty())
    draw(target, shown.figure, force)
    print_parts([*shown.text, f"picture: {target}", "", *NEXT_STEPS])
