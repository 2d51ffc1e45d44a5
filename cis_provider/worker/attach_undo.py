"""What programs do to a terminal, undone. Pure; no more than bytes, for a client that is to start quickly."""

from __future__ import annotations

#: Private modes that change what a terminal sends or shows; each is switched off where the program has not switched
#: it on: cursor keys, reverse video, mouse, focus, mouse encodings, paste, colour and size reports.
KNOWN_MODES = (1, 5, 9, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004, 2031, 2048)

#: What a terminal is like that no program has: also after one that was killed.
UNDO = (
    b"\x1b[?2026l\x1b[<99u\x1b[?1049l\x1b[<99u\x1b[>4m\x1b>"
    + b"".join(b"\x1b[?%dl" % mode for mode in KNOWN_MODES if mode != 1007)
    + b"\x1b[?6l\x1b[?7h\x1b[4l\x1b[r\x1b(B\x1b)B\x0f\x1b[0m\x1b[0 q\x1b[?25h"
)
