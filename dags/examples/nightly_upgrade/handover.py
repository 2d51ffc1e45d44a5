"""
How a step hands its result to the next: Markdown for people, with one JSON block for programs.

A coding agent that takes the place of a step reads and writes the same text.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from nightly_upgrade.errors import StepError

_JSON_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pack(markdown: str, data: dict[str, Any]) -> str:
    """One text of both."""
    return f"{markdown.rstrip()}\n\n```json\n{json.dumps(data, indent=2, ensure_ascii=False)}\n```\n"


def unpack(text: str) -> dict[str, Any]:
    """
    The data in a text.

    :raises StepError: The text has no JSON block, or a broken one.
    """
    blocks = _JSON_BLOCK.findall(text)
    if not blocks:
        raise StepError(f"no ```json block in what the step before handed over: {text.strip()[:200]!r}")
    try:
        data = json.loads(blocks[-1])
    except ValueError as error:
        raise StepError(f"the ```json block that the step before handed over is broken: {error}") from None
    if not isinstance(data, dict):
        raise StepError("the ```json block that the step before handed over is not an object")
    return data


def write_output(text: str) -> None:
    """Make ``text`` the agent's output (``$CIS_OUTPUT``); print it where nobody asks for one."""
    target = os.environ.get("CIS_OUTPUT")
    if target:
        Path(target).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def read_input(agent_id: str) -> str:
    """What the agent ``agent_id`` handed over, whole; empty if there is nothing."""
    folder = os.environ.get("CIS_INPUTS")
    if not folder:
        raise StepError("CIS_INPUTS is not set; this step runs as an agent that has dependencies")
    path = Path(folder) / f"{agent_id}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
