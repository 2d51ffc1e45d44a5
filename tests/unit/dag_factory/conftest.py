"""Shared by the tests of CIS files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dag_factory.validate import Checked, check_text


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
