"""Which option a human means, what rules decide, and which tool calls a pattern means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import InvalidAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.model.deciding import choose, decide, find_option, refusal
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.patterns import matches

CODEX = (
    Option("accept", "allow once", "allow_once"),
    Option("acceptForSession", "allow, and the same again in this conversation", "allow_always"),
    Option("decline", "deny, and go on", "reject_once"),
    Option("cancel", "deny, and end the turn", "reject_once"),
)
CLAUDE = (
    Option("allow", "Yes", "allow_once"),
    Option("always", "Yes, and do not ask again for this", "allow_always"),
    Option("deny", "No", "reject_once"),
)
KIMI = (
    Option("approve", "Approve", "allow_once"),
    Option("revise", "Revise", "reject_once"),
    Option("reject_and_exit", "Reject and Exit", "reject_once"),
)
COLOURS = (Option("red", "red"), Option("green", "Green"), Option("grey", "Grey"))


def asked(options: tuple[Option, ...] = CLAUDE, **more: object) -> Blockage:
    values: dict[str, object] = {"number": 3, "kind": BlockageKind.PERMISSION, "title": "t", **more}
    return Blockage(options=options, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words", "meant"),
    [
        (CLAUDE, "allow", "allow"),
        (CLAUDE, "DENY", "deny"),
        (CLAUDE, "yes", "allow"),
        (CLAUDE, "al", None),
        (CLAUDE, "alw", "always"),
        (CODEX, "allow", "accept"),
        (CODEX, "deny", "decline"),
        (CODEX, "Deny, and end the turn", "cancel"),
        (CODEX, "accept", "accept"),
        (KIMI, "deny", "reject_and_exit"),
        (KIMI, "allow", "approve"),
        (COLOURS, " GREEN ", "green"),
        (COLOURS, "gr", None),
        (COLOURS, "r", "red"),
        (COLOURS, "allow", None),
        (COLOURS, "", None),
    ],
)
def test_an_option_is_meant_by_id_label_beginning_or_its_kind(
    options: tuple[Option, ...], words: str, meant: str | None
) -> None:
    found = find_option(options, words)
    assert (found.id if found else None) == meant


@given(
    st.lists(st.text("abc ", min_size=1, max_size=4), min_size=1, max_size=5, unique=True),
    st.text("abcABC ", max_size=5),
)
def test_words_mean_an_option_only_if_they_can_mean_no_other(ids: list[str], words: str) -> None:
    options = tuple(Option(one, one) for one in ids)
    found = find_option(options, words)
    begun = [one for one in ids if one.strip().startswith(words.strip().lower())]
    if found is None:
        assert words not in ids or not words.strip()
    elif found.id != words:
        exact = [one for one in ids if one.strip() == words.strip().lower()]
        assert exact or len(begun) == 1 or found.id.startswith(words.strip().lower())


def test_an_answer_that_does_not_fit_is_told_what_would() -> None:
    with pytest.raises(
        InvalidAnswer, match=r"question 3 has no option 'maybe'; it takes: allow \(Yes\), always"
    ):
        choose(asked(), Answer(number=3, option="maybe"))
    with pytest.raises(InvalidAnswer, match=r"takes: red, green, grey$"):
        choose(asked(COLOURS), Answer(number=3, text="blue"))
    assert choose(asked(COLOURS, free_text=True), Answer(number=3, text="blue")).text == "blue"
    assert choose(asked(CODEX), Answer(number=3, option="Deny", text="no!")).option == "decline"


GIT = OnBlocked(permission="allow", allow=("Bash(git *)", "Read"))


@pytest.mark.parametrize(
    ("blockage", "rules", "option", "by"),
    [
        (asked(tool="Bash", subjects=("rm x",)), OnBlocked(), None, ""),
        (asked(), OnBlocked(permission="deny"), "deny", "rule:permission: deny"),
        (asked(CODEX), OnBlocked(permission="deny"), "decline", "rule:permission: deny"),
        (asked(tool="Bash", subjects=("git log",)), GIT, "allow", "rule:permission: allow: Bash(git *)"),
        (asked(tool="shell", subjects=("git log",)), GIT, "allow", "rule:permission: allow: Bash(git *)"),
        (asked(tool="Bash", subjects=("git log; rm x",)), GIT, None, ""),
        (asked(tool="Bash"), GIT, None, ""),
        (asked(tool="Read", subjects=("/etc/passwd",)), GIT, "allow", "rule:permission: allow: Read"),
        (asked((CLAUDE[1],), tool="Read"), GIT, None, ""),
        (asked(kind=BlockageKind.TRUST), OnBlocked(trust="allow"), "allow", "rule:trust: allow"),
        (asked(kind=BlockageKind.TRUST), OnBlocked(trust="deny"), "deny", "rule:trust: deny"),
        (asked(kind=BlockageKind.TRUST), OnBlocked(permission="deny"), None, ""),
        (asked(kind=BlockageKind.RATE_LIMIT), OnBlocked(permission="deny"), None, ""),
    ],
)
def test_rules_decide_for_this_once_or_leave_it_to_a_human(
    blockage: Blockage, rules: OnBlocked, option: str | None, by: str
) -> None:
    answer = decide(blockage, rules)
    assert (answer.option if answer else None) == option
    assert (answer.by if answer else "") == by


def test_a_question_gets_the_words_of_its_rule_or_the_option_that_they_mean() -> None:
    rules = OnBlocked(question="answer", answer="green")
    chosen = decide(asked(COLOURS, kind=BlockageKind.QUESTION), rules)
    assert chosen is not None and (chosen.option, chosen.text) == ("green", "")
    free = decide(asked((), kind=BlockageKind.QUESTION, free_text=True), rules)
    assert free is not None and (free.option, free.text) == ("", "green")
    assert decide(asked((Option("blue", "Blue"),), kind=BlockageKind.QUESTION), rules) is None


@given(
    st.sampled_from(BlockageKind),
    st.lists(
        st.builds(
            Option,
            st.text("ab", min_size=1, max_size=3),
            st.text("ab", max_size=3),
            st.sampled_from(["", "allow_once", "allow_always", "reject_once", "reject_always"]),
        ),
        max_size=4,
        unique_by=lambda option: option.id,
    ),
    st.booleans(),
)
def test_time_never_says_yes_and_no_rule_says_it_for_good(
    kind: BlockageKind, options: list[Option], free_text: bool
) -> None:
    blockage = asked(tuple(options), kind=kind, free_text=free_text, tool="Bash", subjects=("ls",))
    kinds = {one.id: one.kind for one in reversed(options)}
    if no := refusal(blockage):
        assert not no.option or kinds[no.option].startswith("reject") or no.option == "stop"
    for rules in (OnBlocked(permission="allow", allow=("*",), trust="allow"), OnBlocked(permission="deny")):
        if answer := decide(blockage, rules):
            assert any(one.id == answer.option and one.kind != "allow_always" for one in options)


@pytest.mark.parametrize(
    ("pattern", "names", "subjects", "meant"),
    [
        ("Bash(npm test)", ("bash",), ("npm test",), True),
        ("Bash(npm *)", ("Bash",), ("npm run x",), True),
        ("Bash(npm:*)", ("Bash",), ("npm run x",), True),
        ("Bash(git log | wc)", ("Bash",), ("git log | wc",), True),
        ("Bash(git *)", ("Bash",), ("git log | sh",), False),
        ("Bash(git *)", ("Bash",), ("git log\nrm x",), False),
        ("Edit(src/*)", ("Write",), ("src/a.py",), True),
        ("Edit(src/*)", ("apply_patch",), ("src/a.py", "etc/b"), False),
        ("mcp__github__*", ("mcp__github__issue",), (), True),
        ("Bash", ("",), ("ls",), False),
        ("Bash(", ("Bash",), ("ls",), False),
    ],
)
def test_a_pattern_means_calls_of_a_tool(
    pattern: str, names: tuple[str, ...], subjects: tuple[str, ...], meant: bool
) -> None:
    assert matches(pattern, names, subjects) is meant
