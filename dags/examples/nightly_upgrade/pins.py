"""Pins (``name==version``) in a requirements or constraints file: find them, raise one. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Hashes, URLs, options, ranges and continued lines do not match: they are left alone.
_PIN = re.compile(
    r"""^(?P<before>\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\]\s*)?==\s*)
        (?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)
        (?P<after>\s*(?:;[^\\]*|\#.*)?)$""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Pin:
    """One package at one version."""

    name: str
    version: str


def find_pins(text: str) -> list[Pin]:
    """The pins of a file, each once, in their order."""
    found = (_PIN.match(line) for line in text.splitlines())
    return list(dict.fromkeys(Pin(match["name"], match["version"]) for match in found if match))


def raise_pin(text: str, pin: Pin, version: str) -> str:
    """
    ``text`` with ``pin`` at ``version``; every other character stays.

    :raises ValueError: The pin is not in the text.
    """
    lines = text.splitlines(keepends=True)
    raised = [_raise_line(line, pin, version) for line in lines]
    if raised == lines:
        raise ValueError(f"no line reads {pin.name}=={pin.version}")
    return "".join(raised)


def _raise_line(line: str, pin: Pin, version: str) -> str:
    content = line.rstrip("\r\n")
    match = _PIN.match(content)
    if not match or (match["name"], match["version"]) != (pin.name, pin.version):
        return line
    return match["before"] + version + match["after"] + line[len(content) :]


def series_limit(version: str) -> str | None:
    """The first version of the next series: ``"22"`` for 21.3. None where the series is unclear."""
    major = re.match(r"(\d+)(?:\.|$)", version)
    return str(int(major[1]) + 1) if major else None
