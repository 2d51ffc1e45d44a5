"""
What Codex asks its client (``ServerRequest`` of the protocol): as blockages, and the answers to it. Pure.

A request becomes one ask for each thing a human has to decide; it is answered when all of them are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from cis_provider.errors import InvalidAnswer
from cis_provider.model.blockage import Answer, BlockageKind, Option
from cis_provider.runtimes.codex import items
from cis_provider.runtimes.codex.permissions import Wish

ACCEPT = Option("accept", "allow once", "allow_once")
SESSION = Option("acceptForSession", "allow, and the same again in this conversation", "allow_always")
DECLINE = Option("decline", "deny, and go on", "reject_once")
CANCEL = Option("cancel", "deny, and end the turn", "reject_once")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to decide: what a blockage needs."""

    kind: BlockageKind
    title: str
    detail: str = ""
    tool: str = ""
    options: tuple[Option, ...] = ()
    free_text: bool = False

    def check(self, answer: Answer) -> None:
        """:raises InvalidAnswer: It offers no such option, or takes no words."""
        ids = [option.id for option in self.options]
        if answer.option and answer.option not in ids:
            raise InvalidAnswer(
                f"{self.title!r} has no option {answer.option!r}; it has {', '.join(ids) or 'none'}"
            )
        if not answer.option and not (self.free_text and answer.text):
            wanted = ["one of the options " + ", ".join(ids)] if ids else []
            wanted += ["words"] if self.free_text else []
            raise InvalidAnswer(f"{self.title!r} needs {' or '.join(wanted)}")
        if answer.text and not self.free_text and answer.option not in (DECLINE.id, CANCEL.id):
            raise InvalidAnswer(f"{self.title!r} takes no words with {answer.option!r}")


class Request(ABC):
    """A request that waits."""

    #: Id of the item that it is about; empty: none.
    item_id: str = ""

    @abstractmethod
    def asks(self) -> list[Ask]:
        """What is to be decided, in order."""

    @abstractmethod
    def response(self, answers: list[Answer]) -> Any:
        """
        The result for Codex.

        :raises InvalidAnswer: The words are not what was asked for.
        """

    def wish(self) -> Wish | None:
        """For a permission: what patterns are held against."""
        return None

    @property
    def title(self) -> str:
        """One line: what it is about."""
        return self.asks()[0].title

    @property
    def denied(self) -> str:
        """What was not allowed, if it is denied: the same words as the item's, where there is one."""
        return self.title


class _Approval(Request):
    """A permission that is answered with a decision."""

    def __init__(self, params: dict[str, Any], item: dict[str, Any]) -> None:
        self.item_id = str(params.get("itemId") or "")
        self._params = params
        self._item = item

    @property
    def _reason(self) -> str:
        reason = self._params.get("reason")
        return f"because: {reason}" if reason else ""

    def response(self, answers: list[Answer]) -> Any:
        return {"decision": answers[0].option}


class CommandApproval(_Approval):
    """``item/commandExecution/requestApproval``."""

    def asks(self) -> list[Ask]:
        command = self._command
        network = self._params.get("networkApprovalContext")
        if isinstance(network, dict):
            command = command or f"reach {network.get('protocol', '')} {network.get('host', '')}".strip()
        cwd = self._params.get("cwd")
        lines = [command, f"in: {cwd}" if cwd else "", self._reason]
        return [
            Ask(
                kind=BlockageKind.PERMISSION,
                title=f"run: {items.first_line(command)}",
                detail="\n".join(line for line in lines if line),
                tool="Bash",
                options=(ACCEPT, SESSION, DECLINE, CANCEL),
            )
        ]

    def wish(self) -> Wish:
        return Wish(("bash", "shell", "exec_command"), (self._command,), is_command=True)

    @property
    def denied(self) -> str:
        return items.first_line(self._command)

    @property
    def _command(self) -> str:
        return items.plain_command(self._params) or items.plain_command(self._item)


class FileApproval(_Approval):
    """``item/fileChange/requestApproval``; what changes stands in the item, which was reported before."""

    def asks(self) -> list[Ask]:
        root = self._params.get("grantRoot")
        lines = [items.diff(self._item), f"and may write below {root}" if root else "", self._reason]
        return [
            Ask(
                kind=BlockageKind.PERMISSION,
                title=items.first_line("edit " + ", ".join(items.changed_paths(self._item))),
                detail="\n".join(line for line in lines if line),
                tool="Edit",
                options=(ACCEPT, SESSION, DECLINE, CANCEL),
            )
        ]

    def wish(self) -> Wish:
        return Wish(("edit", "write", "apply_patch"), tuple(items.changed_paths(self._item)))


class GrantApproval(_Approval):
    """``item/permissions/requestApproval``: more rights for the sandbox, for a turn or for good."""

    def asks(self) -> list[Ask]:
        wanted = msgspec.json.encode(self._params.get("permissions")).decode()
        return [
            Ask(
                kind=BlockageKind.PERMISSION,
                title=items.first_line(f"more rights: {wanted}"),
                detail="\n".join(line for line in (wanted, self._reason) if line),
                tool="request_permissions",
                options=(ACCEPT, SESSION, DECLINE),
            )
        ]

    def wish(self) -> Wish:
        return Wish(("request_permissions",))

    def response(self, answers: list[Answer]) -> Any:
        decision = answers[0].option
        given = self._params.get("permissions") if decision in (ACCEPT.id, SESSION.id) else {}
        granted = {key: value for key, value in (given or {}).items() if value is not None}
        return {"permissions": granted, "scope": "session" if decision == SESSION.id else "turn"}


class Questions(Request):
    """``item/tool/requestUserInput``: one to three questions; the answers go back by their ids."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.item_id = str(params.get("itemId") or "")
        self._questions = [one for one in params.get("questions") or () if isinstance(one, dict)]

    def asks(self) -> list[Ask]:
        return [self._ask(one) for one in self._questions]

    def response(self, answers: list[Answer]) -> Any:
        said = [[part for part in (answer.option, answer.text) if part] for answer in answers]
        pairs = zip(self._questions, said, strict=True)
        return {"answers": {str(one.get("id")): {"answers": words} for one, words in pairs}}

    @staticmethod
    def _ask(question: dict[str, Any]) -> Ask:
        offered = [one for one in question.get("options") or () if isinstance(one, dict)]
        lines = [str(question.get("question", ""))]
        lines += [f"- {one.get('label')}: {one.get('description', '')}" for one in offered]
        return Ask(
            kind=BlockageKind.QUESTION,
            title=items.first_line(str(question.get("question") or question.get("header"))),
            detail="\n".join(lines),
            options=tuple(Option(str(one.get("label")), str(one.get("label"))) for one in offered),
            # Without options there is nothing but words; secret ones are words too.
            free_text=bool(question.get("isOther")) or not offered,
        )


class Elicitation(Request):
    """``mcpServer/elicitation/request``: an MCP server asks; with an empty form, whether a call is allowed."""

    def __init__(self, params: dict[str, Any], call: dict[str, Any]) -> None:
        """:param call: The tool call that it is about, as far as that can be told."""
        self.item_id = str(call.get("id") or "")
        self._params = params
        self._call = call
        schema = params.get("requestedSchema")
        self._fields = list((schema.get("properties") or {}) if isinstance(schema, dict) else {})
        meta = params.get("_meta")
        self._meta: dict[str, Any] = meta if isinstance(meta, dict) else {}

    def asks(self) -> list[Ask]:
        message = str(self._params.get("message") or "")
        lines = [message, str(self._params.get("url") or ""), items.detail(self._call) if self._call else ""]
        if self._fields:
            lines.append(f"answer with a JSON object of: {', '.join(self._fields)}")
        return [
            Ask(
                kind=BlockageKind.QUESTION if self._fields else BlockageKind.PERMISSION,
                title=items.first_line(message),
                detail="\n".join(line for line in lines if line),
                tool=self._tool,
                options=(*((ACCEPT,) if not self._fields else ()), DECLINE, CANCEL),
                free_text=bool(self._fields),
            )
        ]

    @property
    def denied(self) -> str:
        return self._tool

    @property
    def _tool(self) -> str:
        tool = self._meta.get("tool_name")
        server = f"mcp__{self._params.get('serverName')}"
        return f"{server}__{tool}" if tool else server

    def wish(self) -> Wish | None:
        return None if self._fields else Wish((self._tool.lower(), self._tool.lower().rpartition("__")[0]))

    def response(self, answers: list[Answer]) -> Any:
        answer = answers[0]
        if answer.option:
            content: Any = {} if answer.option == ACCEPT.id else None
            return {"action": answer.option, "content": content, "_meta": None}
        try:
            content = msgspec.json.decode(answer.text)
        except msgspec.DecodeError as error:
            raise InvalidAnswer(f"the answer is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise InvalidAnswer(f"the answer must be a JSON object with {', '.join(self._fields)}")
        return {"action": "accept", "content": content, "_meta": None}


def read(method: str, params: dict[str, Any], known: dict[str, dict[str, Any]]) -> Request | None:
    """
    A server's request.

    :param known: Items that were reported, by id.
    :returns: ``None`` if it is nothing that a human could decide, or that we know.
    """
    item = known.get(str(params.get("itemId") or ""), {})
    match method:
        case "item/commandExecution/requestApproval":
            return CommandApproval(params, item)
        case "item/fileChange/requestApproval":
            return FileApproval(params, item)
        case "item/permissions/requestApproval":
            return GrantApproval(params, item)
        case "item/tool/requestUserInput":
            return Questions(params) if params.get("questions") else None
        case "mcpServer/elicitation/request":
            return Elicitation(params, _running_call(params, known))
    return None


def _running_call(params: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The last call of the server that asks: an elicitation does not say which it belongs to."""
    for item in reversed(known.values()):
        runs = item.get("type") == "mcpToolCall" and item.get("status") == "inProgress"
        if runs and item.get("server") == params.get("serverName"):
            return item
    return {}
