"""A server of the Model Context Protocol with one tool, which tells what the server was given."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def result(request: dict[str, Any], words: str) -> dict[str, Any]:
    """The answer to a request."""
    match request["method"]:
        case "initialize":
            return {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            }
        case "tools/list":
            schema = {"type": "object", "properties": {"words": {"type": "string"}}}
            return {"tools": [{"name": "echo", "description": words, "inputSchema": schema}]}
        case "tools/call":
            said = request["params"]["arguments"].get("words", "")
            return {"content": [{"type": "text", "text": f"echo: {said}, {words}"}]}
    return {}


def _on_stdio() -> None:
    words = f"{os.environ.get('TOKEN')}-{os.environ.get('PLAIN')}"
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result(message, words)}
            print(json.dumps(answer), flush=True)


class HttpEcho:
    """The same over HTTP, on loopback: its tool tells the header ``X-Token``."""

    def __enter__(self) -> HttpEcho:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/mcp"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One request, one answer: it streams nothing, and says so."""

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            self._answer(202, b"")
            return
        made = result(message, str(self.headers.get("X-Token")))
        self._answer(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": made}).encode())

    def do_GET(self) -> None:
        self._answer(405, b"")

    def log_message(self, *words: object) -> None:
        """Nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    _on_stdio()
