"""Conversations with a real program by the Agent Client Protocol, and a scripted model server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.acp import AcpRuntime
from cis_provider.runtimes.base import Setting
from cis_provider.testing.model_server import ModelServer
from cis_provider.testing.model_server.environment import environment
from tests.kit.talk import Talk

Talks = Callable[..., Talk]


def said(request: Any) -> list[str]:
    """All that users and models say in a recorded request, as texts."""
    found = []
    for message in request.body["messages"]:
        content = message.get("content") or ""
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        found += parts if message["role"] in ("user", "assistant") else []
    return found


class AcpTalks:
    """
    To be inherited; the tests of one program are one class.

    :cvar program: As ``tools/agents.py`` knows it; ``NAME@VERSION``: that one.
    """

    program: ClassVar[str]
    runtime: ClassVar[type[AcpRuntime]]

    @pytest.fixture
    def server(self) -> Iterator[ModelServer]:
        with ModelServer() as server:
            yield server

    @pytest.fixture
    async def talks(
        self, server: ModelServer, tmp_path: Path, agent_program: Callable[[str], Path]
    ) -> AsyncIterator[Talks]:
        file, made, pids = str(agent_program(self.program)), [], []
        for folder in ("workspace", "folder"):
            (tmp_path / folder).mkdir()
        name = self.program.partition("@")[0]
        env = environment(name, server.url, tmp_path / "home", workspace=tmp_path / "workspace")
        env["TMPDIR"] = str(tmp_path)  # OpenCode unpacks libraries, and leaves them when it is killed

        def make(resume: str = "", env: dict[str, str] = {**env, "PATH": os.defpath}, **options: Any) -> Talk:  # noqa: B006
            setting = Setting(
                workspace=tmp_path / "workspace",
                folder=tmp_path / "folder",
                env=dict(env),
                options=AgentOptions(**{"program": (file,), **options}),
                resume=resume,
                on_process=pids.append,
            )
            made.append(Talk(self.runtime(), setting, patience=60.0))
            made[-1].pids = pids  # type: ignore[attr-defined]
            return made[-1]

        make.env = {**env, "PATH": os.defpath}  # type: ignore[attr-defined]
        yield make
        for talk in made:
            await talk.conversation.stop()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.killpg(pid, 0)
