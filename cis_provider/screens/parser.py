"""
A terminal's byte stream, cut into what it says: text, controls, escape sequences.

After ECMA-48 and the state machine of vt100.net/emu/dec_ansi_parser. Sequences may be cut anywhere between
two feeds. Whatever is malformed is swallowed as a terminal would swallow it, never shown as text.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Protocol

_ESC = "\x1b"
_ABORT = "\x18\x1a"
#: Longer parameters and strings mean nothing: they are read to their end and dropped.
_CSI_LIMIT, _STRING_LIMIT = 256, 64 * 1024

_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_CSI = re.compile(r"\x1b\[([0-?]*)([ -/]*)([@-~])")
_CSI_BODY = re.compile(r"[ -?]*")
_CSI_HELD = re.compile(r"([0-?]*)([ -/]*)")
_STRING_END = re.compile(r"[\x07\x18\x1a\x1b\x9c]")

#: How strings begin: OSC, DCS, SOS, PM, APC.
_STRINGS = "]PX^_"


class Handler(Protocol):
    """Who is told."""

    def draw(self, text: str) -> None:
        """Printable characters."""

    def control(self, char: str) -> None:
        """One C0 control character."""

    def escape(self, intermediates: str, final: str) -> None:
        """``ESC`` and what follows it."""

    def csi(self, params: str, intermediates: str, final: str) -> None:
        """``CSI``: parameters as they were written, private prefix included."""

    def string(self, kind: str, data: str) -> None:
        """A control string; ``kind`` is what followed its ``ESC``: ``]`` for OSC, ``P`` for DCS."""


class _State(Enum):
    GROUND = 0
    ESCAPE = 1
    CSI = 2
    STRING = 3
    STRING_ESCAPE = 4


class Parser:
    """Feeds a :class:`Handler`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._state = _State.GROUND
        self._held = ""
        self._kind = ""
        self._string: list[str] = []
        self._string_size = 0

    def feed(self, text: str) -> None:
        """Read on."""
        handler, position, end = self._handler, 0, len(text)
        while position < end:
            if self._state is not _State.GROUND:
                position = self._go_on(text, position)
            elif match := _TEXT.match(text, position):
                handler.draw(match[0])
                position = match.end()
            elif match := _CSI.match(text, position):
                position = match.end()
                self._say_csi(match[1], match[2], match[3])
            else:
                self._control(text[position])
                position += 1

    def _go_on(self, text: str, position: int) -> int:
        if self._state is _State.CSI:
            return self._csi(text, position)
        if self._state is _State.STRING:
            return self._in_string(text, position)
        if self._state is _State.STRING_ESCAPE:
            self._state = _State.ESCAPE
            if text[position] == "\\":
                self._say_string()
        return self._escape(text, position)

    def _control(self, char: str) -> None:
        if char == _ESC:
            self._state, self._held = _State.ESCAPE, ""
        elif char in _ABORT:
            self._state = _State.GROUND
        elif char < " ":
            self._handler.control(char)

    def _escape(self, text: str, position: int) -> int:
        char = text[position]
        if char < " ":
            self._control(char)
        elif char == "[" and not self._held:
            self._state = _State.CSI
        elif char in _STRINGS and not self._held:
            self._state, self._kind, self._string, self._string_size = _State.STRING, char, [], 0
        elif char <= "/":
            self._held = (self._held + char)[:_CSI_LIMIT]
        elif char <= "~":
            self._state = _State.GROUND
            self._handler.escape(self._held, char)
        elif char > "\x9f":
            self._state = _State.GROUND
            return position
        return position + 1

    def _csi(self, text: str, position: int) -> int:
        body = _CSI_BODY.match(text, position)
        if body is not None and body.end() > position:
            self._held = (self._held + body[0])[: _CSI_LIMIT + 1]
            return body.end()
        char = text[position]
        if "@" <= char <= "~":
            self._state = _State.GROUND
            if parts := _CSI_HELD.fullmatch(self._held):
                self._say_csi(parts[1], parts[2], char)
        elif char > "\x9f":
            self._state = _State.GROUND
            return position
        else:
            self._control(char)
        return position + 1

    def _say_csi(self, params: str, intermediates: str, final: str) -> None:
        if len(params) + len(intermediates) <= _CSI_LIMIT:
            self._handler.csi(params, intermediates, final)

    def _in_string(self, text: str, position: int) -> int:
        match = _STRING_END.search(text, position)
        stop = match.start() if match else len(text)
        self._string_size += stop - position
        if self._string_size <= _STRING_LIMIT:
            self._string.append(text[position:stop])
        if match is None:
            return stop
        if match[0] == _ESC:
            self._state, self._held = _State.STRING_ESCAPE, ""
        elif match[0] in _ABORT:
            self._state = _State.GROUND
        elif match[0] == "\x9c" or self._kind == "]":
            self._state = _State.GROUND
            self._say_string()
        return stop + 1

    def _say_string(self) -> None:
        if self._string_size <= _STRING_LIMIT:
            self._handler.string(self._kind, "".join(self._string))
        self._string = []
