"""
Kill at every step of asking, answering, delivering and going on: the answer arrives once, or is asked again.

It is never lost, never doubled, and never given to another question. Each run has an agent that asks two
questions; a human allows what the first one wants and rejects what the second one wants. While a batch of runs
is at it, each of a batch of places kills the process that gets there first: worker, coordinator, triggerer, the
task's own process, API server.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.forms import Forms
from tests.system.conftest import EmbeddedAirflow, Runs, made_home

pytestmark = [pytest.mark.system, pytest.mark.stress]

_KIT = Path(__file__).parents[1] / "kit" / "faults"

_FUNCTIONS = (
    "cis_provider.worker.questions:Questions.open",
    "cis_provider.triggers.intervention:InterventionTrigger._waking",
    "cis_provider.worker.session:Session.answer",
    "cis_provider.sensors.round:Round.go_on",
    "cis_provider.node.coordinator:Coordinator.answer",
    "cis_provider.worker.journal:Journal.asked",
    "cis_provider.context.blockages:BlockageBook.note",
    "cis_provider.worker.journal:Journal.answering",
    "cis_provider.sensors.desk:show_form",
    "cis_provider.runtimes.acp.conversation:AcpConversation.answer",
    "cis_provider.context.blockages:BlockageBook.asked",
    "cis_provider.worker.journal:Journal.settled",
    "cis_provider.sensors.desk:AirflowDesk.deliver",
    "cis_provider.node.client:NodeClient.answer",
    "cis_provider.context.blockages:BlockageBook.answered",
    "cis_provider.worker.questions:Questions.gone",
)
PLACES = [f"{when} {function}" for when in ("before", "after") for function in _FUNCTIONS]
_BATCH = 16

_WANTED, _UNWANTED = "make-alpha", "make-omega"
_STEPS = (f"run {_WANTED}", f"run {_UNWANTED}", "say done")

#: Seconds in which all runs of a batch must have ended.
_DEADLINE = 240.0


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def breakable_airflow(faults: Path) -> Iterator[EmbeddedAirflow]:
    """An Airflow and a node whose processes die where a file says so."""
    with made_home() as airflow, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_FAULTS", str(faults))
        patch.setenv("TEST_FAULT_PLACES", " ".join(_FUNCTIONS))
        patch.setenv("PYTHONPATH", str(_KIT))
        with airflow.at_home():
            airflow.start()
            yield airflow


def test_there_are_at_least_24_places() -> None:
    assert len(PLACES) >= 24


@pytest.mark.parametrize("batch", range(-(-len(PLACES) // _BATCH)))
def test_each_answer_arrives_once_though_a_process_dies_there(
    breakable_airflow: EmbeddedAirflow, faults: Path, tmp_path: Path, batch: int
) -> None:
    places = PLACES[batch * _BATCH : (batch + 1) * _BATCH]
    talks = [
        _Talk(Runs(breakable_airflow, tmp_path), tmp_path / str(number)) for number in range(len(places))
    ]
    for place in places:
        (faults / place).touch()
    try:
        deadline = time.monotonic() + _DEADLINE
        while not all(list(map(_Talk.goes_on, talks))):
            assert time.monotonic() < deadline, [talk.what() for talk in talks] + _left(faults)
            time.sleep(0.2)
    finally:
        left = _left(faults)
        for file in faults.iterdir():
            file.unlink()
    assert left == [], "nobody died there"
    for talk in talks:
        talk.assert_answered_once()


def _left(faults: Path) -> list[str]:
    return [file.name for file in faults.iterdir()]


class _Talk:
    """One run whose agent asks twice, and the human who answers it."""

    def __init__(self, runs: Runs, notes: Path) -> None:
        notes.mkdir()
        self._notes = notes
        agent = {
            "id": "agent",
            "type": "acp",
            "program": [sys.executable, "-m", "cis_provider.testing.fake_acp_agent"],
            "env": {"FAKE_ACP_HOME": str(notes)},
            "prompt": "steps " + " | ".join(_STEPS),
            # A worker that dies before it knows of the question was interrupted at work.
            "retries": 5,
            "retry_delay": 1,
        }
        # A worker of its own: who else is at work there is not what this is about.
        self._run = runs.up([agent], scope=f"project:{notes.parent.name[-20:]}-{notes.name}")
        self._forms = Forms(self._run)
        self._state = ""

    def goes_on(self) -> bool:
        """Answer what is open; whether the run has ended."""
        try:
            for form in self._forms.open():
                asked = form["subject"] + (form["body"] or "")
                assert (_WANTED in asked) != (_UNWANTED in asked)
                self._forms.fill(form, "allow" if _WANTED in asked else "reject")
            self._state = self._run.state()
        except (httpx.HTTPError, OSError):
            pass  # the API server was killed, too, and comes back
        return self._state in ("success", "failed")

    def what(self) -> tuple[str, list[Any]]:
        """For whoever reads of the failure."""
        return self._state, self._records()

    def assert_answered_once(self) -> None:
        """Each question got its own answer, once, and each step was done once."""
        records = self._records()
        assert self._state == "success", records
        assert [one["stepped"] for one in records if "stepped" in one] == list(_STEPS)
        answered = [one for one in records if "answered" in one and one["outcome"]["outcome"] == "selected"]
        for one in answered:
            wanted = {_WANTED: "yes", _UNWANTED: "no"}[one["answered"]["rawInput"]["command"]]
            assert one["outcome"]["optionId"] == wanted, records
        replies = [(one["pid"], one["reply"]) for one in records if "reply" in one]
        assert len(set(replies)) == len(replies), "an answer was doubled"
        result = self._run.xcom("agent")
        numbers = [answer["number"] for answer in result["answers"]]
        assert numbers == sorted(set(numbers))

    def _records(self) -> list[Any]:
        [file] = self._notes.glob("*.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()]
