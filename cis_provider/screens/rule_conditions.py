"""``when:`` of a rule, as a condition."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cis_provider.screens import conditions as found
from cis_provider.screens.conditions import Condition
from cis_provider.screens.rule_values import Place
from cis_provider.screens.style import Look

#: A rule needs one of these: how the cursor stands and how long it is quiet say nothing alone.
_EVIDENCE = (found.Matches, found.Flat, found.Title, found.Notified, found.HandedBack)

_LOOKS = {look.name.lower(): look for look in Look if look.name}
_KEYS = (
    "in", "match", "flat", "without", "all", "any", "not", "title", "notified", "cursor", "cursor_in", "full",
    "alternate", "handed_back", "bell", "quiet_for", "look", "fg", "bg",
)  # fmt: skip


def compiled(place: Place, spec: Any, regions: list[str]) -> Condition:
    """
    The condition of a whole rule.

    :param regions: Names of regions that it may use.
    :raises ConfigError: It has a mistake, or nothing in it looks at any text.
    """
    condition = _condition(place, spec, regions, "screen")
    if not _shows(condition):
        raise place.error(
            "something must look at text: match, flat, title or notified, and not below `not`. "
            "Time, cursor and bell say nothing alone"
        )
    return condition


def pattern(place: Place, value: Any) -> re.Pattern[str]:
    """
    A regular expression; ``^`` and ``$`` are a line's.

    :raises ConfigError: It is none, or matches nothing at all.
    """
    try:
        made = re.compile(place.text(value), re.MULTILINE)
    except re.error as error:
        raise place.error(f"{value!r} is no regular expression: {error}") from error
    if made.match(""):
        raise place.error(f"{value!r} matches an empty line: it would match anywhere")
    return made


def _shows(condition: Condition) -> bool:
    if isinstance(condition, found.All):
        return any(_shows(part) for part in condition.parts)
    if isinstance(condition, found.Any):
        return all(_shows(part) for part in condition.parts)
    return isinstance(condition, _EVIDENCE)


def _condition(place: Place, spec: Any, regions: list[str], region: str) -> Condition:
    given = place.mapping(spec, _KEYS)
    if "in" in given:
        region = place.at("in").one_of(given["in"], regions)
    parts = [*_texts(place, given, region), *_nested(place, given, regions, region)]
    for key, make in _SIMPLE.items():
        if key in given:
            parts.append(make(place.at(key), given[key]))
    if "cursor_in" in given:
        parts.append(found.CursorIn(place.at("cursor_in").one_of(given["cursor_in"], regions)))
    if "full" in given and not place.at("full").flag(given["full"]):
        raise place.at("full").error("it can only be true: leave it out")
    if "full" in given:
        parts.append(found.Full(region))
    if not parts:
        raise place.error("a condition is needed")
    return parts[0] if len(parts) == 1 else found.All(tuple(parts))


def _texts(place: Place, given: dict[str, Any], region: str) -> list[Condition]:
    style: dict[str, Any] = {key: str(given[key]) for key in ("fg", "bg") if key in given}
    if "look" in given:
        style["look"] = 0
        for name in _listed(given["look"]):
            style["look"] |= _LOOKS[place.at("look").one_of(name, _LOOKS)]
    if style and "match" not in given:
        raise place.error("look, fg and bg belong to match")
    parts: list[Condition] = []
    for text in _listed(given.get("match", [])):
        parts.append(found.Matches(region, pattern(place.at("match"), text), **style))
    for text in _listed(given.get("flat", [])):
        parts.append(found.Flat(region, pattern(place.at("flat"), text)))
    for text in _listed(given.get("without", [])):
        parts.append(found.Not(found.Matches(region, pattern(place.at("without"), text))))
    return parts


def _nested(place: Place, given: dict[str, Any], regions: list[str], region: str) -> list[Condition]:
    parts: list[Condition] = []
    for key, make in (("all", found.All), ("any", found.Any)):
        if key in given:
            here = place.at(key)
            items = here.items(given[key])
            parts.append(make(tuple(_condition(here, item, regions, region) for item in items)))
    if "not" in given:
        parts.append(found.Not(_condition(place.at("not"), given["not"], regions, region)))
    return parts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _quiet(place: Place, value: Any) -> Condition:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise place.error(f"seconds above 0 are needed, not {value!r}")
    return found.QuietFor(float(value))


_SIMPLE: dict[str, Callable[[Place, Any], Condition]] = {
    "title": lambda place, value: found.Title(pattern(place, value)),
    "notified": lambda place, value: found.Notified(pattern(place, value)),
    "cursor": lambda place, value: found.CursorVisible(
        place.one_of(value, ("visible", "hidden")) == "visible"
    ),
    "alternate": lambda place, value: found.Alternate(place.flag(value)),
    "handed_back": lambda place, value: found.HandedBack(place.flag(value)),
    "bell": lambda place, value: found.Bell(place.flag(value)),
    "quiet_for": _quiet,
}
