"""
OpenAI's Responses API, as Codex speaks it: requests and replies. Pure.

Shapes: the vendor's API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .asked import Asked, Offered, Reply, pieces, words_of
from .sse import Event
from .steps import Call

_CREATED = 1_750_000_000  # seconds since 1970; a fixed time keeps answers comparable


def read(body: Mapping[str, Any]) -> Asked:
    """A request's body as a call."""
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    last = max((at for at, item in enumerate(items) if item.get("role") == "user"), default=-1)
    system = "\n".join(
        [
            str(body.get("instructions") or ""),
            *(words_of(item) for item in items if item.get("role") in ("system", "developer")),
        ]
    )
    return Asked(
        api="responses",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        max_tokens=body.get("max_output_tokens"),
        system=system,
        last_user=words_of(items[last]) if last >= 0 else "",
        tool_results="\n".join(
            words_of(item) for item in items[last + 1 :] if str(item.get("type", "")).endswith("_call_output")
        ),
        everything="\n".join([str(body.get("instructions") or ""), *map(words_of, items)]),
        tools=tuple(
            Offered(
                str(tool.get("name") or tool.get("type")),
                str(tool.get("type")),
                (tool.get("parameters") or {}).get("properties") or {},
            )
            for tool in body.get("tools") or []
        ),
    )


def response(reply: Reply, asked: Asked, status: str = "completed") -> dict[str, Any]:
    """The plain answer."""
    done = status == "completed"
    return {
        "id": f"resp_{reply.serial}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": asked.model,
        "output": _items(reply, asked) if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _usage(reply) if done else None,
        "metadata": {},
    }


def events(reply: Reply, asked: Asked) -> Iterator[Event]:
    """The same as a stream."""
    for number, event in enumerate(_events(reply, asked)):
        assert isinstance(event.data, dict)
        yield Event(event.name, {**event.data, "sequence_number": number}, event.content)


def _events(reply: Reply, asked: Asked) -> Iterator[Event]:
    begun = response(reply, asked, "in_progress")
    yield _event("response.created", response=begun)
    yield _event("response.in_progress", response=begun)
    for index, item in enumerate(_items(reply, asked)):
        yield from _item(index, item)
    yield _event("response.completed", response=response(reply, asked))


def _item(index: int, item: dict[str, Any]) -> Iterator[Event]:
    at = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        part = item["content"][0]
        empty = {**part, "text": ""}
        begun = {**item, "status": "in_progress", "content": []}
        yield _event("response.output_item.added", output_index=index, item=begun)
        yield _event("response.content_part.added", **at, content_index=0, part=empty)
        for piece in pieces(part["text"]):
            yield _event("response.output_text.delta", True, **at, content_index=0, delta=piece)
        yield _event("response.output_text.done", **at, content_index=0, text=part["text"])
        yield _event("response.content_part.done", **at, content_index=0, part=part)
    else:
        field, name = _PAYLOAD[item["type"]]
        begun = {**item, "status": "in_progress", field: ""}
        yield _event("response.output_item.added", output_index=index, item=begun)
        for piece in pieces(item[field]):
            yield _event(f"response.{name}.delta", True, **at, delta=piece)
        yield _event(f"response.{name}.done", **at, **{field: item[field]})
    yield _event("response.output_item.done", output_index=index, item=item)


#: Type of a call -> the field that has its arguments, and the middle of its events' names.
_PAYLOAD = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}


def _items(reply: Reply, asked: Asked) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.text or not reply.calls:
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        items.append(
            {
                "id": f"item_{reply.serial}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            }
        )
    kinds = {tool.name: tool.kind for tool in asked.tools}
    items += [_call(f"{reply.serial}_{number}", call, kinds) for number, call in enumerate(reply.calls)]
    return items


def _call(serial: str, call: Call, kinds: dict[str, str]) -> dict[str, Any]:
    """
    A call as an item. A custom tool takes one text, given as the argument ``input``.

    Codex offers the tools of an MCP server as a namespace, and knows ``mcp__bugs__find`` by both parts alone.
    """
    base = {"id": f"fc_{serial}", "status": "completed", "call_id": f"call_{serial}", "name": call.name}
    if kinds.get(call.name) == "custom":
        return {**base, "type": "custom_tool_call", "input": str(call.arguments.get("input", ""))}
    for space in (name for name, kind in kinds.items() if kind == "namespace"):
        if call.name.startswith(f"{space}__"):
            base |= {"namespace": space, "name": call.name.removeprefix(f"{space}__")}
    return {**base, "type": "function_call", "arguments": json.dumps(call.arguments)}


def _usage(reply: Reply) -> dict[str, Any]:
    used = reply.usage
    return {
        "input_tokens": used.input,
        "input_tokens_details": {"cached_tokens": used.cached},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": used.input + used.output,
    }


def _event(name: str, content: bool = False, /, **fields: Any) -> Event:
    return Event(name, {"type": name, **fields}, content)
