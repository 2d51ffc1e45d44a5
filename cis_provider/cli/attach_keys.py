"""Which bytes of a keyboard say "leave". Pure."""

from __future__ import annotations

import re

from cis_provider.errors import ConfigError

_KEY = re.compile(r"ctrl\+(.)", re.IGNORECASE)
#: Characters that make a control character with Ctrl.
_ALLOWED = "abcdefghijklmnopqrstuvwxyz[\\]^_@"


def detach_pattern(key: str) -> re.Pattern[bytes]:
    r"""
    What a terminal may send for a key: by itself, in xterm's ``modifyOtherKeys``, and in the kitty protocol,
    whatever locks are on.

    :param key: ``ctrl+\`` and the like.
    :raises ConfigError: It is no such key.
    """
    match = _KEY.fullmatch(key)
    if match is None or match[1].lower() not in _ALLOWED:
        raise ConfigError(
            f"terminal.detach_key is {key!r}; write ctrl+ and one of a-z [ \\ ] ^ _ @, for example ctrl+\\"
        )
    char = match[1].lower()
    code = ord(char)
    legacy = re.escape(bytes([ord(char.upper()) & 0x1F]))
    # Modifiers count from 1: Ctrl adds 4, Caps Lock 64, Num Lock 128. A third number is an event: 1 press, 2 repeat.
    kitty = rb"\x1b\[%d(?::\d*)*;(?:5|69|133|197)(?::[12])?(?:;\d*)?u" % code
    return re.compile(b"|".join([legacy, kitty, rb"\x1b\[27;5;%d~" % code]))


def shown(key: str) -> str:
    """A key as people read it: ``Ctrl+A``."""
    return f"Ctrl+{key[-1].upper()}"
