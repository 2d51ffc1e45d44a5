"""What the page about blocked agents shows: its files as DAGs, its question as the command prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cis_provider.cli.replies import question_lines, reply_to
from cis_provider.model.blockage import Blockage, BlockageKind, Option

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "blocked.md").read_text(encoding="utf-8")
FILES = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]


def test_every_file_is_a_dag_with_a_task_beside_each_agent_that_asks(cis_home):
    import dag_factory

    asked = {}
    for file in FILES:
        dag = dag_factory.build(file)
        asked[dag.dag_id] = sorted(set(dag.task_ids) - {agent["id"] for agent in file["agents"]})
    assert asked == {
        "upgrade": ["interventions.review", "interventions.upgrade"],
        "release": ["interventions.prepare"],
        "ship": [],
    }


def test_the_step_where_a_human_decides_can_be_refused(cis_home):
    import dag_factory
    from cis_provider.sensors.decided import refuses

    (ship,) = [file for file in FILES if file["name"] == "ship"]
    step = dag_factory.build(ship).get_task("approve")
    assert [refuses(option) for option in step.options] == [False, True]
    assert (step.free_text, step.answer_timeout, step.after_timeout) == (True, 172800.0, "deny")


def test_the_question_is_shown_as_the_command_shows_it():
    options = (
        Option("allow", "Yes", "allow_once"),
        Option("always", "Yes, and do not ask again for this", "allow_always"),
        Option("deny", "No", "reject_once"),
    )
    asked = Blockage(
        number=1,
        kind=BlockageKind.PERMISSION,
        title="Bash: git push origin main",
        detail="git push origin main",
        options=options,
        free_text=True,
    )
    assert "\n".join(question_lines(asked)) in PAGE
    # The answers that the page gives to it.
    commands = re.findall(r"^cis dag answer refactor(?:-001| analyze) (\w+)", PAGE, re.MULTILINE)
    meant = [reply_to(asked, words).option for words in commands]
    assert [option.id for option in meant if option] == ["allow", "deny", "always"]


def test_the_kinds_of_the_page_are_those_there_are():
    named = set(re.findall(r"`(\w+)`", PAGE.partition("```bash")[0]))
    assert {kind.value for kind in BlockageKind} <= named
