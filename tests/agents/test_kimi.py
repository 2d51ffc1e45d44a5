"""The real Kimi by ACP, against the scripted model server."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cis_provider.errors import InvalidAnswer, PermanentAgentError
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import Permissions
from cis_provider.runtimes.events import Output
from cis_provider.runtimes.kimi import KimiRuntime
from cis_provider.testing.model_server import ModelServer
from cis_provider.testing.model_server import steps as say
from tests.kit.acp_cases import AcpCases
from tests.kit.acp_talks import Talks, said
from tests.kit.acp_traps import AcpTraps

pytestmark = [pytest.mark.agents, pytest.mark.more_agents]

_QUESTIONS = {
    "questions": [
        {
            "question": "Which colour?",
            "header": "Colour",
            "options": [
                {"label": "red", "description": "warm"},
                {"label": "blue", "description": "cold"},
            ],
        },
        {
            "question": "Which sizes?",
            "header": "Size",
            "multi_select": True,
            "options": [{"label": "S", "description": "small"}, {"label": "L", "description": "large"}],
        },
    ]
}
_PROMPTS = {"first of one", "second of one", "first of two", "second of two"}


class TestKimi(AcpCases, AcpTraps):
    program = "kimi"
    runtime = KimiRuntime
    own_tries = 10

    async def test_all_its_questions_are_asked(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.tool("AskUserQuestion", _QUESTIONS), say.text("thank you"))
        talk = talks()
        await talk.start()
        await talk.conversation.send("ask me")
        first = await talk.blocked()
        assert first.kind == BlockageKind.QUESTION and first.title == "Which colour?"
        with pytest.raises(InvalidAnswer):
            await talk.conversation.answer(Answer(number=1, option="green"))
        await talk.conversation.answer(Answer(number=1, option="blue"))
        second = await talk.blocked()
        assert second.title == "Which sizes?" and second.free_text
        await talk.conversation.answer(Answer(number=2, text="S, L"))
        assert (await talk.end_of_turn()).text == "thank you"
        result = str(server.calls[-1].body["messages"][-1]["content"])
        assert "blue" in result and "S, L" in result

    async def test_an_edit_is_accepted_and_a_command_is_asked(
        self, server: ModelServer, talks: Talks, tmp_path: Path
    ) -> None:
        file = tmp_path / "workspace" / "a.txt"
        server.push(say.tool("Write", {"path": str(file), "content": "A"}), say.run("echo x"))
        talk = talks(permissions=Permissions(policy="accept-edits"))
        await talk.start()
        await talk.conversation.send("write it")
        assert "echo x" in (await talk.blocked()).title
        assert file.read_text() == "A"

    async def test_two_in_one_folder_keep_their_conversations_apart(
        self, server: ModelServer, talks: Talks
    ) -> None:
        one, two = talks(), talks()
        await one.start()
        await two.start()
        for number in ("first", "second"):
            await asyncio.gather(one.turn(f"{number} of one"), two.turn(f"{number} of two"))
        words = [set(said(request)) for request in server.calls]
        assert {"first of one", "second of one"} in [found & _PROMPTS for found in words]
        assert {"first of two", "second of two"} in [found & _PROMPTS for found in words]

    async def test_a_prompt_that_it_would_summarize_is_refused(
        self, server: ModelServer, talks: Talks
    ) -> None:
        talk = talks()
        await talk.start()
        with pytest.raises(PermanentAgentError, match="1000000 bytes"):
            await talk.conversation.send("x" * 1_000_000)
        assert server.calls == []
        largest = say.filler(KimiRuntime().limit(talk.setting))
        await talk.turn(largest)
        assert largest in said(server.calls[0])

    async def test_what_it_says_of_its_housekeeping_is_no_answer(
        self, talks: Talks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(KimiRuntime, "limit", lambda self, setting: 0)
        talk = talks(env={**talks.env, "KIMI_MODEL_MAX_CONTEXT_SIZE": "50000"})  # type: ignore[attr-defined]
        await talk.start()
        end = await talk.turn(say.filler(200_000))
        assert any("Compact" in one.text for one in talk.seen if isinstance(one, Output))
        assert "ompact" not in end.text

    async def test_a_model_that_says_nothing_is_no_success(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.text("First answer."), say.text("", repeat="forever"))
        talk = talks(config={"retry_patience": 3.0})
        await talk.start()
        await talk.turn("first")
        end = await talk.turn("second")
        assert (end.stop_reason, end.error_class, end.text) == ("error", "transient", "")

    async def test_a_conversation_that_never_asked_does_so_when_it_is_gone_on_with(
        self, server: ModelServer, talks: Talks, agent_program: Callable[[str], Path], tmp_path: Path
    ) -> None:
        server.push(say.text("First answer."), say.run("echo made > made.txt"))
        env: dict[str, str] = talks.env  # type: ignore[attr-defined]
        command = [str(agent_program(self.program)), "-p", "first prompt"]  # in its automatic mode
        place = {"cwd": tmp_path / "workspace", "env": env, "timeout": 60}
        done = await asyncio.to_thread(
            subprocess.run, command, check=True, capture_output=True, text=True, **place
        )
        session = done.stderr.partition("kimi -r ")[2].split()[0]
        talk = talks(resume=session)
        await talk.start()
        await talk.conversation.send("second prompt")
        assert "echo made > made.txt" in (await talk.blocked()).title
        assert "First answer." in said(server.calls[-1])
        assert not (tmp_path / "workspace" / "made.txt").exists()


class TestOlderKimi(AcpTraps):
    program = "kimi@0.43.1"
    runtime = KimiRuntime
    own_tries = 10
