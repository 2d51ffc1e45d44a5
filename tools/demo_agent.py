"""
The agent of ``make demo AGENT=claude``: with the user's own login where there is one, else against a scripted model.

The scripted model does what the prompt asks for: it has the step's program run, and says that it is done. All
the rest is real: the agent program, its tool call, the permission, the check, the graph.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cis_provider.testing.model_server import ModelServer, environment, text, tool

AGENTS = ("claude",)
_STEP = '"$UPGRADE_PYTHON" "$CIS_BASE/nightly_upgrade" upgrade | tee "$CIS_OUTPUT"'
_TEN_MINUTES = 600_000


@contextmanager
def cis_file(agent: str, examples: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """
    The CIS file to run, and which model answers, in words. The scripted one is there until the end.

    :param examples: Where the example files are.
    :param folder: The demo's own folder.
    """
    example = examples / f"nightly-upgrade-{agent}.yaml"
    if has_login():
        yield example, "your own login: this costs tokens"
        return
    steps = [
        tool("Bash", {"command": _STEP, "description": "Raise the pins", "timeout": _TEN_MINUTES}),
        text("Every pin that could be raised is raised, checked and committed. Nothing was left to mend."),
    ]
    with ModelServer(steps) as server:
        env = environment(agent, server.url, folder / "home")
        yield (
            _with_env(example, folder / "files", env),
            f"a scripted model at {server.url}: no login was found",
        )


def has_login() -> bool:
    """Whether Claude Code says that somebody is logged in. Costs no tokens."""
    program = shutil.which("claude") or _bundled()
    if program is None:
        return False
    # The agent gets no key of this shell, either: only a login that Claude Code itself keeps counts.
    env = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    try:
        done = subprocess.run([program, "auth", "status"], capture_output=True, timeout=30, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _bundled() -> str | None:
    try:
        import claude_agent_sdk
    except ImportError:
        return None
    found = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
    return str(found) if os.access(found, os.X_OK) else None


def _with_env(example: Path, folder: Path, env: dict[str, str]) -> Path:
    """A copy of the example, its steps beside it, whose agent talks to the scripted model."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(example.parent / "nightly_upgrade", folder / "nightly_upgrade")
    spec = yaml.safe_load(example.read_text(encoding="utf-8"))
    for agent in spec["agents"]:
        if agent["type"] != "shell":
            agent["env"] = {**agent.get("env", {}), **env}
    copy = folder / example.name
    copy.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return copy
