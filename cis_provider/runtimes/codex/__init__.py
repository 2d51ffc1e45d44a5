"""
Codex by its app-server: JSON-RPC on stdin and stdout.

``codex app-server generate-ts --out DIR`` (or ``generate-json-schema``) prints the protocol of the installed
version. What is said about it in this package is what version 0.169.0 prints and does.
"""

from __future__ import annotations

from cis_provider.runtimes.codex.runtime import CodexRuntime

__all__ = ["CodexRuntime"]
