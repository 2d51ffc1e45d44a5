"""``--via HOST``."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.cli.via import maybe_via, ssh_command, without_via
from cis_provider.errors import UsageError

_WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=5)


@given(_WORDS)
def test_the_other_machines_shell_sees_the_words_as_they_are_here(words: list[str]) -> None:
    command = ssh_command("build-1", words, tty=False)
    assert command[:-1] == ["ssh", "-T", "--", "build-1"]
    assert shlex.split(command[-1]) == ["cis", *words]


def test_a_real_shell_takes_them_apart_again() -> None:
    words = ["dag", "answer", "run", "a b", "$(id) `id` 'x' \"y\" \\ ; & | * ~ !"]
    there = ssh_command("h", words, tty=False)[-1].replace("cis", "printf '%s\\n'", 1)
    assert subprocess.run(["sh", "-c", there], capture_output=True, text=True).stdout.splitlines() == words


@pytest.mark.parametrize("host", ["", "-oProxyCommand=id", "a b", "a\n"])
def test_what_is_no_host_is_no_option_of_ssh_either(host: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        ssh_command(host, [], tty=True)


def test_ssh_and_the_far_command_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIS_VIA_SSH", "ssh -p 2222")
    monkeypatch.setenv("CIS_VIA_COMMAND", "/opt/cis/bin/cis")
    command = ssh_command("h", ["dag", "ps"], tty=True)
    assert command[:4] == ["ssh", "-p", "2222", "-t"]
    assert command[-2:] == ["h", "/opt/cis/bin/cis dag ps"]


def test_the_option_is_gone_on_the_other_side() -> None:
    assert without_via(["dag", "ps", "--via", "h", "-w"]) == ["dag", "ps", "-w"]
    assert without_via(["dag", "ps", "--via=h"]) == ["dag", "ps"]
    assert without_via(["dag", "answer", "--via", "h", "--", "--via"]) == ["dag", "answer", "--", "--via"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["answer", "r", "a", "--text", "--via", "--via", "h"], ["answer", "r", "a", "--text", "--via"]),
        (["answer", "--text=--via", "--via=h", "x"], ["answer", "--text=--via", "x"]),
        (["logs", "-n", "--via", "--via", "h"], ["logs", "-n", "--via"]),
        (["logs", "-fn", "--via", "--via", "h"], ["logs", "-fn", "--via"]),
        (["logs", "-n5", "--via", "h", "a"], ["logs", "-n5", "a"]),
        (["logs", "-f", "--via", "h", "a"], ["logs", "-f", "a"]),
        (["answer", "r", "-", "--via", "h"], ["answer", "r", "-"]),
        (["answer", "--text"], ["answer", "--text"]),
    ],
)
def test_a_word_that_is_the_value_of_another_option_stays(words: list[str], left: list[str]) -> None:
    assert without_via(words, {"--text", "-n", "--via"}) == left


def test_without_a_program_it_says_which_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CIS_VIA_SSH", str(tmp_path / "no-ssh"))
    with pytest.raises(UsageError, match="no-ssh cannot be run"):
        maybe_via("h", tty=False)
    maybe_via(None, tty=False)
