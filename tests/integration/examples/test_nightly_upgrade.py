"""The nightly upgrade's steps, as processes, with real git, pip and checks, and no network."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from nightly_upgrade.checks import run_check
from nightly_upgrade.handover import unpack

Night = Any  # the one of conftest.py, which cannot be imported

pytestmark = pytest.mark.integration


def wait_for_file(path: Path, *, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} did not appear in {seconds} s"
        time.sleep(0.02)
    return path.read_text()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_whole_night_raises_what_passes_and_puts_back_what_does_not(night: Night) -> None:
    assert night.run("find")[0] == 0
    code, printed = night.run("upgrade", "work/find")
    assert code == 0, printed
    assert "2.0 refused, put back: AttributeError: module 'gadget' has no attribute 'greet'" in printed

    assert night.pins("upgrade") == "# ours\ngadget==1.5\nwidget==1.1  # small\n"
    subjects = night.git("log", "--format=%s / %an <%ae>", "main..work/upgrade").splitlines()
    assert subjects == [
        "Raise widget from 1.0 to 1.1 / Night <night@localhost>",
        "Raise gadget from 1.0 to 1.5 / Night <night@localhost>",
    ]
    message = night.git("log", "-1", "--format=%b", "work/upgrade")
    assert "Changes: https://widget.example.org/changes" in message

    assert night.run("verify", "work/upgrade")[0] == 0
    assert night.run("report")[0] == 0
    report = night.output("report")
    assert "2 of 2 pins were outdated, 2 were raised. The check passed in a fresh checkout" in report
    assert "| gadget | 2.0 | 1.5 | `AttributeError" in report
    assert f"git -C {night.repo} merge work/upgrade" in report

    night.git("merge", "--quiet", "work/upgrade")
    assert (night.repo / "pins/requirements.txt").read_text() == night.pins("upgrade")


def test_a_night_with_nothing_to_do_runs_no_check_and_says_so(night: Night) -> None:
    night.env["UPGRADE_CHECK"] = "false"
    (night.repo / "pins/requirements.txt").write_text("widget==1.1\n")
    night.git("-c", "user.name=n", "-c", "user.email=n@localhost", "commit", "--quiet", "-am", "newest")
    assert [night.run(step)[0] for step in ("find", "upgrade", "verify", "report")] == [0, 0, 0, 0]
    assert "All 1 pins that the index knows are up to date." in night.output("report")


def test_an_index_that_cannot_be_reached_is_one_clear_line(night: Night) -> None:
    night.env["PIP_FIND_LINKS"] = str(night.folder / "nowhere")
    code, printed = night.run("find")
    assert code == 1
    assert "error: the package index cannot be reached" in printed.splitlines()[-1]
    assert "Traceback" not in printed
    assert night.run("report")[0] == 0
    assert "search for outdated pins failed" in night.output("report")


def test_a_file_without_pins_and_no_file_are_told_apart(night: Night) -> None:
    night.env["UPGRADE_REQUIREMENTS"] = "check.sh"
    assert "error: check.sh has no pins" in night.run("find")[1]
    night.env["UPGRADE_REQUIREMENTS"] = "other.txt"
    assert "error: cannot read other.txt in the repository" in night.run("find")[1]


def test_nothing_is_raised_where_the_check_fails_anyway(night: Night) -> None:
    night.env["UPGRADE_CHECK"] = "echo 'RuntimeError: broken before'; exit 3"
    night.run("find")
    code, printed = night.run("upgrade", "work/find")
    assert code == 1
    assert "error: the check fails before anything is raised: RuntimeError: broken before" in printed
    assert night.git("log", "--format=%s", "main..work/upgrade") == ""
    assert night.run("report")[0] == 0
    assert "Raising them failed" in night.output("report")


def test_no_more_is_raised_than_asked_for(night: Night) -> None:
    night.env["UPGRADE_MAX_RAISES"] = "1"
    night.run("find")
    night.run("upgrade", "work/find")
    assert night.pins("upgrade") == "# ours\ngadget==1.5\nwidget==1.0  # small\n"
    assert unpack(night.output("upgrade"))["left"] == ["widget"]


def test_a_killed_upgrade_takes_its_check_along_and_goes_on_when_run_again(night: Night) -> None:
    night.run("find")
    started = night.folder / "started"
    # Waits for ever once it sees the second raise.
    night.env["UPGRADE_CHECK"] = (
        f"if [ ! -e {night.folder}/go ] && grep -q widget==1.1 pins/requirements.txt; "
        f"then sleep 600 & echo $! > {started}; wait; fi; bash check.sh"
    )
    process = night.start("upgrade", "work/find")
    sleeper = int(wait_for_file(started))
    os.killpg(process.pid, signal.SIGHUP)
    process.communicate(timeout=10)
    deadline = time.monotonic() + 5
    while is_alive(sleeper):
        assert time.monotonic() < deadline, "the check outlived its agent"
        time.sleep(0.02)
    assert "widget==1.1" in night.pins("upgrade"), "killed in the middle of a raise"

    (night.folder / "go").touch()
    code, printed = night.run("upgrade")
    assert code == 0, printed
    assert night.pins("upgrade") == "# ours\ngadget==1.5\nwidget==1.1  # small\n"
    assert unpack(night.output("upgrade"))["repository"] == str(night.repo)
    raised = unpack(night.output("upgrade"))["raised"]
    assert [(one["name"], one["new"]) for one in raised] == [("gadget", "1.5"), ("widget", "1.1")]
    assert night.git("rev-list", "--count", "main..work/upgrade") == "2"


def test_somebody_elses_changes_in_the_worktree_are_not_thrown_away(night: Night) -> None:
    night.run("find")
    changed = night.workspace("upgrade", "work/find") / "check.sh"
    changed.write_text("true\n")
    code, printed = night.run("upgrade")
    assert (code, changed.read_text()) == (1, "true\n")
    assert "uncommitted changes in check.sh" in printed


def test_a_result_that_does_not_hold_in_a_fresh_checkout_fails_the_step(night: Night) -> None:
    night.run("find")
    # Passes only beside what an earlier check has left.
    night.env["UPGRADE_CHECK"] = (
        "test -e .installed || { bash check.sh; test $(git rev-list --count HEAD) = 1; }"
    )
    night.run("upgrade", "work/find")
    code, printed = night.run("verify", "work/upgrade")
    assert code == 1, printed
    assert unpack(night.output("verify"))["passed"] is False
    assert night.run("report")[0] == 0
    assert "The check failed in a fresh checkout" in night.output("report")


def test_only_the_commit_that_was_handed_over_is_verified(night: Night) -> None:
    night.run("find")
    night.run("upgrade", "work/find")
    code, printed = night.run("verify", "main")
    assert code == 1
    assert "the upgrade ended at" in printed


def test_a_check_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    result = run_check("(sleep 600 & echo $! > child; wait) & wait", tmp_path, limit=1.0)
    assert result.timed_out
    assert not result.passed
    assert result.reason.startswith("not done after")
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline, "a grandchild outlived the check"
        time.sleep(0.02)


def test_what_a_check_leaves_in_the_background_holds_nobody_up(tmp_path: Path) -> None:
    began = time.monotonic()
    result = run_check("sleep 20 & echo $! > child; echo done", tmp_path, limit=15)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert result.passed
    assert result.tail == ["done"]
    assert time.monotonic() - began < 10


def test_a_wrong_step_is_a_usage_error(night: Night) -> None:
    code, printed = night.run("raise")
    assert code == 2
    assert "find|upgrade|verify|report" in printed
