"""A blocked agent in Airflow's own pages: a person sees what it wants, and answers there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cis_provider.embedded import layout
from cis_provider.testing.model_server import run, text
from tests.kit.browser import logged_in, picture
from tests.kit.forms import Forms
from tests.kit.models import Models

pytestmark = [pytest.mark.system, pytest.mark.agents, pytest.mark.browser]

_COMMAND = "touch released"


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


@pytest.fixture
def page(embedded_airflow: Any) -> Iterator[Any]:
    users = json.loads(layout.passwords_file().read_text())
    [(user, password)] = users.items()
    with logged_in(embedded_airflow.url, user, password) as page:
        yield page


def open_form(page: Any, begun: Any) -> None:
    """From the list of everything that waits for somebody to the form of this run's agent."""
    Forms(begun).wait("release")
    page.goto(f"{begun.airflow.url}/required_actions")
    row = page.get_by_role("row").filter(has_text=begun.run_id[:20])
    row.first.wait_for()
    picture(page, "required-actions")
    row.get_by_role("link", name=re.compile("asks for")).first.click()
    page.get_by_text(_COMMAND, exact=True).first.wait_for()


def chain(agent: dict[str, Any]) -> list[dict[str, Any]]:
    after = {"id": "announce", "deps": ["release"], "command": 'echo "$CIS_OUTPUT_RELEASE"'}
    return [{"id": "release", **agent}, after]


def test_a_person_allows_it_and_the_chain_ends(runs: Any, models: Models, page: Any) -> None:
    with models.agent("claude", [run(_COMMAND), text("It is released.")], prompt="Release it.") as (agent, _):
        begun = runs.up(chain(agent))
        open_form(page, begun)
        picture(page, "required-action")
        page.get_by_role("button", name="Yes (1)").click()
        assert begun.ended(120) == "success"
        page.goto(f"{begun.airflow.url}/dags/{begun.dag_id}/runs/{begun.run_id}")
        page.get_by_text("Success").first.wait_for()
        picture(page, "answered")
    assert begun.xcom("announce")["output"] == "It is released."
    [answer] = begun.xcom("release")["answers"]
    assert answer["by"] == "ui:admin"


def test_a_person_denies_it_and_says_why(runs: Any, models: Models, page: Any) -> None:
    steps = [run(_COMMAND), text("Then not.")]
    with models.agent("claude", steps, prompt="Release it.") as (agent, server):
        begun = runs.up(chain(agent))
        open_form(page, begun)
        page.get_by_role("textbox").last.fill("It is Friday.")
        page.get_by_role("button", name="No (1)").click()
        assert begun.ended(120) == "success"
        assert "It is Friday." in json.dumps(server.calls[-1].body)
    result = begun.xcom("release")
    assert result["output"] == "Then not."
    assert not (Path(result["workspace"]) / "released").exists()


def test_a_step_of_the_chain_is_approved_by_a_person(runs: Any, page: Any) -> None:
    begun = runs.up(
        [
            {"id": "build", "command": "echo version 7 is built"},
            {"id": "approve", "type": "human", "deps": ["build"], "prompt": "Release version 7?"},
            {"id": "release", "deps": ["approve"], "command": 'echo "$CIS_OUTPUT_APPROVE"'},
        ]
    )
    Forms(begun).wait("approve")
    page.goto(f"{begun.airflow.url}/dags/{begun.dag_id}/runs/{begun.run_id}/tasks/approve/required_actions")
    page.get_by_role("button", name=re.compile("^Approve")).wait_for()
    picture(page, "human-step")
    page.get_by_role("button", name=re.compile("^Approve")).click()
    assert begun.ended(90) == "success"
    assert "Approve" in begun.xcom("release")["output"]
