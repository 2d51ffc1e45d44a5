"""What the real Claude Code asks before it does something, and what it does with the answer."""

from __future__ import annotations

import asyncio

import pytest

from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import Permissions
from cis_provider.runtimes.events import (
    Blocked,
    TurnEnded,
    Unblocked,
)
from cis_provider.testing.model_server import ModelServer, run, text, tool, tools
from tests.kit.by_hand import Terminal
from tests.kit.heard import whole
from tests.kit.place import Place

pytestmark = pytest.mark.agents

QUESTION = {
    "question": "Which color?",
    "header": "Color",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}


async def test_a_permission_is_asked_for_and_allowed(claude: Place) -> None:
    with ModelServer([run("touch allowed"), text("Done.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Touch it.")
            asked = (await talk.until(Blocked)).blockage
            assert (asked.kind, asked.tool, asked.detail) == (
                BlockageKind.PERMISSION,
                "Bash",
                "touch allowed",
            )
            assert not (claude.workspace / "allowed").exists()
            with pytest.raises(InvalidAnswer):
                await talk.conversation.answer(Answer(number=asked.number, option="maybe"))
            await talk.conversation.answer(Answer(number=asked.number, option="allow"))
            assert (await talk.until(TurnEnded)).text == "Done."
            assert (claude.workspace / "allowed").exists()
            with pytest.raises(StaleAnswer):
                await talk.conversation.answer(Answer(number=asked.number, option="allow"))


async def test_a_denied_tool_is_told_to_the_agent_and_named_at_the_end(claude: Place) -> None:
    with ModelServer([run("touch denied"), text("I did something else.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Touch it.")
            asked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=asked.number, option="deny", text="use a list"))
            end = await talk.until(TurnEnded)
        assert "use a list" in whole(server)
    assert end.stop_reason == "end_turn"
    assert end.denied == ("Bash: touch denied",)
    assert not (claude.workspace / "denied").exists()


async def test_two_tools_at_once_are_two_questions(claude: Place) -> None:
    both = tools(("Bash", {"command": "touch one"}), ("Bash", {"command": "touch two"}))
    with ModelServer([both, text("Done.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Both.")
            for _ in range(2):
                asked = (await talk.until(Blocked)).blockage
                option = "allow" if "one" in asked.detail else "deny"
                await talk.conversation.answer(Answer(number=asked.number, option=option))
            await talk.until(TurnEnded)
    assert (claude.workspace / "one").exists()
    assert not (claude.workspace / "two").exists()


async def test_what_a_pattern_allows_is_not_asked(claude: Place) -> None:
    with ModelServer([run("touch listed"), text("Done.")]) as server:
        allowed = Permissions(allow=("Bash(touch *)",))
        async with claude.talk(server, permissions=allowed) as talk:
            await talk.turn("Touch it.")
            assert talk.of(Blocked) == []
    assert (claude.workspace / "listed").exists()


async def test_an_edit_is_shown_as_a_diff_and_not_asked_where_edits_are_accepted(claude: Place) -> None:
    file = claude.workspace / "a.txt"
    write = tool("Write", {"file_path": str(file), "content": "new\n"})
    with ModelServer([write, text("Done.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Write.")
            asked = (await talk.until(Blocked)).blockage
            assert asked.tool == "Write"
            assert "new" in asked.detail
    with ModelServer([write, text("Done.")]) as server:
        async with claude.talk(server, permissions=Permissions(policy="accept-edits")) as talk:
            await talk.turn("Write.")
    assert file.read_text() == "new\n"


async def test_a_change_of_a_file_is_shown_as_a_diff_and_always_is_kept_for_the_conversation(
    claude: Place,
    server: ModelServer,
) -> None:
    file = claude.workspace / "note.txt"
    file.write_text("one\ntwo\n")
    read = tool("Read", {"file_path": str(file)})
    first = tool("Edit", {"file_path": str(file), "old_string": "two", "new_string": "2"})
    second = tool("Edit", {"file_path": str(file), "old_string": "one", "new_string": "1"})
    server.push(read, first, second, text("Done."))
    talk = await claude.begin(server)
    await talk.conversation.send("Change it.")
    blockage = await talk.blocked()
    assert "-two" in blockage.detail and "+2" in blockage.detail
    assert "always" in {option.id for option in blockage.options}
    await talk.answer(blockage, option="always")
    ended = await talk.until(TurnEnded)
    assert ended.text == "Done." and file.read_text() == "1\n2\n"
    assert len(talk.of(Blocked)) == 1
    assert not list(claude.workspace.rglob("settings*.json"))


async def test_everything_is_allowed_by_the_explicit_word_only(claude: Place, server: ModelServer) -> None:
    server.push(run("touch made.txt"), text("Done."))
    talk = await claude.begin(server, permissions=Permissions(policy="everything"))
    assert (await talk.turn("Do it.")).text == "Done."
    assert (claude.workspace / "made.txt").exists() and not talk.of(Blocked)


async def test_an_interrupt_takes_a_permission_back(claude: Place, server: ModelServer) -> None:
    server.push(run("touch made.txt"), text("Here."))
    talk = await claude.begin(server)
    await talk.conversation.send("Do it.")
    blockage = await talk.blocked()
    await talk.conversation.interrupt()
    assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
    assert Unblocked(number=blockage.number, how="by_itself") in talk.seen
    with pytest.raises(StaleAnswer):
        await talk.answer(blockage, option="allow")
    assert (await talk.turn("Still there?")).text == "Here."


@pytest.mark.parametrize("answer", ["Blue", "Green, please"])
async def test_a_question_takes_an_option_or_words(claude: Place, answer: str) -> None:
    with ModelServer([tool("AskUserQuestion", {"questions": [QUESTION]}), text("Good.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Ask me.")
            asked = (await talk.until(Blocked)).blockage
            assert asked.kind is BlockageKind.QUESTION
            assert asked.title == "Which color?"
            assert [option.label for option in asked.options] == ["Red", "Blue"]
            with pytest.raises(InvalidAnswer):
                await talk.answer(asked, "Green")
            given = {"option": answer} if answer == "Blue" else {"text": answer}
            await talk.conversation.answer(Answer(number=asked.number, **given))
            assert (await talk.until(TurnEnded)).text == "Good."
        assert answer in whole(server)


async def test_several_questions_take_a_line_each(claude: Place) -> None:
    other = {**QUESTION, "question": "Which size?", "header": "Size"}
    with ModelServer([tool("AskUserQuestion", {"questions": [QUESTION, other]}), text("Good.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Ask me.")
            asked = (await talk.until(Blocked)).blockage
            with pytest.raises(InvalidAnswer):
                await talk.conversation.answer(Answer(number=asked.number, text="Red"))
            await talk.conversation.answer(Answer(number=asked.number, text="Red\nHuge"))
            await talk.until(TurnEnded)
        assert "Huge" in whole(server)


async def test_a_plan_changes_nothing_and_says_what_was_refused(claude: Place, server: ModelServer) -> None:
    write = tool("Write", {"file_path": str(claude.workspace / "made"), "content": "x"})
    server.push(write, tool("ExitPlanMode", {"plan": "1. Write."}), text("The plan: write."))
    talk = await claude.begin(server, permissions=Permissions(policy="plan"))
    end = await talk.turn("Write it.")
    assert (end.stop_reason, end.text) == ("end_turn", "The plan: write.")
    assert end.denied == (f"Write: {claude.workspace / 'made'}",)
    assert not (claude.workspace / "made").exists()
    assert "plan is all that is wanted" in whole(server, 1)
    assert "Write the whole plan as your answer" in whole(server, 2)


async def test_who_plans_may_read_anywhere_and_ask(claude: Place, server: ModelServer) -> None:
    outside = claude.folder / "outside.txt"
    outside.write_text("what is there")
    read = tool("Read", {"file_path": str(outside)})
    server.push(read, tool("AskUserQuestion", {"questions": [QUESTION]}), text("Blue."))
    talk = await claude.begin(server, permissions=Permissions(policy="plan"))
    await talk.conversation.send("Plan.")
    assert (await talk.choose("Blue")).kind is BlockageKind.QUESTION
    assert (await talk.end_of_turn()).denied == ()
    assert "what is there" in whole(server, 1)


async def test_a_human_at_the_terminal_is_asked_too(claude: Place, server: ModelServer) -> None:
    """Its own interface begins in a mode in which it decides by itself."""
    server.push(text("One."), run("touch never"), text("Never said."))
    async with claude.talk(server) as talk:
        await talk.turn("Hello.")
    launch = talk.conversation.terminal()
    assert launch is not None
    await asyncio.to_thread(_asked_at_the_terminal, Terminal(launch, claude.setting(server)))
    assert not (claude.workspace / "never").exists()
    assert len(server.calls) == 2


def _asked_at_the_terminal(terminal: Terminal) -> None:
    try:
        terminal.sees("One.")
        terminal.type("the second prompt")
        terminal.sees("the second prompt")
        terminal.type("\r")
        terminal.sees("Do you want to proceed?")
    finally:
        terminal.close()
