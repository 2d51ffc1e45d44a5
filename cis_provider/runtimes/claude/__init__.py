"""Claude Code: by its stream-json protocol."""

from cis_provider.runtimes.claude.runtime import ClaudeRuntime

__all__ = ["ClaudeRuntime"]
