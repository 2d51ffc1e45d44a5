"""
Scripts as YAML: a mapping with ``steps``, and what may stand beside it. Pure.

Every mistake is found, with its place: ``script.yaml:7:5: step 3: ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from cis_provider.errors import SpecError

from . import steps as say
from .steps import Call, Step, Usage, When

Path = tuple[str | int, ...]


class Script(Struct, frozen=True):
    """A whole script."""

    steps: tuple[Step, ...]
    default: str = "done"
    models: tuple[str, ...] = ()


class _Wrong(Exception):
    """One mistake; ``path`` is where, below the step."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


def parse(source: str, name: str = "script") -> Script:
    """
    Read a script.

    :param name: What messages call it: the file's name.
    :raises SpecError: All mistakes, one a line.
    """
    try:
        node = yaml.compose(source, yaml.SafeLoader)
        data = yaml.safe_load(source)
        start: Path = ("steps",) if isinstance(data, list) else ()
        marks = dict(_marks(node, start)) if node is not None else {}
    except RecursionError as error:
        raise SpecError(f"{name}: too deep, or an alias that contains itself") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise SpecError(f"{at}: no YAML: {getattr(error, 'problem', None) or error}") from error

    def place(path: Path) -> str:
        while path and path not in marks:
            path = path[:-1]
        line, column = marks.get(path, (1, 1))
        return f"{name}:{line}:{column}"

    return _script(data, place)


def _script(data: Any, place: Callable[[Path], str]) -> Script:
    mistakes: list[str] = []
    if isinstance(data, list):
        data = {"steps": data}
    if not isinstance(data, dict) or not isinstance(data.get("steps"), list):
        raise SpecError(f"{place(())}: a script is a list of steps, or a mapping with the list 'steps'")
    for key in data:
        if key not in ("steps", "default", "models"):
            mistakes.append(f"{place((key,))}: unknown key {key!r}; allowed: steps, default, models")
    default = data.get("default", "done")
    if not isinstance(default, str):
        mistakes.append(f"{place(('default',))}: default is {default!r}; allowed: a text")
    models = data.get("models", [])
    if not isinstance(models, list) or not all(isinstance(one, str) for one in models):
        mistakes.append(f"{place(('models',))}: models is {models!r}; allowed: a list of names")
    made = []
    for number, one in enumerate(data["steps"]):
        try:
            made.append(step(one))
        except _Wrong as wrong:
            at = place(("steps", number, *wrong.path))
            mistakes.append(f"{at}: step {number + 1}: {wrong}")
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return Script(tuple(made), default, tuple(models))


def step(data: Any) -> Step:
    """One step, as a script writes it."""
    if not isinstance(data, dict):
        raise _Wrong(f"{data!r} is no step; a step is a mapping with one of {', '.join(_KINDS)}")
    kinds = [key for key in data if key in _KINDS]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise _Wrong(f"a step has exactly one of {', '.join(_KINDS)}; this has {found}")
    kind = kinds[0]
    make, extras = _KINDS[kind]
    allowed = {kind, *extras, *_COMMON}
    for key in data:
        if key not in allowed:
            raise _Wrong(f"unknown key {key!r}; beside {kind!r} allowed: {_list(allowed - {kind})}", str(key))
    given = {key: _extra(key, value) for key, value in data.items() if key != kind}
    try:
        return make(data[kind], given)
    except _Wrong as wrong:
        raise _Wrong(str(wrong), *(wrong.path or (kind,))) from None


# Values of single keys. Each raises _Wrong with what is allowed.


def _words(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"{key} is {value!r}; allowed: a text", key)
    return value


def _seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise _Wrong(f"{key} is {value!r}; allowed: seconds, 0 or more", key)
    return float(value)


def _whole(key: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _Wrong(f"{key} is {value!r}; allowed: a whole number from {low} to {high}", key)
    return value


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"{key} is {value!r}; allowed: true, false", key)
    return value


def _repeat(key: str, value: Any) -> Any:
    return value if value == "forever" else _whole(f"{key} (a number, or forever)", value, 1, 10**6)


def _struct(type_: type[Struct]) -> Callable[[str, Any], Any]:
    """A mapping that becomes a record."""

    def read(key: str, value: Any) -> Any:
        try:
            return msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            fields = ", ".join(type_.__struct_fields__)
            raise _Wrong(f"{key} is {value!r}: {error}; allowed: a mapping of {fields}", key) from None

    return read


_COMMON: dict[str, Callable[[str, Any], Any]] = {
    "when": _struct(When),
    "repeat": _repeat,
    "usage": _struct(Usage),
}

_EXTRAS: dict[str, Callable[[str, Any], Any]] = {
    "say": _words,
    "error": _words,
    "message": _words,
    "retry_after": _seconds,
    "resets_in": _seconds,
    "in_stream": _flag,
    "every": _seconds,
    "after": lambda key, value: _whole(key, value, 0, 10**6),
    **_COMMON,
}


def _extra(key: str, value: Any) -> Any:
    try:
        return _EXTRAS[key](key, value)
    except _Wrong as wrong:
        raise _Wrong(str(wrong), key) from None


def _call(value: Any, *path: str | int) -> Call:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or set(value) - _CALL:
        raise _Wrong(f"{value!r} is no call; allowed: a mapping with name and arguments", *path)
    if not isinstance(value.get("arguments", {}), dict):
        raise _Wrong(f"arguments is {value['arguments']!r}; allowed: a mapping", *path, "arguments")
    return Call(value["name"], value.get("arguments", {}))


_CALL = {"name", "arguments"}


# Kinds of steps: the value of the kind's key, and the other keys, already read.


def _tools(value: Any, given: dict[str, Any]) -> Step:
    if not isinstance(value, list) or not value:
        raise _Wrong(f"tools is {value!r}; allowed: a list of calls")
    return say.tools(*(_call(one, "tools", number) for number, one in enumerate(value)), **given)


def _tool(value: Any, given: dict[str, Any]) -> Step:
    return say.tools(_call(value, "tool"), **given)


def _hang(value: Any, given: dict[str, Any]) -> Step:
    if value not in ("before", "middle", True):
        raise _Wrong(f"hang is {value!r}; allowed: before, middle, true")
    return say.hang(given.pop("say", ""), at="middle" if value == "middle" else "before", **given)


def _nonsense(value: Any, given: dict[str, Any]) -> Step:
    if value not in ("json", "sse", "html"):
        raise _Wrong(f"nonsense is {value!r}; allowed: json, sse, html")
    return say.nonsense(value, **given)


def _empty(value: Any, given: dict[str, Any]) -> Step:
    if value is not True:
        raise _Wrong(f"empty is {value!r}; allowed: true")
    return say.text("", **given)


Make = Callable[[Any, dict[str, Any]], Step]

_KINDS: Mapping[str, tuple[Make, tuple[str, ...]]] = {
    "text": (lambda value, given: say.text(_words("text", value), **given), ()),
    "tool": (_tool, ("say",)),
    "tools": (_tools, ("say",)),
    "run": (lambda value, given: say.run(_words("run", value), **given), ("say",)),
    "status": (
        lambda value, given: say.status(_whole("status", value, 400, 599), **given),
        ("error", "message", "retry_after", "resets_in", "in_stream"),
    ),
    "hang": (_hang, ("say",)),
    "slow": (lambda value, given: say.slow(_words("slow", value), **given), ("every",)),
    "cut": (lambda value, given: say.cut(_words("cut", value), **given), ("after",)),
    "nonsense": (_nonsense, ()),
    "empty": (_empty, ()),
    "huge": (lambda value, given: say.huge(_whole("huge", value, 1, 10**8), **given), ()),
}


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _marks(node: yaml.Node, path: Path) -> Any:
    """Where everything stands: path -> line and column from 1; a key's place for its value."""
    yield path, (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, part in enumerate(node.value):
            yield from _marks(part, (*path, number))
    elif isinstance(node, yaml.MappingNode):
        for key, part in node.value:
            yield from _marks(part, (*path, key.value))
            yield (*path, key.value), (key.start_mark.line + 1, key.start_mark.column + 1)
