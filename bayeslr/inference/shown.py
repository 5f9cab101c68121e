"""How a posterior and its health show themselves: a few lines of text, and HTML for notebooks."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslr.markup import badge, box, paragraph, table

if TYPE_CHECKING:
    from bayeslr.inference.posterior import Posterior
    from bayeslr.inference.verdict import Health

__all__ = ["health_html", "posterior_html", "posterior_text"]

_CI_PROB = 0.9
_ROWS = 30


def posterior_text(posterior: "Posterior", health: "Health") -> str:
    """Say what was fitted, the parameters of the law with their intervals, and the verdict."""
    summary, rows = _parameters(posterior)
    width = max(len(name) for name, *_ in rows)
    lines = [f"  {name:{width}}  {mean:>9}  ({lower} to {upper})" for name, mean, lower, upper in rows]
    more = [f"  ... and {len(summary) - len(rows)} more"] if len(summary) > len(rows) else []
    told = [f"  {item.status}: {item.name}" for item in health.checks if item.status != "PASS"][:6]
    taken = [f"  {text}" for text in posterior.assumptions]
    head = f"{_head(posterior)}; health {health.status}"
    return "\n".join([head, *told, *taken, "  mean, 90% interval:", *lines, *more])


def posterior_html(posterior: "Posterior", health: "Health") -> str:
    """Show what was fitted, the parameters of the law with their intervals, and the verdict."""
    summary, rows = _parameters(posterior)
    told = [
        paragraph(f"{item.status}: {item.name}: {item.evidence} -> {item.advice}")
        for item in health.checks
        if item.status != "PASS"
    ]
    more = f"and {len(summary) - len(rows)} more" if len(summary) > len(rows) else ""
    return box(
        f"<div><b>{_head(posterior)}</b> {badge(health.status)}</div>",
        *told,
        *map(paragraph, posterior.assumptions),
        table(("parameter", "mean", "90% lower", "upper"), rows),
        paragraph(more) if more else "",
    )


def health_html(health: "Health") -> str:
    """Show every check with its evidence and advice."""
    rows = [
        (item.status, item.name, f"{item.evidence}{f' -> {item.advice}' if item.advice else ''}")
        for item in health.checks
    ]
    verdict = f"<div>{badge(health.status)}</div>"
    return box(verdict, table(("", "check", "evidence and advice"), rows, texts=3))


def _head(posterior: "Posterior") -> str:
    sizes, draws = posterior.sizes, posterior.draws.sizes
    runs, seed = len(posterior.curves), posterior.settings["seed"]
    what = "Laplace approximation, draws" if posterior.method == "laplace" else "draws"
    many = f"{len(sizes)} sizes" if len(sizes) > 1 else f"the size {sizes[0]}"
    made = f"{what} {draws['chain']} x {draws['draw']}, seed {seed}"
    return f"Posterior of {runs} run{'s' if runs != 1 else ''} of {many}; {made}"


def _parameters(posterior: "Posterior") -> tuple[pd.DataFrame, list[tuple[str, str, str, str]]]:
    """Return the summary of what the law and the noise report, and its first rows as text."""
    names = [*posterior.model.law.reported_names, *posterior.model.noise.names]
    summary = posterior.summary(ci_prob=_CI_PROB, var_names=names)
    rows = []
    for name, row in summary.iloc[:_ROWS].iterrows():
        digits = int(np.clip(1 - np.floor(np.log10(row["sd"])), 0, 6)) if row["sd"] > 0.0 else 4
        mean, lower, upper = (_number(float(row[key]), digits) for key in ("mean", "lower", "upper"))
        rows.append((str(name), mean, lower, upper))
    return summary, rows


def _number(value: float, digits: int) -> str:
    return f"{value:.2e}" if 0.0 < abs(value) < 1e-3 else f"{value:.{digits}f}"
