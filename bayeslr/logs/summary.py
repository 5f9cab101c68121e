"""What was read of a run, in one line."""

from collections.abc import Sequence
from dataclasses import dataclass

from bayeslr.curves.branches import RawRun
from bayeslr.logs.limits import counted, listed
from bayeslr.logs.tidy import TidyLog

__all__ = ["RunRead", "summary_lines"]


@dataclass(frozen=True, kw_only=True)
class RunRead:
    """What was read of a run.

    Parameters
    ----------
    run
        Its name.
    path
        Its log.
    steps
        First and last step with a loss, in its own log.
    losses
        Number of losses of its own log.
    loss
        First and last loss.
    loss_column, kind
        The column of the loss, and what it was measured on.
    step_column
        The column of the steps.
    rate_column
        The column of the rates; None where the schedule was given.
    total_steps, warmup_steps, peak_lr
        Of its schedule.
    parent
        The run whose history precedes it.
    dropped
        Number of rows with a loss that do not count.
    notes
        What was chosen, dropped or repaired.
    """

    run: str
    path: str
    steps: tuple[int, int]
    losses: int
    loss: tuple[float, float]
    loss_column: str
    kind: str
    step_column: str
    rate_column: str | None
    total_steps: int
    warmup_steps: int
    peak_lr: float
    parent: str | None
    dropped: int
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, name: str, log: TidyLog, run: RawRun | None, *, parent: str | None, notes: tuple[str, ...]
    ) -> "RunRead":
        """Return what was read of a run.

        Parameters
        ----------
        name
            Its name.
        log
            Its history.
        run
            The run with its schedule; None if it has none.
        parent
            The run whose history precedes it.
        notes
            What was chosen, dropped or repaired.

        Returns
        -------
        RunRead
            The summary.
        """
        schedule = None if run is None else run.curve.schedule
        logged = run is not None and log.rate_column is not None and run.rates_logged
        steps, loss = log.steps, log.loss
        if schedule is not None and run is not None and run.branch_step is None:
            # losses beyond the schedule are dropped
            steps, loss = steps[steps <= schedule.total_steps], loss[steps <= schedule.total_steps]
        return cls(
            run=name,
            path=log.path,
            steps=(int(steps[0]), int(steps[-1])),
            losses=int(steps.size),
            loss=(float(loss[0]), float(loss[-1])),
            loss_column=log.loss_column,
            kind=log.kind,
            step_column=log.step_column,
            rate_column=log.rate_column if logged else None,
            total_steps=int(steps[-1]) if schedule is None else schedule.total_steps,
            warmup_steps=0 if schedule is None else schedule.warmup_steps,
            peak_lr=float("nan") if schedule is None else schedule.peak_lr,
            parent=parent,
            dropped=log.dropped,
            notes=notes,
        )

    def line(self) -> str:
        """Return the summary.

        Returns
        -------
        str
            One line.
        """
        rate = "no rates" if self.peak_lr != self.peak_lr else "given schedule"
        rate = rate if self.rate_column is None else f"rates of {self.rate_column}"
        peak = "" if self.peak_lr != self.peak_lr else f", peak {self.peak_lr:.4g}"
        extra = f", after {self.parent}" if self.parent else ""
        extra += f", {counted(self.dropped, 'row')} dropped" if self.dropped else ""
        where, values = (f"{self.steps[0]}..{self.steps[1]}", f"{self.loss[0]:.4g} -> {self.loss[1]:.4g}")
        if self.losses == 1:
            where, values = f"{self.steps[1]}", f"{self.loss[1]:.4g}"
        return (
            f"{listed([self.run], width=60)}: {counted(self.losses, 'loss')} at {where} of {self.total_steps} steps, "
            f"{self.loss_column} {values}, {rate}{peak}{extra}"
        )


def summary_lines(read: Sequence[RunRead], limit: int = 20) -> list[str]:
    """Return what was read of runs, one line each.

    Parameters
    ----------
    read
        The runs.
    limit
        Number of lines to return at most; of more runs the first and the last are shown.

    Returns
    -------
    list of str
        The lines.
    """
    lines = [run.line() for run in read]
    if len(lines) <= limit:
        return lines
    return [*lines[: limit - 2], f"... {len(lines) - limit + 1} more runs ...", lines[-1]]
