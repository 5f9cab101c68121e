"""What was read of a run, in one line."""

from collections.abc import Sequence
from dataclasses import dataclass

from bayeslr.logs.limits import listed

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

    def line(self) -> str:
        """Return the summary.

        Returns
        -------
        str
            One line.
        """
        rate = "given schedule" if self.rate_column is None else f"rates of {self.rate_column}"
        extra = f", after {self.parent}" if self.parent else ""
        extra += f", {self.dropped} rows dropped" if self.dropped else ""
        return (
            f"{listed([self.run], width=60)}: {self.losses} losses at {self.steps[0]}..{self.steps[1]} of "
            f"{self.total_steps} steps, {self.loss_column} {self.loss[0]:.4g} -> {self.loss[1]:.4g}, {rate}, peak "
            f"{self.peak_lr:.4g}{extra}"
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
