"""Pictures show the numbers of the forecast: what is drawn is read back from the artists."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import bayeslr as bl
from bayeslr.laws.areas import area_response, response
from bayeslr.report.plots.style import format_rate, format_steps

COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}


@pytest.fixture(scope="module")
def forecast(small_posterior):
    plans = {"wsd": bl.schedules.wsd(decay_steps=500, **COMMON), "cosine": bl.schedules.cosine(**COMMON)}
    return bl.predict(small_posterior, plans, seed=1, num_draws=200)


@pytest.fixture(scope="module")
def measured(small_curves):
    return replace(small_curves["cosine"], name="wsd")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_bands_show_the_quantiles_of_the_draws(forecast, measured):
    figure = bl.plots.plot_bands(forecast, curves=[measured])
    (ax,) = figure.axes
    draws = forecast.observed["wsd"]
    curves = {line.get_label(): line for line in ax.lines}
    medians = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == draws.shape[1]]
    np.testing.assert_allclose(medians[0], np.median(draws, axis=0))
    outer, inner = ax.collections[:2]
    for band, tail in ((outer, 0.05), (inner, 0.25)):
        vertices = band.get_paths()[0].vertices[:, 1]
        last = draws[:, -1]
        assert np.isclose(vertices, np.quantile(last, tail)).any()
        assert np.isclose(vertices, np.quantile(last, 1 - tail)).any()
    assert texts(ax) == ["wsd", "cosine"] or texts(ax) == ["cosine", "wsd"]
    assert curves
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["predicted median", "50% band", "90% band of the observed loss", "measured"]
    assert ax.get_xlabel() == "step"
    assert "nats" in ax.get_ylabel()


def test_measured_points_are_drawn_where_they_are(forecast, measured):
    (ax,) = bl.plots.plot_bands(forecast, curves=[measured]).axes
    points = next(line for line in ax.lines if line.get_marker() == "o")
    found = dict(zip(points.get_xdata(), points.get_ydata(), strict=True))
    known = dict(zip(measured.steps, measured.loss, strict=True))
    assert len(found) > 20
    assert all(known[step] == loss for step, loss in found.items())


def test_deviations_are_measured_minus_median(forecast, measured):
    (ax,) = bl.plots.plot_deviations(forecast, [measured]).axes
    points = next(line for line in ax.lines if line.get_marker() == "o")
    assert points.get_xdata()[-1] == measured.steps[-1]
    median = np.median(forecast.observed["wsd"], axis=0)
    expected = measured.loss[-1] - np.interp(measured.steps[-1], forecast.steps["wsd"], median)
    np.testing.assert_allclose(points.get_ydata()[-1], expected)
    with pytest.raises(ValueError, match="wsd, cosine"):
        bl.plots.plot_deviations(forecast, [replace(measured, name="other")])


def test_a_prediction_has_bands_over_deviations(forecast, measured):
    above, below = bl.plots.plot_prediction(forecast, [measured]).axes
    assert above.get_xlim() == below.get_xlim() == (0.0, 2000.0)
    assert above.get_legend() is not None
    assert "median" in below.get_ylabel()


def test_rates_lie_over_losses_on_one_axis(forecast):
    above, below = bl.plots.plot_schedules(forecast).axes
    assert above.get_xlim() == below.get_xlim()
    for line, schedule in zip(above.lines, forecast.schedules.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), schedule.lr[line.get_xdata().astype(int)])
        assert line.get_ydata().max() == schedule.peak_lr


def test_final_losses_are_sorted_and_measured_values_shown(forecast):
    (ax,) = bl.plots.plot_final_loss(forecast, measured={"wsd": 2.9}).axes
    median = {name: np.median(forecast.observed[name][:, -1]) for name in forecast.names}
    assert [label.get_text() for label in ax.get_yticklabels()] == sorted(median, key=median.get)
    spans = [c.get_segments()[0][:, 0] for c in ax.collections if isinstance(c, LineCollection)]
    lowest = min(median, key=median.get)
    np.testing.assert_allclose(spans[0], np.quantile(forecast.observed[lowest][:, -1], [0.05, 0.95]))
    np.testing.assert_allclose(spans[1], np.quantile(forecast.observed[lowest][:, -1], [0.25, 0.75]))
    assert any(line.get_marker() == "D" and line.get_xdata()[0] == 2.9 for line in ax.lines)


def test_terms_add_up(forecast):
    (ax,) = bl.plots.plot_terms(forecast, name="cosine").axes
    terms = forecast.terms["cosine"]
    lines = [line.get_ydata() for line in ax.lines]
    np.testing.assert_allclose(lines[0], np.median(terms.base + terms.forward, axis=0))
    np.testing.assert_allclose(lines[1], np.median(terms.base, axis=0))
    np.testing.assert_allclose(lines[2], np.median(forecast.latent["cosine"], axis=0))
    assert "cosine" in ax.get_title(loc="left")
    with pytest.raises(ValueError, match="allowed: wsd, cosine"):
        bl.plots.plot_terms(forecast, name="triangle")


def test_residuals_are_measured_minus_the_law(small_posterior, small_curves):
    figure = bl.plots.plot_residuals(small_posterior, num_draws=100)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert set(panels) == set(small_curves.names)
    curve = small_curves["cosine"]
    log_tau = np.linspace(np.log(10.0), np.log(1e5), 1500)
    in_steps = response(curve.schedule, curve.steps, np.exp(log_tau)) / small_posterior.scale.rate
    in_area = area_response(curve.schedule, curve.steps, np.exp(log_tau)) / small_posterior.scale.rate
    forward = np.cumsum(curve.schedule.lr)[curve.steps - 1]
    names = ["L0", "A", "alpha", "drop", "tau", "discrepancy_spread", "discrepancy_area_memory"]
    fitted = []
    draws = small_posterior.sample(names, num_draws=100)
    for k in range(100):
        value = {name: float(draws[name].reshape(100, -1)[k, 0]) for name in names}
        share = np.exp(-0.5 * ((log_tau - np.log(value["tau"])) / value["discrepancy_spread"]) ** 2)
        mixed = (1 - value["discrepancy_area_memory"]) * in_steps + value["discrepancy_area_memory"] * in_area
        annealed = value["drop"] * mixed @ (share / share.sum())
        fitted.append(value["L0"] + value["A"] * forward ** -value["alpha"] - annealed)
    points = panels["cosine"].lines[-1]
    np.testing.assert_allclose(points.get_ydata(), curve.loss - np.median(fitted, axis=0), atol=5e-4)


def test_pictures_leave_no_settings_behind(forecast, tmp_path):
    before = dict(rcParams)
    figure = bl.plots.plot_bands(forecast)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "bands.png")
    assert dict(rcParams) == before


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (500, "500"), (24_000, "24k"), (2_500, "2.5k"), (1_500_000, "1.5M")]
)
def test_steps_are_written_short(value, text):
    assert format_steps(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (3e-4, "3e-4"), (1.5e-4, "1.5e-4"), (1e-3, "1e-3")])
def test_rates_are_written_short(value, text):
    assert format_rate(value) == text
