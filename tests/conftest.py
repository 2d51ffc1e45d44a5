"""What every test may use."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cis_provider import paths


@pytest.fixture
def cis_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A node of its own: an empty ``CIS_HOME``, and a runtime folder short enough for sockets."""
    runtime = Path(
        tempfile.mkdtemp(prefix="cis-t-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    home = tmp_path / "cis-home"
    for name in [name for name in os.environ if name.startswith("CIS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CIS_HOME", str(home))
    monkeypatch.setenv("CIS_RUNTIME_DIR", str(runtime))
    yield home
    for folder in (runtime, paths.temporary_root()):
        shutil.rmtree(folder, ignore_errors=True)
