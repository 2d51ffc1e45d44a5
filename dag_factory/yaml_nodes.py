"""
YAML text as nodes, which know their places.

Read by the core schema of YAML 1.2, as JSON and editors do: ``yes``, ``on``, ``2024-01-01`` and ``1:30`` are
text.
"""

from __future__ import annotations

import re

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from dag_factory.diagnostics import Diagnostic

MAX_DEPTH = 100

STR, INT, FLOAT, BOOL, NULL, MERGE, MAP, SEQ = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "merge", "map", "seq")
)


#: Which plain scalars are no text. Infinity and not-a-number stay text: no JSON can hold them.
_NO_TEXT = tuple(
    (tag, re.compile(pattern).fullmatch)
    for tag, pattern in (
        (INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
        (FLOAT, r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"),
        (BOOL, r"true|True|TRUE|false|False|FALSE"),
        (NULL, r"~|null|Null|NULL|"),
        (MERGE, r"<<"),
    )
)
_FIRST_CHARACTERS = frozenset("-+.0123456789tTfF~nN<") | {""}


class _CoreResolver(yaml.resolver.BaseResolver):
    """Tags for what has none. Called for every node, so it is PyYAML's own in short."""

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """No tags by path here."""

    def ascend_resolver(self) -> None:
        """No tags by path here."""

    def resolve(self, kind: type[Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node."""
        if kind is not ScalarNode:
            return MAP if kind is MappingNode else SEQ
        if implicit[0] and value[:1] in _FIRST_CHARACTERS:
            for tag, matches in _NO_TEXT:
                if matches(value):
                    return tag
        return STR


if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Composer(CParser, _CoreResolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            _CoreResolver.__init__(self)

else:

    class _Composer(  # type: ignore[no-redef]
        yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, _CoreResolver
    ):
        def __init__(self, text: str) -> None:
            yaml.reader.Reader.__init__(self, text)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)
            yaml.composer.Composer.__init__(self)
            _CoreResolver.__init__(self)


def compose(text: str) -> Node | None:
    """
    The one document of a text; nothing when it is empty.

    :raises yaml.YAMLError: It is no YAML.
    :raises RecursionError: It is nested too deep.
    """
    # libyaml's composer calls itself for each level, without a limit: some 50,000 brackets end the process.
    if sum(map(text.count, ("[", "{", "- ", "-\t", "? ", "?\t"))) > 1000 and _is_deep(text):
        raise RecursionError
    composer = _Composer(text)
    try:
        node: Node | None = composer.get_single_node()
        return node
    finally:
        composer.dispose()


def _is_deep(text: str) -> bool:
    parser, depth = _Composer(text), 0
    try:
        while (event := parser.get_event()) is not None:
            if isinstance(event, CollectionStartEvent):
                depth += 1
            elif isinstance(event, CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                return True
        return False
    finally:
        parser.dispose()


def syntax_mistake(error: yaml.YAMLError, text: str, file: str) -> Diagnostic:
    """What PyYAML refused, in a line."""
    hint = ""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        lines = text.split("\n")
        if line <= len(lines) and lines[line - 1].startswith("\t"):
            hint = "YAML is indented by spaces, not by tabs"
        elif "mapping values are not allowed" in message:
            hint = 'quote a text that holds ": "'
        elif "cannot start any token" in message:
            hint = "quote a text that begins with @ or `"
        elif "expected a single document" in message:
            hint = "one file is one DAG; remove the ---"
    else:
        position = getattr(error, "position", 0)
        before = text[: position if isinstance(position, int) else 0]
        line, col = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = str(getattr(error, "reason", None) or error)
    return Diagnostic(file, line, col, "F002", f"no YAML: {message}", hint)
