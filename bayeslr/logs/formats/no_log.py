"""Files that are no logs and lie where logs are expected: what they are, and how they become logs."""

from typing import Final

__all__ = ["what_else"]

_PICKLES: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_BEGINNINGS: Final[tuple[tuple[bytes | tuple[bytes, ...], str, str], ...]] = (
    (b"PAR1", "a Parquet file", "CSV, for example by pandas.read_parquet(...).to_csv(...)"),
    (b"ARROW1", "an Arrow file", "CSV, for example by pandas.read_feather(...).to_csv(...)"),
    (b"SQLite format 3", "a SQLite database", "CSV, exported from it"),
    (b"\x89HDF", "an HDF5 file", "CSV, for example by pandas.read_hdf(...).to_csv(...)"),
    (b"\x93NUMPY", "an array of NumPy", "CSV with a header that names the columns"),
    (_PICKLES, "a pickle of Python", "CSV or JSON: pickles can run programs and are not read"),
    (b"BZh", "compressed by bzip2", "the file unpacked by bunzip2, or compressed by gzip"),
    (b"\xfd7zXZ", "compressed by xz", "the file unpacked by unxz, or compressed by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "the file unpacked by unzstd, or compressed by gzip"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself", "the file, fetched by `git lfs pull`"),
)
_PAGES: Final = (b"<!doctype html", b"<html")


def what_else(head: bytes) -> str:
    """Return what a file is by its first bytes, if it is something else than a log.

    Parameters
    ----------
    head
        The first bytes, unpacked.

    Returns
    -------
    str
        The rest of a message behind the name of the file, such as ``a Parquet file; allowed: ...``; empty if nothing
        is known of it.
    """
    for beginning, what, instead in _BEGINNINGS:
        if head.startswith(beginning):
            return f"{what}; allowed: {instead}"
    if head.startswith(b"PK\3\4"):
        if b"xl/" in head or b"[Content_Types].xml" in head[:100]:
            return "a workbook of Excel; allowed: its sheet saved as CSV"
        return "a ZIP archive (also of NumPy or PyTorch); allowed: CSV or JSON, or the file in it, unpacked"
    if head.lstrip().lower().startswith(_PAGES):
        return "a web page; allowed: the log itself, downloaded from it"
    if head.lstrip().startswith(b"{") and b'"cells"' in head and b'"cell_type"' in head:
        return "a notebook; allowed: what its cells printed, in a file of its own, or the log that the trainer wrote"
    return ""
