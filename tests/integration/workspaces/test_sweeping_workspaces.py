from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from cis_provider.workspaces import record
from cis_provider.workspaces.manager import Kept, Removed, conclude, sweep
from cis_provider.workspaces.tree import remove_tree

from .conftest import commit, git

pytestmark = pytest.mark.integration

DAY = 86400.0


def later(days: float = 15) -> float:
    return time.time() + days * DAY


def swept(root: Path, **options) -> tuple[set[Path], dict[Path, str]]:
    outcomes = sweep(root, **{"now": later(), "alive": (), **options})
    return (
        {outcome.path for outcome in outcomes if isinstance(outcome, Removed)},
        {outcome.path: outcome.reason for outcome in outcomes if isinstance(outcome, Kept)},
    )


def test_old_workspaces_go_with_their_branches_and_folders(prepare, repo, root) -> None:
    fresh, tree = prepare("a"), prepare("b", kind="worktree", repo=str(repo))
    (fresh.path / "x").touch()
    conclude(fresh, failed=False)
    assert swept(root) == ({fresh.path, tree.path}, {})
    assert not (root / "dag").exists()
    assert git("branch", "--list", "cis/*", cwd=repo) == "" and str(tree.path) not in git(
        "worktree", "list", cwd=repo
    )


def test_a_run_is_kept_until_its_last_agents_time_is_over(prepare, root) -> None:
    old, young = prepare("a"), prepare("b")
    known = record.read(old.slot)
    assert known is not None
    known.prepared_at -= 30 * DAY
    record.write(old.slot, known)
    assert swept(root, now=later(13.9)) == (set(), {})
    assert swept(root, now=later(2), keep_days=1) == ({old.path, young.path}, {})


def test_a_run_with_a_live_session_is_left_alone(prepare, root) -> None:
    one, two = prepare("a"), prepare("b")
    assert swept(root, alive=[one.path]) == (set(), {})
    assert one.path.exists() and two.path.exists()


@pytest.mark.parametrize("what", ["modified", "untracked", "staged"])
def test_uncommitted_changes_are_kept(prepare, repo, root, what) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    (made.path / ("pins.txt" if what == "modified" else "new.txt")).write_text("x")
    if what == "staged":
        git("add", "new.txt", cwd=made.path)
    removed, kept = swept(root)
    assert removed == set() and "uncommitted" in kept[made.path]


def test_commits_on_no_other_branch_are_kept_until_they_are_merged(prepare, repo, root) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    commit(made.path, "one.txt", "1\n")
    removed, kept = swept(root)
    assert removed == set() and "no other branch" in kept[made.path]
    git("merge", "-q", made.branch, cwd=repo)
    assert swept(root) == ({made.path}, {})
    assert (repo / "one.txt").exists()


def test_of_two_branches_with_the_same_commit_one_stays(prepare, repo, root) -> None:
    up = prepare("up", kind="worktree", repo=str(repo))
    done = commit(up.path, "one.txt", "1\n")
    down = prepare("down", kind="from_agent", origin=str(up.path), origin_commit=done)
    removed, kept = swept(root)
    assert len(removed) == 1 and len(kept) == 1 and removed | set(kept) == {up.path, down.path}
    assert git("branch", "--contains", done, cwd=repo)


def test_a_commit_between_branches_is_kept(prepare, repo, root) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    git("checkout", "-q", "--detach", cwd=made.path)
    commit(made.path, "one.txt", "1\n")
    removed, kept = swept(root)
    assert removed == set() and "on no branch" in kept[made.path]


def test_an_agents_own_clone_in_a_plain_folder_is_kept_until_it_is_pushed(prepare, repo, root) -> None:
    made = prepare("a")
    clone = made.path / "deep/clone"
    git("clone", "-q", repo, clone, cwd=repo)
    commit(clone, "one.txt", "1\n")
    removed, kept = swept(root)
    assert removed == set() and str(clone) in kept[made.path]
    git("push", "-q", "origin", "HEAD:other", cwd=clone)
    (clone / "stray").touch()
    assert "uncommitted" in swept(root)[1][made.path]
    (clone / "stray").unlink()
    assert swept(root)[0] == {made.path}


@pytest.mark.parametrize("how", ["init", "bare", "stash"])
def test_repositories_without_a_remote_copy_are_kept(prepare, repo, root, how) -> None:
    made = prepare("a")
    inner = made.path / "inner"
    git("clone", "-q", *(["--bare"] if how == "bare" else []), repo, inner, cwd=repo)
    if how == "init":
        git("remote", "remove", "origin", cwd=inner)
    if how == "stash":
        (inner / "pins.txt").write_text("stashed\n")
        git("stash", "-q", cwd=inner)
    removed, kept = swept(root)
    assert removed == set() and "no remote" in kept[made.path]


def test_named_folders_stay_wherever_they_are(prepare, root, tmp_path) -> None:
    inside = prepare("a", kind="folder", path="named")
    outside = prepare("b", kind="folder", path=str(tmp_path / "mine"))
    for made in (inside, outside):
        (made.path / "x").touch()
    assert swept(root) == (set(), {})
    assert (inside.path / "x").exists() and (outside.path / "x").exists()
    assert not (root / "dag").exists()


def test_a_link_in_place_of_a_workspace_is_neither_followed_nor_removed(prepare, root, tmp_path) -> None:
    made = prepare("a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    made.path.rmdir()
    made.path.symlink_to(outside)
    removed, kept = swept(root)
    assert removed == set() and "link" in kept[made.path] and (outside / "precious").exists()


@pytest.mark.parametrize("level", ["dag", "run"])
def test_a_link_above_a_workspace_is_not_walked_through(prepare, root, tmp_path, level) -> None:
    made = prepare("a")
    part = root / "dag" if level == "dag" else root / "dag/r1"
    moved = tmp_path / "moved"
    shutil.move(part, moved)
    part.symlink_to(moved)
    assert swept(root) == (set(), {})
    assert (moved / made.path.relative_to(part)).is_dir()


def test_links_inside_a_workspace_go_without_what_they_point_to(prepare, root, tmp_path) -> None:
    made = prepare("a")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/x").touch()
    (made.path / "way-out").symlink_to(tmp_path / "precious")
    assert swept(root)[0] == {made.path}
    assert (tmp_path / "precious/x").exists()


def test_a_folder_without_a_record_is_left_alone(root) -> None:
    (root / "dag/run/agent").mkdir(parents=True)
    (root / "dag/run/.cis").mkdir()
    assert swept(root) == (set(), {}) and (root / "dag/run/agent").exists()


def test_an_unreadable_record_is_kept_and_named(prepare, root) -> None:
    made = prepare("a")
    made.slot.record.write_text("{")
    removed, kept = swept(root)
    assert removed == set() and "cannot be read" in kept[made.path] and made.path.exists()


def test_a_worktree_whose_repository_is_gone_is_kept(prepare, repo, root) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    shutil.rmtree(repo)
    removed, kept = swept(root)
    assert removed == set() and "is gone" in kept[made.path] and (made.path / "pins.txt").exists()


def test_what_a_rolled_back_folder_left_goes_with_it(prepare, root) -> None:
    made = prepare("a", rollback=True)
    (made.path / "x").touch()
    conclude(made, failed=True)
    assert (made.slot.notes / "a.failed-1/x").exists()
    assert swept(root)[0] == {made.path} and not (root / "dag").exists()


def _remove_a_locked_tree(parent: Path) -> None:
    if os.getuid() == 0:
        os.setuid(65534)  # root may write everywhere
    folder = parent / "workspace"
    (folder / "cache/mod").mkdir(parents=True)
    (folder / "cache/mod/x").touch()
    (folder / "cache/mod").chmod(0o555)
    (folder / "cache").chmod(0o000)
    remove_tree(folder)
    assert not folder.exists()


def test_folders_without_write_permission_go_as_well() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o777)
        child = multiprocessing.get_context("fork").Process(
            target=_remove_a_locked_tree, args=(Path(parent),)
        )
        child.start()
        child.join(30)
        assert child.exitcode == 0
