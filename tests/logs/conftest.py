"""Where the public loss curves are."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def public_data():
    folder = Path(os.environ.get("BAYESLR_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        message = f"the public loss curves are not in {folder}; set BAYESLR_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
