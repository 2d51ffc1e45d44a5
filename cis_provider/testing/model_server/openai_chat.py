"""
OpenAI's Chat Completions API, as Kimi, OpenCode and Aider speak it: requests and replies. Pure.

Shapes: the vendor's API reference, "Chat completions" and "The chat completion chunk object".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .asked import Asked, Offered, Reply, pieces, words_of
from .sse import Event

_CREATED = 1_750_000_000  # seconds since 1970; a fixed time keeps answers comparable


def read(body: Mapping[str, Any]) -> Asked:
    """A request's body as a call."""
    messages = body.get("messages") or []
    by_role = [(message.get("role"), words_of(message.get("content"))) for message in messages]
    last = max((at for at, (role, _) in enumerate(by_role) if role == "user"), default=-1)
    return Asked(
        api="chat",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        system="\n".join(words for role, words in by_role if role in ("system", "developer")),
        last_user=by_role[last][1] if last >= 0 else "",
        tool_results="\n".join(words for role, words in by_role[last + 1 :] if role == "tool"),
        everything="\n".join(words for _, words in by_role),
        tools=tuple(
            Offered(
                tool["function"]["name"],
                "function",
                (tool["function"].get("parameters") or {}).get("properties") or {},
            )
            for tool in body.get("tools") or []
            if tool.get("type") == "function"
        ),
        stream_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def completion(reply: Reply, asked: Asked) -> dict[str, Any]:
    """The plain answer."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.calls:
        message["tool_calls"] = _calls(reply)
    return {
        "id": f"chatcmpl-{reply.serial}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}],
        "usage": _usage(reply),
    }


def events(reply: Reply, asked: Asked) -> Iterator[Event]:
    """The same as a stream. Usage comes in the last chunk, if ``stream_options.include_usage`` asks for it."""

    def chunk(delta: dict[str, Any], finish: str | None = None, *, content: bool = False) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return Event(None, {**base, "choices": [choice]}, content)

    base = {
        "id": f"chatcmpl-{reply.serial}",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": asked.model,
    }
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(reply.text):
        yield chunk({"content": piece}, content=True)
    for index, call in enumerate(_calls(reply)):
        head = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [head]})
        for piece in pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, content=True)
    yield chunk({}, _finish(reply))
    if asked.stream_usage:
        yield Event(None, {**base, "choices": [], "usage": _usage(reply)})
    yield Event(None, "[DONE]")


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """``/v1/models`` in OpenAI's shape. Codex reads ``models`` beside ``data``, in a shape of its own."""
    data = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "script"} for name in names]
    return {"object": "list", "data": data, "models": []}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{reply.serial}_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for number, call in enumerate(reply.calls)
    ]


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _usage(reply: Reply) -> dict[str, Any]:
    used = reply.usage
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
