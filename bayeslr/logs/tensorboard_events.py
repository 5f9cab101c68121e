"""TensorBoard event files, with old (simple value) and new (tensor) scalar summaries. Needs the extra ``logs``."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayeslr.errors import LogError
from bayeslr.logs.rawlog import RawLog

__all__ = ["open_tensorboard"]


def open_tensorboard(path: Path) -> RawLog:
    """Open an event file, or a folder with the event files of one run.

    Events that a restart made obsolete are dropped by TensorBoard's own reader. Nothing is down-sampled.

    Parameters
    ----------
    path
        The file or folder.

    Returns
    -------
    RawLog
        One row an event, in the order of time; columns ``step``, ``wall_time`` and the tags.

    Raises
    ------
    LogError
        If tensorboard is not installed, or there are no scalars.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise LogError(
            f"{path}: TensorBoard events need the package tensorboard: pip install 'bayeslr[logs]'"
        ) from None

    # 0 keeps every event; the default keeps 10,000 scalars and 10 tensors.
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    scalars: dict[str, list[tuple[float, int, float]]] = {
        tag: [(e.wall_time, e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }
    for tag in events.Tags()["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            scalars[tag] = [
                (e.wall_time, e.step, float(make_ndarray(e.tensor_proto).item())) for e in events.Tensors(tag)
            ]
    if not scalars:
        raise LogError(f"{path}: no scalars among the events; allowed: a run that logged a loss")

    def read(wanted: Sequence[str]) -> pd.DataFrame:
        rows = sorted(
            ((time, step, tag, value) for tag in wanted for time, step, value in scalars.get(tag, ())),
            key=lambda row: row[0],
        )
        values: list[dict[str, object]] = [
            {"wall_time": time, "step": step, tag: value} for time, step, tag, value in rows
        ]
        return pd.DataFrame({column: pd.Series([row.get(column) for row in values], dtype=object) for column in wanted})

    return RawLog(
        path=str(path), columns=tuple(dict.fromkeys(["step", "wall_time", *scalars])), rows=read, unit="event"
    )
