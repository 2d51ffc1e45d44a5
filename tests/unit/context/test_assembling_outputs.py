from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cis_provider.context.assembly import assemble_markdown, fair_shares
from cis_provider.context.outputs import StoredOutput, cut_middle

NASTY = st.one_of(
    st.text(max_size=300),
    st.text("`~#- \n>=|a", max_size=300),
    st.lists(
        st.sampled_from(
            ["# head", "```", "````sh", "~~~", "---", "## Output of `other`", "<div>", "text", ""]
        )
    ).map("\n".join),
)
IDS = st.text("abcdefghij-_.019", min_size=1, max_size=20)


def output(agent_id: str, text: str, **more) -> StoredOutput:
    return replace(StoredOutput(agent_id, "shell", text, is_error=False, subtype="success"), **more)


def headings(markdown: str) -> list[str]:
    tokens = MarkdownIt().parse(markdown)
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]


@given(st.lists(st.tuples(IDS, NASTY), max_size=6), st.integers(-5, 900))
@example([("a", "`" * 500)], 900)
def test_the_budget_holds_but_for_a_bounded_note_and_every_id_is_there(
    parts: list[tuple[str, str]], budget: int
) -> None:
    outputs = [output(agent_id, text) for agent_id, text in parts]
    markdown = assemble_markdown(outputs, budget_chars=budget)
    overhead = sum(400 + 3 * len(agent_id) for agent_id, _ in parts)
    assert len(markdown) <= max(budget, 0) + overhead
    assert headings(markdown) == [f"Output of `{agent_id}`" for agent_id, _ in parts]


@given(st.lists(st.tuples(IDS, NASTY), min_size=1, max_size=6), st.integers(1, 900))
def test_an_output_that_fits_its_share_is_whole_and_nothing_escapes_its_fence(
    parts: list[tuple[str, str]], budget: int
) -> None:
    markdown = assemble_markdown([output(*part) for part in parts], budget_chars=budget)
    fences = [token.content for token in MarkdownIt().parse(markdown) if token.type == "fence"]
    for _, text in parts:
        plain = re.sub(r"\r\n?", "\n", text).replace("\0", "\ufffd")
        if len(text) <= budget // len(parts) and text.strip():
            assert any(fence in (plain, f"{plain}\n") for fence in fences)
    assert len(fences) <= len(parts)


def test_a_cut_output_shows_both_ends_and_says_where_the_whole_is() -> None:
    text = "BEGIN\n" + "x\n" * 5000 + "END\n"
    markdown = assemble_markdown([output("long", text), output("short", "all of it")], budget_chars=500)
    assert "BEGIN" in markdown and "END" in markdown and "all of it" in markdown
    assert "`$CIS_INPUTS/long.md`" in markdown and "$CIS_INPUTS/short.md" not in markdown
    assert f"of {len(text):,} characters" in markdown


def test_the_whole_text_can_be_somewhere_else() -> None:
    markdown = assemble_markdown([output("a", "x" * 50)], budget_chars=10, whole_text="/in/{id}.txt")
    assert "`/in/a.txt`" in markdown


def test_with_no_room_at_all_only_the_note_is_left() -> None:
    markdown = assemble_markdown([output("a", "secret text")], budget_chars=0)
    assert "secret" not in markdown and "0 of 11 characters" in markdown


def test_a_failed_agent_and_one_without_words_say_so() -> None:
    markdown = assemble_markdown(
        [output("bad", "boom", is_error=True, subtype="exit_code"), output("mute", " \n")], budget_chars=100
    )
    assert "## Output of `bad` (failed: exit_code)" in markdown
    assert "## Output of `mute`\n\n(no output)" in markdown


@pytest.mark.parametrize(
    ("lengths", "budget", "shares"),
    [
        ([10, 10], 100, [10, 10]),
        ([10, 1000], 100, [10, 90]),
        ([1000, 10, 1000], 100, [45, 10, 45]),
        ([5, 5, 5], 2, [0, 1, 1]),
        ([], 10, []),
        ([7], -1, [0]),
    ],
)
def test_short_ones_stay_whole_and_the_others_share_alike(lengths, budget, shares) -> None:
    assert fair_shares(lengths, budget) == shares


@given(st.lists(st.integers(0, 1000), max_size=10), st.integers(0, 3000))
def test_nothing_of_the_budget_is_wasted(lengths: list[int], budget: int) -> None:
    shares = fair_shares(lengths, budget)
    assert sum(shares) == min(budget, sum(lengths))
    cut = [share for share, length in zip(shares, lengths, strict=True) if share < length]
    assert not cut or max(cut) - min(cut) <= 1
    assert not cut or max(shares) <= max(cut) + 1


@given(NASTY, st.integers(0, 200))
def test_a_cut_keeps_to_the_limit_and_to_the_two_ends(text: str, limit: int) -> None:
    begin, end = cut_middle(text, limit)
    assert len(begin) + len(end) <= max(limit, 0)
    assert text.startswith(begin) and text.endswith(end)
    if len(text) <= limit:
        assert (begin, end) == (text, "")
