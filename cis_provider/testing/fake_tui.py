"""
A small agent with a terminal interface: for tests of what watches screens and types into them.

``python -m cis_provider.testing.fake_tui``. It has an input box, a dialog, a spinner, and no model: the first word of
a prompt says what to do. ``ask`` asks for leave, ``work N`` works N seconds, ``quote`` prints what a dialog looks
like, ``fail`` shows an error, ``die`` exits with code 3, ``hang`` works and says nothing more, ``list N`` prints N
lines; any other word is answered. Its argument ``trust`` has it ask for trust first, ``deaf`` ignore pastes,
``strange`` show something unknown. Every prompt it got stands in ``prompts.txt``.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from pathlib import Path

_LINE = "─" * 60
_PASTE = re.compile(rb"\x1b\[200~(.*?)\x1b\[201~", re.DOTALL)


def say(text: str) -> None:
    """Write to the terminal."""
    sys.stdout.write(text.replace("\n", "\r\n"))
    sys.stdout.flush()


class Keys:
    """What is typed: pastes whole, keys one by one."""

    def __init__(self, *, pastes: bool) -> None:
        self._data = b""
        self._pastes = pastes

    def next(self, seconds: float | None = None) -> str:
        """A key or a paste; empty when nothing came in time."""
        while not self._data:
            if not select.select([0], [], [], seconds)[0]:
                return ""
            self._data = os.read(0, 4096)
            if not self._data:
                raise SystemExit(0)
        while self._data.startswith(b"\x1b[200~") and b"\x1b[201~" not in self._data:
            self._data += os.read(0, 65536)
        if match := _PASTE.match(self._data):
            self._data = self._data[match.end() :]
            return match[1].decode().replace("\r", "\n") if self._pastes else ""
        key, self._data = self._data[:1], self._data[1:]
        while key[0] >= 0x80 and self._data and self._data[0] & 0xC0 == 0x80:
            key, self._data = key + self._data[:1], self._data[1:]
        return key.decode("utf-8", "replace")


class FakeTui:
    """The program."""

    def __init__(self, words: list[str]) -> None:
        self._keys = Keys(pastes="deaf" not in words)
        self._words = words

    def run(self) -> None:
        """Until it is ended."""
        say("\x1b[?2004hFake TUI v1.2.3\n")
        if "strange" in self._words:
            say("~~ something nobody knows ~~")
            time.sleep(600)
        if "trust" in self._words:
            self._dialog("Do you trust this folder?", "Yes, I trust it")
        while True:
            prompt = self._input()
            with Path("prompts.txt").open("a") as file:
                file.write(prompt + "\n---\n")
            say(f"❯ {prompt}\n")
            self._do(prompt)

    def _input(self) -> str:
        text = ""
        while True:
            shown = text if len(text) < 100 else f"[Pasted text, {len(text)} characters]"
            say(f"{_LINE}\n❯ {shown}\n{_LINE}\n  ready\x1b[{2 + shown.count(chr(10))}A\r")
            key = self._keys.next()
            say("\x1b[1A\x1b[J")
            if key == "\r" and text:
                return text
            text = text[:-1] if key == "\x7f" else text + (key if key >= " " or len(key) > 1 else "")

    def _dialog(self, question: str, yes: str) -> bool:
        say(f"{_LINE}\n{question}\n❯ 1. {yes}\n  2. No\n\n  Enter to confirm\n")
        while (key := self._keys.next()) not in ("1", "2", "\x1b", "\r"):
            with Path("lost-keys.txt").open("a") as file:
                file.write(repr(key) + "\n")
        say("\x1b[6A\x1b[J")
        return key in ("1", "\r")

    def _work(self, seconds: float) -> bool:
        """Whether it was interrupted."""
        end = time.monotonic() + seconds
        frame = 0
        while time.monotonic() < end:
            say(f"\r\x1b[K{'⠋⠙⠹'[frame % 3]} Working (esc to interrupt)")
            frame += 1
            if self._keys.next(0.1) == "\x1b":
                say("\r\x1b[KInterrupted\n")
                return True
        say("\r\x1b[K")
        return False

    def _do(self, prompt: str) -> None:
        word, _, rest = prompt.partition(" ")
        if word == "ask":
            self._work(0.4)
            allowed = self._dialog(f"Run {rest or 'ls'}?", "Yes")
            say("It ran.\n" if allowed else "It was not allowed to run.\n")
        elif word == "work":
            self._work(float(rest.split()[0]))
            say("Done working.\n")
        elif word == "quote":
            say(
                f"A dialog looks so:\n{_LINE}\nRun rm?\n❯ 1. Yes\n  2. No\n\n  Enter to confirm\n{_LINE}\nend\n"
            )
        elif word == "fail":
            say("Error: the model is overloaded\n")
        elif word == "die":
            say("Fatal: goodbye\n")
            raise SystemExit(3)
        elif word == "hang":
            say("⠋ Working (esc to interrupt)")
            time.sleep(600)
        elif word == "list":
            say("".join(f"line {number}\n" for number in range(int(rest))))
        else:
            self._work(0.3)
            say(f"You said {len(prompt)} characters.\n")


def main() -> None:
    """Run on the terminal that is stdin."""
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        FakeTui(sys.argv[1:]).run()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


if __name__ == "__main__":
    main()
