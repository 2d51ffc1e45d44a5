"""
YAML or JSON text as plain data, with the place of everything in it.

YAML is read by the core schema of YAML 1.2, as JSON and editors do: ``yes``, ``on``, ``2024-01-01`` and
``1:30`` are text. Tags are refused, so nothing in a file can make an object.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dag_factory.diagnostics import Diagnostic
from dag_factory.yaml_nodes import (
    BOOL,
    FLOAT,
    INT,
    MAP,
    MAX_DEPTH,
    MERGE,
    NULL,
    SEQ,
    STR,
    compose,
    syntax_mistake,
)

Path = tuple[str | int, ...]

#: With aliases counted each time: a few lines of them can stand for billions of values.
_MAX_VALUES = 200_000

#: Half of a surrogate pair, as JSON writes characters such as emoji; YAML has no such escape.
_SURROGATE = re.compile(r"\\\\|\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


#: Characters that JSON may hold and YAML may not, or takes for the end of a line; and others for them.
_NO_YAML = {ord("\t"): " "} | {
    code: 0xE000 + code % 0x1000 for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
}


@dataclass
class Document:
    """
    One file's content.

    :param file: Its name, for messages.
    :param data: Plain values: dict (keys are text), list, str, int, float, bool, None.
    :param root: YAML's nodes, which know their places; ``None`` where there are none.
    :param lines: The text as it was written.
    :param aliases: Names under which a key may stand in the file: ``{"prompt": "command"}``.
    """

    file: str
    data: Any
    root: Node | None = None
    lines: list[str] = field(default_factory=list, repr=False)
    aliases: dict[str, str] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """
        Line and column, from 1, of a value, or of its key; of the nearest thing around it where the path
        leads nowhere; ``(0, 0)`` without a file.
        """
        if self.root is None:
            return 0, 0
        node, key_node = self._walk(path)
        mark = (key_node if key and key_node is not None else node).start_mark
        return mark.line + 1, mark.column + 1

    def place_in_text(self, path: Path, offset: int) -> tuple[int, int]:
        """The place of a character of a text value. Exact in ``|`` blocks and on the first line."""
        node = self._walk(path)[0] if self.root is not None else None
        if not isinstance(node, ScalarNode):
            return self.place(path)
        before = node.value[:offset]
        row = before.count("\n")
        line, col = node.start_mark.line + 1, node.start_mark.column + 1
        if node.style in ("|", ">"):
            inside = len(before) - (before.rfind("\n") + 1)
            return line + 1 + row, self._indent_of_block(node) + inside + 1
        inside = offset + (1 if node.style else 0)
        return (line + row, 1) if row else (line, col + inside)

    def _indent_of_block(self, node: ScalarNode) -> int:
        """Spaces that YAML took away from each line of a block; a text's own are not among them."""
        for row, line in enumerate(node.value.split("\n"), start=node.start_mark.line + 1):
            if line.strip() and row < len(self.lines):
                return _spaces(self.lines[row]) - _spaces(line)
        return 0

    def raw(self, path: Path) -> str | None:
        """A scalar as it was written: ``08`` and ``1.10`` are numbers, but not as text."""
        node = self._walk(path)[0] if self.root is not None else None
        return node.value if isinstance(node, ScalarNode) else None

    def _walk(self, path: Path) -> tuple[Node, Node | None]:
        assert self.root is not None
        node, key_node = self.root, None
        for part in path:
            found = None
            if isinstance(node, MappingNode):
                found = _find(node, str(part)) or _find(node, self.aliases.get(str(part), ""))
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = (None, node.value[part])
            if found is None:
                continue  # a part that is only in a model's path, such as the name of a variant
            key_node, node = found
        return node, key_node


def _spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _find(mapping: MappingNode, key: str, depth: int = 0) -> tuple[Node | None, Node] | None:
    merged: list[Node] = []
    for key_node, value in mapping.value:
        if key_node.tag == MERGE:
            merged.extend(value.value if isinstance(value, SequenceNode) else [value])
        elif isinstance(key_node, ScalarNode) and key_node.value == key:
            return key_node, value
    for node in merged:
        if isinstance(node, MappingNode) and depth < MAX_DEPTH and (found := _find(node, key, depth + 1)):
            return found
    return None


def parse(text: str, file: str, *, is_json: bool = False) -> tuple[Document | None, list[Diagnostic]]:
    """
    Read one document.

    :param file: Its name, for messages.
    :param is_json: Only JSON will do.
    :return: The document, ``None`` when nothing of it can be used, and what is wrong with it.
    """
    plain: Any = None
    if is_json:
        try:
            plain = json.loads(text, parse_constant=_refuse_constant, parse_float=_float)
        except json.JSONDecodeError as error:
            message = f"no JSON: {error.msg[:1].lower()}{error.msg[1:]}"
            return None, [Diagnostic(file, error.lineno, error.colno, "F002", message)]
        except (ValueError, RecursionError) as error:
            return None, [Diagnostic(file, 1, 1, "F002", f"no JSON: {error}")]
        if lone := _lone_surrogate(text, plain):
            return None, [Diagnostic(file, *lone, "F002", "no JSON: half of a surrogate pair")]
        # Of the nodes only the places are wanted: make YAML of it, with every character where it was.
        text = _SURROGATE.sub(lambda match: match[0].replace(r"\u", "uu"), text).translate(_NO_YAML)
    try:
        root = compose(text)
    except yaml.YAMLError as error:
        return None, [syntax_mistake(error, text, file)]
    except RecursionError:
        return None, [Diagnostic(file, 1, 1, "F004", f"nested deeper than {MAX_DEPTH} levels")]
    if root is None:
        return None, [
            Diagnostic(file, 1, 1, "F005", "the file is empty", "a CIS file has a list under agents:")
        ]
    converter = _Converter(file)
    data = converter.convert(root, 0)
    if converter.fatal:
        return None, converter.diagnostics
    return Document(file, plain if is_json else data, root, text.splitlines()), converter.diagnostics


def _lone_surrogate(text: str, plain: Any) -> tuple[int, int] | None:
    """Where half a pair is: it is valid JSON, but no text that could be stored."""
    match = next((match for match in _SURROGATE.finditer(text) if match[0] != r"\\"), None)
    if match is None:
        return None
    try:
        json.dumps(plain, ensure_ascii=False).encode()
        return None
    except UnicodeEncodeError:
        before = text[: match.start()]
        return before.count("\n") + 1, match.start() - before.rfind("\n")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


class _Converter:
    """Nodes to plain data. Goes on after a mistake, so that all of them are found at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.fatal = False
        self._values = 0

    def convert(self, node: Node, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH or self._values > _MAX_VALUES:
            if not self.fatal:
                what = "values, or an alias that holds itself" if depth <= MAX_DEPTH else "levels"
                limit = _MAX_VALUES if depth <= MAX_DEPTH else MAX_DEPTH
                self._add(node, "F004", f"more than {limit} {what}")
            self.fatal = True
            return None
        if self.fatal:
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if isinstance(node, MappingNode):
            if node.tag != MAP:
                self._add(node, "F004", f"the tag {_short(node.tag)} is not allowed")
            return self._mapping(node, depth)
        if node.tag != SEQ:
            self._add(node, "F004", f"the tag {_short(node.tag)} is not allowed")
        return [self.convert(item, depth + 1) for item in node.value]

    def _scalar(self, node: ScalarNode) -> Any:
        tag, value = node.tag, node.value
        if "\0" in value:
            self._add(node, "F103", "a text may not hold a null character")
        if tag == STR:
            return value
        try:
            return _SCALARS[tag](value)
        except KeyError:
            self._add(node, "F004", f"the tag {_short(tag)} is not allowed")
        except ValueError:
            self._add(node, "F004", f"{value!r} is no {tag.rpartition(':')[2]}")
        return value

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        places: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._add(key_node, "F004", "a key must be text")
                continue
            if key_node.tag == MERGE:
                for source in self._merge_sources(value_node):
                    merged = {**self.convert(source, depth + 1), **merged} if not self.fatal else merged
                continue
            key = key_node.value
            if key in places:
                self._add(key_node, "F003", f'key "{key}" is on line {places[key]} already')
                continue
            places[key] = key_node.start_mark.line + 1
            own[key] = self.convert(value_node, depth + 1)
        return {**merged, **own} if merged else own

    def _merge_sources(self, node: Node) -> Iterator[MappingNode]:
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if isinstance(source, MappingNode):
                yield source
            else:
                self._add(source, "F004", "<<: takes a mapping, or a list of mappings")

    def _add(self, node: Node, code: str, message: str) -> None:
        mark = node.start_mark
        self.diagnostics.append(Diagnostic(self.file, mark.line + 1, mark.column + 1, code, message))


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


_SCALARS: dict[str, Any] = {
    INT: _integer,
    FLOAT: _float,
    BOOL: lambda text: text.lower() == "true",
    NULL: lambda text: None,
    STR: str,
    # `<<` as a value is text
    MERGE: str,
}
