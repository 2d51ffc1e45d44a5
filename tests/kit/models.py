"""Agents of a CIS file whose real programs talk to a scripted model on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cis_provider.testing.model_server import ModelServer, Step, environment

CHECKOUT = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """Where ``tools/agents.py`` has put it."""
    done = subprocess.run(
        [sys.executable, "tools/agents.py", "path", name],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return done.stdout.strip()


class Models:
    """Agents whose model says what a test tells it to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def agent(
        self, agent_type: str, steps: list[Step], **fields: Any
    ) -> Iterator[tuple[dict[str, Any], Any]]:
        """An agent of a CIS file, and the server that it talks to."""
        with ModelServer(steps) as server:
            home = self.folder / f"home-{agent_type}"
            env = environment(agent_type, server.url, home, retries=0)
            yield {"type": agent_type, "env": env, "program": program(agent_type), **fields}, server
