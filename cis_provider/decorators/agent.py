"""``@task.cis_agent``: a function that returns an agent's prompt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import (
    DecoratedOperator,
    TaskDecorator,
    determine_kwargs,
    task_decorator_factory,
)
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION
from airflow.sdk.definitions.context import context_merge

from cis_provider.operators.agent import AgentOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class _AgentDecoratedOperator(DecoratedOperator, AgentOperator):
    """Calls the function when the task runs, and gives what it returns to the agent as its prompt."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *AgentOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **AgentOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.cis_agent"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., str],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("agent_type", "shell")
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            prompt=SET_DURING_EXECUTION,
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """The function's text, rendered, is the prompt."""
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        self.prompt = self.python_callable(*self.op_args, **kwargs)
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise TypeError(f"{self.task_id}: a @task.cis_agent function must return its prompt as text")
        self.render_template_fields(context)
        return super().execute(context)


def cis_agent_task(python_callable: Callable[..., str] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Run the text that a function returns as an agent.

    :param kwargs: Of :class:`~cis_provider.operators.agent.AgentOperator`; ``agent_type`` is ``shell``
        unless given.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_AgentDecoratedOperator, **kwargs
    )
