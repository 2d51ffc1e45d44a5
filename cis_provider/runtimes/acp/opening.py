"""From a started process to a session that takes prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cis_provider.errors import PermanentAgentError, TransientAgentError
from cis_provider.runtimes.acp import settings
from cis_provider.runtimes.acp.link import Gone, Link, Refused
from cis_provider.runtimes.acp.trouble import status_in
from cis_provider.runtimes.base import Setting

if TYPE_CHECKING:
    from cis_provider.runtimes.acp.runtime import AcpRuntime

#: Seconds for one request before a prompt; a first start on a busy machine takes 5.
_DEADLINE = 90.0

PROTOCOL_VERSION = 1


class Opened(msgspec.Struct, kw_only=True):
    """A session that is ready."""

    session_id: str
    model: str = ""


class Opening:
    """The requests before the first prompt."""

    def __init__(self, runtime: AcpRuntime, setting: Setting, link: Link) -> None:
        self._runtime, self._setting, self._link = runtime, setting, link
        self._abilities: dict[str, Any] = {}
        self.version = ""

    async def initialize(self) -> None:
        """Agree on the protocol. We offer neither files nor terminals: agents have their own."""
        answer = await self._ask(
            "initialize",
            {
                "protocolVersion": PROTOCOL_VERSION,
                "clientCapabilities": {
                    "fs": {"readTextFile": False, "writeTextFile": False},
                    "terminal": False,
                    "elicitation": {"form": {}},
                },
                "clientInfo": {"name": "cis", "title": "CIS", "version": "1"},
            },
        )
        spoken = answer.get("protocolVersion")
        if spoken != PROTOCOL_VERSION:
            raise PermanentAgentError(
                f"the agent speaks version {spoken} of the Agent Client Protocol, this runtime version "
                f"{PROTOCOL_VERSION}; use a version of the agent that speaks it"
            )
        self._abilities = answer.get("agentCapabilities") or {}
        self.version = str((answer.get("agentInfo") or {}).get("version") or "")
        if method := self._setting.options.config.get("auth_method"):
            await self._ask("authenticate", {"methodId": str(method)})

    async def session(self) -> Opened:
        """
        A new session, or the one to go on with, with model, effort and mode as the agent's file says.

        :raises Refused: Somebody must log in first.
        """
        options, env = self._setting.options, self._setting.env
        where: dict[str, Any] = {
            "cwd": str(self._setting.workspace),
            "mcpServers": settings.mcp_servers(
                options.mcp_servers, env, self._abilities.get("mcpCapabilities") or {}
            ),
        }
        if self._setting.resume:
            name = self._setting.resume
            opened = await self._ask(self._going_on(), {**where, "sessionId": name})
        else:
            opened = await self._ask("session/new", where)
            name = str(opened.get("sessionId") or "")
        model = await self._model(name, opened)
        await self._effort(name, opened)
        await self._mode(name, opened)
        return Opened(session_id=name, model=model)

    def _going_on(self) -> str:
        if (self._abilities.get("sessionCapabilities") or {}).get("resume") is not None:
            return "session/resume"
        if self._abilities.get("loadSession"):
            return "session/load"  # it tells the whole history again; nobody listens yet
        raise PermanentAgentError(
            f"the agent cannot go on with conversation {self._setting.resume!r}: it offers neither "
            "session/resume nor session/load; leave `session` out of its file"
        )

    async def _model(self, session_id: str, opened: dict[str, Any]) -> str:
        wanted = self._setting.options.model
        if option := settings.config_option(opened, "model", "model"):
            if not wanted:
                return str(option.get("currentValue") or "")
            value = settings.value_for(option, wanted, "model")
            await self._choose(session_id, option, value)
            return value
        models = opened.get("models") or {}
        current = str(models.get("currentModelId") or "")
        if not wanted:
            return current
        offered = [
            {"value": one.get("modelId"), "name": one.get("name")}
            for one in models.get("availableModels") or []
        ]
        if not offered:
            raise PermanentAgentError(
                f"model {wanted!r} cannot be set: this agent offers no choice of models; leave it out"
            )
        value = settings.value_for({"options": offered}, wanted, "model")
        await self._ask("session/set_model", {"sessionId": session_id, "modelId": value})
        return value

    async def _effort(self, session_id: str, opened: dict[str, Any]) -> None:
        if not (wanted := self._setting.options.effort):
            return
        option = settings.config_option(opened, "thought_level", "effort", "thinking")
        if option is None:
            raise PermanentAgentError(
                f"effort {wanted!r} cannot be set: this agent, or its model, offers no choice"
            )
        await self._choose(session_id, option, settings.value_for(option, wanted, "effort"))

    async def _mode(self, session_id: str, opened: dict[str, Any]) -> None:
        wanted = self._setting.options.config.get("mode")
        offered = settings.mode_ids(opened)
        if wanted and wanted not in offered:
            raise PermanentAgentError(
                f"mode {wanted!r} is not offered by this agent; it offers: {', '.join(offered) or 'none'}"
            )
        names = [str(wanted)] if wanted else self._runtime.modes(self._setting.options.permissions.policy)
        mode = next((name for name in names if name in offered), None)
        if mode is None:
            return
        if (option := settings.config_option(opened, "mode", "mode")) is not None:
            # Set also where it is so already: Kimi calls the mode of a conversation that `kimi -p` began
            # "default", and asks for nothing in it.
            await self._choose(session_id, {**option, "currentValue": None}, mode)
        else:
            await self._ask("session/set_mode", {"sessionId": session_id, "modeId": mode})

    async def _choose(self, session_id: str, option: dict[str, Any], value: str) -> None:
        if option.get("currentValue") != value:
            await self._ask(
                "session/set_config_option",
                {"sessionId": session_id, "configId": option["id"], "value": value},
            )

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._link.request(method, params, _DEADLINE)
        except Gone:
            raise TransientAgentError(
                f"the agent left during {method}; its last words: {self._link.process.last_words[-1000:] or 'none'}"
            ) from None
        except Refused as refused:
            trouble = refused.trouble
            if trouble.error_class in ("login", "rate_limit", "quota"):
                raise
            message = f"the agent refused {method}: {trouble.error}"
            # A conversation that is not there comes as any error: OpenCode calls it a failure of its service.
            unknown = method in ("session/resume", "session/load") and not status_in(trouble.error)
            kind = (
                TransientAgentError
                if trouble.error_class == "transient" and not unknown
                else PermanentAgentError
            )
            raise kind(message) from None
