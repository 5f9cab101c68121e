"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Adaptation",
    "BatchSize",
    "BatchSizeOfAll",
    "BytesPerToken",
    "ChainDraws",
    "Chains",
    "CiProb",
    "Debug",
    "Draws",
    "Force",
    "Format",
    "LawName",
    "LossColumn",
    "LossUnit",
    "Method",
    "Observed",
    "Plans",
    "Plot",
    "PosteriorFile",
    "Seed",
    "Size",
    "Steps",
    "TargetAcceptProb",
    "WeightDecay",
    "WeightDecayOfAll",
]

PosteriorFile = Annotated[Path, typer.Argument(metavar="POSTERIOR.nc", help="A posterior written by `bayeslr fit`.")]
Format = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print the result.")]
CiProb = Annotated[float, typer.Option("--ci-prob", metavar="P", help="Probability of intervals, between 0 and 1.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, and all warnings.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed: the same seed gives the same numbers.")]
Plans = Annotated[
    list[str],
    typer.Option(
        "--schedule",
        metavar="[NAME=]SPEC",
        help="A schedule, such as wsd='wsd(peak_lr=3e-4, warmup_steps=500, decay_steps=4000, total_steps=24000)', "
        "or @file.csv with columns step, lr. Repeat for several.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", help="Model size: a fitted label, or parameters: 1.2e9 as it is, 1B as a rounded number."),
]
BatchSize = Annotated[
    list[str] | None,
    typer.Option(
        "--batch-size",
        metavar="[NAME=]N",
        help="Batch size of the plans, or of one of them, in the unit of the fitted runs' batch_size; N without a name "
        "also of logs.",
    ),
]
WeightDecay = Annotated[
    list[str] | None,
    typer.Option("--weight-decay", metavar="[NAME=]N", help="Decoupled weight decay of the plans, or of one of them."),
]
BatchSizeOfAll = Annotated[
    float | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        help="Batch size of all runs asked about, in the unit of the fitted runs' batch_size.",
    ),
]
WeightDecayOfAll = Annotated[
    float | None,
    typer.Option("--weight-decay", metavar="N", help="Decoupled weight decay of all runs asked about."),
]
Steps = Annotated[
    str | None, typer.Option("--steps", metavar="N|@FILE", help="Every N-th step, or the column step of a CSV.")
]
Observed = Annotated[
    Path | None, typer.Option("--observed", metavar="LOG", help="Log of the beginning of the run to predict.")
]
LossColumn = Annotated[str | None, typer.Option("--loss", metavar="COL", help="Column of the loss in the logs.")]
LossUnit = Annotated[
    Literal["nats", "bits", "perplexity", "bits-per-byte"] | None,
    typer.Option("--loss-unit", help="Unit of the loss in the logs. Default: nats per token."),
]
BytesPerToken = Annotated[
    float | None, typer.Option("--bytes-per-token", metavar="N", help="Mean length of a token, for bits-per-byte.")
]


class LawName(StrEnum):
    """The laws that ship with the library."""

    EFFECTIVE_RATE = "effective-rate"
    ANNEALING = "annealing"
    MIXED_MEMORY = "mixed-memory"
    MULTI_POWER = "multi-power"


Method = Annotated[
    Literal["nuts", "laplace"],
    typer.Option("--method", help="Sample the posterior, or draw from the Gaussian at its mode."),
]
Draws = Annotated[int, typer.Option("--draws", min=50, help="Posterior draws to predict from.")]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw a picture: .png, .pdf or .svg.")]
Chains = Annotated[int, typer.Option("--chains", min=1, max=64, help="Number of chains.")]
ChainDraws = Annotated[
    int | None,
    typer.Option(
        "--draws", min=50, max=100_000, help="Draws per chain. Default: 1000; of more than 96 runs, as many as needed."
    ),
]
TargetAcceptProb = Annotated[
    float,
    typer.Option("--target-accept-prob", min=0.5, max=0.999, help="Acceptance to adapt steps to; higher is slower."),
]
Adaptation = Annotated[int, typer.Option("--num-warmup", min=50, max=100_000, help="Steps of adaptation per chain.")]
