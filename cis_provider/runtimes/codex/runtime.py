"""The runtime of Codex."""

from __future__ import annotations

from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.runtimes.codex.conversation import CodexConversation

#: "Input exceeds the maximum length of 1048576 characters" says turn/start of 0.169.0.
PROMPT_CHARACTERS = 1_048_576


class CodexRuntime(ConversationRuntime):
    """``codex app-server``, one process for each conversation."""

    name = "codex"

    #: Codex counts characters, so this many bytes are never too many.
    prompt_limit = PROMPT_CHARACTERS

    def open(self, setting: Setting) -> CodexConversation:
        return CodexConversation(setting, PROMPT_CHARACTERS)
