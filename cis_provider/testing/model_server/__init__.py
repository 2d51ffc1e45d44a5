"""
A model server that says what a script says: for tests of agents, without a vendor and without cost.

    with ModelServer([run("ls"), text("All done.")]) as server:
        subprocess.run(["claude", "-p", "list the files"], env=environment("claude", server.url, home))
        assert len(server.calls) == 2

See ``docs/model-server.md``.
"""

from __future__ import annotations

from .environment import environment
from .records import Recorded
from .server import ModelServer
from .steps import Call, Step, Usage, When, cut, hang, huge, nonsense, run, slow, status, text, tool, tools

__all__ = [
    "Call",
    "ModelServer",
    "Recorded",
    "Step",
    "Usage",
    "When",
    "cut",
    "environment",
    "hang",
    "huge",
    "nonsense",
    "run",
    "slow",
    "status",
    "text",
    "tool",
    "tools",
]
