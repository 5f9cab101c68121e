"""The table of priors in docs/model.md is the one of the code. Run this file to write it anew."""

import inspect
from pathlib import Path

from bayeslr.laws import AnnealingLaw
from bayeslr.model import Discrepancy, Noise
from bayeslr.model.discrepancy import CONCENTRATION, SCALES

PAGE = Path(__file__).parents[2] / "docs" / "model.md"
START = "<!-- priors: compared with the code by tests/model/test_model_page.py -->\n"
END = "<!-- end of priors -->"


def table():
    rows = [("parameter", "unit", "prior", "meaning"), ("---",) * 4]
    for parameter in AnnealingLaw().parameters:
        spec = parameter.prior
        unit = f" {spec.relative_to}" if spec.relative_to else ""
        spread = f"{spec.spread:g}{unit}" if spec.family == "Normal" else f"{spec.spread:g}"
        prior = f"{spec.family}({spec.center:g}{unit}, {spread})"
        rows.append((f"`{parameter.name}`", parameter.unit, prior, parameter.meaning))
    noise = Noise()
    meaning = "Standard deviation of the measurement noise."
    rows.append(("`noise`", "loss", f"LogNormal({noise.center:g} loss, {noise.spread:g})", meaning))
    discrepancy = Discrepancy()
    documented = documented_settings(Discrepancy)
    for name, value in discrepancy.settings().items():
        if name == "enabled":
            continue
        inferred = name in SCALES
        prior = f"LogNormal({value:g}, {discrepancy.prior_spread:g})" if inferred else f"fixed: {value:g}"
        if name == "area_memory":
            prior = f"Beta({CONCENTRATION * value:g}, {CONCENTRATION * (1 - value):g})"
        label = f"`discrepancy_{name}`" if inferred else f"`Discrepancy({name}=)`"
        rows.append((label, "1", prior, documented[name]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def documented_settings(kind):
    """Read what each setting means from the numpydoc docstring of its class."""
    found, name = {}, None
    for line in inspect.cleandoc(kind.__doc__).splitlines():
        if line in kind.__dataclass_fields__:
            name, found[line] = line, ""
        elif name and line.startswith("    "):
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def written():
    text = PAGE.read_text(encoding="utf-8")
    return text[text.index(START) + len(START) : text.index(END)]


def test_the_table_of_priors_is_that_of_the_code():
    assert written() == table(), f"write it anew with: uv run python {Path(__file__).relative_to(PAGE.parents[1])}"


def test_every_setting_is_explained():
    assert "| |" not in table()
    assert set(documented_settings(Discrepancy)) == set(Discrepancy.__dataclass_fields__)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(written(), table()), encoding="utf-8")
