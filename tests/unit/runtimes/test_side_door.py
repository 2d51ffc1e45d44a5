"""Questions that come beside the protocol: asked while they wait, and no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cis_provider.runtimes.acp import side_door
from cis_provider.runtimes.acp.opencode_server import OpenCodeQuestions, OpenCodeServer
from cis_provider.runtimes.acp.requests import Requests
from cis_provider.runtimes.acp.side_door import DoorKeeper
from cis_provider.runtimes.acp.turn import Turn
from cis_provider.runtimes.acp.waiting import Waiting
from cis_provider.runtimes.events import Blocked, Event, Unblocked

ASKED = [{"sessionID": "c", "id": "1", "questions": [{"question": "Which?", "options": [{"label": "a"}]}]}]


class Server(OpenCodeServer):
    """Says one thing after the other, the last for ever."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def get(self, path: str) -> Any:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class AnyTurn(Turn):
    """One that runs."""

    cancelled = False

    def __init__(self) -> None:
        pass


async def told(server: Server, count: int, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The first events."""
    monkeypatch.setattr(side_door, "EVERY", 0.01)
    events: asyncio.Queue[Event] = asyncio.Queue()
    requests = Requests(None, None, Waiting(events.put_nowait))  # type: ignore[arg-type]
    watching = asyncio.create_task(DoorKeeper(OpenCodeQuestions(server, "c"), requests).watch(AnyTurn()))
    try:
        async with asyncio.timeout(5):
            return [await events.get() for _ in range(count)]
    finally:
        watching.cancel()
        await asyncio.wait({watching})


@pytest.mark.parametrize(
    "nonsense",
    [
        ["words"],
        [None],
        [{"sessionID": "c"}],
        [{"sessionID": "c", "id": "1", "questions": ["x"]}],
        [{"sessionID": "c", "id": "1", "questions": 7}],
    ],
)
async def test_a_server_that_answers_nonsense_once_is_asked_again(
    nonsense: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked,) = await told(Server(nonsense, ASKED), 1, monkeypatch)
    assert isinstance(asked, Blocked)
    assert asked.blockage.title == "Which?"


async def test_a_question_that_was_answered_elsewhere_is_asked_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, gone = await told(Server(ASKED, []), 2, monkeypatch)
    assert isinstance(asked, Blocked)
    assert gone == Unblocked(number=asked.blockage.number, how="by_itself")
