"""Keys as rules name them, and the bytes that a terminal sends for them."""

from __future__ import annotations

import re

#: Stands for the words of whoever answers.
TEXT = "{text}"

_NAMED = {
    "enter": b"\r",
    "esc": b"\x1b",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "space": b" ",
    "backspace": b"\x7f",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "page_up": b"\x1b[5~",
    "page_down": b"\x1b[6~",
}
_ARROWS = {"up", "down", "left", "right", "home", "end"}
_CTRL = re.compile(r"ctrl\+([a-z])")


def is_key(key: str) -> bool:
    """Whether :func:`encode` knows it: a name, ``ctrl+x``, or one character that is typed."""
    return key == TEXT or key in _NAMED or bool(_CTRL.fullmatch(key)) or (len(key) == 1 and key.isprintable())


def names() -> list[str]:
    """What :func:`is_key` takes, for a message."""
    return [*_NAMED, "ctrl+a ... ctrl+z", "one character", TEXT]


def encode(key: str, *, application_cursor: bool = False) -> bytes:
    """
    Bytes of one key.

    :param application_cursor: The program turned mode 1 on: arrows are told differently then.
    :raises ValueError: It is none.
    """
    if key in _NAMED:
        code = _NAMED[key]
        return code.replace(b"[", b"O") if application_cursor and key in _ARROWS else code
    if match := _CTRL.fullmatch(key):
        return bytes([ord(match[1]) - 96])
    if len(key) == 1:
        return key.encode()
    raise ValueError(f"{key!r} is no key; there are: {', '.join(names())}")
