"""
Aider, one process for each prompt, on a terminal. What is said of it was read and seen on 0.86.2.

Each prompt goes in by ``--message-file``: it is read whole, whatever its size, and nothing can eat it. Questions
come on the terminal, and are answered there. The conversation is Aider's own history file.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cis_provider import paths
from cis_provider.errors import PermanentAgentError
from cis_provider.files import private_folder, write_atomic
from cis_provider.runtimes.aider_log import AiderLog
from cis_provider.runtimes.base import Conversation, ConversationRuntime, Launch, Setting
from cis_provider.runtimes.events import TurnEnded, Usage
from cis_provider.runtimes.process import find_program
from cis_provider.runtimes.terminal.per_turn import PerTurnConversation
from cis_provider.runtimes.terminal.runtime import refuse
from cis_provider.screens import rule_files
from cis_provider.screens.watcher import Judgement

#: It asks for nothing that is not the agent's own business, looks for no updates, and draws no colours.
_QUIET = (
    "--no-fancy-input",
    "--no-pretty",
    "--no-check-update",
    "--no-show-release-notes",
    "--no-show-model-warnings",
    "--no-gitignore",
    "--no-analytics",
    "--no-detect-urls",
)

#: Questions about edits, which ``accept-edits`` answers.
_EDITS = re.compile(
    r"^(?:Create new file\?|Allow edits to file|Add file to the chat\?|Edit the files\?|Attempt to fix)"
)
#: It says so before each try, and its pauses double; all before one take as long as that one.
_PAUSE = re.compile(r"Retrying in (\d+(?:\.\d+)?) seconds")
#: Seconds that its own tries of a failed call may take, the next pause included. By itself it gives up after 64.
_RETRY_PATIENCE = 25.0

#: Where it keeps its map of the repository: nothing of the agent's work.
_CACHES = ".aider.tags.cache.v*"


class AiderRuntime(ConversationRuntime):
    """
    ``options.config`` may hold ``files`` and ``read``: files of the workspace that are in the chat from the
    start, to be changed or only to be read; and ``retry_patience``: seconds that its own tries of a failed call
    may take.
    """

    name: ClassVar[str] = "aider"

    def open(self, setting: Setting) -> Conversation:
        refuse(setting, self.name)
        return AiderConversation(setting)


class AiderConversation(PerTurnConversation):
    """One history file."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(
            setting, rule_files.rule_book("aider" if "aider" in rule_files.programs() else "terminal")
        )
        self._id = setting.resume or uuid.uuid4().hex
        self._log = AiderLog(setting.folder / "aider-events.jsonl", setting.folder / "aider-llm.txt")
        self._own_caches: set[Path] = set()

    @property
    def conversation_id(self) -> str:
        return self._id

    async def start(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{32}", self._id):
            raise PermanentAgentError(
                f"{self._id!r} is no conversation of Aider's: 32 hexadecimal digits are"
            )
        if self._setting.resume and not self._history.exists():
            raise PermanentAgentError(
                f"conversation {self._id} is not on this node: {self._history} does not exist"
            )
        private_folder(paths.conversations_dir())
        private_folder(self._history.parent)
        self._own_caches = set(self._setting.workspace.glob(_CACHES))
        if self._setting.options.system_prompt:
            write_atomic(self._conventions, self._setting.options.system_prompt.encode())
        await super().start()

    def argv(self, prompt_file: Path) -> Sequence[str]:
        return [
            *self._command(),
            *_QUIET,
            "--analytics-log",
            str(self._log.events),
            "--llm-history-file",
            str(self._log.messages),
            "--message-file",
            str(prompt_file),
        ]

    def env(self, prompt_file: Path) -> dict[str, str]:
        # Without the first, its first start fetches a price list, and waits long for it where there is no network.
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", **super().env(prompt_file)}

    def prompt(self, prompt: str) -> str:
        self._log.begin()
        # A prompt that begins with a slash or an exclamation mark is a command for Aider, or for the shell.
        return f"\n{prompt}" if prompt[:1] in ("/", "!") else prompt

    def ended(self, exit_code: int, said: str) -> TurnEnded:
        for cache in set(self._setting.workspace.glob(_CACHES)) - self._own_caches:
            shutil.rmtree(cache, ignore_errors=True)
        return self._log.ended(exit_code, said)

    def hopeless(self, judgement: Judgement) -> bool:
        pause = _PAUSE.search(judgement.evidence) if judgement.state == "retrying" else None
        patience = float(self._setting.options.config.get("retry_patience", _RETRY_PATIENCE))
        return pause is not None and 2 * float(pause[1]) > patience

    def usage(self) -> Usage | None:
        return self._log.usage

    def unasked(self, judgement: Judgement, title: str) -> str:
        allowed = self._setting.options.permissions.policy == "accept-edits" and _EDITS.match(title)
        return "allow" if allowed and "allow" in judgement.keys else ""

    def terminal(self) -> Launch | None:
        return Launch([*self._command(), "--no-gitignore"])

    def _command(self) -> list[str]:
        options, workspace = self._setting.options, self._setting.workspace
        argv = [*find_program("aider", self._setting)]
        argv += ["--chat-history-file", str(self._history)]
        argv += ["--input-history-file", str(self._history.with_suffix(".input"))]
        if self._history.exists():
            argv += ["--restore-chat-history"]
        if options.model:
            argv += ["--model", options.model]
        if options.effort:
            argv += ["--reasoning-effort", options.effort]
        if options.system_prompt:
            argv += ["--read", str(self._conventions)]
        if options.permissions.policy == "plan":
            argv += ["--chat-mode", "ask"]
        elif options.permissions.policy == "everything":
            argv += ["--yes-always"]
        if not any((folder / ".git").exists() for folder in (workspace, *workspace.parents)):
            argv += ["--no-git"]  # else it asks whether to make a repository
        for flag, key in (("--file", "files"), ("--read", "read")):
            for file in options.config.get(key, ()):
                argv += [flag, str(workspace / file)]
        return [*argv, *options.args]

    @property
    def _history(self) -> Path:
        return paths.conversations_dir() / "aider" / f"{self._id}.md"

    @property
    def _conventions(self) -> Path:
        return self._setting.folder / "conventions.md"
