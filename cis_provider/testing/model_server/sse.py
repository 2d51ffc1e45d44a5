"""Server-sent events: one event, and its bytes. Pure."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct


class Event(Struct, frozen=True):
    """
    One event of a stream.

    :param name: For the line ``event:``; None: none, as OpenAI's chat completions have it.
    :param data: Written as JSON; a string as it is.
    :param content: A chunk of the answer's content: what slow and cut answers count.
    """

    name: str | None
    data: dict[str, Any] | str
    content: bool = False

    def encode(self) -> bytes:
        """The event on the wire."""
        data = self.data if isinstance(self.data, str) else json.dumps(self.data)
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {data}\n\n".encode()
