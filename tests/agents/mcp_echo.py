"""A server of the Model Context Protocol on stdio with one tool, whose description shows two variables."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def result(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request."""
    match request["method"]:
        case "initialize":
            return {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            }
        case "tools/list":
            words = f"{os.environ.get('TOKEN')}-{os.environ.get('PLAIN')}"
            schema = {"type": "object", "properties": {"words": {"type": "string"}}}
            return {"tools": [{"name": "echo", "description": words, "inputSchema": schema}]}
        case "tools/call":
            said = request["params"]["arguments"].get("words", "")
            return {"content": [{"type": "text", "text": f"echo: {said}"}]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result(message)}), flush=True)
