"""What a server remembers of a request."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

#: Headers that carry a key or a login.
_SECRET = {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}


class Recorded(Struct, kw_only=True, omit_defaults=True):
    """
    One request.

    :param time: Seconds since 1970.
    :param headers: Names in lower case, keys left out.
    :param body: Parsed JSON; text if it is no JSON; None if there is none.
    :param api: ``anthropic``, ``chat`` or ``responses`` if it is a model call.
    :param side: Why it used no step: ``title``, ``probe``, ``models``, ... None: a main call.
    :param step: Number of the step from 0 that answered it; None: the default answer, or a side call.
    :param status: HTTP status of the answer.
    :param hangs: It is being kept without an answer right now.
    :param gone: The client left before the answer was complete.
    """

    time: float
    method: str
    path: str
    headers: dict[str, str] = {}
    body: Any = None
    api: str | None = None
    model: str | None = None
    side: str | None = None
    step: int | None = None
    status: int = 200
    hangs: bool = False
    gone: bool = False

    @property
    def main(self) -> bool:
        """A model call that the script answers."""
        return self.api is not None and self.side is None


def harmless(headers: dict[str, str]) -> dict[str, str]:
    """Headers without those that carry a key."""
    return {name.lower(): value for name, value in headers.items() if name.lower() not in _SECRET}
