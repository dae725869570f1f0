"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout (``DAISY_SHARED_DATA`` overrides it)."""
    folder = Path(os.environ.get("DAISY_SHARED_DATA", _SHARED))
    if not folder.is_dir():
        reason = f"real data not found at {folder}; set DAISY_SHARED_DATA to the folder that has pdf/"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
