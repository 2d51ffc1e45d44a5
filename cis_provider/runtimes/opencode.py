"""OpenCode, by ``opencode acp``. What is said of it was measured on 1.18.33."""

from __future__ import annotations

from typing import ClassVar

from cis_provider.runtimes.acp.runtime import AcpRuntime
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.process import find_program


class OpenCodeRuntime(AcpRuntime):
    """``program`` may name another binary than ``opencode``."""

    name: ClassVar[str] = "opencode"

    def command(self, setting: Setting) -> list[str]:
        return [*find_program("opencode", setting), "acp", *setting.options.args]

    def terminal(self, setting: Setting, conversation_id: str) -> Launch | None:
        return Launch([*find_program("opencode", setting), "-s", conversation_id])
