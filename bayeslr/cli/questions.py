"""From the text of options to curves, schedules, steps and forecasts."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

import bayeslr as bl
from bayeslr.cli.terminal import say, watched
from bayeslr.errors import BayeslrError, untold
from bayeslr.files import open_text

__all__ = [
    "Losses",
    "ask",
    "losses_of",
    "named_spec",
    "named_specs",
    "named_value",
    "probability",
    "read_curves",
    "read_log",
    "read_run",
    "setting",
]

type Losses = Mapping[str, Any]
"""Which loss of a log: the arguments ``loss``, ``loss_unit`` and ``bytes_per_token`` of :func:`bayeslr.read_logs`."""


def losses_of(loss: str | None, unit: str | None, bytes_per_token: float | None) -> Losses:
    """Return the arguments that say which loss of a log is meant."""
    return {
        "loss": loss,
        "loss_unit": None if unit is None else unit.replace("-", " "),
        "bytes_per_token": bytes_per_token,
    }


def read_curves(
    logs: Sequence[Path],
    *,
    where: str | None,
    either: Sequence[str] | None = None,
    losses: Losses,
    allow_late_start: bool,
    schedule: str | None = None,
    params: str | None = None,
    size: str | None = None,
    step: str | None = None,
    lr: str | None = None,
) -> tuple["bl.CurveSet", list[str]]:
    """Read a manifest, or logs whose schedule, parameters and size are options; also one line per run read.

    Of `where`, and of `either` at least one query selects the runs.
    """
    described = {"--schedule": schedule, "--params": params, "--size": size}
    given = [option for option, value in described.items() if value is not None]
    manifest = next((path for path in logs if _is_manifest(path)), None)
    if manifest is not None and (given or len(logs) > 1):
        problem = f"{given[0]} is given too" if given else f"there are {len(logs)} files"
        raise BayeslrError(f"{manifest}: a manifest, but {problem}; allowed: one manifest alone, or logs")
    from bayeslr.logs.reading import column_names, read, read_sources
    from bayeslr.logs.summary import summary_lines

    columns = column_names(step=step, lr=lr, **losses)
    if manifest is not None:
        reading = read(manifest, where=where, either=either, columns=columns, allow_late_start=allow_late_start)
    else:
        reading = read_sources(
            list(logs),
            schedule=schedule,
            params=params,
            size=size,
            columns=columns,
            allow_late_start=allow_late_start,
        )
    curves = reading.curves
    if manifest is None and (where or either):
        curves = curves.select(where, either=either)
    return curves, list(summary_lines([run for run in reading.read if run.run in curves.names]))


def _is_manifest(path: Path) -> bool:
    from bayeslr.logs.reading import manifest_in

    return manifest_in(path) is not None


def ask(
    posterior: Path,
    schedules: Sequence[str],
    size: str | None,
    steps: str | None,
    observed: Path | None,
    losses: Losses,
    draws: int,
    seed: int,
    *,
    batch_size: Sequence[str] | None,
    weight_decay: Sequence[str] | None,
) -> "tuple[bl.Forecast, bl.LossCurve | None, str]":
    """Ask a posterior about the schedules of a command; return the run that has started, or what it rests on."""
    plans: dict[str, bl.Schedule] = {}
    for text in schedules:
        name, spec = named_spec(text, "--schedule")
        if name in plans:
            raise typer.BadParameter(f"two schedules are called {name!r}; allowed: NAME=SPEC", param_hint="--schedule")
        plans[name] = bl.schedules.parse_schedule(spec)
    places = _parse_steps(steps)
    decays, batches = setting("--weight-decay", weight_decay, plans), setting("--batch-size", batch_size, plans)
    fitted = bl.load_posterior(posterior)
    from bayeslr.forecast.questions import rests_on
    from bayeslr.inference import prepare_devices

    # compiled programs are kept between commands, which saves each a second
    prepare_devices()
    run = None
    if observed is not None:
        plan = next(iter(plans.values()))
        run = read_log("observed run", observed, losses, plan)
        say(f"fitting again with the {len(run)} observations of {observed}")
    # these are part of the forecast, and shown beside its numbers
    with untold():
        forecast = bl.predict(
            fitted,
            plans,
            size=size,
            steps=places,
            seed=seed,
            num_draws=draws,
            observed=run,
            progress=watched(),
            batch_size=batches,
            weight_decay=decays,
        )
    # with a run that has started the answer rests on another fit
    return forecast, run, "" if run is not None else rests_on(fitted, plans.values(), size)


def named_spec(text: str, option: str) -> tuple[str, str]:
    """Split NAME=SPEC; a spec without a name is called after its builder or file."""
    name, equals, _ = text.partition("=")
    if equals and "(" not in name and "@" not in name:
        return named_value(option, text)
    builder = text.strip().partition("(")[0]
    return (Path(text.strip()[1:]).stem if text.strip().startswith("@") else builder), text


def named_specs(texts: Sequence[str] | None, option: str) -> list[tuple[str, str]]:
    """Split NAME=SPEC of several options, each name once."""
    found = [named_spec(text, option) for text in texts or ()]
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise typer.BadParameter(f"two are called {name!r}; allowed: NAME=SPEC", param_hint=option)
    return found


def setting(option: str, texts: Sequence[str] | None, names: Collection[str]) -> "float | dict[str, float] | None":
    """Return N, which is for all plans, or a number for each of them from N and NAME=N."""
    found: dict[str, float] = {}
    for text in texts or ():
        name, _, number = text.rpartition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError:
            raise typer.BadParameter(f"found {text!r}; allowed: a number, or NAME=NUMBER", param_hint=option) from None
        if name in found:
            which = f"for {name!r}" if name else "for all plans"
            raise typer.BadParameter(f"found two numbers {which}; allowed: one", param_hint=option)
        if name and name not in names:
            known = ", ".join(list(names)[:6]) or "none: a finished run has its own"
            raise typer.BadParameter(f"no schedule is called {name!r}; allowed: {known}", param_hint=option)
        found[name] = value
    whole = found.pop("", None)
    return whole if not found else found if whole is None else dict.fromkeys(names, whole) | found


def read_log(name: str, log: Path, losses: Losses, plan: "bl.Schedule | None" = None) -> "bl.LossCurve":
    """Return the run of one log, which may begin late where its plan says what came before."""
    return next(iter(bl.read_logs({name: log}, schedule=plan, allow_late_start=plan is not None, **losses)))


def read_run(option: str, text: str, fitted: "bl.Posterior", losses: Losses) -> "bl.LossCurve":
    """Return a fitted run by its name, or NAME=LOG, a log that has rates."""
    if text in fitted.curves.names:
        return fitted.curves[text]
    if "=" not in text:
        known = ", ".join(fitted.curves.names[:6])
        raise typer.BadParameter(f"found {text!r}; allowed: a fitted run ({known}), or NAME=LOG", param_hint=option)
    name, path = named_value(option, text)
    return read_log(name, Path(path), losses)


def named_value(option: str, text: str) -> tuple[str, str]:
    """Split NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise typer.BadParameter(f"found {text!r}; allowed: NAME=VALUE", param_hint=option)
    if not name.isprintable():
        raise typer.BadParameter(f"found the name {name!r}; allowed: printable characters", param_hint=option)
    return name.strip(), value.strip()


def _parse_steps(text: str | None) -> Any:
    """Return an interval, or the column ``step`` of a CSV."""
    if text is None:
        return None
    if not text.startswith("@"):
        if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
            raise typer.BadParameter(
                f"found {text!r}; allowed: a positive whole number, or @file.csv with a column step",
                param_hint="--steps",
            )
        return int(text)
    import numpy as np
    import pandas as pd

    path = text[1:]
    try:
        with open_text(Path(path)) as file:
            table = pd.read_csv(file)
    except (ValueError, OSError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem).strip()
        raise typer.BadParameter(f"{path}: {reason}; allowed: a CSV with a column step", param_hint="--steps") from None
    if "step" not in table:
        found = ", ".join(map(str, table.columns[:8]))
        raise typer.BadParameter(f"{path}: found the columns {found}; allowed: one called step", param_hint="--steps")
    values = pd.to_numeric(table["step"], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(values) | (values != np.round(values)) | (values < 1) | (values > 1e15))
    if bad.size or not values.size:
        what = f"line {bad[0] + 2}: found {table['step'].iloc[bad[0]]!r}" if bad.size else "found no step"
        raise typer.BadParameter(f"{path}, {what}; allowed: whole numbers from 1 on", param_hint="--steps")
    return values.astype(np.int64)


def probability(value: float) -> None:
    """Refuse what is no probability of an interval."""
    if not 0.0 < value < 1.0:
        raise typer.BadParameter(f"found {value}; allowed: between 0 and 1, such as 0.9", param_hint="--ci-prob")
