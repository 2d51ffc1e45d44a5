from __future__ import annotations

import os
import shutil

import pytest

from cis_provider.workspaces.manager import conclude

from .conftest import commit, git

pytestmark = pytest.mark.integration


def test_a_conclusion_tells_commit_branch_and_all_that_changed(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    commit(made.path, "one.txt", "1\n")
    last = commit(made.path, "two.txt", "2\n")
    (made.path / "pins.txt").write_text("not committed\n")
    (made.path / "stray file").write_text("x")
    end = conclude(made, failed=False)
    assert (end.commit, end.branch, end.uncommitted, end.error) == (last, made.branch, True, "")
    assert end.diff_stat is not None
    stat, *rest = end.diff_stat.split("2 files changed")
    assert "one.txt" in stat and "two.txt" in stat and "pins.txt" not in stat
    assert "Not committed" in rest[0] and "pins.txt" in rest[0] and "stray file" in rest[0]


def test_file_names_that_are_no_text_can_be_sent_on(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    for name in (b"caf\xe9.txt", b"stray\xe9"):
        (made.path / os.fsdecode(name)).touch()
    git("add", "*.txt", cwd=made.path)
    git("commit", "-qm", "x", cwd=made.path)
    end = conclude(made, failed=True)
    assert "caf" in (end.diff_stat or "") and "stray" in (end.diff_stat or "")
    for text in (end.diff_stat, end.note, end.branch):
        (text or "").encode("utf-8")
    assert end.rolled_back


def test_nothing_done_is_an_empty_diff_stat(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    end = conclude(made, failed=False)
    assert (end.commit, end.diff_stat, end.uncommitted) == (made.start_commit, "", False)


def test_the_diff_stat_spans_all_tries(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    commit(made.path, "one.txt", "1\n")
    conclude(made, failed=True)
    again = prepare("a", kind="worktree", repo=str(repo))
    commit(again.path, "two.txt", "2\n")
    assert "2 files changed" in (conclude(again, failed=False).diff_stat or "")


def test_a_plain_folder_has_no_commit_and_a_clone_made_in_it_has(prepare, repo) -> None:
    plain = conclude(prepare("a"), failed=False)
    assert (plain.commit, plain.branch, plain.diff_stat, plain.error) == (None, None, None, "")
    made = prepare("b")
    git("clone", "-q", repo, made.path, cwd=repo)
    end = conclude(made, failed=False)
    assert end.commit == git("rev-parse", "HEAD", cwd=repo) and end.branch == "main" and not end.error


def test_a_named_repository_is_reported_as_well(prepare, repo) -> None:
    made = prepare("a", kind="folder", path=str(repo))
    last = commit(repo, "one.txt", "1\n")
    end = conclude(made, failed=False)
    assert end.commit == last and "one.txt" in (end.diff_stat or "")


@pytest.mark.parametrize("damage", ["folder", "git file", "repository"])
def test_a_damaged_workspace_is_told_and_raises_nothing(prepare, repo, damage) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    if damage == "folder":
        shutil.rmtree(made.path)
    elif damage == "git file":
        (made.path / ".git").unlink()
    else:
        shutil.rmtree(repo)
    end = conclude(made, failed=True)
    assert end.error and str(made.path) in end.error and not end.rolled_back


# --- rollback ------------------------------------------------------------------------------------


def test_rollback_puts_a_worktree_back_and_loses_nothing(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    done = commit(made.path, "one.txt", "1\n")
    (made.path / "pins.txt").write_text("half\n")
    (made.path / "stray").write_text("x")
    end = conclude(made, failed=True)
    assert end.rolled_back and end.commit == done and "one.txt" in (end.diff_stat or "")
    assert git("rev-parse", "HEAD", cwd=made.path) == made.start_commit
    assert git("status", "--porcelain", cwd=made.path) == "" and not (made.path / "stray").exists()
    ref = "refs/cis/rollback/dag/r1/a"
    assert ref in end.note
    assert git("show", f"{ref}:pins.txt", cwd=repo) == "half" and git("show", f"{ref}:stray", cwd=repo) == "x"
    assert git("rev-parse", f"{ref}~1", cwd=repo) == done


def test_every_failed_try_keeps_its_own_remains(prepare, repo) -> None:
    for text in ("first", "second"):
        made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
        commit(made.path, "one.txt", text)
        assert conclude(made, failed=True).rolled_back
    assert git("show", "refs/cis/rollback/dag/r1/a:one.txt", cwd=repo) == "first"
    assert git("show", "refs/cis/rollback/dag/r1/a-2:one.txt", cwd=repo) == "second"


def test_rollback_leaves_other_branches_alone_and_comes_back_to_its_own(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    own = commit(made.path, "own.txt", "on the agent's branch\n")
    git("checkout", "-q", "-b", "feature", "main", cwd=made.path)
    feature = commit(made.path, "f.txt", "f\n")
    end = conclude(made, failed=True)
    assert end.rolled_back and end.branch == "feature"
    assert git("rev-parse", "feature", cwd=repo) == feature
    assert git("symbolic-ref", "--short", "HEAD", cwd=made.path) == made.branch
    kept = git("for-each-ref", "--format=%(objectname)", "refs/cis/rollback", cwd=repo).split()
    assert own in kept and git("rev-parse", made.branch or "", cwd=repo) == made.start_commit


def test_rollback_gets_out_of_a_conflict_and_past_a_lock_left_behind(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    commit(repo, "pins.txt", "theirs\n")
    commit(made.path, "pins.txt", "mine\n")
    with pytest.raises(Exception, match="rebase"):
        git("rebase", "main", cwd=made.path)
    (made.path / git("rev-parse", "--git-path", "index.lock", cwd=made.path)).touch()
    end = conclude(made, failed=True)
    assert end.rolled_back and not end.error
    assert "rebase" not in git("status", cwd=made.path)
    assert (made.path / "pins.txt").read_text() == "old\n"


def test_ignored_files_and_inner_repositories_survive_a_rollback(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    (made.path / "ignored").mkdir()
    (made.path / "ignored/cache").touch()
    git("init", "-q", "inner", cwd=made.path)
    (made.path / "inner/work").touch()
    assert conclude(made, failed=True).rolled_back
    assert (made.path / "ignored/cache").exists() and (made.path / "inner/work").exists()


def test_a_success_is_never_rolled_back(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo), rollback=True)
    done = commit(made.path, "one.txt", "1\n")
    folder = prepare("b", kind="folder", path="named", rollback=True)
    (folder.path / "x").touch()
    assert not conclude(made, failed=False).rolled_back and not conclude(folder, failed=False).rolled_back
    assert git("rev-parse", "HEAD", cwd=made.path) == done and (folder.path / "x").exists()
    assert not folder.slot.start.exists()


def test_a_failure_without_rollback_leaves_everything(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    (made.path / "stray").touch()
    assert not conclude(made, failed=True).rolled_back
    assert (made.path / "stray").exists()


def test_rollback_puts_a_named_folder_below_the_root_back(prepare, root) -> None:
    (root / "named/sub").mkdir(parents=True)
    (root / "named/sub/kept").write_text("as it was")
    made = prepare("a", kind="folder", path="named", rollback=True)
    (made.path / "sub/kept").write_text("spoilt")
    (made.path / "stray").touch()
    end = conclude(made, failed=True)
    assert end.rolled_back and (root / "named/sub/kept").read_text() == "as it was"
    assert not (root / "named/stray").exists()
    aside = end.note.rsplit(" ", 1)[1]
    assert aside.endswith("a.failed-1") and (made.slot.notes / "a.failed-1/stray").exists()
    again = prepare("a", kind="folder", path="named", rollback=True)
    (again.path / "sub/kept").write_text("spoilt again")
    assert conclude(again, failed=True).rolled_back
    assert (root / "named/sub/kept").read_text() == "as it was"


@pytest.mark.parametrize("kind", ["fresh", "worktree", "folder"])
def test_a_try_whose_worker_died_is_put_back_before_the_next(prepare, repo, kind) -> None:
    request = {"kind": kind, "rollback": True}
    if kind == "worktree":
        request["repo"] = str(repo)
    if kind == "folder":
        request["path"] = "named"
    made = prepare("a", **request)
    (made.path / "half").touch()
    again = prepare("a", **request)
    assert again.path == made.path and not (again.path / "half").exists()


@pytest.mark.parametrize("kind", ["fresh", "worktree", "folder"])
def test_a_session_that_goes_on_in_another_worker_finds_what_it_has_done(prepare, repo, kind) -> None:
    request = {"kind": kind, "rollback": True}
    if kind == "worktree":
        request["repo"] = str(repo)
    if kind == "folder":
        request["path"] = "named"
    made = prepare("a", session_id="one", **request)
    (made.path / "half").touch()
    again = prepare("a", session_id="one", **request)
    assert again.path == made.path and (again.path / "half").exists()
    conclude(again, failed=True)
    assert not (again.path / "half").exists(), "it is put back to where the session began at first"
