"""Download public curves once, check every byte, and write the manifest that they came without."""

import csv
import io
import os
from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from bayeslr.errors import BayeslrError

__all__ = ["PublicRun", "PublicSet", "download"]

_COLUMNS = ("run", "file", "size", "params", "schedule", "split")
_TIMEOUT = 30
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True, kw_only=True)
class PublicRun:
    """One published curve and what its file does not say.

    Parameters
    ----------
    run
        Name in the manifest.
    file
        Path below the set's address, and below the folder that it is kept in.
    sha256
        Checksum of the published file.
    size, params
        Label of the model, and its number of non-embedding parameters.
    schedule
        Spec of the rates.
    split
        The part of the set that its authors put the run in.
    """

    run: str
    file: str
    sha256: str
    size: str
    params: float
    schedule: str
    split: str


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A set of published curves, pinned to one version.

    Parameters
    ----------
    name
        What :func:`bayeslr.datasets.fetch` calls it.
    source
        Where a person finds it, for messages.
    base_url
        Address that the files' paths are relative to, with a slash at the end.
    licence
        File and checksum of the licence, which is kept beside the curves.
    runs
        The curves.
    """

    name: str
    source: str
    base_url: str
    licence: tuple[str, str]
    runs: tuple[PublicRun, ...]


def download(
    public: PublicSet, *, cache_dir: str | PathLike[str] | None, base_url: str | None, sizes: Collection[str] | None
) -> Path:
    """Download what is not there yet and write the manifest.

    Parameters
    ----------
    public
        The set.
    cache_dir
        Folder for all sets, each in one of its own. None: the user's cache folder (``pooch.os_cache("bayeslr")``).
    base_url
        Address of a copy. None: that of the set.
    sizes
        Labels of the sizes that are wanted. None: all.

    Returns
    -------
    pathlib.Path
        The manifest.

    Raises
    ------
    BayeslrError
        If pooch is not installed, a size is unknown, or a file cannot be downloaded, is not the published one, or
        cannot be written.
    """
    try:
        import pooch
    except ImportError:
        raise BayeslrError(f"{public.name}: downloads need the package pooch: pip install 'bayeslr[data]'") from None

    known = list(dict.fromkeys(run.size for run in public.runs))
    unknown = next((size for size in sizes or () if size not in known), None)
    if unknown is not None or (sizes is not None and not sizes):
        raise BayeslrError(f"{public.name}: sizes has {unknown!r}; allowed: one or more of {', '.join(known)}")
    runs = [run for run in public.runs if sizes is None or run.size in sizes]
    folder = Path(pooch.os_cache("bayeslr") if cache_dir is None else cache_dir).expanduser() / public.name
    files = pooch.create(
        path=folder,
        base_url=(base_url or public.base_url).rstrip("/") + "/",
        registry={run.file: f"sha256:{run.sha256}" for run in runs}
        | {public.licence[0]: f"sha256:{public.licence[1]}"},
    )
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT)
    for file in files.registry:
        _fetch_file(files, file, downloader, public, folder)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(run, column) for column in _COLUMNS] for run in runs)
    manifest = folder / "runs.csv"
    temporary = folder / f".runs.csv.{os.getpid()}"
    temporary.write_text(content.getvalue(), encoding="utf-8")
    temporary.replace(manifest)
    return manifest


def _fetch_file(files: Any, file: str, downloader: Any, public: PublicSet, folder: Path) -> None:
    """Have one file in the folder, with its checksum verified, or say what to do instead."""
    instead = f"or put the files of {public.source} in {folder}"
    try:
        files.fetch(file, downloader=downloader)
    except OSError as error:
        raise BayeslrError(
            f"{public.name}: cannot get {files.get_url(file)} ({type(error).__name__}); "
            f"connect to the network, give base_url= of a copy, {instead}"
        ) from None
    except ValueError:
        # pooch checks a download before it gives it its name, so nothing wrong is left behind.
        raise BayeslrError(
            f"{public.name}: {files.get_url(file)} has not the published SHA-256 checksum; "
            f"allowed: exactly the published file; try again, {instead}"
        ) from None
