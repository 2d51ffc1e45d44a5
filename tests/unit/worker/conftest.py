"""A desk for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("CIS_HOME", str(tmp_path / "home"))
    return Desk(tmp_path)
