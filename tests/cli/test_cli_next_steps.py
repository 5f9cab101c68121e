"""What a fit says to do next can be done as it stands."""

import shlex
from dataclasses import replace

import pytest

from bayeslr.cli.commands import _next_steps
from bayeslr.curves import CurveSet
from bayeslr.forecast.sizes import find_target


@pytest.mark.parametrize("label", ["small", None, "my model's size"])
def test_of_several_sizes_one_is_asked_for(small_curves, small_posterior, tmp_path, label):
    """Also where a manifest has the number of parameters alone."""
    larger = tuple(replace(c, name=f"{c.name} 2", params=4e7, size=label and f"{label} 2") for c in small_curves)
    both = CurveSet(curves=(*(replace(c, size=label) for c in small_curves), *larger))
    line = " ".join(_next_steps(both, tmp_path / "p.nc")[1:]).replace("\\", "")
    words = shlex.split(line)
    asked = words[words.index("--size") + 1]
    posterior = replace(small_posterior, curves=both)
    assert find_target(posterior, asked).params == 4e7


def test_of_one_size_none_is(small_curves, tmp_path):
    assert "--size" not in " ".join(_next_steps(small_curves, tmp_path / "p.nc"))
