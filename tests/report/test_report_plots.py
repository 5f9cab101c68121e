"""Pictures show the numbers of the forecast: what is drawn is read back from the artists."""

from dataclasses import replace
from inspect import Parameter, signature

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import bayeslr as bl
from bayeslr.report.plots.style import format_rate, format_steps, label_ends, short_names

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
    figure = bl.plots.plot_bands(forecast, curves=measured)
    ax, _ = figure.axes
    draws = forecast.observed["wsd"]
    lines = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == draws.shape[1]]
    for line, share in zip(lines[:3], (0.05, 0.95, 0.5), strict=True):
        np.testing.assert_allclose(line, np.quantile(draws, share, axis=0))
    outer, inner = ax.collections[:2]
    for band, tail in ((outer, 0.05), (inner, 0.25)):
        vertices = band.get_paths()[0].vertices[:, 1]
        last = draws[:, -1]
        assert np.isclose(vertices, np.quantile(last, tail)).any()
        assert np.isclose(vertices, np.quantile(last, 1 - tail)).any()
    assert texts(ax) == ["wsd", "cosine"] or texts(ax) == ["cosine", "wsd"]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["predicted median", "50% band", "90% band of the observed loss", "measured"]
    assert figure.axes[1].get_xlabel() == "step"
    assert "nats" in ax.get_ylabel()


@pytest.mark.parametrize(
    "names",
    [
        ["a/short", "a/" + "x" * 40, "a/" + "y" * 40],
        [f"sweep_with_one_long_beginning_{k}_and_one_long_end_of_it" for k in range(9)],
        ["lr" * 30 + "1", "lr" * 30 + "2"],
        ["one" * 20],
    ],
)
def test_long_names_are_cut_and_stay_apart(names):
    found = short_names(names)
    assert len(set(found)) == len(names)
    assert all(len(name) <= 24 for name in found)
    assert short_names(["runs/short", "runs/wsd"]) == ["short", "wsd"]


def test_what_is_wrong_with_the_fit_stands_below_the_picture(forecast, measured):
    doubtful = replace(forecast, health="REVIEW: agreement of chains, " + "identification of parameters, " * 4)
    for one, said in ((doubtful, True), (replace(forecast, health=""), False)):
        bands, ends = bl.plots.plot_bands(one), bl.plots.plot_final_loss(one)
        both = bl.plots.plot_prediction(one, measured)
        for figure in (bands, ends, both):
            assert ("health of the fit: REVIEW: agreement" in figure.get_supxlabel()) == said
        if said:
            bands.draw_without_rendering()
            box = bands._supxlabel.get_window_extent()
            assert box.x1 < bands.bbox.x1
            assert box.y1 < bands.axes[-1].get_tightbbox().y0


def test_measured_points_are_drawn_where_they_are(forecast, measured):
    ax, _ = bl.plots.plot_bands(forecast, curves=[measured]).axes
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


def test_deviations_show_the_errors_of_the_end_and_not_of_the_beginning(forecast, measured):
    early = measured.loss + np.where(measured.steps < 300, 5.0, 0.01)
    (ax,) = bl.plots.plot_deviations(forecast, replace(measured, loss=early)).axes
    reach = ax.get_ylim()[1]
    assert 0.01 < reach < 0.5
    assert ax.get_ylim()[0] == -reach


def test_a_prediction_has_bands_over_rates_over_deviations(forecast, measured):
    losses, rates, deviations = bl.plots.plot_prediction(forecast, [measured]).axes
    assert losses.get_xlim() == rates.get_xlim() == (0.0, 2000.0)
    assert losses.get_legend() is not None
    assert deviations.get_title(loc="left") == "wsd"
    assert rates.get_ylabel() == "learning rate"


def test_rates_lie_under_losses_on_one_axis(forecast):
    above, below = bl.plots.plot_bands(forecast).axes
    assert above.get_xlim() == below.get_xlim()
    assert above.get_position().y0 > below.get_position().y1
    for line, schedule in zip(below.lines, forecast.schedules.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), schedule.lr[line.get_xdata().astype(int)])
        assert line.get_ydata().max() == schedule.peak_lr


def test_what_schedules_begin_with_in_common_is_drawn_once(small_posterior):
    plans = {"long": bl.schedules.wsd(decay_steps=500, **COMMON), "short": bl.schedules.wsd(decay_steps=250, **COMMON)}
    ax, rates = bl.plots.plot_bands(bl.predict(small_posterior, plans, seed=1, num_draws=100)).axes
    starts = [line.get_xdata()[0] for line in ax.lines if line.get_linewidth() == 1.3]
    assert starts[0] == 101
    assert 1480 <= starts[1] <= 1501  # the first of 200 steps before the rates part at 1500
    assert [line.get_xdata()[0] for line in rates.lines] == [0, 1500]


def test_overlapping_bands_make_no_third_colour(forecast):
    ax, _ = bl.plots.plot_bands(forecast).axes
    assert all(band.get_facecolor()[0, 3] == 1.0 for band in ax.collections)


@pytest.mark.parametrize(("steps", "told"), [(2000, False), (2050, False), (4000, True)])
def test_where_the_longest_fitted_run_ends_is_marked(small_posterior, steps, told):
    forecast = bl.predict(small_posterior, bl.schedules.cosine(**COMMON | {"total_steps": steps}), num_draws=50)
    assert forecast.fitted_steps == max(curve.steps[-1] for curve in small_posterior.curves)
    ax, _ = bl.plots.plot_bands(forecast).axes
    assert ("longest fitted run" in texts(ax)) == told
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert marks == [forecast.fitted_steps] * told


def test_a_run_that_has_started_is_shown_up_to_now(small_posterior, small_curves):
    plan = bl.schedules.cosine(**COMMON)
    started = replace(small_curves["cosine"], name="mine")
    started = replace(started, steps=started.steps[:8], loss=started.loss[:8], schedule=plan)
    now = int(started.steps[-1])
    forecast = bl.predict(small_posterior, {"cosine": plan}, seed=1, num_draws=100)
    ax, _ = bl.plots.plot_bands(forecast, started=started).axes
    assert "now" in texts(ax)
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert points.get_xdata()[-1] == now
    (median,) = [line for line in ax.lines if line.get_linewidth() == 1.3]
    assert now - 15 <= median.get_xdata()[0] <= now
    assert "measured so far" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    "plans",
    [
        bl.schedules.cosine(**COMMON),
        "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)",
        {"cosine": "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"},
        [bl.schedules.cosine(**COMMON)],
    ],
)
def test_schedules_are_drawn_from_all_that_describes_them(plans):
    (ax,) = bl.plots.plot_schedules(plans).axes
    assert ax.lines[0].get_ydata().max() == 1e-3
    assert ax.lines[0].get_xdata()[-1] == 1999


def test_labels_do_not_overlap(forecast):
    figure = bl.plots.plot_bands(forecast)
    figure.draw_without_rendering()
    first, second = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not first.overlaps(second)


def test_a_notebook_shows_a_picture_by_itself(forecast):
    data, size = bl.plots.plot_bands(forecast)._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert 400 < size["width"] < 800


def test_dark_pictures_are_dark_and_only_inside_the_theme(forecast):
    with bl.plots.theme("dark"):
        dark = bl.plots.plot_bands(forecast)
    light = bl.plots.plot_bands(forecast)
    assert sum(dark.get_facecolor()[:3]) < 0.5
    assert sum(light.get_facecolor()[:3]) == 3.0
    assert sum(to_rgb(dark.axes[0].yaxis.label.get_color())) > 2.5
    with pytest.raises(ValueError, match="'light', 'dark'"), bl.plots.theme("grey"):
        pass


def test_final_losses_are_sorted_and_measured_values_shown(forecast):
    (ax,) = bl.plots.plot_final_loss(forecast, measured={"wsd": 2.9}).axes
    median = {name: np.median(forecast.observed[name][:, -1]) for name in forecast.names}
    assert [label.get_text() for label in ax.get_yticklabels()] == sorted(median, key=median.get)
    spans = [c.get_segments()[0][:, 0] for c in ax.collections if isinstance(c, LineCollection)]
    lowest = min(median, key=median.get)
    np.testing.assert_allclose(spans[0], np.quantile(forecast.observed[lowest][:, -1], [0.05, 0.95]))
    np.testing.assert_allclose(spans[1], np.quantile(forecast.observed[lowest][:, -1], [0.25, 0.75]))
    assert any(line.get_marker() == "D" and line.get_xdata()[0] == 2.9 for line in ax.lines)


def test_the_last_loss_of_a_measured_curve_is_drawn(forecast, measured):
    (ax,) = bl.plots.plot_final_loss(forecast, curves=measured).axes
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"] == [measured.loss[-1]]


def test_terms_add_up(forecast):
    (ax,) = bl.plots.plot_terms(forecast, name="cosine").axes
    terms = forecast.parts["cosine"]
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
    law, draws = small_posterior.model.law, small_posterior.sample(num_draws=100)
    features = law.features(curve.schedule, curve.steps, small_posterior.scale_of(0), curve.setup)
    fitted = []
    for k in range(100):
        values = {p.name: np.ravel(draws[p.name][k])[0] for p in law.parameters}
        fitted.append(law.terms(values, features).total)
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


PLOTS = {name: getattr(bl.plots, name) for name in bl.plots.__all__ if name.startswith("plot_")}
OF_FORECASTS = ("plot_bands", "plot_deviations", "plot_final_loss", "plot_prediction")


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_takes_what_its_neighbour_takes(name):
    arguments = signature(PLOTS[name]).parameters
    first, *others = arguments.values()
    assert first.default is Parameter.empty
    assert first.kind is Parameter.POSITIONAL_OR_KEYWORD
    positional = [p.name for p in others if p.kind is not Parameter.KEYWORD_ONLY]
    # what was measured may stand second
    assert positional in ([], ["curves"], ["run"], ["link"])
    assert arguments["title"].default is None
    # bands over rates over panels have no single pair of axes
    assert ("ax" in arguments) == (name != "plot_prediction")
    defaults = {"ax": None, "names": None, "runs": None, "ci_prob": 0.9, "latent": False}
    shared = {key: arguments[key].default for key in defaults if key in arguments}
    assert shared == {key: defaults[key] for key in shared}
    if name in OF_FORECASTS:
        assert {"names", "curves", "ci_prob", "latent"} <= set(arguments)


def test_every_documented_argument_is_one(forecast):
    for name, function in PLOTS.items():
        documented = function.__doc__.partition("Parameters")[2].partition("Returns")[0]
        found = [line.strip() for line in documented.splitlines() if line.strip().isidentifier()]
        assert found == list(signature(function).parameters), name


def test_a_title_and_axes_of_ones_own(forecast, measured, small_posterior):
    for draw in (
        lambda **options: bl.plots.plot_bands(forecast, **options),
        lambda **options: bl.plots.plot_deviations(forecast, measured, **options),
        lambda **options: bl.plots.plot_final_loss(forecast, **options),
        lambda **options: bl.plots.plot_schedules(forecast, **options),
        lambda **options: bl.plots.plot_terms(forecast, **options),
        lambda **options: bl.plots.plot_residuals(small_posterior, runs="cosine", num_draws=50, **options),
    ):
        figure = Figure(layout="constrained")
        ax = figure.subplots()
        assert draw(ax=ax, title="mine") is figure
        assert ax.get_title(loc="left") == "mine"
        assert figure.axes == [ax]
        figure.draw_without_rendering()
        if ax.get_legend() is not None:
            assert not ax.get_legend().get_window_extent().overlaps(ax._left_title.get_window_extent())


def test_some_schedules_and_runs_alone(forecast, measured, small_posterior):
    ax, rates = bl.plots.plot_bands(forecast, names=["cosine"]).axes
    assert texts(ax) == ["cosine"]
    assert len(rates.lines) == 1
    (ax,) = bl.plots.plot_final_loss(forecast, names="wsd").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["wsd"]
    figure = bl.plots.plot_residuals(small_posterior, runs=["drops", "constant"], num_draws=50, title="chosen")
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.axison] == ["drops", "constant"]
    assert figure.get_suptitle() == "chosen"
    for plot in (bl.plots.plot_bands, bl.plots.plot_final_loss, bl.plots.plot_schedules):
        with pytest.raises(ValueError, match="schedules: found 'triangle'; allowed: 'wsd', 'cosine'"):
            plot(forecast, names=["triangle"])
    with pytest.raises(ValueError, match="runs: found 'other'; allowed: 'constant'"):
        bl.plots.plot_residuals(small_posterior, runs=["other"])
    with pytest.raises(ValueError, match="2 runs for one pair of axes"):
        bl.plots.plot_residuals(small_posterior, runs=["drops", "constant"], ax=Figure().subplots())


def test_long_names_of_ends_that_lie_apart_do_not_cover_each_other():
    figure = Figure(figsize=(5.6, 4.0))
    ax = figure.subplots()
    ax.set(xlim=(0, 6000), ylim=(1.3, 1.58))
    ends = [(6000, 1.314, "a new cosine"), (4800, 1.327, "cool down now"), (6000, 1.312, "later")]
    label_ends(ax, [(*end, "k") for end in [*ends, (4000, 1.339, "80k/cosine_4000")]])
    figure.canvas.draw()
    # of each name: where it begins and ends, and its height on the page, in pixels
    names = [(*ax.transData.transform(text.xyann), Text.get_window_extent(text).width) for text in ax.texts]
    beside = [(y, v) for k, (x, y, w) in enumerate(names) for u, v, wide in names[:k] if x < u + wide and u < x + w]
    points = [abs(y - v) * 72 / figure.dpi for y, v in beside]
    assert len(points) >= 3
    assert min(points) > 10  # a name is written in 8.5
