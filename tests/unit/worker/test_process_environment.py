from __future__ import annotations

import pytest

from cis_provider.embedded import config
from cis_provider.node.detached import process_environment

AGENTS = {
    "CIS_SESSION_ID": "s1",
    "CIS_SCOPE": "project:a",
    "CIS_WORKER": "worker-project-a",
    "TMPDIR": "/gone/soon",
}
NODES = {"TMPDIR": "/big", "CIS_WORKER_IDLE_EXIT": "5", "PATH": "/bin"}


@pytest.mark.parametrize("started", [process_environment, config.environment])
def test_what_an_agent_starts_does_not_depend_on_the_agents_own_things(cis_home, started) -> None:
    assert not AGENTS.keys() & started(NODES | AGENTS).keys()


@pytest.mark.parametrize("started", [process_environment, config.environment])
def test_what_the_node_itself_was_given_stays(cis_home, started) -> None:
    found = started(NODES)
    assert {name: found.get(name) for name in NODES} == NODES
