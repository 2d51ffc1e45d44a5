"""The Python that the page about pools shows, run; and its words, checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cis_provider.pools import ScopedPool

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "pools.md").read_text(encoding="utf-8")


def test_the_dag_of_the_page_puts_both_tasks_into_one_pool(cis_home):
    (source,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names = {"__name__": "example"}
    exec(compile(source, "docs/pools.md", "exec"), names)
    dag = names["shop_release"]()
    assert {task.pool for task in dag.tasks} == {ScopedPool("project:shop")}
    assert dag.task_dict["notes"].pool_size == 2


def test_the_description_is_quoted_as_it_is():
    from cis_provider.model.scope import TaskScope
    from cis_provider.pools import scope_pool

    assert "(set to 4 by cis)" in PAGE
    assert "(set to 4 by cis)" in scope_pool(TaskScope("project", "shop"), 4).description
