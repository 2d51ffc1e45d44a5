"""
An agent that speaks the Agent Client Protocol and does what its prompt says, without a model.

``python -m cis_provider.testing.fake_acp_agent``, for tests of whatever drives such agents. Prompts: ``say
WORDS``, ``think WORDS``, ``run COMMAND``, ``edit PATH``, ``form``, ``fail CODE WORDS``, ``stop REASON``,
``huge BYTES``, ``history``, ``hang``, ``die``, ``mute``, and ``steps ONE | TWO | ...`` of these, which any
later prompt of the conversation goes on with, if they were cut off. Conversations are kept in the folder
``FAKE_ACP_HOME``, with every answer that the agent got. Variables that change it: ``FAKE_ACP_LOGIN`` (a file
that must be there, else somebody must log in), ``FAKE_ACP_PLAIN`` (it can neither resume nor load),
``FAKE_ACP_LOAD`` (it loads, telling the history again), ``FAKE_ACP_DEAF`` (it ignores the end of its input
and SIGTERM).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

_ALLOW = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]

_MODEL = {
    "type": "select",
    "id": "model",
    "category": "model",
    "name": "Model",
    "currentValue": "maker/small",
    "options": [{"value": "maker/small", "name": "Small"}, {"value": "maker/large", "name": "Large"}],
}


class Agent:
    """The protocol's side of it: one conversation."""

    def __init__(self) -> None:
        self.home = Path(os.environ["FAKE_ACP_HOME"])
        self.session = ""
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._count = 0
        self._answers: dict[int, Any] = {}
        self._answered = threading.Condition()

    def serve(self) -> None:
        """Until the end of the input."""
        for line in sys.stdin:
            message = json.loads(line)
            if "method" not in message:
                self.note({"reply": message["id"], "pid": os.getpid()})
                with self._answered:
                    self._answers[message["id"]] = message.get("result")
                    self._answered.notify_all()
            elif message["method"] == "session/prompt":
                self.cancelled.clear()
                threading.Thread(target=self._prompt, args=(message,), daemon=True).start()
            elif message["method"] == "session/cancel":
                self.cancelled.set()
            else:
                self._request(message)

    def _request(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params") or {}
        login = os.environ.get("FAKE_ACP_LOGIN")
        if method == "initialize":
            self._reply(message, _abilities())
        elif method.startswith("session/") and login and not Path(login).exists():
            self._fail(message, -32000, "Authentication required")
        elif method == "session/new":
            self.session = uuid.uuid4().hex
            self.note({"opened": params})
            self._reply(message, {"sessionId": self.session, "configOptions": [_MODEL], "modes": _modes()})
        elif method in ("session/load", "session/resume"):
            self._go_on(message, method)
        elif method in ("session/set_config_option", "session/set_mode"):
            self.note({"set": params})
            self._reply(message, {})
        else:
            self._fail(message, -32601, "Method not found")

    def _go_on(self, message: dict[str, Any], method: str) -> None:
        self.session = message["params"]["sessionId"]
        if not self.file.exists():
            return self._fail(message, -32602, "Invalid params: no such session")
        if method == "session/load":
            for prompt in self.prompts():
                self.update("user_message_chunk", content={"type": "text", "text": prompt})
                self.update("agent_message_chunk", content={"type": "text", "text": "told again"})
        self._reply(message, {"configOptions": [_MODEL]})
        return None

    @property
    def file(self) -> Path:
        """What is kept of the conversation."""
        return self.home / f"{self.session}.jsonl"

    def note(self, record: dict[str, Any]) -> None:
        """Keep a record."""
        with self.file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def prompts(self) -> list[str]:
        """All prompts of the conversation so far."""
        records = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [record["prompt"] for record in records if "prompt" in record]

    def update(self, what: str, **fields: Any) -> None:
        """Tell the client."""
        update = {"sessionUpdate": what, **fields}
        self._send({"method": "session/update", "params": {"sessionId": self.session, "update": update}})

    def say(self, words: str, kind: str = "agent_message_chunk") -> None:
        """Tell a text, in two pieces."""
        for part in (words[: len(words) // 2], words[len(words) // 2 :]):
            self.update(kind, content={"type": "text", "text": part})

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Ask the client; ``None``: it was cancelled instead."""
        self._count += 1
        number = self._count
        self._send({"id": number, "method": method, "params": {"sessionId": self.session, **params}})
        with self._answered:
            self._answered.wait_for(lambda: number in self._answers)
            return self._answers.pop(number)

    def _prompt(self, message: dict[str, Any]) -> None:
        text = "".join(block.get("text", "") for block in message["params"]["prompt"])
        self.note({"prompt": text})
        rest: Any
        word, _, rest = text.strip().splitlines()[-1].partition(" ")
        if word == "steps":
            self.note({"steps": [step.strip() for step in rest.split("|")]})
        if steps := self._steps_left():
            word, rest = "steps", steps
        if word == "fail":
            code, _, words = rest.partition(" ")
            return self._fail(message, int(code), words)
        reason = _act(self, word, rest)
        if self.cancelled.is_set():
            reason = "cancelled"
        usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
        self._reply(message, {"stopReason": reason, "usage": usage})
        return None

    def _steps_left(self) -> list[str]:
        """What is still to be done of the steps that a prompt asked for."""
        records = [json.loads(line) for line in self.file.read_text().splitlines()]
        steps: list[str] = next((record["steps"] for record in records if "steps" in record), [])
        return steps[sum("stepped" in record for record in records) :]

    def _reply(self, message: dict[str, Any], result: dict[str, Any]) -> None:
        self._send({"id": message["id"], "result": result})

    def _fail(self, message: dict[str, Any], code: int, words: str) -> None:
        self._send({"id": message["id"], "error": {"code": code, "message": words}})

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            sys.stdout.flush()


def _act(agent: Agent, word: str, rest: Any) -> str:
    """Do what a prompt says; the turn's stop reason."""
    if word == "steps":
        for step in rest:
            if agent.cancelled.is_set():
                break
            _act(agent, *step.partition(" ")[::2])
            if not agent.cancelled.is_set():
                agent.note({"stepped": step})
    elif word in ("say", "think"):
        agent.say(rest, "agent_message_chunk" if word == "say" else "agent_thought_chunk")
    elif word == "run":
        _use(agent, {"title": "shell", "kind": "execute", "rawInput": {"command": rest}})
    elif word == "edit":
        _use(agent, {"title": "edit", "kind": "edit", "rawInput": {"path": rest}})
    elif word == "form":
        filled = agent.ask("elicitation/create", _form())
        agent.note({"answered": "form", "outcome": filled})
        agent.say(json.dumps(filled))
    elif word == "history":
        agent.say(json.dumps(agent.prompts()))
    elif word == "huge":
        agent.say("x" * int(rest))
    elif word == "hang":
        agent.cancelled.wait()
    elif word == "mute":
        os.close(1)
        threading.Event().wait()
    elif word == "die":
        sys.stderr.write("its last words\n")
        sys.stderr.flush()
        os._exit(3)
    return rest if word == "stop" else "end_turn"


def _use(agent: Agent, call: dict[str, Any]) -> None:
    agent.say("before the tool")
    agent.update("tool_call", toolCallId="c1", status="pending", **call)
    answer = agent.ask("session/request_permission", {"toolCall": {"toolCallId": "c1"}, "options": _ALLOW})
    outcome = answer["outcome"]
    agent.note({"answered": call, "outcome": outcome})
    done = outcome.get("optionId") in ("yes", "always")
    agent.update("tool_call_update", toolCallId="c1", status="completed" if done else "failed")
    if outcome["outcome"] == "selected":
        agent.say("done" if done else "")


def _form() -> dict[str, Any]:
    colours = [{"const": one, "title": one.title()} for one in ("red", "blue")]
    properties = {
        "colour": {"type": "string", "oneOf": colours},
        "sizes": {"type": "array", "items": {"enum": ["S", "M", "L"]}},
        "name": {"type": "string"},
    }
    return {
        "mode": "form",
        "message": "Which colour?\nWhich sizes?\nWhat name?",
        "requestedSchema": {"type": "object", "properties": properties},
    }


def _abilities() -> dict[str, Any]:
    loads, plain = "FAKE_ACP_LOAD" in os.environ, "FAKE_ACP_PLAIN" in os.environ
    return {
        "protocolVersion": 1,
        "agentCapabilities": {
            "loadSession": loads,
            "sessionCapabilities": {} if loads or plain else {"resume": {}},
        },
        "agentInfo": {"name": "fake", "version": "1.2.3"},
    }


def _modes() -> dict[str, Any]:
    return {"currentModeId": "code", "availableModes": [{"id": "code"}, {"id": "plan"}]}


def main() -> None:
    """Serve on stdin and stdout."""
    deaf = "FAKE_ACP_DEAF" in os.environ
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Agent().serve()
    if deaf:
        threading.Event().wait()


if __name__ == "__main__":
    main()
