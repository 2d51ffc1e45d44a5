"""A program's bytes, cut where a screen may be painted anew, without questions that are answered already. Pure."""

from __future__ import annotations

import re

#: A sequence that is longer (a picture, a clipboard) is cut wherever it may be.
_LONGEST = 256 * 1024
#: Characters behind the last escape that a sequence without an end may have, if it is no string.
_LONGEST_CSI = 256

_OPEN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]*)\Z")
_STRING = re.compile(rb"\x1b[\]PX^_][^\x07\x18\x1a\x1b]*\x1b?\Z")
#: What :class:`~cis_provider.screens.screen.Screen` answers: who are you (DA), where is the cursor, are you there
#: (DSR), is this mode on (DECRQM). The terminals of those who are attached must not answer it, too.
_ASKED = re.compile(rb"\x1b\[(?:>?0?c|[56]n|\?\d+\$p)")


class Cutter:
    """Feed it; what comes out ends neither within an escape sequence nor within a character."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be shown now."""
        data = self._held + data
        end = _complete(data)
        self._held = data[end:]
        return _ASKED.sub(b"", data[:end])


def _complete(data: bytes) -> int:
    end = _whole_characters(data)
    last = data.rfind(b"\x1b", 0, end)
    if last < 0:
        return end
    if end - last <= _LONGEST_CSI and _OPEN.match(data, last, end):
        # The escape that ends a string may stand alone at the end: the string began before it.
        before = data.rfind(b"\x1b", max(end - _LONGEST, 0), last) if end - last == 1 else -1
        return before if before >= 0 and _STRING.match(data, before, end) else last
    if end - last <= _LONGEST and _STRING.match(data, last, end):
        return last
    return end


def _whole_characters(data: bytes) -> int:
    """Length without a UTF-8 character at the end that lacks bytes."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if size > back else len(data)
        if byte < 0x80:
            break
    return len(data)
