"""The command line: which step to run, and what becomes of its errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nightly_upgrade import find, report, upgrade, verify
from nightly_upgrade.errors import StepError
from nightly_upgrade.settings import Settings

STEPS: dict[str, Callable[[Settings, Path], int]] = {
    "find": find.run,
    "upgrade": upgrade.run,
    "verify": verify.run,
    "report": report.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run one step in the current folder. Exit codes: 0 good, 1 failed, 2 wrong usage."""
    if len(arguments) != 1 or arguments[0] not in STEPS:
        print(f"usage: python3 nightly_upgrade {'|'.join(STEPS)}", file=sys.stderr)
        return 2
    try:
        return STEPS[arguments[0]](Settings.from_environment(os.environ), Path.cwd())
    except StepError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
