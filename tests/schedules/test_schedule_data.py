"""The specs of the public manifests, and the rates that their logs report."""

import numpy as np
import pandas as pd
import pytest

from bayeslr.schedules import parse_schedule


@pytest.mark.parametrize(("name", "runs"), [("multi-power-law", 18), ("epfl-schedules", 115)])
def test_every_spec_of_the_manifest_parses(data_dir, name, runs):
    manifest = pd.read_csv(data_dir / name / "runs.csv")
    assert len(manifest) == runs
    for text in manifest["schedule"].unique():
        schedule = parse_schedule(text)
        assert f"total_steps={schedule.total_steps}" in text
        assert schedule.peak_lr == pytest.approx(float(text.split("peak_lr=")[1].split(",")[0]))
        assert parse_schedule(schedule.spec) == schedule


def test_built_rates_equal_the_logged_ones(data_dir):
    """The logs of multi-power-law hold the rate at each logged step, written by the program that trained."""
    folder = data_dir / "multi-power-law"
    for run in pd.read_csv(folder / "runs.csv").itertuples():
        log = pd.read_csv(folder / run.file)
        schedule = parse_schedule(run.schedule)
        inside = log["step"].to_numpy() < schedule.total_steps
        steps, rates = log["step"].to_numpy()[inside], log["lr"].to_numpy()[inside]
        np.testing.assert_allclose(schedule.lr[steps], rates, rtol=1e-6, err_msg=run.run)
