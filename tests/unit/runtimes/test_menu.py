"""Menus on screens: what can be chosen, and how one gets there."""

from __future__ import annotations

from cis_provider.runtimes.terminal.menu import Menu, read


def test_the_marked_line_and_those_at_its_side_are_the_choices() -> None:
    screen = ["Do you trust this?", "", " ❯ No, exit", "   Yes, I trust this folder", "", " Enter to confirm"]
    menu = read(screen)
    assert menu == Menu(("No, exit", "Yes, I trust this folder"), 0)
    assert menu.way(1) == ("down",)
    assert menu._replace(marked=1).way(0) == ("up",)
    assert menu.way(0) == ()


def test_numbers_and_sides_of_a_box_are_no_part_of_a_line() -> None:
    assert read(["│ Go on?      │", "│   1. Yes    │", "│ › 2. No     │", "╰─────╯"]) == Menu(
        ("Yes", "No"), 1
    )


def test_the_lowest_menu_counts_and_a_prompt_is_none() -> None:
    assert read(["❯ one", "  two", "", "> a prompt", "─────"]) is None
    assert read(["  nothing is marked", "here"]) is None
    assert read([]) is None
