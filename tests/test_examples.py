"""The examples run as a user runs them, with few draws."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        # each compiles a model of its own, which the suite's eight minutes have no room for
        pytest.param("fit_and_predict.py", "true final loss", marks=pytest.mark.slow),
        pytest.param("three_sizes_to_a_fourth.py", "never trained", marks=pytest.mark.slow),
        pytest.param("wsd_or_cosine.py", "expected_regret", marks=pytest.mark.slow),
    ],
)
def test_an_example_runs(script: str, expected: str, tmp_path: Path) -> None:
    options = ["--draws", "50"] + (["--plot", str(tmp_path / "bands.png")] if script == "fit_and_predict.py" else [])
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert expected in done.stdout
    assert list(tmp_path.iterdir()) == ([tmp_path / "bands.png"] if "--plot" in options else [])
