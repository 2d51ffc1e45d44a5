"""The runtime of Claude Code."""

from __future__ import annotations

from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.runtimes.claude.conversation import ClaudeConversation

#: "Claude takes 2 MB on stdin and refuses more than 10 MB" (2.1.329), as JSON; quotes double in it.
PROMPT_BYTES = 4 * 1024 * 1024


class ClaudeRuntime(ConversationRuntime):
    """
    ``claude --input-format stream-json --output-format stream-json``, one process for each conversation.

    This is what ``claude-agent-sdk`` speaks, too, and the binary comes in that package. We speak it ourselves:
    importing the package takes half a second and 50 MB in every scope worker, most of it a web server that
    nobody calls, and it hands its own process's whole environment to the agent.
    """

    name = "claude"
    prompt_limit = PROMPT_BYTES

    def open(self, setting: Setting) -> ClaudeConversation:
        return ClaudeConversation(setting)
