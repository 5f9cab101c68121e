"""Verdicts: what a check found, how bad it is, and what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from bayeslr.errors import one_line
from bayeslr.inference.shown import health_html

__all__ = ["DISTRUSTED", "Check", "Health", "Status", "worst"]

type Status = Literal["PASS", "REVIEW", "FAIL"]

DISTRUSTED = "do not trust this fit yet"
"""How the message about a fit that failed its check begins."""

_ORDER: tuple[Status, ...] = ("PASS", "REVIEW", "FAIL")


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of some statuses."""
    return max(statuses, key=_ORDER.index)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Parameters
    ----------
    name
        What was checked.
    status
        ``"PASS"``, ``"REVIEW"`` (read the advice before you rely on it) or ``"FAIL"`` (do not use the numbers).
    evidence
        The figures.
    advice
        What to do; empty when passed.
    """

    name: str
    status: Status
    evidence: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    """All checks of a posterior.

    Parameters
    ----------
    checks
        The checks, in a fixed order.
    """

    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst status of the checks."""
        return worst(item.status for item in self.checks)

    @property
    def doubt(self) -> str:
        """The status and the checks that are to blame, ``REVIEW: agreement of chains``; empty where all pass."""
        blamed = ", ".join(item.name for item in self.checks if item.status != "PASS")
        return f"{self.status}: {blamed}" if blamed else ""

    @property
    def failure(self) -> str:
        """What a fit that failed is to say of itself, with the evidence; empty where no check failed."""
        evidence = "; ".join(item.evidence for item in self.checks if item.status == "FAIL")
        return one_line(f"{DISTRUSTED}: {evidence}") if evidence else ""

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row for each check: ``name, status, evidence, advice``."""
        return pd.DataFrame([asdict(item) for item in self.checks])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return health_html(self)

    def __str__(self) -> str:
        lines = [f"{item.status:6}  {item.name}: {item.evidence}" for item in self.checks]
        lines += [f"        {item.name}: {item.advice}" for item in self.checks if item.advice]
        return "\n".join([self.status, *lines])
