"""Putting a CIS file where the loader finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cis_provider.errors import UsageError
from dag_factory.diagnostics import InvalidSpec
from dag_factory.origin import base_folder_of, install, origin_of

GOOD = "agents: [{id: a, type: shell, prompt: x}]\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    return tmp_path / "home/dags"


def test_a_file_is_copied_under_its_dag_id_and_its_folder_is_kept(work: Path, dags: Path) -> None:
    (work / "x.cis.yaml").write_text("name: nightly\n" + GOOD)
    target = install(work / "x.cis.yaml", dags)
    assert target == dags / "nightly.yaml"
    assert target.read_text() == "name: nightly\n" + GOOD
    assert base_folder_of(target) == work


def test_a_file_without_a_name_keeps_its_dag_id(work: Path, dags: Path) -> None:
    (work / "x.cis.json").write_text('[{"id": "a", "type": "shell", "prompt": "x"}]')
    assert install(work / "x.cis.json", dags) == dags / "x.json"


def test_the_same_file_may_come_again_and_change_its_format(work: Path, dags: Path) -> None:
    (work / "x.yaml").write_text(GOOD)
    install(work / "x.yaml", dags)
    (work / "x.yaml").write_text(GOOD + "max_workers: 2\n")
    assert "max_workers" in install(work / "x.yaml", dags).read_text()


def test_a_dag_id_of_another_file_is_refused_and_nothing_is_changed(work: Path, dags: Path) -> None:
    (work / "a.yaml").write_text("name: x\n" + GOOD)
    (work / "b.yaml").write_text("name: x\n" + GOOD + "max_workers: 2\n")
    install(work / "a.yaml", dags)
    with pytest.raises(
        UsageError, match=rf'the DAG id "x" is that of {work}/a.yaml; give this file another name'
    ):
        install(work / "b.yaml", dags)
    assert "max_workers" not in (dags / "x.yaml").read_text()
    assert (origin := origin_of(dags / "x.yaml")) is not None
    assert origin.file == str(work / "a.yaml")


def test_a_dag_id_whose_file_is_gone_may_be_taken_over(work: Path, dags: Path) -> None:
    (work / "a.yaml").write_text("name: x\n" + GOOD)
    install(work / "a.yaml", dags)
    (work / "a.yaml").rename(work / "b.yaml")
    assert install(work / "b.yaml", dags) == dags / "x.yaml"
    assert (origin := origin_of(dags / "x.yaml")) is not None
    assert origin.file == str(work / "b.yaml")


def test_a_file_whose_scope_another_file_has_on_another_node_is_refused(work: Path, dags: Path) -> None:
    scoped = GOOD + "scope: project:p\nnode: %s\n"
    (work / "a.yaml").write_text(scoped % "one")
    (work / "b.yaml").write_text(scoped % "two")
    install(work / "a.yaml", dags)
    with pytest.raises(UsageError, match=r'agent "a" of .*/a\.yaml on one; .* or remove .*/a\.yaml'):
        install(work / "b.yaml", dags)
    assert not (dags / "b.yaml").exists()
    # Its own last copy does not count: it is replaced, under another name as well.
    (work / "a.yaml").write_text(scoped % "two")
    install(work / "a.yaml", dags)
    (work / "b.yaml").write_text(scoped % "two")
    install(work / "b.yaml", dags)


@pytest.mark.parametrize("name", ["x.yaml", "sub/other.yaml"])
def test_a_dag_id_of_a_file_put_there_by_hand_is_refused(work: Path, dags: Path, name: str) -> None:
    (dags / name).parent.mkdir(parents=True)
    (dags / name).write_text("name: x\n" + GOOD)
    (work / "x.yaml").write_text(GOOD)
    with pytest.raises(UsageError, match=name):
        install(work / "x.yaml", dags)


def test_a_file_that_is_there_already_stays_where_it_is(dags: Path) -> None:
    (dags / "team").mkdir(parents=True)
    file = dags / "team/x.yaml"
    file.write_text(GOOD)
    assert install(file, dags) == file
    assert base_folder_of(file) == dags / "team"
    assert not (dags / ".origins").exists()


def test_a_file_with_mistakes_is_not_copied(work: Path, dags: Path) -> None:
    (work / "x.yaml").write_text("agents: []\n")
    with pytest.raises(InvalidSpec, match="F103"):
        install(work / "x.yaml", dags)
    assert not dags.exists()
