"""Step 1: which pins are behind the package index?"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nightly_upgrade import git
from nightly_upgrade.errors import StepError
from nightly_upgrade.handover import pack, write_output
from nightly_upgrade.index import Release, newer_releases
from nightly_upgrade.pins import Pin, find_pins
from nightly_upgrade.records import Found, Outdated, to_dict
from nightly_upgrade.settings import Settings

ASKED_AT_ONCE = 4

Ask = Callable[[Pin], list[Release]]


def run(settings: Settings, folder: Path) -> int:
    """Ask the index about every pin of the file, and hand over those that are behind."""
    pins = find_pins(read_requirements(folder, settings.requirements))
    if not pins:
        raise StepError(f"{settings.requirements} has no pins (lines like name==1.2.3)")
    print(f"{settings.requirements}: {len(pins)} pins; asking the package index about each", flush=True)
    found = find_outdated(pins, base=git.head(folder))
    for one in found.outdated:
        print(f"  {one.name} {one.version} -> {one.candidates[0].version}")
    for name, reason in found.unanswered.items():
        print(f"  {name}: {reason}")
    write_output(pack(describe(found, settings), to_dict(found)))
    return 0


def read_requirements(folder: Path, path: str) -> str:
    """:raises StepError: There is no such file in the repository."""
    try:
        return (folder / path).read_text(encoding="utf-8")
    except OSError as error:
        raise StepError(
            f"cannot read {path} in the repository ({error.strerror}); set the param `requirements`"
        ) from None


def find_outdated(pins: list[Pin], *, base: str, ask: Ask = newer_releases) -> Found:
    """
    Ask about a few pins at a time. One that gets no answer does not stop the others.

    :raises StepError: None got an answer: the index cannot be reached.
    """
    found = Found(base=base, pins=len(pins))

    def ask_safely(pin: Pin) -> list[Release] | StepError:
        try:
            return ask(pin)
        except StepError as error:
            return error

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = list(pool.map(ask_safely, pins))
    for pin, answer in zip(pins, answers, strict=True):
        if isinstance(answer, StepError):
            found.unanswered[pin.name] = str(answer)
        elif answer:
            found.outdated.append(Outdated(pin.name, pin.version, answer))
    if len(found.unanswered) == len(pins):
        first = next(iter(found.unanswered.values()))
        raise StepError(f"the package index cannot be reached, see `pip config list` on this node; {first}")
    return found


def describe(found: Found, settings: Settings) -> str:
    """The Markdown for people, and for an agent that takes the next step."""
    lines = [f"{len(found.outdated)} of {found.pins} pins in `{settings.requirements}` are outdated.", ""]
    for one in found.outdated:
        versions = ", else ".join(release.version for release in one.candidates)
        lines.append(f"- {one.name} {one.version}: try {versions}")
    lines += [f"- {name}: unknown. {reason}" for name, reason in found.unanswered.items()]
    return "\n".join(lines)
