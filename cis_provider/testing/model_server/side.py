"""
Calls that an agent makes beside its work: titles, quota probes, warm-ups. They use no step. Pure.

A side call is known by one of these marks, in this order; what each was seen in stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .asked import Asked

#: Kind of a call that offers no tools -> parts of its instructions, and who sends it.
_TOOLLESS = {
    "title": (
        "you are a title generator",  # OpenCode
        "generate a concise, single-line task title",  # Codex
        "generate a concise, sentence-case title",  # Claude Code
        "generate a short kebab-case name",  # Claude Code
        "coming up with a succinct title",  # Claude Code, older
        "write a 5-10 word title",  # Claude Code, older
    ),
    "topic": ("analyze if this message indicates a new conversation topic",),  # Claude Code, older
    "commit message": ("one-line git commit messages",),  # Aider
    "history": ("briefly* summarize this partial conversation",),  # Aider
}

#: Kind -> how the last message begins that the agent sends for itself, all its tools offered as ever.
_OWN_WORDS = {
    "suggestion": "[suggestion mode:",  # Claude Code, after a turn
    "recap": "the user stepped away and is coming back",  # Claude Code
}


def reason(asked: Asked, body: Mapping[str, Any]) -> str | None:
    """Why a call is a side call; None: it is a main call, which a step answers."""
    if asked.max_tokens == 1:
        return "probe"  # Claude Code: is there quota, is the model known
    last = asked.last_user.lstrip().lower()
    for name, start in _OWN_WORDS.items():
        if last.startswith(start):
            return name
    if asked.tools:
        return None
    instructions = f"{asked.system}\n{last[:1000]}".lower()
    for name, marks in _TOOLLESS.items():
        if any(mark in instructions for mark in marks):
            return name
    if set((_schema(body) or {}).get("properties") or ()) == {"title"}:
        return "title"  # Claude Code, Codex: whatever the words of the next version are
    return "small model" if asked.api == "anthropic" and "haiku" in asked.model else None


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
