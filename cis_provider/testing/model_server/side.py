"""
Calls that an agent makes beside its work: titles, quota probes, warm-ups. They use no step. Pure.

A side call is known by one of these marks, in this order; what each was seen in stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .asked import Asked

#: Texts of system prompts that ask for a title, a summary of a topic, or a commit message.
_MARKS = {
    "title": (
        "generate a concise, sentence-case title",  # Claude Code
        "you are a title generator",  # OpenCode
        "coming up with a succinct title",  # Claude Code, older
        "write a 5-10 word title",  # Claude Code, older
    ),
    "topic": ("analyze if this message indicates a new conversation topic",),  # Claude Code, older
    "commit message": ("one-line git commit messages",),  # Aider
}


def reason(asked: Asked, body: Mapping[str, Any]) -> str | None:
    """Why a call is a side call; None: it is a main call, which a step answers."""
    if asked.max_tokens == 1:
        return "probe"
    if asked.tools:
        return None
    system = (asked.system or asked.everything[:2000]).lower()
    for name, marks in _MARKS.items():
        if any(mark in system for mark in marks):
            return name
    if "haiku" in asked.model:
        return "small model"
    return None


def answer(why: str, body: Mapping[str, Any]) -> str:
    """A harmless text for a side call: JSON where a schema is asked for, else a few words."""
    schema = _schema(body)
    if schema is not None:
        return json.dumps(_example(schema))
    return {"probe": "ok", "commit message": "chore: update files"}.get(why, "A scripted task")


def _schema(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the answer must have, in any API's place for it."""
    places = (
        (body.get("output_config") or {}).get("format"),
        body.get("output_format"),
        (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None,
        body.get("response_format"),
    )
    for place in places:
        if isinstance(place, dict):
            found = place.get("schema") or (place.get("json_schema") or {}).get("schema")
            if isinstance(found, dict):
                return found
    return None


def _example(schema: Mapping[str, Any]) -> Any:
    """The smallest value that a plain schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: _example(part) for name, part in (schema.get("properties") or {}).items()}
    if kind == "array":
        return []
    return {"boolean": False, "integer": 0, "number": 0, "null": None}.get(str(kind), "A scripted task")
