"""What an agent waits for, by number, until somebody answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.runtimes.events import Blocked, Event, Unblocked

T = TypeVar("T")


class _Open(msgspec.Struct, Generic[T]):
    blockage: Blockage
    accept: Callable[[Answer], T]
    future: asyncio.Future[T | None]


class Waiting:
    """
    The open blockages of one conversation.

    :param emit: Called with ``Blocked`` and ``Unblocked``.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._count = 0
        self._open: dict[int, _Open[object]] = {}

    async def ask(
        self,
        kind: BlockageKind,
        title: str,
        accept: Callable[[Answer], T],
        *,
        detail: str = "",
        tool: str = "",
        names: tuple[str, ...] = (),
        subjects: tuple[str, ...] = (),
        options: tuple[Option, ...] = (),
        free_text: bool = False,
    ) -> T | None:
        """
        Say that the agent waits, and return what ``accept`` makes of the answer; ``None``: it waits no more.

        :param accept: Raises :class:`InvalidAnswer` for an answer that cannot be; the agent waits on.
        """
        self._count += 1
        number = self._count
        blockage = Blockage(
            number=number,
            kind=kind,
            title=title,
            detail=detail,
            tool=tool,
            names=names,
            subjects=subjects,
            options=options,
            free_text=free_text,
            since=time.time(),
        )
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._open[number] = _Open(blockage, accept, future)  # type: ignore[arg-type]
        self._emit(Blocked(blockage=blockage))
        try:
            given = await future
        except asyncio.CancelledError:
            self._emit(Unblocked(number=number, how="by_itself"))
            raise
        finally:
            self._open.pop(number, None)
        self._emit(Unblocked(number=number, how="by_itself" if given is None else "answered"))
        return given

    def answer(self, answer: Answer) -> None:
        """
        :raises StaleAnswer: Nothing waits under that number.
        :raises InvalidAnswer: It does not fit; what it answers waits on.
        """
        opened = self._open.get(answer.number)
        if opened is None or opened.future.done():
            raise StaleAnswer(f"question {answer.number} waits for no answer any more; nothing was delivered")
        blockage = opened.blockage
        ids = [option.id for option in blockage.options]
        if answer.option and answer.option not in ids:
            raise InvalidAnswer(
                f"question {answer.number} has no option {answer.option!r}; it has: {', '.join(ids) or 'none'}"
            )
        if not answer.option and not (blockage.free_text and answer.text.strip()):
            words = " or words of one's own" if blockage.free_text else ""
            raise InvalidAnswer(f"question {answer.number} takes one of: {', '.join(ids)}{words}")
        opened.future.set_result(opened.accept(answer))

    def drop(self) -> None:
        """Nobody will answer any more: every ``ask`` returns ``None``."""
        for opened in self._open.values():
            if not opened.future.done():
                opened.future.set_result(None)
