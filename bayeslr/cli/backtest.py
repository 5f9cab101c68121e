"""The command ``backtest``: which runs are held out, and the table of scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import bayeslr as bl
from bayeslr.cli.answers import print_csv, print_json, print_parts
from bayeslr.cli.options import (
    Adaptation,
    BytesPerToken,
    ChainDraws,
    Chains,
    Debug,
    Format,
    LawName,
    LossColumn,
    LossUnit,
    Method,
    Seed,
)
from bayeslr.cli.questions import losses_of, read_curves
from bayeslr.cli.terminal import say, watched
from bayeslr.errors import BayeslrError
from bayeslr.written import in_format

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["backtest"]

_COLUMNS = {
    "coverage_50": ("50%", ".2f"),
    "coverage_80": ("80%", ".2f"),
    "coverage_90": ("90%", ".2f"),
    "coverage_95": ("95%", ".2f"),
    "final_in_90": ("final", ".2f"),
    "crps": ("CRPS", ".4f"),
    "interval_score": ("int.score", ".4f"),
    "mae": ("MAE", ".4f"),
    "mape": ("MAPE%", ".3f"),
    "width_90": ("width", ".4f"),
}
_NOTE = (
    "50% to 95%: share of the observations in that band; final: share of final losses in the 90% band. CRPS, interval "
    "score and MAE are in units of loss, smaller is better; width is that of the 90% band. A point fit has no band."
)


def backtest(
    logs: Annotated[list[Path], typer.Argument(metavar="MANIFEST_OR_LOGS...", help="A manifest, or logs of runs.")],
    train: Annotated[str | None, typer.Option(metavar="QUERY", help="Runs to fit: \"split == 'train'\".")] = None,
    test: Annotated[str | None, typer.Option(metavar="QUERY", help="Runs to predict and score.")] = None,
    by: Annotated[
        Literal["run", "size"] | None, typer.Option(help="Leave out each run (default), or each size.")
    ] = None,
    horizon: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.0, help="Fit up to step N, predict the rest; below 1: a share of each run."),
    ] = None,
    where: Annotated[str | None, typer.Option(metavar="QUERY", help="Runs to use at all.")] = None,
    loss: LossColumn = None,
    loss_unit: LossUnit = None,
    bytes_per_token: BytesPerToken = None,
    allow_late_start: Annotated[
        bool, typer.Option("--allow-late-start", help="Accept runs without the history before their first step.")
    ] = False,
    skip_shared: Annotated[
        bool, typer.Option("--skip-shared", help="Score only what test runs do not share with the fitted ones.")
    ] = False,
    law: Annotated[
        list[LawName] | None,
        typer.Option(metavar="LAW", help="A law, as of `fit`. Repeat for several: each has its own row."),
    ] = None,
    stack: Annotated[
        bool, typer.Option("--stack", help="With several laws: their mixture as well, for which each is fitted again.")
    ] = False,
    baselines: Annotated[bool, typer.Option("--baselines/--no-baselines", help="Compare with baselines.")] = True,
    method: Method = "nuts",
    chains: Chains = 4,
    draws: ChainDraws = None,
    num_warmup: Adaptation = 250,
    seed: Seed = 0,
    format: Format = "table",  # noqa: A002
    debug: Debug = False,
) -> None:
    """Score forecasts on runs that were held out.

    They are held out by --train and --test, --by run (as where nothing is said) or size, or --horizon N.
    """
    queries = _chosen(train, test, by, horizon)
    if skip_shared and queries is None:
        raise typer.BadParameter("only with --train and --test (else always)", param_hint="--skip-shared")
    laws = tuple(dict.fromkeys(name.value for name in law or ()))
    if stack and (len(laws) < 2 or method != "nuts"):
        found = f"--method {method}" if len(laws) > 1 else f"{len(laws) or 'no'} --law"
        raise BayeslrError(f"backtest: found --stack with {found}; allowed: two laws or more, and --method nuts")
    losses = losses_of(loss, loss_unit, bytes_per_token)
    # runs that are in neither query are not read
    curves, _ = read_curves(logs, where=where, either=queries, losses=losses, allow_late_start=allow_late_start)
    evaluation: Any = bl.evaluation
    if queries is not None:
        splits = [evaluation.by_query(curves, train=queries[0], test=queries[1], skip_shared=skip_shared)]
    elif horizon is not None:
        share = horizon < 1.0
        splits = [evaluation.horizon(curves, **({"fraction": horizon} if share else {"step": int(horizon)}))]
    else:
        leave_out = evaluation.leave_one_size_out if by == "size" else evaluation.leave_one_run_out
        splits = list(leave_out(curves))
    settings = {"num_chains": chains, "num_samples": draws, "num_warmup": num_warmup, "method": method}
    forecasters = _forecasters(laws, settings, stack=stack, baselines=baselines)
    from bayeslr.logs.limits import counted

    say(f"backtest of {curves!r}: {counted(len(splits), 'split')}, {counted(len(forecasters), 'forecaster')}")
    result = bl.backtest(splits, forecasters, seed=seed, progress=watched())
    if format == "json":
        print_json(result.to_dict())
    elif format == "csv":
        print_csv(result.runs)
    else:
        print_parts(_tables(result, (*laws, *(["stack"] if stack else []))))


def _chosen(train: str | None, test: str | None, by: str | None, horizon: float | None) -> tuple[str, str] | None:
    """Return the two queries, or none where runs are held out in another way; refuse two ways."""
    ways = [
        name
        for name, given in (("--train and --test", train or test), ("--by", by), ("--horizon", horizon is not None))
        if given
    ]
    if len(ways) > 1:
        raise BayeslrError(f"backtest: found {' and '.join(ways)}; allowed: one of --train and --test, --by, --horizon")
    if bool(train) != bool(test):
        missing = "--test" if train else "--train"
        raise BayeslrError(f"backtest: {missing} is missing; allowed: --train and --test together")
    return (train, test) if train and test else None


def _forecasters(laws: Sequence[str], settings: dict[str, Any], *, stack: bool, baselines: bool) -> dict[str, Any]:
    """Return a forecaster a law, their stack, and the baselines, in this order."""
    from bayeslr.model import LAWS

    evaluation: Any = bl.evaluation
    models = {name: bl.ScalingModel(law=LAWS[name]()) for name in laws} or None
    found: dict[str, Any] = evaluation.default_forecasters(model=models, settings=settings, baselines=baselines)
    if not stack:
        return found
    mixed = {"stack": evaluation.StackedForecast(models=models, settings=settings)}
    return {name: found[name] for name in laws} | mixed | found


def _tables(result: "bl.Backtest", fitted: Sequence[str] = ()) -> list[Any]:
    """Lay out the means of every forecaster, and the runs of the first one; name those fitted that need a look."""
    first = result.forecasters[0]
    runs = result.runs[result.runs["forecaster"] == first]
    scored, several = runs[runs["missing"] == ""], len(set(runs["split"])) > 1
    number = f"{len(scored)} run{'s' if len(scored) != 1 else ''}"
    parts: list[Any] = [_mean_table(result.mean, number), ""]
    without = result.runs[result.runs["missing"] != ""]
    if len(without) and len(common := result.common.mean):
        count = int(common["runs"].iloc[0])
        parts += [_mean_table(common, f"the {count} run{'s' if count != 1 else ''} that all of them predict"), ""]
    parts += [_NOTE, "", _runs_table(scored, f"{first}, run by run")]
    parts += [f"missing: {row.forecaster}, {row.run}: {row.missing}" for row in without.itertuples()]
    checked = result.runs[result.runs["forecaster"].isin(fitted or [first])].drop_duplicates(["split", "forecaster"])
    for row in checked[checked["health"].isin(["REVIEW", "FAIL"])].itertuples():
        whose = f" of {row.forecaster}" if len(fitted) > 1 else ""
        parts += [f"health: the fit{whose}{f' of split {row.split}' if several else ''} is {row.health}"]
    return parts


def _mean_table(mean: "pd.DataFrame", runs: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=f"means over {runs}", title_justify="left", title_style="", **_LOOK, box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold", max_width=17)
    for title, _ in _COLUMNS.values():
        table.add_column(title.replace(".", "\n"), justify="right", vertical="bottom", no_wrap=True)
    for name, row in mean.iterrows():
        table.add_row(str(name), *(_number(row[key], spec) for key, (_, spec) in _COLUMNS.items()))
    return table


def _runs_table(runs: "pd.DataFrame", title: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="", **_LOOK, box=box.SIMPLE_HEAD)
    table.add_column("run", overflow="fold")
    columns = {
        "n": ("n", ".0f"),
        "coverage_90": ("90%", ".2f"),
        "final_in_90": ("final", ""),
        "final_error": ("final\nerror", "+.4f"),
        "crps": ("CRPS", ".4f"),
        "mae": ("MAE", ".4f"),
        "width_90": ("width", ".4f"),
    }
    for heading, _ in columns.values():
        table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    for row in runs.to_dict("records"):
        cells = [_number(row[key], spec) if spec else _held(row[key]) for key, (_, spec) in columns.items()]
        table.add_row(str(row["run"]), *cells)
    return table


_LOOK: dict[str, Any] = {"show_edge": False, "padding": 0}


def _number(value: float, spec: str) -> str:
    return in_format(value, spec) if value == value else "-"


def _held(value: float) -> str:
    return "-" if value != value else ("in" if value else "out")
