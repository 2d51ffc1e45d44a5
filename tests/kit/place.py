"""A workspace and a home in which conversations with one real program come and go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.testing.model_server import ModelServer, environment
from tests.kit.talk import Talk


class Place:
    """
    Whoever has it calls :meth:`close`.

    :param folder: An empty one.
    :param name: Of the program, as :func:`environment` knows it.
    :param program: Its file.
    :param retries: How often the program itself repeats a failed call; None: as it likes.
    :ivar env: Variables besides those; an empty one is taken away.
    :ivar options: Of all its conversations.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        program: Path,
        runtime: ConversationRuntime,
        *,
        retries: int | None = None,
    ) -> None:
        self.folder, self.home, self.own = folder, folder / "home", folder / "session"
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.own.mkdir()
        self.runtime = runtime
        self.pids: list[int] = []
        self.env: dict[str, str] = {}
        self.options: dict[str, Any] = {}
        self._name, self._program, self.retries = name, program, retries
        self._talks: list[Talk] = []

    def setting(self, server: ModelServer, resume: str = "", **options: Any) -> Setting:
        """Where a conversation takes place."""
        made = environment(self._name, server.url, self.home, workspace=self.workspace, retries=self.retries)
        env = {**made, "PATH": os.defpath, "CIS_SESSION_ID": "a-test", **self.env}
        return Setting(
            workspace=self.workspace,
            folder=self.own,
            env={name: value for name, value in env.items() if value},
            options=AgentOptions(**{"program": (str(self._program),), **self.options, **options}),
            resume=resume,
            on_process=self.pids.append,
        )

    async def begin(self, server: ModelServer, resume: str = "", **options: Any) -> Talk:
        """A started conversation; it is stopped with the place, if not before."""
        talk = Talk(self.runtime, self.setting(server, resume, **options), patience=60)
        self._talks.append(talk)
        await talk.start()
        return talk

    @asynccontextmanager
    async def talk(self, server: ModelServer, resume: str = "", **options: Any) -> AsyncIterator[Talk]:
        """A started conversation, stopped at the end."""
        talk = await self.begin(server, resume, **options)
        try:
            yield talk
        finally:
            await talk.conversation.stop()

    async def written(self, files: str, words: str) -> None:
        """
        Wait until the program has written words down. Claude Code does so 0.1 to 0.3 s after it has asked the
        model, or answered; before that they are lost with it.

        :param files: A pattern of files in its home.
        """
        async with asyncio.timeout(30):
            while not any(words in file.read_text() for file in self.home.rglob(files)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # a file of another program: nothing tells when it grows

    async def close(self) -> None:
        """
        Stop all conversations.

        :raises AssertionError: One of their programs is still there.
        """
        for talk in self._talks:
            await talk.conversation.stop()
        assert not [pid for pid in self.pids if runs(pid)]


def runs(pid: int) -> bool:
    """Whether a process is at work: not one that only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
