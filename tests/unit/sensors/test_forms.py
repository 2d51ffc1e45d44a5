"""A blockage as a form, and a filled-in form as an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.model.blockage import Blockage, BlockageKind, Option, Settled
from cis_provider.model.session import SessionKey
from cis_provider.sensors import forms
from cis_provider.sensors.decided import read_decision, refuses

KEY = SessionKey("dag", "run-1", "agent")
ALLOW, DENY = Option("y", "Allow", "allow_once"), Option("n", "Deny", "reject_once")


def blockage(**more) -> Blockage:
    given = {"number": 3, "kind": BlockageKind.PERMISSION, "title": "run it", "options": (ALLOW, DENY)}
    return Blockage(**{**given, **more})


def filled(*options: str, words: str = "", user: str = "ann") -> dict:
    return {
        "chosen_options": list(options),
        "params_input": {forms.WORDS: words} if words else {},
        "responded_by_user": {"id": "1", "name": user},
    }


def test_labels_carry_the_number_of_the_form() -> None:
    assert forms.labels(blockage(), 7) == {"Allow (7)": "y", "Deny (7)": "n"}


def test_where_words_are_an_answer_there_is_a_button_for_them() -> None:
    assert forms.labels(blockage(free_text=True, options=()), 1) == {"Answer in words (1)": ""}


def test_a_form_is_never_without_a_button() -> None:
    for kind in BlockageKind:
        assert list(forms.labels(blockage(kind=kind, options=()), 2).values()) == [""]


@given(st.lists(st.text(max_size=200), min_size=1, max_size=8), st.integers(1, 99))
def test_every_option_keeps_a_button_of_its_own_that_means_it(texts: list[str], number: int) -> None:
    options = tuple(Option(f"id{n}", text) for n, text in enumerate(texts))
    asked = blockage(options=options)
    found = forms.labels(asked, number)
    assert sorted(found.values()) == sorted(option.id for option in options)
    for label, option_id in found.items():
        answer = forms.read_answer(asked, number, filled(label), "id")
        assert answer is not None
        assert (answer.option, answer.number) == (option_id, 3)
        assert forms.read_answer(asked, number + 1, filled(label), "id") is None


def test_an_answer_says_who_gave_it_and_keeps_words_only_where_they_are_wanted() -> None:
    answer = forms.read_answer(blockage(), 1, filled("Deny (1)", words="never"), "x")
    assert answer is not None
    assert (answer.by, answer.text, answer.id) == ("ui:ann", "", "x")
    answer = forms.read_answer(
        blockage(free_text=True), 1, filled("Answer in words (1)", words=" a\nb "), "x"
    )
    assert answer is not None
    assert (answer.option, answer.text) == ("", "a\nb")


def test_nobody_answers_with_two_options_or_none() -> None:
    assert forms.read_answer(blockage(), 1, filled("Allow (1)", "Deny (1)"), "x") is None
    assert forms.read_answer(blockage(), 1, filled(), "x") is None


@given(st.text(alphabet="`~ab\n#<>[](!", max_size=80))
def test_nothing_an_agent_wrote_leaves_its_fence(detail: str) -> None:
    text = forms.body(KEY, blockage(detail=detail), number=1)
    if not detail.strip():
        return
    lines = text.split("\n")
    fence = next(line for line in lines if line.startswith("```"))
    begin = lines.index(fence)
    end = next(n for n in range(begin + 1, len(lines)) if lines[n] == fence)
    assert "\n".join(lines[begin + 1 : end]).rstrip("\n") == detail.rstrip("\n")
    assert lines[end + 2].startswith("Agent `agent`")


def test_title_and_names_are_no_markdown() -> None:
    text = forms.body(KEY, blockage(title="<b>x</b> *[y](z)*\n# z", tool="a`b"), number=1)
    assert "<b>" not in text
    assert "[y](z)" not in text
    assert "`` a`b ``" in text


def test_what_an_answer_was_refused_for_is_no_markdown() -> None:
    body = forms.body(KEY, blockage(), number=2, note="It takes: ![x](http://evil.example/) <b>")
    assert "![x](" not in body
    assert "<b>" not in body.replace("\\<b\\>", "")


def test_no_database_is_given_what_it_does_not_take() -> None:
    odd = blockage(title="t\0", detail="d\0", tool="B\0", options=(Option("y", "A\0"),))
    assert "\0" not in forms.subject(KEY, odd) + forms.body(KEY, odd, number=1) + "".join(
        forms.labels(odd, 1)
    )


def test_a_form_says_how_to_attach_and_what_a_pause_does() -> None:
    text = forms.body(KEY, blockage(since=0.5), number=4, note="The answer before was not taken.")
    assert text.startswith("The answer before was not taken.")
    assert "`cis dag attach run-1 agent`" in text
    assert "paused" in text
    assert "since 1970-01-01" in text


def test_a_subject_is_one_line_that_names_the_part_of_a_mapped_agent() -> None:
    subject = forms.subject(SessionKey("d", "r", "agent", 2), blockage(title="a\nb" * 200))
    assert subject.startswith("agent[2] asks for permission: a ba")
    assert "\n" not in subject
    assert len(subject) <= 200


def test_a_question_that_ended_elsewhere_is_closed_with_what_ended_it() -> None:
    settled = Settled(number=3, kind=BlockageKind.PERMISSION, title="t", option="Allow", by="cli:me")
    assert forms.closing_words(settled, 5) == ("Allow (5)", {})
    assert forms.closing_words(None, 5) == ("not needed any more", {})


def test_the_option_that_refuses_this_once_goes_first() -> None:
    always = Option("a", "Never", "reject_always")
    assert forms.refusing(blockage(options=(ALLOW, always, DENY))) == "n"
    assert forms.refusing(blockage(options=(ALLOW,))) == ""


def test_a_human_step_is_refused_by_what_says_no() -> None:
    assert [
        option for option in ("Approve", "Reject", "no, wait", "North", "Stop it") if refuses(option)
    ] == [
        "Reject",
        "no, wait",
        "Stop it",
    ]
    decided = read_decision(filled("Approve", words="yes"), free_text=False)
    assert (decided.option, decided.text, decided.by) == ("Approve", "", "ui:ann")
