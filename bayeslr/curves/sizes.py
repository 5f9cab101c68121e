"""The model sizes of some curves: one label each, in ascending order of parameters."""

from collections.abc import Iterable
from dataclasses import dataclass

from bayeslr.curves.counts import count_label, size_label
from bayeslr.curves.curve import LossCurve

__all__ = ["Sizes"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Distinct model sizes.

    Parameters
    ----------
    keys
        Label and number of parameters of each, as its curves have them, none where unknown.
    labels
        One name each: the curves' own label, else their parameters, else ``"all"``.
    """

    keys: tuple[tuple[str | None, float | None], ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, curves: Iterable[LossCurve]) -> "Sizes":
        """Find the sizes of curves."""
        distinct = dict.fromkeys((curve.size, curve.params) for curve in curves)
        keys = sorted(distinct, key=lambda key: (key[1] is None, key[1] or 0.0, key[0] or ""))
        labels = [size_label(label, params) or "all" for label, params in keys]
        told_apart = [
            label if labels.count(label) == 1 else f"{label} ({'?' if params is None else count_label(params)})"
            for label, (_, params) in zip(labels, keys, strict=True)
        ]
        return cls(keys=tuple(keys), labels=tuple(told_apart))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def params(self) -> tuple[float | None, ...]:
        """Number of parameters of each, none where unknown."""
        return tuple(params for _, params in self.keys)

    def batches(self, curves: Iterable[LossCurve]) -> tuple[tuple[float, ...], ...]:
        """Return the batch sizes that runs of each size have, in order; runs that do not say theirs are left out."""
        found: list[set[float]] = [set() for _ in self.keys]
        for curve in curves:
            if curve.batch_size is not None:
                found[self.keys.index((curve.size, curve.params))].add(curve.batch_size)
        return tuple(tuple(sorted(batches)) for batches in found)

    def find(self, curve: LossCurve) -> int | None:
        """Return the index of a curve's size, none where it is another."""
        key = (curve.size, curve.params)
        return self.keys.index(key) if key in self.keys else None

    def index(self, curves: Iterable[LossCurve]) -> tuple[int, ...]:
        """Return the index of each curve's size, all of which must be among these."""
        return tuple(self.keys.index((curve.size, curve.params)) for curve in curves)
