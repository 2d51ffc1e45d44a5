"""``type: acp``: any program that speaks the Agent Client Protocol."""

from __future__ import annotations

from typing import Any, ClassVar

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import PermissionPolicy
from cis_provider.runtimes.acp.conversation import AcpConversation
from cis_provider.runtimes.acp.journal import Journal
from cis_provider.runtimes.acp.retries import PATIENCE
from cis_provider.runtimes.acp.side_door import SideDoor
from cis_provider.runtimes.base import Conversation, ConversationRuntime, Launch, Setting
from cis_provider.runtimes.process import find_program

#: Ids under which agents offer a mode that only plans.
_PLAN_MODES = ["plan", "architect", "read-only"]


class AcpRuntime(ConversationRuntime):
    """
    An agent on stdin and stdout. What differs from agent to agent is a method of this class.

    ``options.config`` may hold ``mode`` (a session mode of the agent's) and ``auth_method`` (an id of its
    ``authMethods`` that needs no human).
    """

    name: ClassVar[str] = "acp"

    def open(self, setting: Setting) -> Conversation:
        return AcpConversation(self, setting)

    def prepare(self, setting: Setting) -> Setting:
        """
        The setting with the environment that the program needs; files go into ``setting.folder``.

        :raises PermanentAgentError: The program has no way to do what the options ask for.
        """
        self.refuse_tool_lists(setting)
        return setting

    def refuse_tool_lists(self, setting: Setting) -> None:
        """
        :raises PermanentAgentError: The file limits the tools, and the protocol has no word for that.
        """
        if setting.options.tools or setting.options.denied_tools:
            raise PermanentAgentError(
                f"agent type {self.name!r} has no way to limit tools; leave tools and denied_tools out, and "
                "limit them in the program's own configuration, or by permissions"
            )

    def command(self, setting: Setting) -> list[str]:
        """
        Program and arguments, the program with its path.

        :raises PermanentAgentError: No program is given, or it is not installed.
        """
        if not setting.options.program:
            raise PermanentAgentError("agent type 'acp' needs `program`: the command that starts the agent")
        return [*find_program("", setting), *setting.options.args]

    def modes(self, policy: PermissionPolicy) -> list[str]:
        """Ids of session modes for a policy, the best first; none: the agent's own default."""
        return _PLAN_MODES if policy == "plan" else []

    def is_question(self, request: dict[str, Any]) -> bool:
        """Whether ``session/request_permission`` asks for a decision, not for leave to use a tool."""
        return False

    def limit(self, setting: Setting) -> int:
        """Bytes of UTF-8 that it takes as one prompt with this setting; 0: no limit that we know."""
        return self.prompt_limit

    def retry_patience(self, setting: Setting) -> float:
        """Seconds that the program's own tries of a failed call may take, where its journal tells of them."""
        return float(setting.options.config.get("retry_patience", PATIENCE))

    def is_notice(self, text: str) -> bool:
        """Whether a piece of the agent's text is its program's, about itself, and so no part of the answer."""
        return False

    def journal(self, setting: Setting, conversation_id: str) -> Journal:
        """The program's own records of a conversation."""
        return Journal()

    def side_door(self, setting: Setting, conversation_id: str) -> SideDoor:
        """Where the program asks what the protocol has no words for."""
        return SideDoor()

    def with_system_prompt(self, setting: Setting, prompt: str) -> str:
        """A conversation's first prompt. The protocol has no system prompt: ours goes before it."""
        words = setting.options.system_prompt
        return f"{words}\n\n{prompt}" if words and not setting.resume else prompt

    def terminal(self, setting: Setting, conversation_id: str) -> Launch | None:
        """How a human goes on in the program's own interface."""
        return None
