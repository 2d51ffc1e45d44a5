"""When a session's record has something for the context store: most sessions are never blocked, and cost nothing."""

from __future__ import annotations

from typing import Any

from cis_provider.model.session import SessionRecord


class Notes:
    """Which records of one session are worth writing down. Pure."""

    def __init__(self) -> None:
        self._seen: tuple[Any, ...] | None = None

    def has_news(self, record: SessionRecord) -> bool:
        """Whether blockages began or ended since the record that was noted last."""
        state = _state(record)
        return state != self._seen and (self._seen is not None or any(state))

    def noted(self, record: SessionRecord) -> None:
        """It stands in the store."""
        self._seen = _state(record)


def blockage_xcom(record: SessionRecord) -> dict[str, Any] | None:
    """What people see among a task's XComs while it is blocked; ``None`` when it goes on."""
    blockage = record.blockage
    if blockage is None or record.has_ended:
        return None
    return {
        "number": blockage.number,
        "kind": str(blockage.kind),
        "title": blockage.title,
        "tool": blockage.tool,
        "options": [option.label for option in blockage.options],
        "since": blockage.since,
        "until": blockage.until,
    }


def _state(record: SessionRecord) -> tuple[Any, ...]:
    blockage = None if record.has_ended else record.blockage
    last = record.settled[-1] if record.settled else None
    answers = record.result.answers if record.has_ended and record.result else ()
    return (
        (blockage.number, blockage.since) if blockage else None,
        (last.number, last.settled_at) if last else None,
        len(answers),
    )
