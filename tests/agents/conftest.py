"""The agent programs that tools/agents.py has installed, and a place for each test to run them in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from cis_provider.runtimes.claude import ClaudeRuntime
from cis_provider.runtimes.codex import CodexRuntime
from cis_provider.testing.model_server import ModelServer
from tests.kit.place import Place

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
        # A version that is named is meant: whatever is on the PATH may be another.
        found = said.stdout.strip() or ("" if "@" in name else shutil.which(name))
        if not found:
            pytest.skip(f"{name} is not installed: python tools/agents.py install {name}")
        return Path(found)

    return find


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model that says what it is told to by ``push``."""
    with ModelServer() as made:
        yield made


@pytest.fixture
async def claude(tmp_path: Path, agent_program: Callable[[str], Path]) -> AsyncIterator[Place]:
    """For conversations with Claude Code."""
    place = Place(tmp_path, "claude", agent_program("claude"), ClaudeRuntime())
    yield place
    await place.close()


@pytest.fixture
async def codex(tmp_path: Path, agent_program: Callable[[str], Path]) -> AsyncIterator[Place]:
    """For conversations with Codex."""
    place = Place(tmp_path, "codex", agent_program("codex"), CodexRuntime(), retries=0)
    yield place
    await place.close()
