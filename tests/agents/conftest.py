"""The agent programs that tools/agents.py has installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_TOOL = Path(__file__).resolve().parents[2] / "tools" / "agents.py"


@pytest.fixture(scope="session")
def agent_program() -> Callable[[str], Path]:
    """Where a program is: ``agent_program("codex")``. The test is skipped where it is not installed."""

    def find(name: str) -> Path:
        said = subprocess.run(
            [sys.executable, str(_TOOL), "path", name],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = said.stdout.strip() or shutil.which(name.partition("@")[0])
        if not found:
            pytest.skip(f"{name} is not installed: python tools/agents.py install {name}")
        return Path(found)

    return find
