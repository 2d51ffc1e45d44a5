"""Kimi Code, by ``kimi acp``. What is said of its files was read on 2.1.0."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from cis_provider.model.options import PermissionPolicy
from cis_provider.runtimes.acp.journal import Journal
from cis_provider.runtimes.acp.kimi_records import KimiJournal
from cis_provider.runtimes.acp.runtime import AcpRuntime
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.process import find_program

#: Tokens of its models' context where nothing else is said, and bytes of a token as it reckons, with a margin
#: for its own prompt: 1,000,000 bytes of English were 271,000 tokens, and 85 % of the context may be used.
_CONTEXT = 262_144
_BYTES_PER_TOKEN = 2.8

#: What it says of its own housekeeping in the middle of the model's words.
_NOTICE = re.compile(
    r"Compacting conversation context(…| with instruction: )|Compaction (cancelled\.|is blocked by the current turn)"
    r"|Compaction completed\.\n- Messages compacted: "
)


class KimiRuntime(AcpRuntime):
    """``program`` may name another binary than ``kimi``; it needs Node 22.19 or newer in ``PATH``."""

    name: ClassVar[str] = "kimi"

    def command(self, setting: Setting) -> list[str]:
        return [*find_program("kimi", setting), "acp", *setting.options.args]

    def modes(self, policy: PermissionPolicy) -> list[str]:
        # Said also where it is the default: a conversation that `kimi -p` began has no questions any more.
        return ["plan"] if policy == "plan" else ["default"]

    def limit(self, setting: Setting) -> int:
        # A prompt that nearly fills the model's context is not sent: it is summarized first, unasked.
        context = setting.env.get("KIMI_MODEL_MAX_CONTEXT_SIZE", "")
        return int((int(context) if context.isdigit() else _CONTEXT) * _BYTES_PER_TOKEN)

    def is_notice(self, text: str) -> bool:
        return _NOTICE.match(text) is not None

    def journal(self, setting: Setting, conversation_id: str) -> Journal:
        return KimiJournal(setting.env, conversation_id)

    def is_question(self, request: dict[str, Any]) -> bool:
        # Its AskUserQuestion has options of this form, where a form (`elicitation/create`) did not do.
        options = request.get("options") or []
        return bool(options) and all(str(one.get("optionId", "")).startswith("q0_") for one in options)

    def terminal(self, setting: Setting, conversation_id: str) -> Launch | None:
        return Launch([*find_program("kimi", setting), "-r", conversation_id])
