"""Shared by the tests of CIS files."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dag_factory.validate import Checked, check_text


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``config.toml`` that does not exist, and no setting in the environment."""
    for name in [name for name in os.environ if name.startswith("CIS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CIS_HOME", str(tmp_path / "cis-home"))
    return tmp_path / "cis-home" / "config.toml"


@pytest.fixture
def check() -> Callable[..., Checked]:
    """Judge an indented text as the file ``f.yaml``; ``env`` is the whole environment."""

    def check(text: str, *, env: Mapping[str, str] | None = None, **options: Any) -> Checked:
        return check_text(
            textwrap.dedent(text).lstrip("\n"), "f.yaml", name="f", lookup=dict(env or {}).get, **options
        )

    return check


@pytest.fixture
def complaints(check: Callable[..., Checked]) -> Callable[..., list[str]]:
    """Every mistake in a text, a line each."""

    def complaints(text: str, **options: Any) -> list[str]:
        return [str(diagnostic) for diagnostic in check(text, **options).diagnostics]

    return complaints
