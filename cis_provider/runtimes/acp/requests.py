"""What an agent asks of us: leave to use a tool, and decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cis_provider.model.blockage import Answer, BlockageKind, Option
from cis_provider.runtimes.acp.permissions import choose, decide, names_of, options_of
from cis_provider.runtimes.acp.questions import Field, field_of, fields_of
from cis_provider.runtimes.acp.tools import DETAIL_LIMIT, Tool, content_text
from cis_provider.runtimes.acp.turn import Turn
from cis_provider.runtimes.acp.waiting import Waiting
from cis_provider.runtimes.base import Setting

if TYPE_CHECKING:
    from cis_provider.runtimes.acp.runtime import AcpRuntime

_CANCELLED: dict[str, Any] = {"outcome": {"outcome": "cancelled"}}


class Requests:
    """Answers an agent's requests: by the agent's file where it says so, else by asking."""

    def __init__(self, runtime: AcpRuntime, setting: Setting, waiting: Waiting) -> None:
        self._runtime, self._setting, self._waiting = runtime, setting, waiting

    async def permission(self, turn: Turn | None, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to ``session/request_permission``."""
        options = options_of(request)
        report = request.get("toolCall") or {}
        if turn is None or turn.cancelled or not options:
            return _CANCELLED
        if self._runtime.is_question(request):
            option = await self._question(report, options)
            return _selected(option) if option else _CANCELLED
        asked = content_text(report.get("content"))
        tool = turn.tool({key: value for key, value in report.items() if key not in ("content", "status")})
        decision = decide(self._setting.options.permissions, tool, self._setting.workspace)
        option = choose(decision, options)
        if option is None:
            option = await self._ask(tool, asked, options)
        if option is None:
            return _CANCELLED
        if option.kind.startswith("reject"):
            turn.denied.append(": ".join(part for part in (tool.name, tool.subject) if part))
        return _selected(option)

    async def form(self, turn: Turn | None, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to ``elicitation/create``: one question after the other."""
        if turn is None or turn.cancelled or request.get("mode", "form") != "form":
            return {"action": "cancel"}
        content: dict[str, Any] = {}
        for field in fields_of(request):
            given = await self._field(field)
            if given is None:
                return {"action": "cancel"}
            if given[0] is not None:
                content[field.key] = given[0]
        return {"action": "accept", "content": content} if content else {"action": "decline"}

    async def side_form(self, turn: Turn, fields: tuple[dict[str, Any], ...]) -> list[list[str]] | None:
        """Answers to a form that came beside the protocol, and which takes words for each; ``None``: to none."""
        answers: list[list[str]] = []
        for number, schema in enumerate(fields):
            given = (
                None if turn.cancelled else await self._field(field_of(str(number), schema, own_words=True))
            )
            if given is None:
                return None
            value = given[0]
            answers.append(
                [] if value is None else [str(one) for one in value] if isinstance(value, list) else [value]
            )
        return answers if any(answers) else None

    async def _field(self, field: Field) -> tuple[Any] | None:
        return await self._waiting.ask(
            BlockageKind.QUESTION,
            _line(field.title),
            lambda answer: (field.value(answer),),
            detail=field.detail[:DETAIL_LIMIT],
            options=field.options,
            free_text=field.free_text,
        )

    async def _question(self, report: dict[str, Any], options: tuple[Option, ...]) -> Option | None:
        words = content_text(report.get("content")) or str(report.get("title") or "")
        return await self._waiting.ask(
            BlockageKind.QUESTION,
            _line(words),
            _picker(options),
            detail=words[:DETAIL_LIMIT],
            options=options,
        )

    async def _ask(self, tool: Tool, asked: str, options: tuple[Option, ...]) -> Option | None:
        subject = tool.subject or asked or tool.title
        detail = "\n".join(dict.fromkeys(part for part in (subject, asked, tool.text) if part))
        title = subject if tool.name in subject else f"{tool.name}: {subject}"
        return await self._waiting.ask(
            BlockageKind.PERMISSION,
            _line(title),
            _picker(options),
            detail=detail[:DETAIL_LIMIT],
            tool=tool.name,
            names=names_of(tool),
            subjects=(tool.subject,) if tool.subject else (),
            options=options,
        )


def _picker(options: tuple[Option, ...]) -> Callable[[Answer], Option]:
    by_id = {option.id: option for option in options}
    return lambda answer: by_id[answer.option]


def _selected(option: Option) -> dict[str, Any]:
    return {"outcome": {"outcome": "selected", "optionId": option.id}}


def _line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:200] if lines else "?"
