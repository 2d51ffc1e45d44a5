"""``type: terminal``: any program with a terminal interface."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.base import Conversation, ConversationRuntime, Setting
from cis_provider.runtimes.terminal.interactive import PASTE_LIMIT, InteractiveConversation
from cis_provider.runtimes.terminal.program import ProgramConversation
from cis_provider.screens import rule_files
from cis_provider.screens.rulebook import RuleBook


class TerminalRuntime(ConversationRuntime):
    """
    ``options.program`` is the command. With rules for its screen it is talked with on the screen; without,
    it is run once for each prompt, whose file ``$CIS_PROMPT_FILE`` names.

    ``options.config`` may hold ``rules``: the name of a program that we have rules for, or the path of a
    rule file (relative to the workspace).
    """

    name: ClassVar[str] = "terminal"

    def largest_prompt(self, options: AgentOptions) -> int:
        return PASTE_LIMIT if options.config.get("rules") else 0

    def open(self, setting: Setting) -> Conversation:
        if not setting.options.program:
            raise PermanentAgentError("agent type 'terminal' needs `program`: the command that it starts")
        refuse(setting, self.name)
        if (policy := setting.options.permissions.policy) != "ask":
            raise PermanentAgentError(
                f"agent type {self.name!r} cannot tell its program the permission policy {policy!r}; leave it out, "
                "and say it in the program's own configuration or arguments"
            )
        rules = setting.options.config.get("rules", "")
        if not rules:
            return ProgramConversation(setting, rule_files.rule_book("terminal"))
        return InteractiveConversation(setting, _book(str(rules), setting.workspace))


def refuse(setting: Setting, name: str) -> None:
    """
    :raises PermanentAgentError: The options ask for what no screen can be told.
    """
    options = setting.options
    asked = {
        "tools": options.tools,
        "denied_tools": options.denied_tools,
        "mcp_servers": options.mcp_servers,
        "permissions: allow": options.permissions.allow,
    }
    for what, value in asked.items():
        if value:
            raise PermanentAgentError(
                f"agent type {name!r} has no way to do what {what!r} says; leave it out, and say it in the "
                "program's own configuration or arguments"
            )


def _book(rules: str, workspace: Path) -> RuleBook:
    try:
        if rules in rule_files.programs():
            return rule_files.rule_book(rules)
        return rule_files.load(workspace / rules)
    except ConfigError as error:
        raise PermanentAgentError(f"config: rules: {error}") from error
