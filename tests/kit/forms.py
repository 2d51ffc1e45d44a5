"""Airflow's Required Actions, as its UI sees and fills them in."""

from __future__ import annotations

from typing import Any

import httpx

from cis_provider.embedded import api
from cis_provider.errors import AirflowUnreachable


class Forms:
    """
    The forms of one run.

    :param run: A run of ``tests/system``.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def open(self) -> list[dict[str, Any]]:
        """Those that nobody has filled in yet; none while Airflow does not answer."""
        try:
            _status, found = self._run.airflow.request(f"{self._run.path}/hitlDetails?limit=500")
        except AirflowUnreachable:
            return []
        return [form for form in found["hitl_details"] if not form["response_received"]]

    def wait(self, agent: str, *, containing: str = "", seconds: float = 60) -> dict[str, Any]:
        """The open form of an agent, or of a human step."""
        return self._run.airflow.eventually(
            lambda: next((form for form in self.open() if _is_of(form, agent, containing)), None), seconds
        )

    def fill(self, form: dict[str, Any], label: str, **params: Any) -> int:
        """Choose the option whose label begins so; the HTTP status."""
        option = next((one for one in form["options"] if one.lower().startswith(label.lower())), label)
        return self.send(form, [option], params)

    def send(self, form: dict[str, Any], options: list[str], params: dict[str, Any]) -> int:
        """What the UI sends; the HTTP status."""
        task = form["task_instance"]
        path = f"{self._run.path}/taskInstances/{task['task_id']}/{task['map_index']}/hitlDetails"
        answer = httpx.patch(
            self._run.airflow.url + path,
            json={"chosen_options": options, "params_input": params},
            headers={"Authorization": f"Bearer {api.bearer_token()}"},
            timeout=15,
        )
        return answer.status_code


def _is_of(form: dict[str, Any], agent: str, containing: str) -> bool:
    task_id = form["task_instance"]["task_id"]
    return task_id in (agent, f"interventions.{agent}") and containing in form["subject"] + (
        form["body"] or ""
    )
