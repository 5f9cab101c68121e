"""The table of priors in docs/model.md is the one of the code. Run this file to write it anew."""

import inspect
from pathlib import Path

from bayeslr.laws import EffectiveRateLaw, WeightNormRate
from bayeslr.model import Discrepancy, Noise

PAGE = Path(__file__).parents[2] / "docs" / "model.md"
START = "<!-- priors: compared with the code by tests/model/test_model_page.py -->\n"
END = "<!-- end of priors -->"
LAW = EffectiveRateLaw(rate=WeightNormRate(weight_decay="inferred"))


def table():
    rows = [("parameter", "unit", "prior", "meaning"), ("---",) * 4]
    rows += [declared(parameter, parameter.name) for parameter in LAW.parameters]
    noise, discrepancy = Noise(), Discrepancy()
    meaning = "Standard deviation of the measurement noise."
    rows.append(("`noise`", "loss", f"LogNormal({noise.center:g} loss, {noise.spread:g})", meaning))
    documented = documented_settings(Discrepancy)
    inferred = {parameter.name: parameter for parameter in discrepancy.parameters}
    for name in Discrepancy.__dataclass_fields__:
        if name in inferred:
            label, unit, prior, _ = declared(inferred[name], f"discrepancy_{name}")
        else:
            label, unit, prior = f"`Discrepancy({name}=)`", "1", f"fixed: {getattr(discrepancy, name):g}"
        rows.append((label, unit, prior, documented[name]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def declared(parameter, site):
    """Write a row of what is sampled."""
    spec = parameter.prior
    unit = f" {spec.relative_to}" if spec.relative_to else ""
    spread = f"{spec.spread:g}{unit}" if spec.family == "Normal" else f"{spec.spread:g}"
    prior = f"{spec.family}({spec.center:g}{unit}, {spread})"
    if spec.family == "Beta":
        prior = f"Beta({spec.spread * spec.center:g}, {spec.spread * (1 - spec.center):g})"
    return f"`{site}`", parameter.unit, prior, parameter.meaning


def documented_settings(kind):
    """Read what each setting means from the numpydoc docstring of its class."""
    found, name = {}, None
    for line in inspect.cleandoc(kind.__doc__).split("\nRaises\n")[0].splitlines():
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
