"""What a coordinator's answer means to its client: the message it asked for, or the error that it is."""

from __future__ import annotations

import errno
import uuid
from typing import TypeVar

import msgspec

from cis_provider import __version__
from cis_provider.errors import (
    AnswerRefused,
    CisError,
    ConfigError,
    InvalidAnswer,
    NodeUnreachable,
    ProtocolError,
    StaleAnswer,
    StoreError,
    TransientAgentError,
    UsageError,
    WorkspaceError,
)
from cis_provider.model.blockage import Answer
from cis_provider.wire.messages import Failure, Message, Welcome

M = TypeVar("M")

#: Errors that a coordinator may answer with, by their code.
_ERRORS: dict[str, type[CisError]] = {
    kind.code: kind
    for kind in (
        AnswerRefused,
        ConfigError,
        InvalidAnswer,
        ProtocolError,
        StaleAnswer,
        StoreError,
        TransientAgentError,
        UsageError,
        WorkspaceError,
    )
}


def error_of(failure: Failure) -> CisError:
    """The error that a refusal is."""
    return _ERRORS.get(failure.code, NodeUnreachable)(failure.message)


def expect(message: Message | None, *kinds: type[M]) -> M:
    """
    The message, if it is of one of these kinds.

    :raises CisError: The peer refused, went away, or said something else.
    """
    if isinstance(message, kinds):
        return message
    if isinstance(message, Failure):
        raise error_of(message)
    if message is None:
        raise NodeUnreachable("the coordinator went away")
    raise ProtocolError(f"expected {kinds[0].__name__}, got {type(message).__name__}")


def with_id(answer: Answer) -> Answer:
    """An answer that may be sent again, should the connection break: it is delivered once."""
    return answer if answer.id else msgspec.structs.replace(answer, id=uuid.uuid4().hex)


def not_gone(message: Message | None) -> Message:
    """
    The message, if there is one.

    :raises ConnectionResetError: The peer hung up instead of answering: it was just leaving.
    """
    if message is None:
        raise ConnectionResetError(errno.ECONNRESET, "it hung up")
    return message


def leaving(welcome: Welcome) -> OSError:
    """Why a coordinator that welcomed us is of no use: it was asked to make way for a newer version."""
    return ConnectionResetError(
        errno.ECONNRESET, f"the coordinator of version {welcome.version} makes way for {__version__}"
    )
