"""Values of a rule file, each checked where it stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cis_provider.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """Where in a file something stands, for messages."""

    where: str

    def at(self, part: str) -> Place:
        """A place in this one."""
        return Place(f"{self.where}: {part}")

    def error(self, what: str) -> ConfigError:
        """A mistake here."""
        return ConfigError(f"{self.where}: {what}")

    def mapping(
        self, value: Any, known: Iterable[str] | None = None, required: Iterable[str] = ()
    ) -> dict[str, Any]:
        """
        A mapping with text as keys.

        :param known: Keys that it may have; ``None``: any.
        :raises ConfigError: It is something else, has another key or lacks one.
        """
        if not isinstance(value, dict):
            raise self.error(f"a mapping is needed, not {_kind(value)}")
        for key in value:
            if not isinstance(key, str):
                raise self.error(f"key {key!r} is no text; put it in quotes")
            if known is not None and key not in known:
                close = difflib.get_close_matches(key, list(known), n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise self.error(f"unknown key {key!r}{hint}; there are: {', '.join(known)}")
        if missing := [key for key in required if key not in value]:
            raise self.error(f"key {missing[0]!r} is missing")
        return value

    def items(self, value: Any) -> list[Any]:
        """
        :raises ConfigError: It is no list, or an empty one.
        """
        if not isinstance(value, list) or not value:
            raise self.error(f"a list with something in it is needed, not {_kind(value)}")
        return value

    def text(self, value: Any) -> str:
        """
        :raises ConfigError: It is no text.
        """
        if not isinstance(value, str):
            raise self.error(f"text is needed, not {_kind(value)}; put it in quotes")
        return value

    def flag(self, value: Any) -> bool:
        """
        :raises ConfigError: It is neither true nor false.
        """
        if not isinstance(value, bool):
            raise self.error(f"true or false is needed, not {_kind(value)}")
        return value

    def positive(self, value: Any) -> int:
        """
        :raises ConfigError: It is no whole number above 0.
        """
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(f"a whole number above 0 is needed, not {value!r}")
        return value

    def one_of(self, value: Any, known: Iterable[str]) -> str:
        """
        :raises ConfigError: It is none of them.
        """
        names = [str(name) for name in known]
        if value not in names:
            close = difflib.get_close_matches(str(value), names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise self.error(f"{value!r} is unknown{hint}; there are: {', '.join(names)}")
        return str(value)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
