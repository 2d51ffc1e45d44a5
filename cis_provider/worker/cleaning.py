"""What an agent says, made fit for records, logs and disks: its secrets masked, all of it encodable."""

from __future__ import annotations

from typing import Any

import msgspec

from cis_provider.model.blockage import Blockage
from cis_provider.runtimes.events import Blocked, Ended, Event, TurnEnded
from cis_provider.worker.context import Outcome
from cis_provider.worker.mask import SecretMask


def clean(value: Any, mask: SecretMask) -> Any:
    """
    A text, or every text in a JSON value.

    A half of a surrogate pair becomes a question mark. JSON may hold one (``"\\ud83d"``: a program cut its text
    in the middle of an emoji), UTF-8 may not: it could be neither written nor sent.
    """
    match value:
        case str():
            return mask.whole(value.encode("utf-8", "replace")).decode("utf-8", "replace")
        case list() | tuple():
            return type(value)(clean(one, mask) for one in value)
        case dict():
            return {clean(key, mask): clean(one, mask) for key, one in value.items()}
        case _:
            return value


def clean_event(event: Event, mask: SecretMask) -> Event:
    """What is told of an event. Pieces of output are masked as a stream, by whoever writes them."""
    match event:
        case Blocked(blockage=blockage):
            return Blocked(blockage=_clean_blockage(blockage, mask))
        case TurnEnded():
            return msgspec.structs.replace(
                event,
                text=clean(event.text, mask),
                structured=event.structured.encode("utf-8", "replace").decode(),
                denied=clean(event.denied, mask),
                error=clean(event.error, mask),
            )
        case Ended():
            return msgspec.structs.replace(event, error=clean(event.error, mask))
        case _:
            return event


def clean_outcome(outcome: Outcome, mask: SecretMask) -> Outcome:
    """What is kept of an agent's work; its final text is masked when it is handed on."""
    return msgspec.structs.replace(
        outcome,
        error=clean(outcome.error, mask),
        structured=clean(outcome.structured, mask),
        checked=clean(outcome.checked, mask),
    )


def _clean_blockage(blockage: Blockage, mask: SecretMask) -> Blockage:
    # The ids of options stay: the agent knows them by these.
    return msgspec.structs.replace(
        blockage,
        title=clean(blockage.title, mask),
        detail=clean(blockage.detail, mask),
        tool=clean(blockage.tool, mask),
        subjects=clean(blockage.subjects, mask),
        options=tuple(
            msgspec.structs.replace(option, label=clean(option.label, mask)) for option in blockage.options
        ),
    )
