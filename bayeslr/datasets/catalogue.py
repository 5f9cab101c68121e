"""The sets by name: those that ship with the package, and those that are downloaded."""

from collections.abc import Collection
from os import PathLike
from pathlib import Path

from bayeslr.curves import CurveSet
from bayeslr.datasets.multi_power_law import MULTI_POWER_LAW
from bayeslr.datasets.public import download
from bayeslr.errors import BayeslrError
from bayeslr.logs import read_curves

__all__ = ["fetch", "load", "manifest_path"]

_SHIPPED = ("tiny_lm",)
_PUBLIC = {MULTI_POWER_LAW.name: MULTI_POWER_LAW}


def manifest_path(name: str) -> Path:
    """Return where the manifest of a shipped set is, for commands that take a file.

    Parameters
    ----------
    name
        Name of the set: ``"tiny_lm"``.

    Returns
    -------
    pathlib.Path
        The manifest, ``runs.csv``; the logs lie beside it.

    Raises
    ------
    BayeslrError
        If no set of that name ships with the package.
    """
    if name not in _SHIPPED:
        also = "; use fetch to download it" if name in _PUBLIC else ""
        raise BayeslrError(f"no set {name!r} ships with bayeslr; allowed: {', '.join(_SHIPPED)}{also}")
    return Path(__file__).parent / name / "runs.csv"


def load(name: str, *, where: str | None = None) -> CurveSet:
    """Read curves that ship with the package.

    Parameters
    ----------
    name
        Name of the set: ``"tiny_lm"``, byte-level transformers of four sizes under up to eleven schedules each.
    where
        Query that selects runs, as for :func:`bayeslr.logs.read_curves`. Default: all runs.

    Returns
    -------
    CurveSet
        Validation losses, each run with its whole history.

    Raises
    ------
    BayeslrError
        If no set of that name ships with the package, or the query is not valid.

    Examples
    --------
    >>> curves = load("tiny_lm", where="split == 'train' and size == '25k'")  # doctest: +SKIP
    >>> curves.names  # doctest: +SKIP
    ('25k/constant_4000', '25k/cosine_4000', '25k/two_stage_4000')
    """
    return read_curves(manifest_path(name), where=where, loss="val_loss")


def fetch(
    name: str,
    *,
    cache_dir: str | PathLike[str] | None = None,
    base_url: str | None = None,
    sizes: Collection[str] | None = None,
) -> Path:
    """Download public curves, once, and check them against their published checksums.

    Needs the extra ``data``. What was downloaded before is checked and not downloaded again.

    Parameters
    ----------
    name
        Name of the set: ``"multi_power_law"``, models of 25M, 100M and 400M parameters under nine schedules each (see
        :mod:`bayeslr.datasets.multi_power_law`).
    cache_dir
        Folder to keep it in. Default: the user's cache folder, ``~/.cache/bayeslr`` on Linux.
    base_url
        Address of a copy of the files. Default: the pinned commit of the source.
    sizes
        Labels of the sizes that are wanted, such as ``["25M", "100M"]``. Default: all.

    Returns
    -------
    pathlib.Path
        A manifest for :func:`bayeslr.logs.read_curves` and the command line.

    Raises
    ------
    BayeslrError
        If the name or a size is unknown, pooch is not installed, or a file cannot be downloaded or is not the
        published one.
    """
    if name not in _PUBLIC:
        also = "; use load to read it" if name in _SHIPPED else ""
        raise BayeslrError(f"no public set is called {name!r}; allowed: {', '.join(_PUBLIC)}{also}")
    return download(_PUBLIC[name], cache_dir=cache_dir, base_url=base_url, sizes=sizes)
