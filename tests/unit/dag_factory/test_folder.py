"""Which files are CIS files, which DAG ids they share, and the index of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dag_factory import folder
from dag_factory.folder import candidate_files, read_cis_file, read_folder
from dag_factory.index import entry_of, find_entry, index_file, read_index, write_index
from dag_factory.lint import lint_paths

GOOD = "agents: [{id: a, type: shell, prompt: x}]\n"


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("a.yaml", GOOD, True),
        ("a.yml", "- {id: a, type: shell, prompt: x}\n", True),
        ("a.json", '{"agents": [{"id": "a", "type": "shell", "prompt": "x"}]}', True),
        ("a.yaml", "agents: {}\n", True),
        ("a.yaml", "agents:\n  - id: [\n", True),
        ("a.yaml", "# about\n- id: a\n  type: [\n", True),
        ("a.json", '{"agents": [}', True),
        ("a.cis.yaml", "nothing: here", True),
        ("docker-compose.yaml", "services: {x: {image: y, user_agents: 1}}\n", False),
        ("list.yaml", "- {name: x, tasks: [{id: 1, type: 2}]}\n", False),
        ("broken.yaml", "services:\n  agents: [\n", False),
        ("package.json", '{"name": "agents", "type": "module", "id": [}', False),
        ("notes.txt", GOOD, False),
        (".hidden.yaml", GOOD, False),
    ],
)
def test_other_yaml_in_a_dags_folder_is_left_alone(
    tmp_path: Path, name: str, text: str, is_one: bool
) -> None:
    (tmp_path / name).write_text(text)
    assert len(list(read_folder(tmp_path))) == is_one


def test_every_folder_below_is_looked_at_but_no_hidden_one_and_none_twice(tmp_path: Path) -> None:
    for name in ("b/c", ".git", "a", "__pycache__"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "f.yaml").write_text(GOOD)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert list(candidate_files(tmp_path)) == [tmp_path / "a/f.yaml", tmp_path / "b/c/f.yaml"]


def test_one_dag_id_in_two_files_is_a_mistake_in_the_second(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: x\n" + GOOD)
    (tmp_path / "b.yaml").write_text("name: x\n" + GOOD)
    assert [str(d) for d in lint_paths([tmp_path])] == [
        f'{tmp_path}/b.yaml:1:7: F207 the DAG id "x" is that of {tmp_path}/a.yaml already '
        "(give this file another name:)"
    ]


def test_a_file_with_mistakes_takes_no_dag_id_from_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: x\nwrong: 1\n" + GOOD)
    (tmp_path / "b.yaml").write_text("name: x\n" + GOOD)
    assert [found.checked.spec is not None for found in read_folder(tmp_path)] == [False, True]


def _on(node: str, scope: str = "project:x") -> str:
    where = f", node: {node}" if node else ""
    return f"scope: {scope}\nagents: [{{id: a, type: shell, prompt: x{where}}}]\n"


@pytest.mark.parametrize(
    ("first", "second", "wrong"),
    [
        (_on("one"), _on("two"), True),
        (_on("one"), _on("one"), False),
        (_on("one"), _on(""), True),
        (_on("one"), _on("two", "project:y"), False),
        (_on("one", "global"), _on("two", "global"), False),
        (_on("one", "'{{ params.s }}'"), _on("two", "'{{ params.s }}'"), False),
        ("wrong: 1\n" + _on("one"), _on("two"), False),
    ],
)
def test_one_scope_on_two_nodes_is_a_mistake_in_the_second_file(
    tmp_path: Path, first: str, second: str, wrong: bool
) -> None:
    (tmp_path / "a.yaml").write_text(first)
    (tmp_path / "b.yaml").write_text(second)
    found = list(read_folder(tmp_path))
    assert found[1].checked.spec is None if wrong else found[1].checked.spec is not None
    assert [d.code for d in found[1].checked.diagnostics] == (["F209"] if wrong else [])


def test_a_scope_on_two_nodes_is_said_with_both_files_and_both_agents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: proj-x-daily\nnode: one\n" + GOOD)
    (tmp_path / "b.yaml").write_text(_on("two"))
    (tmp_path / "c.yaml").write_text("name: b\n" + _on(""))
    (tmp_path / "d.yaml").write_text(_on("one"))
    assert [str(d) for d in lint_paths([tmp_path])] == [
        f'{tmp_path}/b.yaml:2:48: F209 agent "a" has project:x on two, but agent "a" of {tmp_path}/a.yaml on one '
        "(a scope has one worker: say one node:)",
        f'{tmp_path}/c.yaml:3:10: F209 agent "a" has project:x on Airflow\'s default queue, but agent "a" of '
        f"{tmp_path}/a.yaml on one (a scope has one worker: say one node:)",
    ]


def test_the_settings_are_read_once_for_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        (tmp_path / f"{i}.yaml").write_text(GOOD)
    read: list[int] = []
    real = folder.read_rules
    monkeypatch.setattr(folder, "read_rules", lambda: read.append(1) or real())
    monkeypatch.setattr("dag_factory.validate.read_rules", lambda: read.append(2) or real())
    assert len(list(read_folder(tmp_path))) == 5
    assert read == [1]


def test_lint_takes_a_named_file_for_a_cis_file_and_speaks_of_it_by_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("services: {}\n")
    Path("bytes.yaml").write_bytes(b"agents:\n - \xff")
    found = [str(d) for d in lint_paths(["x.yaml", "gone.yaml", "bytes.yaml"])]
    assert found[0] == "bytes.yaml:2:4: F001 is no UTF-8 (save it as UTF-8)"
    assert found[1] == "gone.yaml:1:1: F001 cannot be read: No such file or directory"
    assert found[2].startswith("x.yaml:1:1: F005 no CIS file")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    (found,) = read_folder(tmp_path)
    assert found.checked.diagnostics == ()


def test_a_file_name_that_is_no_dag_id_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "my dag.yaml").write_text(GOOD)
    assert 'F106 "my dag" is no valid id' in str(lint_paths([tmp_path])[0])


def _entries(where: Path) -> list[object]:
    found = read_cis_file(where / "a.yaml")
    assert found is not None
    assert found.stat is not None
    return [entry_of(found.checked.need(), found.path, base=where, stat=found.stat)]


def test_the_index_gives_back_what_was_written(tmp_path: Path, cis_home: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: 分析\n" + GOOD)
    entries = _entries(tmp_path)
    assert read_index(tmp_path) == {}
    assert find_entry(tmp_path, "分析") is None
    write_index(tmp_path, entries)  # type: ignore[arg-type]
    assert list(read_index(tmp_path).values()) == entries
    assert find_entry(tmp_path, "分析") == entries[0]
    assert find_entry(tmp_path, "分") is None
    assert find_entry(tmp_path, 'a"\t{') is None


def test_an_index_that_is_the_same_is_not_written_again(tmp_path: Path, cis_home: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    write_index(tmp_path, _entries(tmp_path))  # type: ignore[arg-type]
    before = index_file(tmp_path).stat().st_ino
    write_index(tmp_path, _entries(tmp_path))  # type: ignore[arg-type]
    assert index_file(tmp_path).stat().st_ino == before
    write_index(tmp_path, [])
    assert index_file(tmp_path).stat().st_ino != before
    assert read_index(tmp_path) == {}


def test_an_index_that_cannot_be_written_or_read_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIS_HOME", str(tmp_path / "file"))
    write_index(tmp_path, [])
    assert find_entry(tmp_path, "a") is None
    monkeypatch.setenv("CIS_HOME", str(tmp_path))
    write_index(tmp_path, [])
    index_file(tmp_path).write_bytes(b'\n"a"\t{broken\n')
    assert find_entry(tmp_path, "a") is None
    assert read_index(tmp_path) == {}


def test_a_file_that_is_too_large_is_a_mistake_only_if_it_is_a_cis_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "#" * (1 << 20))
    (tmp_path / "b.yaml").write_text("id: type\n" + "#" * (1 << 20))
    assert [str(d) for d in lint_paths([tmp_path])] == [
        f"{tmp_path}/a.yaml:1:1: F001 is larger than 1048576 bytes"
    ]


def test_a_fault_of_the_validator_stays_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text("name: odd\n" + GOOD)
    real = folder.check_document

    def fails_once(document: Any, *args: Any, **options: Any) -> Any:
        if "name" in document.data:
            raise KeyError("x")
        return real(document, *args, **options)

    monkeypatch.setattr(folder, "check_document", fails_once)
    assert [str(d) for d in lint_paths([tmp_path])] == [
        f"{tmp_path}/b.yaml:1:1: F902 the validator failed: KeyError: 'x'"
    ]
