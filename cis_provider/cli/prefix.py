"""Lines of several agents in one stream, each behind its agent's name, as ``docker compose logs`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cis_provider.cli.rows import Row
from cis_provider.cli.screen import interactive, width

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


def prefixed(names: Sequence[str]) -> Callable[[Row, str], None]:
    """A function that writes one line of one of these agents."""
    room = max((width(name) for name in names), default=0)
    coloured = interactive()
    heads = {}
    for place, name in enumerate(dict.fromkeys(names)):
        head = f"{name}{' ' * (room - width(name))}  |"
        colour = _COLOURS[place % len(_COLOURS)]
        heads[name] = f"\x1b[{colour}m{head}\x1b[0m" if coloured else head

    def write(row: Row, line: str) -> None:
        print(f"{heads.get(row.title, row.title)} {line}")

    return write
