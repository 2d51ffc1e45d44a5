"""Agents that speak the Agent Client Protocol on stdin and stdout (agentclientprotocol.com)."""

from __future__ import annotations

from cis_provider.runtimes.acp.runtime import AcpRuntime

__all__ = ["AcpRuntime"]
