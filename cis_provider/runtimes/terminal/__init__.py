"""Programs that are driven by what their screen shows, and by keys."""

from cis_provider.runtimes.terminal.runtime import TerminalRuntime

__all__ = ["TerminalRuntime"]
