"""How a character looks: colours and attributes, as SGR sequences set them."""

from __future__ import annotations

from enum import IntFlag
from functools import lru_cache
from typing import NamedTuple


class Look(IntFlag):
    """Attributes of a character."""

    BOLD = 1
    DIM = 2
    ITALIC = 4
    UNDERLINE = 8
    BLINK = 16
    REVERSE = 32
    HIDDEN = 64
    STRIKE = 128


class Style(NamedTuple):
    """Colours: empty for the terminal's own, ``0`` to ``255`` for the palette, or ``#rrggbb``."""

    fg: str = ""
    bg: str = ""
    look: int = 0


PLAIN = Style()

_ON = {1: Look.BOLD, 2: Look.DIM, 3: Look.ITALIC, 4: Look.UNDERLINE, 5: Look.BLINK, 6: Look.BLINK}
_ON |= {7: Look.REVERSE, 8: Look.HIDDEN, 9: Look.STRIKE, 21: Look.UNDERLINE}
_OFF = {22: Look.BOLD | Look.DIM, 23: Look.ITALIC, 24: Look.UNDERLINE, 25: Look.BLINK}
_OFF |= {27: Look.REVERSE, 28: Look.HIDDEN, 29: Look.STRIKE}


@lru_cache(maxsize=4096)
def styled(style: Style, params: str) -> Style:
    """``style`` after ``CSI params m``. What is unknown changes nothing."""
    parts = params.split(";")
    while parts:
        part = parts.pop(0)
        number, *sub = (_number(piece) for piece in part.split(":"))
        if number in (38, 48, 58):
            colour = _colour([*sub[:1], *sub[-3:]] if sub[:1] == [2] else sub) if sub else _next_colour(parts)
            if number == 38:
                style = style._replace(fg=colour)
            elif number == 48:
                style = style._replace(bg=colour)
        elif number == 4 and sub[:1] == [0]:
            style = style._replace(look=style.look & ~Look.UNDERLINE)
        else:
            style = _simple(style, number)
    return style


def _simple(style: Style, number: int) -> Style:
    if number == 0:
        return PLAIN
    if number in _ON:
        return style._replace(look=int(style.look | _ON[number]))
    if number in _OFF:
        return style._replace(look=int(style.look & ~_OFF[number]))
    tens, ones = divmod(number, 10)
    if ones == 9 and tens in (3, 4):
        return style._replace(fg="") if tens == 3 else style._replace(bg="")
    if ones <= 7 and tens in (3, 9):
        return style._replace(fg=str(ones + (8 if tens == 9 else 0)))
    if ones <= 7 and tens in (4, 10):
        return style._replace(bg=str(ones + (8 if tens == 10 else 0)))
    return style


def _next_colour(parts: list[str]) -> str:
    wanted = {"5": 2, "2": 4}.get(parts[0], 1) if parts else 0
    taken = [_number(part) for part in parts[:wanted]]
    del parts[:wanted]
    return _colour(taken)


def _colour(numbers: list[int]) -> str:
    match numbers:
        case [5, index, *_]:
            return str(index & 255)
        case [2, red, green, blue, *_]:
            return f"#{red & 255:02x}{green & 255:02x}{blue & 255:02x}"
    return ""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0 if not text else -1
