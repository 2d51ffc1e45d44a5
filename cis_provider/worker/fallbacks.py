"""An agent of another type for the same work: what it is given, and whether it can take it."""

from __future__ import annotations

import msgspec

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionRequest
from cis_provider.runtimes import registry
from cis_provider.runtimes.base import ConversationRuntime


def taking_over(request: SessionRequest, agent_type: str) -> tuple[ConversationRuntime, AgentOptions]:
    """
    The runtime of another type, and the options for it.

    What only the first type understands (its model, effort, program, arguments and ``config``) stays behind.

    :raises PermanentAgentError: There is no such runtime, or it has no conversations.
    """
    runtime = registry.load(agent_type)
    if not isinstance(runtime, ConversationRuntime):
        raise PermanentAgentError(f"{agent_type} cannot take over a conversation")
    if agent_type == request.agent_type:
        return runtime, request.options
    own = msgspec.structs.replace(request.options, model="", effort="", program=(), args=(), config={})
    return runtime, own


def check_prompt(runtime: ConversationRuntime, options: AgentOptions, agent_type: str, prompt: str) -> None:
    """
    :raises PermanentAgentError: The program cannot take a prompt of that size.
    """
    limit, size = runtime.largest_prompt(options), len(prompt.encode("utf-8", "replace"))
    if limit and size > limit:
        raise PermanentAgentError(
            f"the prompt has {size:,} bytes, and {agent_type} takes {limit:,} at most: shorten it, or let the "
            "agent read a file"
        )
