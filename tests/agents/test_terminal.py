"""``type: terminal`` with the real interfaces of Claude Code and Codex, read and answered by rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cis_provider.model.blockage import BlockageKind
from cis_provider.runtimes.terminal import TerminalRuntime
from cis_provider.testing.model_server import ModelServer, Step, hang, run, status, text, tool
from tests.kit.heard import whole
from tests.kit.place import Place
from tests.kit.talk import Talk

pytestmark = pytest.mark.agents

PROMPT = "Make the file of seven herons."


class Program(NamedTuple):
    """
    How a program is started, and what it asks.

    :param touch: A call for which it asks.
    """

    name: str
    arguments: tuple[str, ...]
    question: str
    touch: Callable[[Path], Step]


def _escalated(file: Path) -> Step:
    wish = {"sandbox_permissions": "require_escalated", "justification": "I need it"}
    return tool("exec_command", {"cmd": f"touch {file}", **wish})


CLAUDE = Program(
    "claude", ("--permission-mode", "default"), "Do you want to proceed?", lambda file: run(f"touch {file}")
)
CODEX = Program(
    "codex",
    ("-a", "on-request", "-s", "read-only"),
    "Would you like to run the following command?",
    _escalated,
)


@pytest.fixture(params=[CLAUDE, CODEX], ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    made: Program = request.param
    return made


@pytest.fixture
async def place(program: Program, tmp_path: Path, agent_program: Callable[[str], Path]) -> Any:
    made = Place(tmp_path, program.name, agent_program(program.name), TerminalRuntime(), retries=0)
    made.options = {
        "program": (str(agent_program(program.name)), *program.arguments),
        "config": {"rules": program.name},
    }
    yield made
    await made.close()


async def test_a_permission_is_asked_once_and_the_answers_key_allows_it(
    program: Program, place: Place, server: ModelServer
) -> None:
    file = place.workspace / "made"
    server.push(program.touch(file), text("It is made."), text("A second answer."))
    talk = await place.begin(server)
    await talk.conversation.send(PROMPT)
    blockage = await talk.blocked()
    assert (blockage.kind, blockage.title) == (BlockageKind.PERMISSION, program.question)
    assert f"touch {file}" in blockage.detail.replace("\n", "")
    assert {"allow_once", "reject_once"} <= {option.kind for option in blockage.options}
    assert not file.exists()
    await talk.answer(blockage, next(one.id for one in blockage.options if one.kind == "allow_once"))
    end = await talk.end_of_turn()
    assert file.exists()
    assert "It is made." in end.text and PROMPT not in end.text and end.denied == ()
    assert "A second answer." in (await talk.turn("And a second one.")).text
    assert len(server.calls) == 3
    assert whole(server).count(PROMPT) == 1


async def test_what_is_denied_does_not_happen_and_is_told(
    program: Program, place: Place, server: ModelServer
) -> None:
    file = place.workspace / "made"
    server.push(program.touch(file), text("I could not."))
    talk = await place.begin(server)
    await talk.conversation.send(PROMPT)
    blockage = await talk.blocked()
    await talk.answer(blockage, next(one.id for one in blockage.options if one.kind == "reject_once"))
    end = await talk.end_of_turn()
    assert end.denied == (program.question,)
    assert not file.exists()


async def test_a_prompt_of_many_lines_arrives_whole(
    program: Program, place: Place, server: ModelServer
) -> None:
    server.push(text("Read."))
    talk = await place.begin(server)
    prompt = "\n".join(f"line {number} of a long prompt" for number in range(1500))
    assert "Read." in (await talk.turn(prompt)).text
    said = whole(server).replace("\\n", "\n")
    assert prompt in said
    assert len(server.calls) == 1


async def test_a_failed_call_is_no_success(program: Program, place: Place, server: ModelServer) -> None:
    server.push(status(400, message="The prompt is wrong.", repeat="forever"))
    talk = await place.begin(server)
    end = await talk.turn(PROMPT)
    assert end.stop_reason == "error", end
    assert "The prompt is wrong." in end.error, end


async def test_an_interrupted_prompt_is_no_part_of_the_next_one(
    program: Program, place: Place, server: ModelServer
) -> None:
    server.push(hang(), text("The other one is done."))
    talk = await place.begin(server)
    await talk.conversation.send(PROMPT)
    await asyncio.to_thread(server.wait_for, 1, 60)
    await talk.conversation.interrupt()
    assert (await talk.end_of_turn()).stop_reason == "cancelled"
    assert "The other one is done." in (await talk.turn("Do the other one.")).text
    assert PROMPT + "Do" not in whole(server), "Claude Code puts the prompt back into its input box"


async def test_who_is_asked_for_trust_first_is_prompted_after_the_answer(
    tmp_path: Path, agent_program: Callable[[str], Path], server: ModelServer
) -> None:
    place = Place(tmp_path, "claude", agent_program("claude"), TerminalRuntime(), retries=0)
    place.options = {"config": {"rules": "claude"}}
    setting = place.setting(server)
    state = place.home / ".claude.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"projects": {}}))
    server.push(text("All is well."))
    talk = Talk(place.runtime, setting, patience=30)
    try:
        await talk.start()
        sending = asyncio.create_task(talk.conversation.send(PROMPT))
        blockage = await talk.blocked()
        assert blockage.kind is BlockageKind.TRUST
        assert not server.calls
        # The marker stands on "No, exit".
        await talk.answer(blockage, next(one.id for one in blockage.options if one.label.startswith("Yes")))
        assert "All is well." in (await talk.end_of_turn()).text
        await sending
        assert whole(server).count(PROMPT) == 1
    finally:
        await talk.conversation.stop()
