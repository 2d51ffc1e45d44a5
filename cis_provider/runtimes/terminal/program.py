"""``type: terminal`` without rules: any program that reads a prompt from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cis_provider.runtimes.process import find_program
from cis_provider.runtimes.terminal.per_turn import PerTurnConversation


class ProgramConversation(PerTurnConversation):
    """
    The prompt's path is in ``$CIS_PROMPT_FILE``: a command line can be read by every user of the machine.

    The exit code is the result, the screen's text the output. A question with ``(y/n)`` behind it, and the
    cursor there, is a blockage.
    """

    def argv(self, prompt_file: Path) -> Sequence[str]:
        return [*find_program("", self._setting), *self._setting.options.args]
