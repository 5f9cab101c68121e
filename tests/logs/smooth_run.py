"""A run for tests of logs: one smooth loss under a warm-up and a cosine; how it is written and read."""

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest

from bayeslr.logs import read_logs

STEPS = tuple(range(100, 2001, 100))
EVERY_50 = tuple(range(50, 2001, 50))


def loss_at(step):
    """The validation loss after some updates."""
    return 2.6 + 3.0 * step**-0.2


def rate_at(step, total=2000):
    """A warm-up of 200 updates and a cosine from 1e-3 to 1e-4."""
    if step < 200:
        return 5e-6 * step
    return 1e-4 + 4.5e-4 * (1 + math.cos(math.pi * (step - 200) / (total - 200)))


LOSS = [loss_at(s) for s in STEPS]
TRAIN = [x - 0.02 for x in LOSS]
LR = [rate_at(s) for s in STEPS]
N = len(STEPS)


def write(folder, rows, name="log.csv"):
    """Write rows, a mapping of columns or a list of records, as CSV or JSON lines."""
    path = folder / name
    frame = pd.DataFrame(rows)
    if name.endswith(".csv"):
        frame.to_csv(path, index=False)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, **options):
    """The curves and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        curves = read_logs(path, **options)
    return curves, [str(one.message) for one in said]


def only(path, **options):
    curves, notes = read(path, **options)
    (curve,) = curves
    return curve, notes


def assert_whole(curve, steps=STEPS, loss=None, *, last_rate=1e-4):
    """The run as it was, from the first step to the last."""
    assert curve.steps.tolist() == list(steps)
    np.testing.assert_allclose(curve.loss, [loss_at(s) for s in steps] if loss is None else loss, rtol=1e-9)
    assert curve.schedule.total_steps == steps[-1]
    assert curve.schedule.lr[-1] == pytest.approx(last_rate, rel=2e-2)
