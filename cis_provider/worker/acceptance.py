"""Whether an agent that says it is done may be believed."""

from __future__ import annotations

import json
import logging
from typing import Any

from cis_provider.runtimes.events import TurnEnded
from cis_provider.worker import judging, wording
from cis_provider.worker.account import Account
from cis_provider.worker.check import run_check
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.environment import output_file
from cis_provider.worker.patience import Patience

log = logging.getLogger(__name__)

#: How often an answer in the wrong form goes back.
_FORM_RETRIES = 1


class Acceptance:
    """Judges the ends of one agent's turns: words, form, check. What goes back is counted in the account."""

    def __init__(self, work: WorkContext, patience: Patience, account: Account) -> None:
        self._work = work
        self._options = work.request.options
        self._patience = patience
        self._account = account

    async def judge(self, end: TurnEnded) -> Outcome | str:
        """
        What came of it, or what to tell the agent.

        :raises Stopped: And the other ends of patience, while the check runs.
        """
        text: str | None = end.text
        structured: Any = None
        if schema := self._options.output_schema:
            structured, trouble = judging.structured_answer(end.structured or end.text, schema)
            if trouble and self._account.forms_sent_back < _FORM_RETRIES:
                self._account.forms_sent_back += 1
                return wording.invalid_output(trouble, json.dumps(schema, indent=1))
            if trouble:
                return Outcome(subtype="invalid_output", error=f"its answer: {trouble}", text=text)
            text = json.dumps(structured, ensure_ascii=False, indent=1)
        elif not end.text.strip() and not self._has_written():
            denied = f"; it was not allowed to: {', '.join(end.denied)}" if end.denied else ""
            return Outcome(subtype="empty", error=f"it ended its turn without a word{denied}", text="")
        if self._options.check and (failed := await self._check_failed()):
            if self._account.checks_sent_back < self._options.check_retries:
                self._account.checks_sent_back += 1
                return wording.check_failed(failed)
            return Outcome(subtype="check_failed", error=failed, text=text)
        return Outcome(subtype="success", text=text, structured=structured)

    async def _check_failed(self) -> str:
        """What the check says; empty when it passed."""
        attempt = self._account.checked.attempt + 1 if self._account.checked else 1
        report = await self._patience.until(run_check(self._work, attempt=attempt))
        self._account.checked = report
        log.info(
            "session %s: check %d %s", self._work.session_id, attempt, "passed" if report.passed else "failed"
        )
        return report.error

    def _has_written(self) -> bool:
        written = output_file(self._work.folder)
        return written.exists() and written.stat().st_size > 0
