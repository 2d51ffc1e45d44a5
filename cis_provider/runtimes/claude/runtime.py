"""The runtime of Claude Code."""

from __future__ import annotations

from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.runtimes.claude.conversation import MESSAGE_BYTES, ClaudeConversation


class ClaudeRuntime(ConversationRuntime):
    """Claude Code by ``claude-agent-sdk``: one process for each conversation."""

    name = "claude"
    #: A character becomes up to three times its bytes in JSON, but for control characters; `send` looks again.
    prompt_limit = MESSAGE_BYTES // 3

    def open(self, setting: Setting) -> ClaudeConversation:
        return ClaudeConversation(setting)
