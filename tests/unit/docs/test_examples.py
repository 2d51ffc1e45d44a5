"""CIS files and commands that the pages show."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from typer.main import get_command

from cis_provider.cli.lazy import LazyGroup
from cis_provider.cli.main import app
from dag_factory.diagnostics import CODES
from dag_factory.validate import check_text


def test_every_cis_file_is_without_mistakes(blocks):
    files = [block for block in blocks if block.language in ("yaml", "json") and "agents" in block.text]
    assert len(files) > 10
    for block in files:
        checked = check_text(
            block.text, block.place, name="example", is_json=block.language == "json", lookup={}.get
        )
        assert [str(mistake) for mistake in checked.diagnostics] == []


def test_mistakes_are_shown_as_lint_prints_them(blocks):
    shown = [
        line for block in blocks for line in block.text.splitlines() if re.search(r":\d+:\d+: F\d+ ", line)
    ]
    assert shown
    for line in shown:
        assert re.search(r": (F\d+) ", line)[1] in CODES


def test_commands_in_blocks_would_be_taken(blocks):
    lines = [
        (block.place, command)
        for block in blocks
        if block.language == "bash"
        for command in _commands(block.text)
    ]
    assert len(lines) > 30
    for place, words in lines:
        try:
            _parse(words)
        except Exception as error:
            pytest.fail(f"{place}: {' '.join(words)}: {getattr(error, 'message', error)}")


def test_commands_within_lines_exist(pages):
    found = 0
    for page in pages.values():
        for code in page.inline_code:
            if not code.startswith("cis ") or "..." in code:
                continue
            found += 1
            words = re.split(r" \\?\| ", code)[0].split()[1:]
            command = get_command(app)
            while words and (child := _child(command, words[0])) is not None:
                command, words = child, words[1:]
            if hasattr(command, "list_commands"):
                assert all(word.startswith("-") or word.isupper() for word in words), f"{page.name}: {code}"
            options = {name for param in command.params for name in [*param.opts, "--help"]}
            unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in options]
            assert unknown == [], f"{page.name}: {code}"
    assert found > 30


def test_make_targets_that_are_shown_exist(pages, blocks, checkout):
    targets = set(re.findall(r"^([a-z]+):", (checkout / "Makefile").read_text(), re.MULTILINE))
    shown = {
        code.split()[1]
        for code in [
            *(code for page in pages.values() for code in page.inline_code),
            *(line for block in blocks if block.language == "bash" for line in block.text.splitlines()),
        ]
        if code.startswith("make ") and code.split()[1].isalpha()
    }
    # Agents' own commands are make's, too.
    assert {"demo", "test", "venv"} <= shown & targets


def _commands(text: str) -> list[list[str]]:
    """The words behind ``cis`` of each call in a script."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        calls: list[list[str]] = [[]]
        for word in lexer:
            if set(word) <= set("|>;&"):
                calls.append([])
            elif calls[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
                calls[-1].append(word)
        found += [words[1:] for words in calls if words[:1] == ["cis"]]
    return found


def _parse(words: list[str]) -> None:
    """
    As ``cis`` would, up to calling the command.

    :raises click.UsageError: It would refuse.
    """
    command = get_command(app)
    context = command.make_context("cis", list(words), resilient_parsing=True)
    while hasattr(command, "list_commands"):
        if not words or words[0].startswith("-"):
            return
        name, command, words = words[0], _child(command, words[0]), words[1:]
        assert command is not None, f"no command {name!r}"
        if not hasattr(command, "list_commands"):
            context = command.make_context(name, list(words), parent=context)


def _child(command: Any, name: str) -> Any:
    if isinstance(command, LazyGroup) and name in command.lazy:
        return command.lazy[name].load(name)
    return getattr(command, "commands", {}).get(name)
