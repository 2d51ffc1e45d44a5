"""The server that ``opencode acp`` is beside the protocol: what it knows and asks there, measured on 1.18.33."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cis_provider.runtimes.acp.side_door import Form, SideDoor

#: Ours: the port that its server is told to listen on.
PORT = "CIS_OPENCODE_PORT"
PASSWORD = "OPENCODE_SERVER_PASSWORD"

_TIMEOUT = 1.0


class OpenCodeServer:
    """
    Asks on loopback, with the password that the server was started with.

    :param env: The agent's environment, with port and password.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._port, self._password = int(env.get(PORT, "0")), env.get(PASSWORD, "")

    def get(self, path: str) -> Any:
        """
        :raises OSError: It does not answer, or refuses.
        :raises ValueError: It answers nonsense.
        """
        return self._request("GET", path)

    def post(self, path: str, body: Any) -> Any:
        """
        :raises OSError: It does not answer, or refuses.
        :raises ValueError: It answers nonsense.
        """
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        # No proxy and no redirect: this never leaves the machine.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            key = b64encode(f"opencode:{self._password}".encode()).decode()
            headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise OSError(f"{path}: HTTP status {answer.status}")
        return json.loads(content)


class OpenCodeQuestions(SideDoor):
    """Its tool ``question``: over the protocol it waits unseen; here it says what it asks, and takes answers."""

    def __init__(self, server: OpenCodeServer, conversation_id: str) -> None:
        self._server, self._id = server, conversation_id

    def pending(self) -> list[Form]:
        found = self._server.get("/question")
        try:
            return [
                Form(str(one["id"]), tuple(map(_asked, one.get("questions") or [])))
                for one in (found if isinstance(found, list) else [])
                if one.get("sessionID") == self._id
            ]
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"/question: no list of questions: {error!r}") from error

    def accept(self, form_id: str, answers: list[list[str]]) -> None:
        self._server.post(f"/question/{quote(form_id, safe='')}/reply", {"answers": answers})

    def reject(self, form_id: str) -> None:
        self._server.post(f"/question/{quote(form_id, safe='')}/reject", {})


def _asked(question: dict[str, Any]) -> dict[str, Any]:
    """As a property of a form of the protocol, which is read by the same rules."""
    listed = [
        {"const": one.get("label"), "title": one.get("label"), "description": one.get("description")}
        for one in question.get("options") or []
    ]
    choices: dict[str, Any] = {"oneOf": listed} if listed else {}
    words = {"title": question.get("question"), "description": question.get("header")}
    if question.get("multiple"):
        return {"type": "array", "items": choices, **words}
    return {"type": "string", **choices, **words}
