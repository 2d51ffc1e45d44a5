"""The real OpenCode by ACP, against the scripted model server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cis_provider.model.options import Permissions
from cis_provider.runtimes.acp.opencode_server import PASSWORD, OpenCodeServer
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.opencode import OpenCodeRuntime
from cis_provider.testing.model_server import ModelServer
from cis_provider.testing.model_server import steps as say
from tests.kit.acp_cases import AcpCases
from tests.kit.acp_talks import Talks
from tests.kit.acp_traps import AcpTraps

pytestmark = [pytest.mark.agents, pytest.mark.more_agents]


class TestOpenCode(AcpCases, AcpTraps):
    program = "opencode"
    runtime = OpenCodeRuntime
    own_tries = 6

    async def test_a_rejected_permission_leaves_an_empty_text(
        self, server: ModelServer, talks: Talks
    ) -> None:
        server.push(say.run("echo made > made.txt", say="I will"))
        talk = talks()
        await talk.start()
        await talk.conversation.send("make it")
        await talk.choose("reject")
        end = await talk.end_of_turn()
        assert (end.stop_reason, end.text) == ("end_turn", "") and end.denied

    async def test_a_model_that_says_nothing_gives_an_empty_text(
        self, server: ModelServer, talks: Talks
    ) -> None:
        server.push(say.text("First answer."), say.text("", repeat="forever"))
        talk = talks()
        await talk.start()
        await talk.turn("first")
        end = await talk.turn("second")
        assert (end.stop_reason, end.text) == ("end_turn", "")

    async def test_what_a_subagent_would_ask_unseen_is_not_offered_to_the_model(
        self, server: ModelServer, talks: Talks
    ) -> None:
        talk = talks(denied_tools=("webfetch",))
        await talk.start()
        await talk.turn("go")
        names = {one["function"]["name"] for one in server.calls[0].body["tools"]}
        assert {"bash", "question"} <= names and not names & {"task", "webfetch"}

    @pytest.mark.parametrize("answers", [["blue", "my own words"], ["", ""]])
    async def test_a_question_takes_its_options_words_of_ones_own_or_nothing(
        self, server: ModelServer, talks: Talks, answers: list[str]
    ) -> None:
        options = [{"label": one, "description": f"it is {one}"} for one in ("red", "blue")]
        asked = [
            {"question": f"Which {what}?", "header": what, "options": options} for what in ("one", "other")
        ]
        server.push(say.tool("question", {"questions": asked}), say.text("So be it."))
        talk = talks()
        await talk.start()
        await talk.conversation.send("Ask me.")
        for words in answers:
            blockage = await talk.blocked()
            assert (blockage.kind, blockage.free_text) == ("question", True)
            assert [option.id for option in blockage.options] == ["red", "blue", "skip"]
            option = words if words == "blue" else "" if words else "skip"
            await talk.answer(blockage, option, "" if option else words)
        end = await talk.end_of_turn()
        if answers[0]:
            assert end.text == "So be it."
            told = json.dumps(server.calls[-1].body)
            assert "blue" in told and "my own words" in told

    async def test_a_provider_of_ones_own_is_configured_in_the_agents_file(
        self, server: ModelServer, talks: Talks
    ) -> None:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{server.url}/v1", "apiKey": "{env:ZAI_API_KEY}"},
            "models": {"glm-5": {"limit": {"context": 200_000, "output": 98_304}}},
        }
        env = {**talks.env, "ZAI_API_KEY": "test-key"}  # type: ignore[attr-defined]
        talk = talks(env=env, model="zai-own/glm-5", config={"provider": {"zai-own": provider}})
        assert (await talk.start()).model == "zai-own/glm-5"
        assert (await talk.turn("go")).text == "done"
        assert server.calls[0].model == "glm-5"

    async def test_only_named_tools_are_offered(self, server: ModelServer, talks: Talks) -> None:
        talk = talks(tools=("Read", "Grep"))
        await talk.start()
        await talk.turn("go")
        assert {one["function"]["name"] for one in server.calls[0].body["tools"]} == {"read", "grep"}

    async def test_an_edit_is_accepted_and_a_command_is_asked(
        self, server: ModelServer, talks: Talks, tmp_path: Path
    ) -> None:
        file = tmp_path / "workspace" / "a.txt"
        server.push(say.tool("write", {"filePath": str(file), "content": "A"}), say.run("echo x"))
        talk = talks(permissions=Permissions(policy="accept-edits"))
        await talk.start()
        await talk.conversation.send("write it")
        assert "echo x" in (await talk.blocked()).title
        assert file.read_text() == "A"

    async def test_its_server_is_closed_to_others_on_the_machine(
        self, server: ModelServer, talks: Talks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: dict[str, str] = talks.env  # type: ignore[attr-defined]
        talk = talks(env={name: value for name, value in given.items() if name != PASSWORD})
        started: list[Setting] = []
        command = OpenCodeRuntime.command
        monkeypatch.setattr(
            OpenCodeRuntime,
            "command",
            lambda self, setting: (started.append(setting), command(self, setting))[1],
        )
        await talk.start()
        (setting,) = started
        opened = OpenCodeServer(setting.env)
        assert isinstance(await asyncio.to_thread(opened.get, "/session/status"), dict)
        with pytest.raises(OSError, match="401"):
            await asyncio.to_thread(OpenCodeServer({**setting.env, PASSWORD: ""}).get, "/session/status")


class TestOlderOpenCode(AcpTraps):
    program = "opencode@1.17.19"
    runtime = OpenCodeRuntime
    own_tries = 6
    nonsense = ""
