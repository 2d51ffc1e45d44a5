"""What Claude Code asks a human, as blockages, and answers as it wants them. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from cis_provider.errors import InvalidAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option

_ALLOW = Option("allow", "Yes", "allow_once")
_ALWAYS = Option("always", "Yes, and do not ask again for this", "allow_always")
_DENY = Option("deny", "No", "reject_once")


def title_of(name: str, arguments: Mapping[str, Any]) -> str:
    """One line: what a tool is called for."""
    for key in ("command", "file_path", "notebook_path", "url", "query", "pattern", "description", "prompt"):
        if value := arguments.get(key):
            first, *more = str(value).splitlines() or [""]
            return f"{name}: {first[:200]}{' ...' if more or len(first) > 200 else ''}"
    return name


def blockage_of(request: Mapping[str, Any], number: int, now: float) -> Blockage:
    """
    The question in a ``can_use_tool`` request.

    :param now: Seconds since the epoch.
    """
    name, arguments = str(request.get("tool_name") or "tool"), request.get("input") or {}
    if name == "AskUserQuestion":
        return _question(arguments, number, now)
    lasting = (_ALWAYS,) if _lasting(request) else ()
    return Blockage(
        number=number,
        kind=BlockageKind.PERMISSION,
        title=title_of(name, arguments),
        detail=_detail(name, arguments),
        tool=name,
        subjects=_subjects(arguments),
        options=(_ALLOW, *lasting, _DENY),
        free_text=True,
        since=now,
    )


def _subjects(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """What patterns such as ``Bash(git *)`` and ``Edit(src/*)`` are held against."""
    found = (arguments.get(key) for key in ("command", "file_path", "notebook_path", "url"))
    return next(((one,) for one in found if isinstance(one, str) and one), ())


def response_to(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """
    The answer in the words of the protocol. Words alone deny: they tell the agent what to do instead.

    :raises InvalidAnswer: It is none of the options.
    """
    arguments = dict(request.get("input") or {})
    if request.get("tool_name") == "AskUserQuestion":
        return {"behavior": "allow", "updatedInput": arguments | {"answers": _answers(arguments, answer)}}
    match answer.option:
        case "allow":
            return {"behavior": "allow", "updatedInput": arguments}
        case "always" if lasting := _lasting(request):
            return {"behavior": "allow", "updatedInput": arguments, "updatedPermissions": lasting}
        case "deny" | "" if answer.option or answer.text:
            return {"behavior": "deny", "message": answer.text or "A human has said no to this."}
        case _:
            raise InvalidAnswer(f"{answer.option!r} is no answer; there are allow, always, deny, or words")


def _lasting(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What "always" changes: for this conversation only, since nobody wants a file changed from afar."""
    return [
        {**one, "destination": "session"}
        for one in request.get("permission_suggestions") or ()
        if one.get("type") in ("addRules", "addDirectories") or one.get("mode") == "acceptEdits"
    ]


def _question(arguments: Mapping[str, Any], number: int, now: float) -> Blockage:
    questions = [one for one in arguments.get("questions") or () if isinstance(one, dict)]
    first = questions[0] if questions else {}
    several = len(questions) > 1
    options = (
        ()
        if several
        else tuple(
            Option(str(one.get("label") or ""), str(one.get("label") or ""))
            for one in first.get("options") or ()
        )
    )
    return Blockage(
        number=number,
        kind=BlockageKind.QUESTION,
        title=" / ".join(str(one.get("question") or "") for one in questions) or "a question",
        detail="\n\n".join(map(_asked, questions)),
        tool="AskUserQuestion",
        options=options,
        free_text=True,
        since=now,
    )


def _asked(question: Mapping[str, Any]) -> str:
    many = " (more than one may be chosen)" if question.get("multiSelect") else ""
    lines = [f"{question.get('question', '')}{many}"]
    for one in question.get("options") or ():
        described = f": {one['description']}" if one.get("description") else ""
        lines.append(f"- {one.get('label', '')}{described}")
    return "\n".join(lines)


def _answers(arguments: Mapping[str, Any], answer: Answer) -> dict[str, str]:
    """
    By question. Several questions take one line of text each, in their order.

    :raises InvalidAnswer: There are more questions than lines.
    """
    questions = [str(one.get("question") or "") for one in arguments.get("questions") or ()]
    said = answer.text or answer.option
    if not said:
        raise InvalidAnswer("the answer is empty; give an option or words")
    if len(questions) <= 1:
        _check_option(arguments, answer)
        return dict.fromkeys(questions, said)
    lines = [line for line in said.splitlines() if line.strip()]
    if len(lines) != len(questions):
        raise InvalidAnswer(
            f"there are {len(questions)} questions and {len(lines)} lines; one line for each, in their order: "
            + " / ".join(questions)
        )
    return dict(zip(questions, lines, strict=True))


def _check_option(arguments: Mapping[str, Any], answer: Answer) -> None:
    labels = [
        str(one.get("label") or "")
        for question in arguments.get("questions") or ()
        for one in question.get("options") or ()
    ]
    if answer.option and answer.option not in labels:
        raise InvalidAnswer(f"{answer.option!r} is no option; there are {', '.join(labels)}, or own words")


def _detail(name: str, arguments: Mapping[str, Any]) -> str:
    if name == "Edit":
        old, new = str(arguments.get("old_string") or ""), str(arguments.get("new_string") or "")
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3)
        return f"{arguments.get('file_path', '')}\n" + "\n".join(list(lines)[2:])
    if name == "Write":
        return f"{arguments.get('file_path', '')}\n\n{arguments.get('content', '')}"
    if name == "Bash":
        return str(arguments.get("command") or "")
    return json.dumps(arguments, ensure_ascii=False, indent=1)
