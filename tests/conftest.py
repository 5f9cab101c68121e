"""Strict settings for every test, and where the public loss curves are."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_dir():
    """The folder with the public curves; without it, tests that need it are skipped at home and fail in CI."""
    folder = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no public curves in {folder}; set BAYESLR_DATA"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
