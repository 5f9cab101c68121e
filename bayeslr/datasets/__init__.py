"""Curves to work with: ``load`` reads what ships with the package, ``fetch`` downloads what others have published.

``load("tiny_lm")`` gives loss curves of small language models that were trained for this package
(``tests/datasets/train_tiny_lm.py``; their data card is in the documentation). ``fetch("multi_power_law")`` gives the
manifest of the curves of the Multi-Power Law paper, pinned to a commit and verified by checksum.
"""

from bayeslr.datasets.catalogue import fetch, load, manifest_path

__all__ = ["fetch", "load", "manifest_path"]
