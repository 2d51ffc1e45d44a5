from __future__ import annotations

import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.errors import WorkspaceError
from cis_provider.model.session import SessionKey, WorkspaceRequest
from cis_provider.workspaces import git as our_git
from cis_provider.workspaces import manager, record
from cis_provider.workspaces.names import OWN

from .conftest import commit, git

pytestmark = pytest.mark.integration


# --- fresh ---------------------------------------------------------------------------------------


def test_an_agent_without_a_workspace_gets_an_empty_folder_below_the_root(prepare, root) -> None:
    made = prepare("find", run="manual__2026-01-01T00:00:00+00:00")
    assert made.path.is_dir() and not list(made.path.iterdir())
    assert made.path.is_relative_to(root) and made.created
    assert (made.repo, made.branch, made.start_commit) == (None, None, None)


def test_a_retry_gets_its_folder_back_and_other_runs_and_agents_do_not(prepare) -> None:
    first = prepare("a")
    (first.path / "left").write_text("by the first try")
    assert (prepare("a").path / "left").read_text() == "by the first try"
    others = {
        prepare("b").path,
        prepare("a", run="r2").path,
        prepare("a", dag="d2").path,
        prepare("a", map_index=0).path,
    }
    assert len(others) == 4 and first.path not in others


def test_a_slot_that_became_a_link_is_refused(prepare, tmp_path) -> None:
    made = prepare("a")
    made.path.rmdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    made.path.symlink_to(outside)
    with pytest.raises(WorkspaceError, match="is a link"):
        prepare("a")


# --- folder --------------------------------------------------------------------------------------


def test_an_absolute_folder_is_made_and_reported_with_its_commit(prepare, tmp_path, repo) -> None:
    made = prepare("a", kind="folder", path=str(tmp_path / "deep/er"))
    assert made.path.is_dir() and made.created
    there = prepare("b", kind="folder", path=str(repo))
    assert not there.created and there.start_commit == git("rev-parse", "HEAD", cwd=repo)
    assert there.branch is None and there.repo == repo


def test_a_relative_folder_is_below_the_root(prepare, root) -> None:
    assert prepare("a", kind="folder", path="build/x").path == root / "build/x"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a/..", ".", "", ".cis/locks", "dag/r1/new"])
def test_a_relative_folder_never_leads_elsewhere(prepare, root, path) -> None:
    prepare("a")
    with pytest.raises(WorkspaceError):
        prepare("b", kind="folder", path=path)
    assert not (root.parent / "x").exists()


def test_a_relative_folder_never_leads_out_through_a_link(prepare, root, tmp_path) -> None:
    root.mkdir(parents=True)
    (root / "door").symlink_to(tmp_path)
    with pytest.raises(WorkspaceError, match="leads out"):
        prepare("a", kind="folder", path="door/x")


def test_rollback_of_a_folder_outside_is_refused_before_anything_is_made(prepare, tmp_path) -> None:
    with pytest.raises(WorkspaceError, match="rollback"):
        prepare("a", kind="folder", path=str(tmp_path / "mine"), rollback=True)
    assert not (tmp_path / "mine").exists()


def test_only_an_unshared_folder_is_claimed_and_by_its_real_path(cis_home, tmp_path) -> None:
    key = SessionKey("d", "r", "a")
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    claim = manager.claim_path
    assert claim(WorkspaceRequest(kind="folder", path=str(tmp_path / "alias/x")), key) == str(
        tmp_path / "real/x"
    )
    assert claim(WorkspaceRequest(kind="folder", path="x"), key) == str(paths.workspace_root() / "x")
    assert claim(WorkspaceRequest(kind="folder", path="x", shared=True), key) is None
    assert claim(WorkspaceRequest(), key) is None
    assert claim(WorkspaceRequest(kind="worktree", repo=str(tmp_path)), key) is None
    assert not paths.workspace_root().exists()


# --- worktree ------------------------------------------------------------------------------------


def test_a_worktree_stands_at_the_ref_on_a_branch_of_its_own(prepare, repo) -> None:
    old = git("rev-parse", "HEAD", cwd=repo)
    new = commit(repo, "pins.txt", "new\n")
    made = prepare("upgrade", kind="worktree", repo=str(repo), ref=old)
    assert (made.start_commit, made.branch) == (old, "cis/dag/r1/upgrade")
    assert (made.path / "pins.txt").read_text() == "old\n"
    assert git("symbolic-ref", "--short", "HEAD", cwd=made.path) == made.branch
    assert git("status", "--porcelain", cwd=made.path) == ""
    assert made.repo == repo and made.name == f"node-a:{repo}@{old}"
    assert git("rev-parse", "main", cwd=repo) == new and git("status", "--porcelain", cwd=repo) == ""
    assert prepare("other", kind="worktree", repo=str(repo)).start_commit == new


def test_a_retry_gets_its_worktree_back_although_the_ref_moved(prepare, repo) -> None:
    first = prepare("a", kind="worktree", repo=str(repo), ref="main")
    (first.path / "half").write_text("done")
    commit(repo, "pins.txt", "moved\n")
    again = prepare("a", kind="worktree", repo=str(repo), ref="main")
    assert (again.path, again.branch, again.start_commit) == (first.path, first.branch, first.start_commit)
    assert (again.path / "half").exists()


def test_a_changed_request_gets_another_folder_and_leaves_the_first(prepare, repo) -> None:
    first = prepare("a", kind="worktree", repo=str(repo), ref="main")
    git("branch", "dev", cwd=repo)
    other = prepare("a", kind="worktree", repo=str(repo), ref="dev")
    assert other.path != first.path and other.branch != first.branch and first.path.is_dir()


def test_a_worktree_that_somebody_removed_comes_back_with_its_commits(prepare, repo) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    done = commit(made.path, "work.txt", "x")
    git("worktree", "remove", "--force", made.path, cwd=repo)
    again = prepare("a", kind="worktree", repo=str(repo))
    assert git("rev-parse", "HEAD", cwd=again.path) == done
    assert (again.path / "work.txt").exists() and again.start_commit == made.start_commit


def test_a_worktree_that_was_only_half_made_is_made_again(prepare, repo, root) -> None:
    made = prepare("a", kind="worktree", repo=str(repo))
    slot = made.slot
    half = record.read(slot)
    assert half is not None
    half.ready = False
    record.write(slot, half)
    (made.path / "pins.txt").unlink()
    again = prepare("a", kind="worktree", repo=str(repo))
    assert (again.path / "pins.txt").exists() and again.branch == made.branch


def test_a_taken_branch_name_gets_a_number(prepare, repo) -> None:
    git("branch", "cis/dag/r1/a", cwd=repo)
    assert prepare("a", kind="worktree", repo=str(repo)).branch == "cis/dag/r1/a-2"


def test_many_agents_at_once_on_one_repository_each_get_their_own(prepare, repo) -> None:
    count = 16
    together = threading.Barrier(count)

    def one(number: int):
        together.wait(timeout=30)
        return prepare(f"agent-{number}", kind="worktree", repo=str(repo))

    with ThreadPoolExecutor(count) as pool:
        made = list(pool.map(one, range(count)))
    assert len({m.path for m in made}) == len({m.branch for m in made}) == count
    assert all((m.path / "pins.txt").read_text() == "old\n" for m in made)


def test_a_lock_of_another_git_is_waited_for(prepare, repo) -> None:
    lock = repo / ".git/refs/heads/cis/dag/r1/a.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    threading.Timer(0.5, lock.unlink).start()
    assert prepare("a", kind="worktree", repo=str(repo)).branch == "cis/dag/r1/a"


def test_variables_that_point_git_elsewhere_change_nothing(prepare, repo, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    made = prepare("a", kind="worktree", repo=str(repo))
    assert (made.path / "pins.txt").exists() and not (tmp_path / "index").exists()


def test_hooks_of_the_repository_do_not_stop_a_worktree(prepare, repo) -> None:
    (repo / ".git/hooks").mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction"):
        hook = repo / ".git/hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    made = prepare("a", kind="worktree", repo=str(repo))
    shutil.rmtree(made.path)
    assert (prepare("a", kind="worktree", repo=str(repo)).path / "pins.txt").exists()


@pytest.mark.parametrize(
    ("ref", "words"),
    [("mian", "did you mean 'main'"), ("--force", "begins with '-'"), ("0" * 40, "no branch, tag or commit")],
)
def test_a_wrong_ref_is_named_with_its_repository(prepare, repo, root, ref, words) -> None:
    with pytest.raises(WorkspaceError, match=words):
        prepare("a", kind="worktree", repo=str(repo), ref=ref)
    assert not (root / "dag/r1/a").exists()
    assert git("branch", "--list", "cis/*", cwd=repo) == ""


@pytest.mark.parametrize(
    ("repo_text", "words"),
    [
        ("-x", "neither a folder nor"),
        ("some/where", "neither an absolute path nor"),
        ("https://me:secret@localhost/r.git", "credential helper"),
        ("/nowhere/at/all", "no folder /nowhere/at/all"),
    ],
)
def test_a_wrong_repository_is_refused_with_a_way_out(prepare, repo_text, words) -> None:
    with pytest.raises(WorkspaceError, match=words) as caught:
        prepare("a", kind="worktree", repo=repo_text)
    assert "secret" not in str(caught.value)


def test_a_folder_inside_a_repository_and_one_without_commits_are_refused(prepare, repo, tmp_path) -> None:
    (repo / "sub").mkdir()
    with pytest.raises(WorkspaceError, match="inside the repository"):
        prepare("a", kind="worktree", repo=str(repo / "sub"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(WorkspaceError, match="not a git repository"):
        prepare("b", kind="worktree", repo=str(empty))
    git("init", "-q", cwd=empty)
    with pytest.raises(WorkspaceError, match="no commit yet"):
        prepare("c", kind="worktree", repo=str(empty))


def test_a_node_without_git_says_how_to_get_it(prepare, repo, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="install it"):
        prepare("a", kind="worktree", repo=str(repo))


def test_a_git_that_hangs_is_stopped_with_its_children(repo, monkeypatch, tmp_path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(WorkspaceError, match="took longer than 1 s"):
        our_git.run(["-c", f"alias.hang=!echo $$ > {mark}; exec sleep 60", "hang"], cwd=repo, timeout=1.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


# --- an address ----------------------------------------------------------------------------------


def test_an_address_is_cloned_once_and_fetched_when_used_again(prepare, repo, root) -> None:
    url = f"file://{repo}"
    first = prepare("a", kind="worktree", repo=url)
    assert (first.path / "pins.txt").read_text() == "old\n"
    new = commit(repo, "pins.txt", "new\n")
    second = prepare("b", kind="worktree", repo=url, ref="main")
    assert second.start_commit == new and second.repo == first.repo
    assert [p.suffix for p in (root / OWN / "repos").iterdir()] == [".git"]


def test_a_fetch_takes_nothing_from_the_agents_branches(prepare, repo) -> None:
    url = f"file://{repo}"
    made = prepare("a", kind="worktree", repo=url)
    mine = commit(made.path, "mine.txt", "x")
    prepare("b", kind="worktree", repo=url)
    assert git("rev-parse", made.branch or "", cwd=made.path) == mine
    git("push", "-q", "origin", "HEAD:upgrades", cwd=made.path)
    assert git("rev-parse", "upgrades", cwd=repo) == mine


def test_a_known_commit_of_an_address_needs_no_server(prepare, repo, tmp_path) -> None:
    url = f"file://{repo}"
    first = prepare("a", kind="worktree", repo=url)
    repo.rename(tmp_path / "gone")
    assert prepare("b", kind="worktree", repo=url, ref=first.start_commit).path.is_dir()
    with pytest.raises(WorkspaceError, match=f"git fetch failed in file://.*{repo.name}.* not appear"):
        prepare("c", kind="worktree", repo=url, ref="main")


def test_many_agents_at_once_clone_an_address_once(prepare, repo, root) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda n: prepare(f"a{n}", kind="worktree", repo=f"file://{repo}"), range(6)))
    assert len({m.branch for m in made}) == 6 and len({m.repo for m in made}) == 1


def test_a_server_that_wants_a_password_asks_nobody(prepare) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(
                    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                )

        threading.Thread(target=refuse, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/r.git"
        with pytest.raises(WorkspaceError, match="credential helper"):
            prepare("a", kind="worktree", repo=url)


# --- from an upstream agent ----------------------------------------------------------------------


def test_downstream_begins_at_the_upstream_agents_commit(prepare, repo) -> None:
    up = prepare("up", kind="worktree", repo=str(repo))
    done = commit(up.path, "pins.txt", "new\n")
    down = prepare("down", kind="from_agent", origin=str(up.path), origin_commit=done)
    assert down.start_commit == done and down.branch == "cis/dag/r1/down" and down.path != up.path
    assert (down.path / "pins.txt").read_text() == "new\n" and down.note == ""
    commit(down.path, "pins.txt", "newer\n")
    assert git("rev-parse", "HEAD", cwd=up.path) == done


def test_what_upstream_left_uncommitted_is_there_downstream_and_stays_so_upstream(prepare, repo) -> None:
    up = prepare("up", kind="worktree", repo=str(repo))
    before = git("rev-parse", "HEAD", cwd=up.path)
    (up.path / "pins.txt").write_text("changed\n")
    (up.path / "new file").write_text("x")
    (up.path / "ignored").mkdir()
    (up.path / "ignored/big").write_text("x")
    git("init", "-q", "nested", cwd=up.path)
    (up.path / "nested/y").write_text("y")
    status = git("status", "--porcelain", cwd=up.path)

    down = prepare("down", kind="from_agent", origin=str(up.path), origin_commit=before)
    assert (down.path / "pins.txt").read_text() == "changed\n" and (down.path / "new file").exists()
    assert not (down.path / "ignored").exists()
    assert down.start_commit != before and git("rev-parse", "HEAD~1", cwd=down.path) == before
    assert "uncommitted" in down.note and "nested" in down.note
    assert git("status", "--porcelain", cwd=down.path) == ""
    assert (
        git("status", "--porcelain", cwd=up.path) == status
        and git("rev-parse", "HEAD", cwd=up.path) == before
    )
    assert prepare("down", kind="from_agent", origin=str(up.path), origin_commit=before).path == down.path


def test_downstream_starts_anew_when_upstream_was_run_again(prepare, repo) -> None:
    up = prepare("up", kind="worktree", repo=str(repo))
    first = commit(up.path, "pins.txt", "1\n")
    down = prepare("down", kind="from_agent", origin=str(up.path), origin_commit=first)
    second = commit(up.path, "pins.txt", "2\n")
    again = prepare("down", kind="from_agent", origin=str(up.path), origin_commit=second)
    assert again.path != down.path and (again.path / "pins.txt").read_text() == "2\n"


def test_an_older_commit_of_upstream_is_taken_without_what_came_later(prepare, repo) -> None:
    up = prepare("up", kind="worktree", repo=str(repo))
    theirs = commit(up.path, "pins.txt", "theirs\n")
    commit(up.path, "pins.txt", "a person's\n")
    (up.path / "later").touch()
    down = prepare("down", kind="from_agent", origin=str(up.path), origin_commit=theirs)
    assert (down.path / "pins.txt").read_text() == "theirs\n" and not (down.path / "later").exists()
    assert "moved on" in down.note


def test_without_git_downstream_gets_a_copy_of_everything(prepare) -> None:
    up = prepare("up")
    (up.path / "sub").mkdir()
    (up.path / "sub/data").write_text("x")
    (up.path / ".hidden").write_text("h")
    (up.path / "link").symlink_to("sub/data")
    (up.path / "run.sh").touch(0o755)
    down = prepare("down", kind="from_agent", origin=str(up.path))
    assert (down.path / "sub/data").read_text() == "x" and (down.path / ".hidden").exists()
    assert (down.path / "link").is_symlink() and os.access(down.path / "run.sh", os.X_OK)
    assert (down.path / "sub/data").stat().st_ino != (up.path / "sub/data").stat().st_ino
    (down.path / "sub/data").write_text("mine")
    assert (up.path / "sub/data").read_text() == "x"
    assert (prepare("down", kind="from_agent", origin=str(up.path)).path / "sub/data").read_text() == "mine"


def test_a_shared_upstream_workspace_is_that_very_folder(prepare, repo) -> None:
    up = prepare("up", kind="worktree", repo=str(repo))
    down = prepare("down", kind="from_agent", origin=str(up.path), shared=True)
    assert down.path == up.path and not down.created and down.branch is None


def test_an_upstream_workspace_that_is_gone_says_what_to_do(prepare, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="run that agent again"):
        prepare("down", kind="from_agent", origin=str(tmp_path / "gone"))
