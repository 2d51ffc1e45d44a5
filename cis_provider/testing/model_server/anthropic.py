"""
Anthropic's Messages API: a request read, and a reply in its words. Pure.

Shapes: the vendor's API reference, "Messages" and "Streaming messages".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .asked import Asked, Offered, Reply, pieces, words_of
from .sse import Event


def read(body: Mapping[str, Any]) -> Asked:
    """A request's body as a call."""
    messages = body.get("messages") or []
    system = words_of(body.get("system"))
    spoken, results = "", ""
    for message in messages:
        blocks = message.get("content")
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks or []
        if message.get("role") != "user":
            continue
        said = words_of([block for block in blocks if block.get("type") == "text"])
        results = words_of([block for block in blocks if block.get("type") == "tool_result"])
        spoken = said if said and not results else spoken or said
    return Asked(
        api="anthropic",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        max_tokens=body.get("max_tokens"),
        system=system,
        last_user=spoken,
        tool_results=results,
        everything="\n".join([system, *(words_of(message.get("content")) for message in messages)]),
        tools=tuple(
            Offered(tool["name"], "function", (tool.get("input_schema") or {}).get("properties") or {})
            for tool in body.get("tools") or []
        ),
    )


def message(reply: Reply, asked: Asked) -> dict[str, Any]:
    """The plain answer."""
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [
        {
            "type": "tool_use",
            "id": f"toolu_{reply.serial}_{number}",
            "name": call.name,
            "input": call.arguments,
        }
        for number, call in enumerate(reply.calls)
    ]
    return {
        "id": f"msg_{reply.serial}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": "tool_use" if reply.calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.usage.input - reply.usage.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": reply.usage.cached,
            "output_tokens": reply.usage.output,
        },
    }


def events(reply: Reply, asked: Asked) -> Iterator[Event]:
    """The same as a stream."""
    whole = message(reply, asked)
    usage = whole["usage"]
    start = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield _event("message_start", message=start)
    yield _event("ping")
    for index, block in enumerate(whole["content"]):
        yield from _block(index, block)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage=usage)
    yield _event("message_stop")


def _block(index: int, block: dict[str, Any]) -> Iterator[Event]:
    if block["type"] == "text":
        yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for piece in pieces(block["text"]):
            yield _delta(index, {"type": "text_delta", "text": piece})
    else:
        yield _event("content_block_start", index=index, content_block={**block, "input": {}})
        for piece in pieces(json.dumps(block["input"])):
            yield _delta(index, {"type": "input_json_delta", "partial_json": piece})
    yield _event("content_block_stop", index=index)


def count_tokens(body: Mapping[str, Any]) -> dict[str, int]:
    """``/v1/messages/count_tokens``: four characters a token, as good as any for a test."""
    return {"input_tokens": max(1, len(json.dumps(body.get("messages", []))) // 4)}


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """``/v1/models`` in Anthropic's shape."""
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}
        for name in names
    ]
    return {
        "data": data,
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }


def _event(name: str, **fields: Any) -> Event:
    return Event(name, {"type": name, **fields})


def _delta(index: int, delta: dict[str, Any]) -> Event:
    return Event(
        "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}, content=True
    )
