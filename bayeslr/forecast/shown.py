"""How forecasts and comparisons show themselves: a few lines of text, and HTML for notebooks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bayeslr.markup import COLOURS, bands, box, paragraph, table
from bayeslr.written import chance, decimals

if TYPE_CHECKING:
    from bayeslr.forecast.compare import Comparison
    from bayeslr.forecast.forecast import Forecast

__all__ = ["comparison_html", "comparison_text", "forecast_html", "forecast_text", "limited"]

_CI_PROB = 0.9
_ROWS = 12


def limited(lines: Sequence[str], most: int = 38) -> str:
    """Join lines; of more than so many the last are counted."""
    if len(lines) <= most:
        return "\n".join(lines)
    return "\n".join([*lines[: most - 1], f"... and {len(lines) - most + 1} more lines"])


def forecast_text(forecast: "Forecast") -> str:
    """Say the final losses of a forecast."""
    final = forecast.final_loss(ci_prob=_CI_PROB)
    head = f"Forecast of {_count(len(final), 'schedule')} for the size {forecast.size}{_seed(forecast)}"
    head += ": final loss as measured, 90%"
    lines = [
        f"  {name}: {median} ({lower} to {upper}) at step {step:,.0f}"
        for name, step, median, lower, upper in _final_rows(final)
    ]
    return limited([head, *lines, *(f"  {text}" for text in _told("warning", forecast))])


def forecast_html(forecast: "Forecast") -> str:
    """Show the final losses of a forecast, and small bands."""
    final = forecast.final_loss(ci_prob=_CI_PROB)
    band = forecast.band(ci_prob=_CI_PROB)
    names = list(final.index[:_ROWS])
    series = []
    for name in names[: len(COLOURS)]:
        part = band[band["schedule"] == name]
        step, lower, median, upper = (part[key].tolist() for key in ("step", "lower", "median", "upper"))
        series.append((step, lower, median, upper))
    rows = [
        (name, f"{step:,.0f}", median, lower, upper)
        for name, step, median, lower, upper in _final_rows(final.loc[names])
    ]
    marks = COLOURS if len(names) <= len(COLOURS) else ()
    return box(
        paragraph(f"Final loss for the size {forecast.size}, as it would be measured{_seed(forecast)}", strong=True),
        table(("schedule", "step", "median", "90% lower", "upper"), rows, marked=marks),
        bands(series, label="Predicted loss: medians and 90% bands") if all(len(s[0]) > 1 for s in series) else "",
        *_notes(final, forecast),
    )


def comparison_text(comparison: "Comparison") -> str:
    """Say which schedule ends lowest, and the differences."""
    ends, pairs = _ends(comparison), _pairs(comparison)
    what = "schedules" if comparison.question == "schedule" else "single runs"
    lines = [f"Comparison of {what}: final loss, probability of ending lowest, expected regret"]
    lines += [f"  {name}: {median}, P(best) {best}, regret {regret}" for name, median, _, _, best, regret in ends]
    lines += [
        f"  {first} - {second}: {median} ({lower} to {upper}), P(first lower) {lowest}"
        for first, second, median, lower, upper, lowest in pairs
    ]
    return limited([*lines, f"  {comparison.answers}", *(f"  {text}" for text in _told("warning", comparison))])


def comparison_html(comparison: "Comparison") -> str:
    """Show which schedule ends lowest, and the differences."""
    ends, pairs = _ends(comparison)[:_ROWS], _pairs(comparison)[:_ROWS]
    return box(
        paragraph("Final loss", strong=True),
        table(("schedule", "median", "lower", "upper", "P(best)", "expected regret"), ends),
        paragraph("First minus second", strong=True),
        table(("first", "second", "median", "lower", "upper", "P(first lower)"), pairs, texts=2),
        paragraph(comparison.answers),
        *_notes(comparison.final_loss, comparison),
    )


def _final_rows(final: pd.DataFrame) -> list[tuple[str, float, str, str, str]]:
    texts = [final[key].map(decimals) for key in ("median", "lower", "upper")]
    return list(zip(map(str, final.index), final["step"], *texts, strict=True))


def _seed(forecast: "Forecast") -> str:
    return "" if forecast.seed is None else f", seed {forecast.seed}"


def _ends(comparison: "Comparison") -> list[tuple[str, ...]]:
    final = comparison.final_loss[["median", "lower", "upper"]].to_numpy()
    columns = zip(comparison.final_loss.index, final, comparison.p_best, comparison.expected_regret, strict=True)
    return [
        (str(name), *(decimals(value) for value in row), chance(best), decimals(regret))
        for name, row, best, regret in columns
    ]


def _pairs(comparison: "Comparison") -> list[tuple[str, ...]]:
    rows = comparison.differences.to_dict("records")
    return [
        (
            *(
                str(row["first"]),
                str(row["second"]),
                *(decimals(row[key], signed=True) for key in ("median", "lower", "upper")),
            ),
            chance(row["p_first_lower"]),
        )
        for row in rows
    ]


def _notes(final: pd.DataFrame, answer: "Forecast | Comparison") -> list[str]:
    more = [f"and {len(final) - _ROWS} more schedules"] if len(final) > _ROWS else []
    return [paragraph(text) for text in [*more, *_told("Warning", answer)]]


def _told(word: str, answer: "Forecast | Comparison") -> list[str]:
    """Say what is wrong with the fit, if anything, and all warnings."""
    health = [f"{word}: health of the fit {answer.health}"] if answer.health else []
    return [*health, *(f"{word}: {text}" for text in answer.warnings)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
