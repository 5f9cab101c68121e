"""The posterior: draws, and the model, curves and settings that made them, in one object and one file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lazy_loader
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, LossCurve, Sizes
from bayeslr.errors import PosteriorError
from bayeslr.files import write_atomically
from bayeslr.inference.integrity import sealed
from bayeslr.inference.predictive import PREDICTIVE, predictive_groups
from bayeslr.inference.shown import posterior_html, posterior_text
from bayeslr.inference.store import curves_to_dataset
from bayeslr.inference.verdict import Health
from bayeslr.laws import Scale
from bayeslr.model import PREFIX, ScalingModel, model_settings

__all__ = ["FORMAT", "Posterior", "data_hash"]

# loaded at its first use: it brings scipy.stats and scipy.signal, a third of the time to import everything else
arviz_stats = lazy_loader.load("arviz_stats")

FORMAT = 12
"""Of the files that are written."""
_REPEATED = ("seed", "num_warmup", "num_samples", "num_chains", "target_accept_prob", "max_points_per_run")
_PACKAGES = ("bayeslr", "jax", "numpyro", "numpy", "arviz-base")


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """Draws of a model's parameters given curves.

    Parameters
    ----------
    tree
        Groups for any function of ArviZ: ``posterior`` (of each size what the law reports, and the noise), ``sampled``
        (the other numbers that were drawn: the law as the sampler sees it, and the scales of the error model),
        ``effects`` (what the error model drew of the law's errors), ``sample_stats``, ``observed_data`` and, if the
        error model has places, ``constant_data``. :meth:`with_predictive` adds those that are costly.
    curves
        The curves that were fitted, before thinning.
    model
        The model, its pooling resolved.
    settings
        How the fit was made: seed, sampler settings, thinning, method.
    """

    tree: xr.DataTree
    curves: CurveSet
    model: ScalingModel
    settings: Mapping[str, Any]

    def __repr__(self) -> str:
        return posterior_text(self, self.health)

    def _repr_html_(self) -> str:
        return posterior_html(self, self.health)

    @cached_property
    def health(self) -> Health:
        """What :func:`bayeslr.check` finds; it takes longer than many a question, and is asked once."""
        # at its first use, since checks are about what is defined here
        found: Health = import_module("bayeslr.inference.health").check(self)
        return found

    @cached_property
    def draws(self) -> xr.Dataset:
        """All draws but those of effects, dimensions ``chain`` and ``draw`` first."""
        found = self.tree["posterior"].to_dataset()
        more = self.tree["sampled"].to_dataset() if "sampled" in self.tree.children else xr.Dataset()
        return found.assign({name: array for name, array in more.data_vars.items() if name not in found})

    @cached_property
    def scale(self) -> Scale:
        """The data's scale, as at the fit."""
        found = self.settings["scale"]
        whole: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
        }
        return Scale(**whole)

    @property
    def repeated(self) -> dict[str, Any]:
        """Settings with which :func:`fit` makes such a fit again: its seed, chains, draws and observations of a run."""
        return {name: self.settings[name] for name in _REPEATED}

    def scale_of(self, size: int | None, params: float | None = None) -> Scale:
        """Return the scale of a size: of a fitted one by its index, of another by its parameters."""
        return self.scale.of_params(self.params, params) if size is None else self.scale.of_size(size)

    @cached_property
    def places(self) -> dict[str, NDArray[np.float64]]:
        """The places of the error model, by name."""
        data = self.tree["constant_data"].to_dataset() if "constant_data" in self.tree.children else xr.Dataset()
        return {str(name).removeprefix("places_"): np.asarray(array) for name, array in data.data_vars.items()}

    @cached_property
    def fitted(self) -> CurveSet:
        """The observations that could be fitted: those after the warm-up, before thinning."""
        return self.curves.after_warmup()

    @property
    def thinned(self) -> CurveSet:
        """The observations that entered the likelihood, those that branches share in each of them."""
        return self.fitted.thin(self.settings["max_points_per_run"])

    @cached_property
    def _sizes(self) -> Sizes:
        return Sizes.of(self.fitted)

    @property
    def sizes(self) -> tuple[str, ...]:
        """Labels of the fitted sizes, in the order of the dimension ``size``."""
        return self._sizes.labels

    @property
    def params(self) -> tuple[float | None, ...]:
        """Parameters of the fitted sizes, none where unknown."""
        return self._sizes.params

    def size_of(self, curve: LossCurve) -> int | None:
        """Return the index of a curve's size in the dimension ``size``, none where it was not fitted."""
        return self._sizes.find(curve)

    @cached_property
    def _trunks(self) -> tuple[int, ...]:
        return self.curves.trunks()

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs that have observations of their own, in the order of the dimension ``run``."""
        return tuple(dict.fromkeys(map(str, self.tree["observed_data"].to_dataset()["run"].to_numpy())))

    def row_of(self, name: str) -> int | None:
        """Return the index in the dimension ``run`` of the run whose effects a curve has.

        Parameters
        ----------
        name
            Name of a fitted curve. One whose observations all belong to an earlier run, as the beginning of a branch
            does, is that run so far.

        Returns
        -------
        int or None
            None where there is no such run.
        """
        names = self.curves.names
        index = names.index(name)
        while names[index] not in self.runs:
            index = self._trunks[index]
            if index < 0:
                return None
        return self.runs.index(names[index])

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is taken for granted of runs that do not say their weight decay or batch size, in sentences."""
        return self.model.law.assumed([curve.setup for curve in self.fitted], self.scale)

    @property
    def method(self) -> str:
        """How the draws were made: ``"nuts"`` or ``"laplace"``."""
        return str(self.settings["method"])

    def sample(self, names: list[str] | None = None, *, num_draws: int | None = None) -> dict[str, NDArray[np.float64]]:
        """Return draws as plain arrays, chains joined.

        Parameters
        ----------
        names
            Variables to return. Default: all.
        num_draws
            At most this many, evenly spread over the chains. Default: all.

        Returns
        -------
        dict
            Arrays by name, each ``[draws, ...]``.

        Raises
        ------
        PosteriorError
            If there is no variable of a name.
        """
        if names is not None:
            unknown = [name for name in names if name not in self.draws]
            if unknown or not names:
                raise PosteriorError(
                    f"sample: found {', '.join(unknown) or 'no name'}; allowed: {', '.join(map(str, self.draws))}"
                )
        return _joined(self.draws if names is None else self.draws[names], num_draws)

    def sample_effects(self, *, num_draws: int | None = None) -> dict[str, NDArray[np.float64]]:
        """Return draws of the error model's effects, those that :meth:`sample` returns with as many draws.

        Parameters
        ----------
        num_draws
            As in :meth:`sample`.

        Returns
        -------
        dict
            Effects in prior standard deviations: ``effect_<block>``, each ``[draws, S, k]`` or ``[draws, R, k]``, and
            of several sizes ``effect_<block>_common``, ``[draws, k]``. Empty without an error model.
        """
        return _joined(self.tree["effects"].to_dataset(), num_draws) if "effects" in self.tree.children else {}

    def summary(self, *, ci_prob: float = 0.9, var_names: list[str] | None = None) -> pd.DataFrame:
        """Summarise parameters: mean, sd, interval, effective sample sizes, R-hat.

        Parameters
        ----------
        ci_prob
            Probability of the interval (equal-tailed).
        var_names
            Variables. Default: the paper's parameters and the noise of every size, and the discrepancy's scales.

        Returns
        -------
        pandas.DataFrame
            One row a number: ``mean, sd, lower, upper, ess_bulk, ess_tail, r_hat``. The last three are NaN for a
            Laplace approximation, of which they say nothing; ``attrs["method"]`` says how the draws were made.
        """
        if var_names is None:
            var_names = [*self.model.law.reported_names, *self.model.noise.names]
            var_names += [str(name) for name in self.draws.data_vars if str(name).startswith(PREFIX)]
        table = arviz_stats.summary(self.draws[var_names], ci_prob=ci_prob, ci_kind="eti", round_to="none")
        bounds = [str(name) for name in table.columns if str(name).endswith(("_lb", "_ub"))]
        table = table.rename(columns=dict(zip(bounds, ("lower", "upper"), strict=True)))
        columns = ["mean", "sd", "lower", "upper", "ess_bulk", "ess_tail", "r_hat"]
        summary = pd.DataFrame(table[columns].astype(float))
        if self.method == "laplace":
            summary[["ess_bulk", "ess_tail", "r_hat"]] = np.nan
        summary.attrs["method"] = self.method
        return summary

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table of :meth:`summary`."""
        return self.summary()

    def with_predictive(self, *, seed: int = 0) -> "Posterior":
        """Return this posterior with what ArviZ asks for beyond draws and data; its ``tree`` has four more groups.

        - ``prior``: draws of the variables of ``posterior`` from their prior;
        - ``prior_predictive``: losses of the fitted runs, as the prior would have them;
        - ``posterior_predictive``: each observation as it is predicted from all others;
        - ``log_likelihood``: the log density of each observation given all others, and the parameters.

        Parameters
        ----------
        seed
            Seed of the draws.

        Returns
        -------
        Posterior
            The same posterior. A file of it does not keep these groups, which the seed gives again.

        Raises
        ------
        PosteriorError
            If the noise is Student-t: the density of an observation without its sampled precision has no closed form.
        """
        labels = self.tree["observed_data"].to_dataset()
        names = [str(name) for name in self.tree["posterior"].data_vars]
        groups = predictive_groups(
            self.model, self.thinned, self.scale, self.draws, names=names, labels=labels, seed=seed
        )
        whole = {name: node.to_dataset() for name, node in self.tree.children.items()} | groups
        return replace(self, tree=xr.DataTree.from_dict(whole))

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write everything to one netCDF file, readable by any netCDF reader and by :func:`load_posterior`.

        Parameters
        ----------
        path
            Name of the file.
        force
            Whether to replace an existing file.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        PosteriorError
            If the file exists and `force` is false, or its folder does not exist or cannot be written to.
        ModelError
            If the law or the error model is not part of the library, so that no file can rebuild it.
        OSError
            If the disk is full.
        """
        attributes = {
            "bayeslr_format": FORMAT,
            "model": json.dumps(model_settings(self.model)),
            "settings": json.dumps(dict(self.settings)),
            "versions": json.dumps({name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}),
            "data_sha256": data_hash(self.curves),
        }
        groups = {name: node.to_dataset() for name, node in self.tree.children.items() if name not in PREDICTIVE}
        tree = xr.DataTree.from_dict({**groups, "curves": curves_to_dataset(self.curves)}, name="bayeslr")
        tree.attrs.update(attributes)
        # HDF5 works in memory: where it meets a full disk, it ends the process when it is closed
        content = bytes(tree.to_netcdf(engine="h5netcdf"))
        return write_atomically(
            Path(path), lambda target: target.write_bytes(sealed(content)), force=force, error=PosteriorError
        )


def _joined(draws: xr.Dataset, num_draws: int | None) -> dict[str, NDArray[np.float64]]:
    """Return draws with chains joined, at most so many."""
    stacked = {str(name): array.to_numpy().reshape((-1, *array.shape[2:])) for name, array in draws.items()}
    total = next(iter(stacked.values())).shape[0]
    if num_draws is None or num_draws >= total:
        return stacked
    keep = np.linspace(0, total - 1, num_draws).round().astype(int)
    return {name: array[keep] for name, array in stacked.items()}


def data_hash(curves: CurveSet) -> str:
    """Return the SHA-256 of the curves' names, steps, losses and rates."""
    digest = hashlib.sha256()
    for curve in curves:
        digest.update(curve.name.encode())
        for array in (curve.steps, curve.loss, curve.schedule.lr):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
