"""What a person's words mean for a question."""

from __future__ import annotations

import pytest

from cis_provider.cli.replies import Reply, choices, question_lines, reply_to
from cis_provider.errors import UsageError
from cis_provider.model.blockage import Blockage, BlockageKind, Option

ONCE = Option("allow", "Yes", "allow_once")
ALWAYS = Option("allow_always", "Yes, and don't ask again", "allow_always")
NO = Option("deny", "No, tell Claude what to do", "reject_once")


def ask(*options: Option, free_text: bool = False, detail: str = "") -> Blockage:
    return Blockage(
        number=3,
        kind=BlockageKind.PERMISSION,
        title="Bash: git push",
        detail=detail,
        options=options,
        free_text=free_text,
    )


PERMISSION = ask(ONCE, ALWAYS, NO)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("allow", ONCE),
        ("ALLOW", ONCE),
        ("Yes", ONCE),
        ("yes, and", ALWAYS),
        ("allow_a", ALWAYS),
        ("1", ONCE),
        ("3", NO),
        ("#2", ALWAYS),
        ("no, tell", NO),
    ],
)
def test_an_option_is_meant_by_id_label_number_or_beginning(words: str, meant: Option) -> None:
    assert reply_to(PERMISSION, words) == Reply(meant, "")


@pytest.mark.parametrize("words", ["perhaps", "4", "0", "#4", "#0", "allow_alwayss"])
def test_what_is_no_option_is_refused_with_those_there_are(words: str) -> None:
    with pytest.raises(UsageError, match=r"there is: 1 Yes, 2 Yes, and don't ask again, 3 No, tell Claude"):
        reply_to(PERMISSION, words)


def test_a_beginning_of_two_is_none() -> None:
    with pytest.raises(UsageError, match="none of its options"):
        reply_to(ask(Option("a", "Blue"), Option("b", "Black")), "bl")


def test_words_of_ones_own_are_taken_where_they_are_wanted() -> None:
    assert reply_to(ask(ONCE, free_text=True), "use ruff instead") == Reply(None, "use ruff instead")
    assert reply_to(ask(free_text=True), "7") == Reply(None, "7")
    assert reply_to(ask(ONCE, NO, free_text=True), "", "1") == Reply(None, "1")
    with pytest.raises(UsageError, match="it takes no words"):
        reply_to(ask(), "hello")


def test_an_option_may_come_with_the_reason() -> None:
    assert reply_to(PERMISSION, "deny", "not on Fridays") == Reply(NO, "not on Fridays")
    with pytest.raises(UsageError, match="no option, and --text has the words"):
        reply_to(ask(ONCE, free_text=True), "perhaps", "why")


def test_a_number_that_is_another_options_name_is_asked_for_again() -> None:
    """Consent to the wrong thing would be worse than one more line to type."""
    workers = ask(Option("a", "2"), Option("b", "4"), Option("c", "8"))
    with pytest.raises(UsageError, match=r"2 may be number 2, '4', or '2': write '#2' or '#1'"):
        reply_to(workers, "2")
    assert reply_to(workers, "#1").option == Option("a", "2")
    assert reply_to(workers, "8").option == Option("c", "8")
    assert reply_to(workers, "3").option == Option("c", "8")


def test_a_question_is_shown_whole_and_without_escape_codes() -> None:
    shown = question_lines(ask(ONCE, NO, free_text=True, detail="\x1b[31m$ git push\x1b[0m\n--force"))
    assert shown == [
        "Bash: git push",
        "",
        "  $ git push",
        "  --force",
        "",
        "  1  Yes",
        "  2  No, tell Claude what to do",
        "  or words of your own, which mean no",
    ]


def test_a_question_without_options_says_what_it_takes() -> None:
    assert choices(ask(free_text=True)) == "there is: words of your own"
    assert choices(ask()) == "there is: nothing to choose"
