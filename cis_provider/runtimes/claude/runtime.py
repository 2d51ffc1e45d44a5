"""The runtime of Claude Code."""

from __future__ import annotations

from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.runtimes.claude.conversation import ClaudeConversation


class ClaudeRuntime(ConversationRuntime):
    """Claude Code by ``claude-agent-sdk``: one process for each conversation."""

    name = "claude"
    #: 2.1.329 takes 2 MB, and calls 3.3 MB too long by itself: a count of tokens, so the model matters, too.
    prompt_limit = 2_000_000

    def open(self, setting: Setting) -> ClaudeConversation:
        return ClaudeConversation(setting)
