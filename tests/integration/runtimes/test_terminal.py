"""Terminal programs on a real terminal: typed into when they wait for a prompt, answered when they ask."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cis_provider.errors import InvalidAnswer, PermanentAgentError, StaleAnswer, TransientAgentError
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.base import Conversation, Setting
from cis_provider.runtimes.events import Blocked, Ended, Event, Output, Started, TurnEnded, Unblocked
from cis_provider.runtimes.terminal import TerminalRuntime, interactive, waiting
from cis_provider.runtimes.terminal.program import ProgramConversation
from cis_provider.screens.rule_files import rule_book
from cis_provider.testing import fake_tui

pytestmark = pytest.mark.integration

RULES = str(Path(fake_tui.__file__).with_suffix(".yaml"))


class Talk:
    """A conversation whose events are waited for."""

    def __init__(self, conversation: Conversation, pids: list[int]) -> None:
        self.conversation = conversation
        self.pids = pids
        self.seen: list[Event] = []
        self._stream = conversation.events()

    async def until(self, kind: type[Event], seconds: float = 20) -> Any:
        async with asyncio.timeout(seconds):
            async for event in self._stream:
                self.seen.append(event)
                if isinstance(event, kind):
                    return event
        raise AssertionError(f"no {kind.__name__}: {self.seen}")

    async def turn(self, prompt: str) -> TurnEnded:
        async with asyncio.timeout(20):
            await self.conversation.send(prompt)
        end = await self.until(TurnEnded)
        assert isinstance(end, TurnEnded)
        return end


Opened = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Opens a conversation with a program, and stops it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "session").mkdir()

    @asynccontextmanager
    async def open_(*program: str, start: bool = True, book: str = "", **options: Any) -> AsyncIterator[Talk]:
        pids: list[int] = []
        setting = Setting(
            workspace=tmp_path / "work",
            folder=tmp_path / "session",
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path.cwd()),
                "CIS_SESSION_ID": "s-1",
                "HOME": str(tmp_path),
            },
            options=AgentOptions(program=program, **options),
            on_process=pids.append,
        )
        runtime = TerminalRuntime()
        conversation = ProgramConversation(setting, rule_book(book)) if book else runtime.open(setting)
        try:
            if start:
                async with asyncio.timeout(20):
                    await conversation.start()
            yield Talk(conversation, pids)
        finally:
            await conversation.stop()
            await conversation.stop()
            assert not any(psutil.pid_exists(pid) for pid in pids)

    return open_


@pytest.fixture
def tui(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens a conversation with the fake interface."""
    monkeypatch.setattr(interactive, "_IDLE_UNSEEN", 1.0)

    def open_(*words: str, **more: Any) -> Any:
        return opened(
            sys.executable, "-m", "cis_provider.testing.fake_tui", *words, config={"rules": RULES}, **more
        )

    return open_


async def holds(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def typed(tmp_path: Path) -> list[str]:
    """The prompts that the fake interface got."""
    return (tmp_path / "work" / "prompts.txt").read_text().split("\n---\n")[:-1]


# On the screen


async def test_a_prompt_is_typed_once_and_its_answer_read_from_the_screen(tui, tmp_path):
    async with tui() as talk:
        started = await talk.until(Started)
        assert started.version == "1.2.3"
        assert (await talk.turn("hello there")).text == "You said 11 characters."
        assert (await talk.turn("two\nlines of it")).text == "You said 15 characters."
        assert typed(tmp_path) == ["hello there", "two\nlines of it"]
        assert [event.text for event in talk.seen if isinstance(event, Output)] == [
            "You said 11 characters.\n",
            "You said 15 characters.\n",
        ]


async def test_a_prompt_that_was_sent_before_is_a_turn_of_its_own(tui):
    async with tui() as talk:
        assert (await talk.turn("hello")).text == "You said 5 characters."
        assert (await talk.turn("hello")).text == "You said 5 characters."
        assert (await talk.turn("say hello")).text == "You said 9 characters."


async def test_an_answer_longer_than_the_screen_is_whole(tui):
    async with tui() as talk:
        end = await talk.turn("list 100")
        assert end.text.splitlines() == [f"line {number}" for number in range(100)]


@pytest.mark.parametrize(("option", "text"), [("allow", "It ran."), ("deny", "It was not allowed to run.")])
async def test_a_question_is_a_blockage_and_its_answer_a_key(tui, tmp_path, option, text):
    async with tui() as talk:
        await talk.conversation.send("ask rm -rf build")
        blockage = (await talk.until(Blocked)).blockage
        assert (blockage.kind, blockage.title) == (BlockageKind.PERMISSION, "Run rm -rf build?")
        assert [(option.id, option.kind) for option in blockage.options] == [
            ("allow", "allow_once"),
            ("deny", "reject_once"),
        ]
        assert "1. Yes" in blockage.detail
        await talk.conversation.answer(Answer(number=blockage.number, option=option))
        assert (await talk.until(Unblocked)).how == "answered"
        assert (await talk.until(TurnEnded)).text == text
        assert not (tmp_path / "work" / "lost-keys.txt").exists()


async def test_answers_that_come_late_or_fit_not_type_nothing(tui, tmp_path):
    async with tui() as talk:
        await talk.conversation.send("ask")
        number = (await talk.until(Blocked)).blockage.number
        with pytest.raises(InvalidAnswer, match="has no option 'maybe'; it has: allow, deny"):
            await talk.conversation.answer(Answer(number=number, option="maybe"))
        with pytest.raises(InvalidAnswer, match="takes one of: allow, deny"):
            await talk.conversation.answer(Answer(number=number, text="as you like"))
        with pytest.raises(StaleAnswer, match="question 7 waits for no answer"):
            await talk.conversation.answer(Answer(number=7, option="allow"))
        await talk.conversation.answer(Answer(number=number, option="allow"))
        with pytest.raises(StaleAnswer):
            await talk.conversation.answer(Answer(number=number, option="allow"))
        await talk.until(TurnEnded)
        assert not (tmp_path / "work" / "lost-keys.txt").exists()


async def test_nothing_is_typed_into_a_question_that_stands_there_at_the_start(tui, tmp_path):
    async with tui("trust") as talk:
        await talk.until(Started)
        sending = asyncio.create_task(talk.conversation.send("hello"))
        blockage = (await talk.until(Blocked)).blockage
        assert blockage.kind is BlockageKind.TRUST
        assert not (tmp_path / "work" / "lost-keys.txt").exists()
        await talk.conversation.answer(Answer(number=blockage.number, option="allow"))
        async with asyncio.timeout(10):
            await sending
        assert (await talk.until(TurnEnded)).text == "You said 5 characters."
        assert typed(tmp_path) == ["hello"]


async def test_words_of_a_dialog_that_are_only_printed_do_not_block(tui):
    async with tui() as talk:
        end = await talk.turn("quote")
        assert "Enter to confirm" in end.text
        assert not any(isinstance(event, Blocked) for event in talk.seen)


async def test_an_error_on_the_screen_ends_the_turn_in_an_error(tui):
    async with tui() as talk:
        end = await talk.turn("fail")
        assert (end.stop_reason, end.error) == ("error", "Error: the model is overloaded")
        assert (await talk.turn("hello")).stop_reason == "end_turn"


async def test_a_program_that_dies_says_its_last_words(tui):
    async with tui() as talk:
        await talk.conversation.send("die")
        ended = await talk.until(Ended)
        assert ended.exit_code == 3
        assert "Fatal: goodbye" in ended.error
        with pytest.raises(TransientAgentError, match="not running"):
            await talk.conversation.send("again")


async def test_a_turn_is_interrupted_and_the_program_stays(tui):
    async with tui() as talk:
        await talk.conversation.send("work 60")
        await holds(lambda: talk.conversation._stage.judge().state == "working")
        await talk.conversation.interrupt()
        assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
        assert (await talk.turn("hello")).text == "You said 5 characters."


async def test_a_program_that_does_not_echo_gets_no_enter(tui, tmp_path, monkeypatch):
    monkeypatch.setattr(interactive, "_ECHO", 1.0)
    async with tui("deaf") as talk:
        with pytest.raises(TransientAgentError, match="the screen does not show it; it was not sent"):
            await talk.conversation.send("hello")
        assert not (tmp_path / "work" / "prompts.txt").exists()


async def test_a_screen_that_nobody_knows_is_typed_into_by_nobody(tui, monkeypatch):
    monkeypatch.setattr(interactive, "_KNOWN", 2.0)
    async with tui("strange", start=False) as talk:
        with pytest.raises(
            TransientAgentError, match=r"unknown, last line '~~ something.*; nothing was typed"
        ):
            await talk.conversation.start()


async def test_prompts_that_cannot_be_pasted_are_refused_before_a_key_is_typed(tui, tmp_path):
    async with tui() as talk:
        with pytest.raises(PermanentAgentError, match="has 1000000 bytes, and 65536 can be pasted"):
            await talk.conversation.send("x" * 1_000_000)
        with pytest.raises(PermanentAgentError, match="is empty"):
            await talk.conversation.send(" \n")
        assert (
            await talk.turn("y" * 60_000 + " is all there is to say")
        ).text == "You said 60023 characters."
        assert len(typed(tmp_path)) == 1


async def test_a_prompt_cannot_press_keys(tui, tmp_path):
    async with tui() as talk:
        await talk.turn("sneaky \x1b[201~\x03\r1 end")
        assert typed(tmp_path) == ["sneaky [201~1 end"]


# Without rules


async def test_a_program_reads_its_prompt_from_a_file_and_its_exit_code_is_the_result(opened):
    async with opened("bash", "-c", 'echo "got: $(wc -c < "$CIS_PROMPT_FILE")"; echo "args: $#"') as talk:
        prompt = "p" * 1_000_000
        end = await talk.turn(prompt)
        assert end.stop_reason == "end_turn"
        assert end.text == "got: 1000000\nargs: 0"
        assert (await talk.turn("x")).text == "got: 1\nargs: 0"


async def test_output_is_told_while_it_comes_and_is_whole_at_the_end(opened):
    async with opened("bash", "-c", "seq 1 500; printf 'x%.0s' $(seq 1 300)") as talk:
        end = await talk.turn("go")
        lines = [str(number) for number in range(1, 501)] + ["x" * 300]
        assert end.text.splitlines() == lines
        told = "".join(event.text for event in talk.seen if isinstance(event, Output))
        assert told.splitlines() == lines


async def test_an_exit_code_is_a_failure_with_the_last_lines(opened):
    async with opened("bash", "-c", "echo working; echo broken >&2; exit 7") as talk:
        end = await talk.turn("go")
        assert end.stop_reason == "error"
        assert "exit code 7" in end.error and "broken" in end.error
        assert end.error_class == "transient"


async def test_a_yes_or_no_of_any_program_is_a_question(opened):
    script = 'read -p "Remove it all? (y/n) " answer; echo "you said $answer"'
    async with opened("bash", "-c", script) as talk:
        await talk.conversation.send("go")
        blockage = (await talk.until(Blocked)).blockage
        assert (blockage.kind, blockage.title) == (BlockageKind.QUESTION, "Remove it all? (y/n)")
        await talk.conversation.answer(Answer(number=blockage.number, option="deny"))
        end = await talk.until(TurnEnded)
        assert "you said n" in end.text


async def test_two_questions_in_a_row_are_two_blockages(opened):
    script = 'read -p "One? (y/n) " a; read -p "Two? (y/n) " b; echo "$a$b"'
    async with opened("bash", "-c", script) as talk:
        await talk.conversation.send("go")
        first = (await talk.until(Blocked)).blockage
        await talk.conversation.answer(Answer(number=first.number, option="allow"))
        second = (await talk.until(Blocked)).blockage
        assert (second.number, second.title) == (2, "Two? (y/n)")
        await talk.conversation.answer(Answer(number=second.number, option="deny"))
        assert (await talk.until(TurnEnded)).text.endswith("yn")


@pytest.mark.parametrize("lines_above", [0, 60], ids=["above", "at the bottom"])
@pytest.mark.parametrize("slow", ["sleep 1.5; IFS= read -r rest; echo", "IFS= read -r rest; echo; sleep 1.5"])
async def test_a_program_that_is_slow_to_take_an_answer_is_not_asked_again(
    opened, monkeypatch, slow, lines_above
):
    """It echoes the key by itself, as readline does, and is busy before it takes Enter, or before it says a word."""
    monkeypatch.setattr(waiting, "_ANSWERED", 0.2)
    script = f"""
        stty -icanon -echo
        seq {lines_above}
        printf 'Run shell command? (Y)es/(N)o [Yes]: '; IFS= read -rn1 key; printf %s "$key"; {slow}
        echo "you said $key"
    """
    async with opened("bash", "-c", script, book="aider") as talk:
        await talk.conversation.send("go")
        blockage = (await talk.until(Blocked)).blockage
        await talk.conversation.answer(Answer(number=blockage.number, option="deny"))
        end = await talk.until(TurnEnded)
        assert "you said n" in end.text
        assert len([event for event in talk.seen if isinstance(event, Blocked)]) == 1


async def test_a_program_that_takes_no_nonsense_asks_again(opened):
    script = 'for try in 1 2; do read -p "Remove it all? (y/n) " key; done; echo "$key"'
    async with opened("bash", "-c", script) as talk:
        await talk.conversation.send("go")
        for number, option in enumerate(("deny", "allow"), start=1):
            blockage = (await talk.until(Blocked)).blockage
            assert (blockage.number, blockage.title) == (number, "Remove it all? (y/n)")
            await talk.conversation.answer(Answer(number=number, option=option))
        assert (await talk.until(TurnEnded)).text.endswith("\ny")


async def test_an_interrupt_ends_the_program_also_a_deaf_one(opened):
    async with opened("bash", "-c", "trap '' INT; echo on; sleep 100; sleep 100") as talk:
        await talk.conversation.send("go")
        await holds(lambda: talk.conversation._stage.written > 0)
        await talk.conversation.interrupt()
        assert (await talk.until(TurnEnded)).stop_reason == "cancelled"


async def test_what_a_program_leaves_behind_in_its_group_is_ended(opened, tmp_path):
    script = f"(trap '' HUP; sleep 300) & echo $! > {tmp_path}/pid; echo done"
    async with opened("bash", "-c", script) as talk:
        assert (await talk.turn("go")).text == "done"
        pid = int((tmp_path / "pid").read_text())
        await holds(
            lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        )


async def test_a_program_that_is_not_there_is_told_at_the_start(opened):
    with pytest.raises(PermanentAgentError, match="program 'no-such-program' is not there"):
        async with opened("no-such-program"):
            raise AssertionError("started")


async def test_a_program_that_ends_at_once_is_not_waited_for_and_says_why(tmp_path):
    setting = Setting(
        workspace=tmp_path,
        folder=tmp_path,
        env={"PATH": os.defpath},
        options=AgentOptions(
            program=("/bin/sh", "-c", "echo no such model; exit 3"), config={"rules": "claude"}
        ),
    )
    conversation = TerminalRuntime().open(setting)
    with pytest.raises(PermanentAgentError, match="exit code 3 before it took a prompt: no such model"):
        await conversation.start()
    await conversation.stop()
