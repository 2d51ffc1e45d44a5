"""Kimi Code, by ``kimi acp``. What is said of its files was read on 2.1.0."""

from __future__ import annotations

from typing import Any, ClassVar

from cis_provider.model.options import PermissionPolicy
from cis_provider.runtimes.acp.journal import Journal
from cis_provider.runtimes.acp.kimi_records import KimiJournal
from cis_provider.runtimes.acp.runtime import AcpRuntime
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.process import find_program


class KimiRuntime(AcpRuntime):
    """``program`` may name another binary than ``kimi``; it needs Node 22.19 or newer in ``PATH``."""

    name: ClassVar[str] = "kimi"

    def command(self, setting: Setting) -> list[str]:
        return [*find_program("kimi", setting), "acp", *setting.options.args]

    def modes(self, policy: PermissionPolicy) -> list[str]:
        # Said also where it is the default: a conversation that `kimi -p` began has no questions any more.
        return ["plan"] if policy == "plan" else ["default"]

    def journal(self, setting: Setting, conversation_id: str) -> Journal:
        return KimiJournal(setting.env, conversation_id)

    def is_question(self, request: dict[str, Any]) -> bool:
        # Its AskUserQuestion has options of this form, where a form (`elicitation/create`) did not do.
        options = request.get("options") or []
        return bool(options) and all(str(one.get("optionId", "")).startswith("q0_") for one in options)

    def terminal(self, setting: Setting, conversation_id: str) -> Launch | None:
        return Launch([*find_program("kimi", setting), "-r", conversation_id])
