"""Secrets in what an agent prints: replaced before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = b"***"

#: Shorter values would make holes in ordinary words and tell more than they hide.
_SHORTEST = 6


class SecretMask:
    """
    Chunks in, masked chunks out. Holds back only what may be the beginning of a secret.

    :param secrets: Values to hide; those of fewer than six characters are not hidden.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._values: list[bytes] = []
        self._held = b""
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these, too."""
        values = {secret.encode() for secret in secrets if len(secret) >= _SHORTEST}
        # A terminal turns line ends around; a secret of several lines is shown that way.
        values |= {value.replace(b"\n", b"\r\n") for value in values}
        self._values = sorted({*self._values, *values}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(value) for value in self._values))

    def feed(self, chunk: bytes) -> bytes:
        """What may be shown now."""
        if not self._values:
            return chunk
        text = self._pattern.sub(MASK, self._held + chunk)
        held = self._beginning(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held

    def whole(self, data: bytes) -> bytes:
        """A whole text, masked; what is held back of the stream stays as it is."""
        return self._pattern.sub(MASK, data) if self._values else data

    def _beginning(self, text: bytes) -> int:
        """Length of the longest end of ``text`` that begins a secret."""
        longest = min(len(text), max(map(len, self._values)) - 1)
        tail = text[len(text) - longest :]
        return max(
            (
                size
                for size in range(1, longest + 1)
                if any(value.startswith(tail[longest - size :]) for value in self._values)
            ),
            default=0,
        )
