"""
Every error of the provider, one tree. Standard library only, so that any process may import it.

CisError
├── UsageError              wrong words on a command line                      (exit 2)
├── ConfigError             a setting or an environment that cannot work       (exit 2)
├── SpecError               a CIS file with mistakes: all of them              (exit 1)
├── AgentError              one agent cannot do its work
│   ├── PermanentAgentError     a retry cannot help
│   ├── TransientAgentError     a retry may help
│   └── AnswerRefused           an answer that does not fit
│       ├── StaleAnswer             what it answers waits no more
│       └── InvalidAnswer           no such option, or no words wanted
├── WorkspaceError          an agent's folder cannot be made ready, or put back
├── UnreachableError        something that must be running does not answer     (exit 3)
│   ├── NodeUnreachable
│   │   └── WorkerLeaving
│   └── AirflowUnreachable
├── AirflowRefused          Airflow's API answered, and said no
├── ProtocolError           a peer on a socket said something that is no message
└── StoreError              the context store refused
"""

from __future__ import annotations


class CisError(Exception):
    """
    Base of every error raised on purpose.

    ``code`` is stable and short, for logs and machines. ``exit_code`` is what ``cis`` exits with.
    ``retryable`` says whether doing the same thing again may help.
    """

    code = "error"
    exit_code = 1
    retryable = False


class UsageError(CisError):
    """The command line names something that does not exist or contradicts itself."""

    code = "usage"
    exit_code = 2


class ConfigError(CisError):
    """A setting has a value that cannot work; the message names the setting and where it was read."""

    code = "config"
    exit_code = 2


class SpecError(CisError):
    """A CIS file is wrong. The message lists every mistake, one ``file:line:col: code message`` each."""

    code = "spec"


class AgentError(CisError):
    """An agent could not do its work."""

    code = "agent"


class PermanentAgentError(AgentError):
    """The same agent would fail the same way again: an unknown type, an unset variable. No retry."""

    code = "agent_permanent"


class TransientAgentError(AgentError):
    """The agent failed in a way that another try may not: an exit code, a time limit, a killed worker."""

    code = "agent_transient"
    retryable = True


class AnswerRefused(AgentError):
    """An answer was not delivered to an agent; the agent still waits for one, or does not any more."""

    code = "answer_refused"


class StaleAnswer(AnswerRefused):
    """What it answers waits no more: it was answered before, or the agent went on. Nothing was delivered."""

    code = "answer_stale"


class InvalidAnswer(AnswerRefused):
    """The agent offers no such option, or takes no words of one's own; the message says what it takes."""

    code = "answer_invalid"


class WorkspaceError(CisError):
    """A workspace cannot be prepared, committed or put back. Nothing outside it was changed."""

    code = "workspace"


class UnreachableError(CisError):
    """A process that must be there did not answer in time. Nothing was changed; trying again is safe."""

    code = "unreachable"
    exit_code = 3
    retryable = True


class NodeUnreachable(UnreachableError):
    """The node's coordinator did not answer and could not be started; the message names its log."""

    code = "node_unreachable"


class WorkerLeaving(NodeUnreachable):
    """A scope worker was told to stop, or is idle and about to leave. The next one takes what it refused."""

    code = "leaving"


class AirflowUnreachable(UnreachableError):
    """Airflow's API did not answer; the message names the address that was tried."""

    code = "airflow_unreachable"


class AirflowRefused(CisError):
    """
    Airflow's API answered a request with an error; the message has Airflow's own words.

    :param status: The HTTP status.
    """

    code = "airflow_refused"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(CisError):
    """A frame on one of our sockets is too large, cut short, or no known message. The peer is dropped."""

    code = "protocol"


class StoreError(CisError):
    """The context store could not be read or written. "Not there" is never reported this way."""

    code = "store"
    retryable = True
