"""Weights & Biases offline runs: the history in a ``.wandb`` file. Needs the extra ``logs``.

wandb has no reader of its own any more, so the framing is read by :mod:`bayeslr.logs.wandb_framing` and the records by
wandb's protobuf classes.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayeslr.errors import LogError
from bayeslr.logs.rawlog import RawLog
from bayeslr.logs.wandb_framing import FramingError, read_records

__all__ = ["open_wandb"]


def open_wandb(path: Path, content: bytes) -> RawLog:
    """Open the history of an offline run.

    A run that crashed has an unfinished record at its end; what precedes it is read.

    Parameters
    ----------
    path
        The file.
    content
        Its bytes.

    Returns
    -------
    RawLog
        One row a call of ``wandb.log``; keys of nested values are joined by ``/``.

    Raises
    ------
    LogError
        If wandb is not installed, or the file is damaged before its end or has no history.
    """
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError:
        raise LogError(f"{path}: .wandb files need the package wandb: pip install 'bayeslr[logs]'") from None

    history: list[tuple[int, dict[str, object]]] = []
    try:
        for data in read_records(content):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") != "history":
                continue
            values: dict[str, object] = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
            }
            # Old writers keep the step beside the items.
            values.setdefault("_step", record.history.step.num)
            history.append((record.num, values))
    except FramingError as problem:
        if not str(problem).startswith("cut off"):
            raise LogError(f"{path}: not a good .wandb file ({problem}); allowed: a file as wandb wrote it") from None
    except (DecodeError, json.JSONDecodeError) as problem:
        reason = " ".join(str(problem).split())
        raise LogError(f"{path}: unreadable record {len(history) + 1} ({reason}); allowed: wandb's records") from None
    if not history:
        raise LogError(f"{path}: the run has no history; allowed: a run that logged a loss")
    columns = tuple(dict.fromkeys(key for _, values in history for key in values))

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        picked = {column: [values.get(column) for _, values in history] for column in wanted}
        return pd.DataFrame(picked, index=[number for number, _ in history], dtype=object)

    return RawLog(path=str(path), columns=columns, rows=read, unit="record")
