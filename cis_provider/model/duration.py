"""Durations as people write them: ``300``, ``5m``, ``1h30m``."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(value: int | float | str) -> float:
    """
    Seconds of a duration.

    :param value: A number of seconds, or text such as ``90``, ``5m``, ``1h30m``, ``2d``.
    :raises ValueError: Not a duration, or not above zero.
    """
    if isinstance(value, bool):
        raise ValueError(_complaint(value))
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        text = value.strip()
        match = _DURATION.fullmatch(text)
        if text.isdigit():
            seconds = float(text)
        elif text and match:
            seconds = float(
                sum(int(n) * size for n, size in zip(match.groups(), _UNITS.values(), strict=True) if n)
            )
        else:
            raise ValueError(_complaint(value))
    if not 0 < seconds < 10**9:
        raise ValueError(_complaint(value))
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest exact text for whole seconds, e.g. ``1h30m``; below one second ``0.4s``."""
    if seconds < 1:
        return f"{seconds:.1f}s"
    rest, parts = round(seconds), []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _complaint(value: object) -> str:
    return f"{value!r} is no duration; write seconds (300) or units, largest first (5m, 1h30m, 2d)"
