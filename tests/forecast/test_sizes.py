"""Which size a question is about, and how exactly it is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from bayeslr.curves import CurveSet
from bayeslr.errors import PosteriorError
from bayeslr.forecast.extrapolation import extrapolations
from bayeslr.forecast.sizes import draw_size, find_target
from bayeslr.laws import AnnealingLaw
from bayeslr.model import NoDiscrepancy, ScalingModel

COUNT = 4000
TREND = {"slope": 0.1, "alpha": 0.5, "drop": 0.2, "tau": 100.0}


@pytest.fixture
def posterior(small_curves):
    """A posterior that knows the trend exactly: what is left to vary is the size itself."""
    return SimpleNamespace(
        sizes=("100M", "400M"),
        params=(1e8, 4e8),
        fitted=CurveSet(curves=(small_curves["constant"],)),
        size_of=lambda curve: None,
        scale=SimpleNamespace(area=1.0),
        scale_of=lambda index, params: SimpleNamespace(area=1.0),
        model=ScalingModel(law=AnnealingLaw(), pooling="trend", discrepancy=NoDiscrepancy()),
        tree=xr.DataTree.from_dict({"constant_data": xr.Dataset({"knots": ("knot", np.zeros(0))})}),
    )


def levels(posterior, size):
    """Draw the level of a size where it falls by 0.3 for each factor of e in parameters at the fitted ones."""
    draws = {f"{n}_{kind}": np.full(COUNT, v) for n, v in TREND.items() for kind, v in (("mean", v), ("slope", 0.0))}
    draws |= {f"{name}_sd": np.zeros(COUNT) for name in (*TREND, "level")}
    draws |= {"level_mean": np.full(COUNT, 3.0), "level_gap": np.full(COUNT, 1.2), "level_beta": np.full(COUNT, 0.25)}
    draws["noise"] = np.full((COUNT, 2), 1e-3)
    target = find_target(posterior, size)
    drawn = draw_size(posterior, posterior.model, draws, {}, (), target, np.random.default_rng(0))
    return np.asarray(drawn.values["level"])


def level_at(params):
    return 1.8 + 1.2 * (params / 2e8) ** -0.25


def test_a_number_is_exact(posterior):
    np.testing.assert_allclose(levels(posterior, 1e9), level_at(1e9))
    np.testing.assert_allclose(levels(posterior, "1e9"), level_at(1e9))


def test_a_label_stands_for_all_numbers_that_round_to_it(posterior):
    drawn = levels(posterior, "1B")
    assert level_at(1.5e9) < drawn.min() < drawn.max() < level_at(0.95e9)
    # uniform in the number: the share below the middle, within five standard errors
    assert np.mean(drawn > level_at(1.225e9)) == pytest.approx(0.5, abs=5 * 0.5 / COUNT**0.5)


def test_a_coarse_label_is_said_and_a_fine_one_is_not(posterior):
    (line,) = extrapolations(posterior, {}, {}, find_target(posterior, "1B"), {})
    assert line.startswith("size '1B' is a rounded number: the bands hold for 9.5e+08 to 1.5e+09 parameters")
    assert extrapolations(posterior, {}, {}, find_target(posterior, "760M"), {}) == []
    assert extrapolations(posterior, {}, {}, find_target(posterior, 1e9), {}) == []


def test_a_fitted_size_is_found_by_label_and_by_number(posterior):
    for size in ("400M", 4e8, "4e8", "0.4B"):
        target = find_target(posterior, size)
        assert (target.index, target.rounded) == (1, None)


@pytest.mark.parametrize("size", ["large", "", -1.0, float("nan"), "-1B"])
def test_what_is_no_size_gets_one_line(posterior, size):
    with pytest.raises(PosteriorError, match=r"^size: found [^\n]*allowed: 100M \(100,000,000\), 400M[^\n]*$"):
        find_target(posterior, size)
