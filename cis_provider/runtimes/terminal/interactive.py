"""A program with a screen that rules know: it is prompted as a human would, and read from its screen."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from cis_provider.errors import AgentError, PermanentAgentError, TransientAgentError
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.events import Output, Started, TurnEnded
from cis_provider.runtimes.process import find_program
from cis_provider.runtimes.terminal.conversation import ScreenConversation
from cis_provider.runtimes.terminal.stage import Stage, typable
from cis_provider.screens.rulebook import RuleBook
from cis_provider.screens.watcher import Judgement

#: Bytes of a prompt that are pasted. More, and programs drop some of it, or their screens show nothing of it.
PASTE_LIMIT = 64 * 1024

#: Seconds for which a screen must look idle to be believed: after a turn that was seen, after one that was not.
_IDLE, _IDLE_UNSEEN = 1.0, 3.0
#: Seconds for which a screen must stay unknown before that is told.
_UNKNOWN = 10.0
#: Seconds in which a program must show a screen that its rules know, and a paste its echo.
_KNOWN, _ECHO = 60.0, 10.0
#: Seconds until a program that works on is interrupted once more.
_PRESS_AGAIN = 3.0

#: Lines of the screen that are repeated in an error.
_LAST_LINES = 10
#: Characters at a prompt's end that are looked for on the screen.
_TAIL = 24
#: What programs show instead of a long paste.
_PASTED = re.compile(r"\[past[^\]]*\]", re.IGNORECASE)


class InteractiveConversation(ScreenConversation):
    """One process for the whole conversation."""

    def __init__(self, setting: Setting, book: RuleBook) -> None:
        super().__init__(setting, book)
        self._state = "unknown"
        self._since = 0.0
        self._prompt: str | None = None
        self._seen = 0
        self._unknown = ""
        self._worked = False
        self._interrupted = False
        self._pressed_at = 0.0
        self._broken_off = ""
        self._looked = asyncio.Event()
        self._started = False

    async def start(self) -> None:
        argv = [*find_program("", self._setting), *self._setting.options.args]
        self._stage = stage = Stage(self._book)
        stage.start(argv, self._setting, {"TERM": "xterm-256color", **self._setting.env})
        self._since = time.monotonic()
        self._spawn(self._watch(stage))
        await self._until(lambda: self._state in ("idle", "error", "blocked", "exited"), _KNOWN)
        if self._state == "exited":
            raise self._gone(argv[0], stage)
        if self._state not in ("idle", "error", "blocked"):
            judgement = stage.judge()
            raise TransientAgentError(
                f"{argv[0]} shows no screen that the rules of {self._book.program!r} know, {_KNOWN:.0f} s after "
                f"its start: {judgement.state}, last line {judgement.evidence!r}; nothing was typed"
            )
        self._events.put_nowait(Started(conversation_id=self.conversation_id, version=stage.watcher.version))
        self._started = True

    async def send(self, prompt: str) -> None:
        stage = self._stage
        if stage is None or self._ended:
            raise TransientAgentError("the program is not running; open its conversation again")
        if self._prompt is not None:
            raise PermanentAgentError("a turn runs already; wait for its end")
        prompt = typable(prompt)
        self._check(stage, prompt)
        await self._until(self._ready, None)  # a question may be open; only its answer is typed then
        if self._state == "exited":
            raise TransientAgentError("the program ended before it got the prompt")
        await self._clear(stage)
        stage.transcript.begin()
        self._waiting.denied.clear()
        before = _on_screen(stage)
        self._seen = len(_ends_of(prompt, stage.transcript.rest()))
        stage.paste(prompt)
        if not await self._until(lambda: _echoed(prompt, before, _on_screen(stage)), _ECHO):
            raise TransientAgentError(
                f"the prompt was typed, and after {_ECHO:.0f} s the screen does not show it; it was not sent. "
                f"Its last line: {stage.judge().evidence!r}"
            )
        self._prompt, self._worked, self._interrupted = prompt, False, False
        self._since = time.monotonic()
        await stage.press(["enter"])

    async def _clear(self, stage: Stage) -> None:
        """Some put an interrupted prompt back into their input, and the next one would be appended to it."""
        broken_off, self._broken_off = self._broken_off, ""
        if not broken_off or not _is_typed(broken_off, stage):
            return
        await stage.press(["ctrl+c"])
        if not await self._until(lambda: not _is_typed(broken_off, stage), _ECHO):
            raise TransientAgentError(
                "the prompt that was interrupted stands in the program's input, and Ctrl+C does not clear it; "
                "nothing was typed"
            )

    async def interrupt(self) -> None:
        if self._prompt is None or self._stage is None:
            return
        self._interrupted, self._pressed_at = True, 0.0
        await self._press_on(self._stage, self._stage.judge())

    # What is seen

    async def _watch(self, stage: Stage) -> None:
        async for judgement in stage.looks():
            if self._started:  # whose event is the first
                self._look(stage, judgement)
            self._follow(stage, judgement)
            await self._press_on(stage, judgement)
            self._tell_unknown(judgement)
            self._looked.set()
        await stage.stop()
        self._end(stage.exit_code, _last_words(stage))

    @staticmethod
    def _gone(program: str, stage: Stage) -> AgentError:
        code = stage.exit_code
        kind = TransientAgentError if code is None or code > 128 else PermanentAgentError
        return kind(f"{program} ended with exit code {code} before it took a prompt: {_last_words(stage)}")

    def _follow(self, stage: Stage, judgement: Judgement) -> None:
        now = time.monotonic()
        if judgement.state != self._state:
            self._state, self._since = judgement.state, now
        if self._prompt is None:
            return
        self._worked = self._worked or judgement.state in ("working", "retrying", "blocked")
        stays = now - self._since
        if judgement.state in ("idle", "error") and stays >= (_IDLE if self._worked else _IDLE_UNSEEN):
            self._finish(stage, judgement)

    async def _press_on(self, stage: Stage, judgement: Judgement) -> None:
        """Interrupt it, when it is seen at work: a prompt may be sent, and its screen not show that yet."""
        now = time.monotonic()
        if self._prompt is None or not self._interrupted or now - self._pressed_at < _PRESS_AGAIN:
            return
        if judgement.state in ("working", "retrying"):
            self._pressed_at = now
            named = (judgement.keys.get(name) for name in ("interrupt", "cancel"))
            await stage.press(next((keys for keys in named if keys), ("ctrl+c",)))

    def _tell_unknown(self, judgement: Judgement) -> None:
        lasts = self._started and time.monotonic() - self._since >= _UNKNOWN
        if judgement.state == "unknown" and lasts and judgement.evidence != self._unknown:
            self._unknown = judgement.evidence
            told = (
                f"[no rule of {self._book.program!r} knows its screen, whose last line is: {self._unknown}]\n"
            )
            self._events.put_nowait(Output(text=told, thought=True))

    def _finish(self, stage: Stage, judgement: Judgement) -> None:
        text = _answer(stage, self._prompt or "", self._seen)
        self._broken_off = (self._prompt or "") if self._interrupted else ""
        self._prompt = None
        denied = tuple(self._waiting.denied)
        if text:
            self._say(text)
        if self._interrupted:
            self._events.put_nowait(TurnEnded(stop_reason="cancelled", text=text, denied=denied))
        elif judgement.state == "error":
            error = judgement.evidence
            self._events.put_nowait(
                TurnEnded(stop_reason="error", text=text, denied=denied, error=error, error_class="transient")
            )
        else:
            self._events.put_nowait(TurnEnded(text=text, denied=denied))

    def _ready(self) -> bool:
        stays = time.monotonic() - self._since
        return self._state == "exited" or (self._state in ("idle", "error") and stays >= _IDLE / 2)

    async def _until(self, holds: Callable[[], bool], seconds: float | None) -> bool:
        """Whether it held at a look within so many seconds; ``None``: the caller has the deadline."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not holds():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if self._ended:
                return False
            self._looked.clear()
            try:
                async with asyncio.timeout(0.2):
                    await self._looked.wait()
            except TimeoutError:
                continue
        return True

    @staticmethod
    def _check(stage: Stage, prompt: str) -> None:
        size = len(prompt.encode("utf-8", "replace"))
        if size > PASTE_LIMIT:
            raise PermanentAgentError(
                f"the prompt has {size} bytes, and {PASTE_LIMIT} can be pasted into a terminal program; put the "
                "long part into a file of the workspace, and name the file in the prompt"
            )
        if not prompt.strip():
            raise PermanentAgentError("the prompt is empty")
        if "\n" in prompt.strip() and not stage.takes_pastes:
            raise PermanentAgentError(
                "the prompt has several lines, and the program would take each for a prompt of its own (it "
                "knows no bracketed paste); write one line, or put the text into a file of the workspace"
            )


def _last_words(stage: Stage) -> str:
    return "\n".join([line for line in stage.transcript.text().splitlines() if line.strip()][-_LAST_LINES:])


def _squeezed(text: str) -> str:
    """Text without blanks and sides of boxes: the same however it is wrapped and framed."""
    return re.sub(r"[\s│┃║]+", "", text)


def _on_screen(stage: Stage) -> str:
    return _squeezed(stage.watcher.screen.frame().text())


def _echoed(prompt: str, before: str, after: str) -> bool:
    tail = _squeezed(prompt)[-_TAIL:]
    if tail and after.count(tail) > before.count(tail):
        return True
    return len(_PASTED.findall(after)) > len(_PASTED.findall(before))


def _is_typed(prompt: str, stage: Stage) -> bool:
    """Whether the cursor stands behind it."""
    frame = stage.watcher.screen.frame()
    last = "\n".join([*frame.lines[: frame.cursor_row], frame.lines[frame.cursor_row][: frame.cursor_column]])
    typed = _squeezed(last)
    return typed.endswith(_squeezed(prompt)[-_TAIL:]) or bool(re.search(rf"{_PASTED.pattern}\Z", typed, re.I))


def _ends_of(prompt: str, lines: list[str]) -> list[int]:
    """Numbers of the lines on which the prompt ends; it may be broken in two there."""
    tail = _squeezed(prompt)[-_TAIL:]
    found: list[int] = []
    before = ""
    for number, line in enumerate(lines):
        here = _squeezed(line)
        if tail and (before + here).rfind(tail) + len(tail) > len(before) and tail in before + here:
            found.append(number)
        before = here
    return found


def _answer(stage: Stage, prompt: str, seen: int) -> str:
    """
    What stands below the prompt and above the input: the answer, as far as a screen can tell.

    :param seen: How often the prompt stood on the screen before it was typed.
    """
    regions = stage.watcher.regions(time.monotonic())
    named = "answer" if "answer" in stage.watcher.book.cuts else "above_box"
    shown = [line.text for line in regions.named(named) or regions.named("above_cursor")]
    lines = stage.transcript.text(shown).splitlines()
    if ends := _ends_of(prompt, lines):
        lines = lines[ends[min(seen, len(ends) - 1)] + 1 :]
    return "\n".join(lines).strip()
