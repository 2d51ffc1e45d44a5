"""What tests of several kinds share: a history of agents with its checker, and a killer."""

from __future__ import annotations

from pathlib import Path


def agent_script() -> Path:
    """The agent that writes its own history."""
    return Path(__file__).with_name("agent.sh")
