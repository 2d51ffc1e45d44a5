"""What a model server was told, for tests."""

from __future__ import annotations

import json

from cis_provider.testing.model_server import ModelServer, Recorded


def whole(server: ModelServer, call: int = -1) -> str:
    """All of one call, as JSON."""
    return json.dumps(server.calls[call].body, ensure_ascii=False)


def texts(server: ModelServer, call: int = -1) -> list[str]:
    """The texts in one call of Anthropic's API: a prompt is one of them, whole."""
    return [
        part["text"]
        for message in server.calls[call].body["messages"]
        for part in message["content"]
        if isinstance(part, dict) and part.get("type") == "text"
    ]


def prompts(request: Recorded) -> list[str]:
    """What a user has said in one call of OpenAI's responses API, in order, without what Codex adds."""
    parts = [
        part["text"]
        for item in request.body["input"]
        if item.get("type") == "message" and item["role"] == "user"
        for part in item["content"]
    ]
    return [part for part in parts if not part.startswith("<")]
