"""Claude Code, by ``claude-agent-sdk``."""

from cis_provider.runtimes.claude.runtime import ClaudeRuntime

__all__ = ["ClaudeRuntime"]
