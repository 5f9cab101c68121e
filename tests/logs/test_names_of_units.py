"""What a name says of its column: losses in another unit, steps that are no updates, rates in percent."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayeslr.errors import DataWarning, LogError
from bayeslr.logs import read_logs

STEPS = np.arange(20, 2001, 20)
LOSS = 2.5 + 4.0 * STEPS**-0.4
RATES = np.minimum(STEPS / 200.0, 1.0) * 3e-3


def warned(path, **names):
    """Return what reading a log warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        read_logs(path, **names)
    return " ".join(str(one.message) for one in caught)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("val_bpb", "bits per byte"),
        ("loss_bits", "bits"),
        ("loss_per_byte", "bits per byte"),
        ("val_ppl", "perplexity"),
        ("best_ppl", "perplexity"),
        ("log_ppl", None),
        ("val_loss", None),
        ("loss_orbits", None),
    ],
)
def test_a_loss_whose_name_says_another_unit_is_spoken_of(tmp_path, name, unit):
    path = tmp_path / "log.csv"
    pd.DataFrame({"step": STEPS, name: LOSS, "lr": RATES}).to_csv(path, index=False)
    said = warned(path, loss=name)
    assert (f"{name!r} says {unit} by its name" in said) == (unit is not None)
    # a unit that was given is one
    assert "by its name" not in warned(path, loss=name, loss_unit="bits")


@pytest.mark.parametrize(("name", "told"), [("samples", True), ("tokens_seen", True), ("my_counter", False)])
def test_steps_that_are_called_something_else_are_spoken_of(tmp_path, name, told):
    path = tmp_path / "log.csv"
    pd.DataFrame({name: 240 * STEPS, "loss": LOSS, "lr": RATES}).to_csv(path, index=False)
    assert (f"the steps are called {name!r}: tokens or samples are no updates" in warned(path, step=name)) == told


def test_a_rate_in_percent_is_not_read_as_a_rate(tmp_path):
    rows = zip(STEPS, LOSS, RATES, strict=True)
    path = tmp_path / "log.txt"
    path.write_text("".join(f"step {s} loss {x:.4f} lr {100 * r:.4f}%\n" for s, x, r in rows))
    with pytest.raises(LogError, match="no rates are logged"):
        read_logs(path)
