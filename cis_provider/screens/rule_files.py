"""Rule files: found, read, and checked. Every mistake names the file, the rule, the key and what it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, cast

from cis_provider.errors import ConfigError
from cis_provider.model.blockage import BlockageKind
from cis_provider.screens import keys
from cis_provider.screens.regions import BUILT_IN, Cut
from cis_provider.screens.rule_conditions import compiled, pattern
from cis_provider.screens.rule_values import Place
from cis_provider.screens.rulebook import STATES, Rule, RuleBook, State, in_order
from cis_provider.screens.versions import check_range

FOLDER = Path(__file__).parent / "rules"

_FILE_KEYS = ("program", "version_text", "tested", "regions", "rules")
_RULE_KEYS = ("id", "state", "kind", "versions", "when", "keys", "note")
_CUT_PATTERNS = (
    "from_first",
    "after_first",
    "from_last",
    "after_last",
    "until",
    "through",
    "before_last",
)
_CUT_KEYS = ("of", *_CUT_PATTERNS, "nonblank", "first", "last")
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def programs() -> list[str]:
    """Programs whose screens we have rules for."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def rule_book(program: str) -> RuleBook:
    """
    The rules that come with us.

    :raises ConfigError: There are none for this program.
    """
    if program not in programs():
        raise ConfigError(
            f"there are no screen rules for {program!r}; there are some for: {', '.join(programs())}"
        )
    return load(FOLDER / f"{program}.yaml")


def load(path: Path) -> RuleBook:
    """
    Read a rule file.

    :raises ConfigError: It cannot be read, or has a mistake.
    """
    import yaml

    try:
        document = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"rule file {path} cannot be read: {' '.join(str(error).split())}") from error
    return read(document, str(path))


def read(document: Any, name: str) -> RuleBook:
    """
    A rule file's content.

    :param name: The file's, for messages.
    :raises ConfigError: It has a mistake.
    """
    place = Place(name)
    top = place.mapping(document, _FILE_KEYS, required=("program", "rules"))
    cuts: dict[str, Cut] = {}
    for region, spec in place.at("regions").mapping(top.get("regions", {})).items():
        here = place.at(f"region {region!r}")
        if region in BUILT_IN or not _NAME.fullmatch(region):
            raise here.error("a name of its own is needed: a-z, 0-9, _ and -, none of the built-in ones")
        cuts[region] = _cut(here, spec, [*BUILT_IN, *cuts])
    rules: list[Rule] = []
    for number, spec in enumerate(place.at("rules").items(top["rules"]), start=1):
        rule = _rule(place, spec, number, [*BUILT_IN, *cuts])
        if any(rule.id == other.id for other in rules):
            raise place.at(f"rule {rule.id!r}").error("another rule has this id already")
        rules.append(rule)
    version_text = top.get("version_text")
    return RuleBook(
        program=place.at("program").text(top["program"]),
        rules=in_order(rules),
        cuts=cuts,
        tested=tuple(place.at("tested").text(version) for version in top.get("tested", [])),
        version_text=_version_text(place.at("version_text"), version_text) if version_text else None,
    )


def _version_text(place: Place, value: Any) -> re.Pattern[str]:
    found = pattern(place, value)
    if found.groups != 1:
        raise place.error("one group is needed, around the version")
    return found


def _cut(place: Place, spec: Any, known: Iterable[str]) -> Cut:
    given = place.mapping(spec, _CUT_KEYS)
    values: dict[str, Any] = {
        key: pattern(place.at(key), given[key]) for key in _CUT_PATTERNS if key in given
    }
    for key in ("first", "last"):
        if key in given:
            values[key] = place.at(key).positive(given[key])
    if "nonblank" in given:
        values["nonblank"] = place.at("nonblank").flag(given["nonblank"])
    if "of" in given:
        values["of"] = place.at("of").one_of(given["of"], known)
    return Cut(**values)


def _rule(file: Place, spec: Any, number: int, regions: list[str]) -> Rule:
    name = spec.get("id") if isinstance(spec, dict) else None
    place = file.at(f"rule {name!r}" if name else f"rule number {number}")
    given = place.mapping(spec, _RULE_KEYS, required=("id", "state", "when"))
    if not _NAME.fullmatch(place.at("id").text(given["id"])):
        raise place.at("id").error("a-z, 0-9, _ and - are allowed, a letter first")
    state = place.at("state").one_of(given["state"], STATES)
    if (state == "blocked") != ("kind" in given):
        raise place.at("kind").error("it belongs to state blocked, and only there")
    versions = place.at("versions").text(given.get("versions", ""))
    if versions and (wrong := check_range(versions)):
        raise place.at("versions").error(wrong)
    kind = place.at("kind").one_of(given["kind"], list(BlockageKind)) if "kind" in given else None
    return Rule(
        id=given["id"],
        state=cast("State", state),
        when=compiled(place.at("when"), given["when"], regions),
        kind=BlockageKind(kind) if kind else None,
        keys=_keys(place.at("keys"), given.get("keys", {})),
        versions=versions,
    )


def _keys(place: Place, spec: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for answer, given in place.mapping(spec).items():
        here = place.at(answer)
        found[answer] = tuple(str(key) for key in (given if isinstance(given, list) else [given]))
        for key in found[answer]:
            if not keys.is_key(key):
                raise here.error(f"{key!r} is no key; there are: {', '.join(keys.names())}")
    return found
