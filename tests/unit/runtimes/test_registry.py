"""Types of agent: what is known of them, and how others are added."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.capability import Capability
from cis_provider.model.options import AgentOptions, Permissions
from cis_provider.runtimes import registry
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.descriptor import RuntimeDescriptor
from cis_provider.runtimes.registry import GROUP, AgentRegistry
from cis_provider.runtimes.shell import ShellRuntime


class OtherRuntime(ShellRuntime):
    """A runtime of another package."""


DESCRIPTOR = RuntimeDescriptor(
    type="described",
    display_name="Described",
    factory=OtherRuntime,
    capabilities=frozenset({Capability.TEST_WRITING}),
    config_schema={
        "type": "object",
        "properties": {"depth": {"type": "integer"}, "token": {"type": "string", "format": "password"}},
        "additionalProperties": False,
    },
)


def entry(name, value):
    return EntryPoint(name, f"{__name__}:{value}", GROUP)


@pytest.fixture
def here(monkeypatch):
    """This module, under the name by which entry points find it."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_the_types_of_this_package_are_known_and_no_runtime_is_loaded_for_that():
    code = (
        "import sys; from cis_provider.runtimes.registry import known_types; print(*known_types()); "
        "print([m for m in sys.modules if m.startswith(('claude_agent_sdk', 'acp', 'jsonschema'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines() == ["claude kimi opencode codex aider acp terminal shell", "[]"]


def test_a_type_can_be_registered_found_and_taken_away():
    found = AgentRegistry(discover=list)
    found.register(DESCRIPTOR)
    assert found.types()[-1] == "described"
    assert isinstance(found.load("described"), OtherRuntime)
    with pytest.raises(ConfigError, match="registered already"):
        found.register(DESCRIPTOR)
    found.register(DESCRIPTOR, replace=True)
    found.unregister("described")
    assert "described" not in found.types()
    with pytest.raises(PermanentAgentError, match="'described' is unknown"):
        found.load("described")


def test_what_comes_with_the_package_stays():
    with pytest.raises(ConfigError, match="'shell' comes with cis-provider"):
        AgentRegistry(discover=list).unregister("shell")


def test_an_entry_point_gives_a_runtime_or_a_descriptor(here):
    found = AgentRegistry(discover=lambda: [entry("plain", "OtherRuntime"), entry("described", "DESCRIPTOR")])
    assert found.types()[-2:] == ["described", "plain"]
    assert isinstance(found.load("plain"), OtherRuntime)
    assert found.get("described") is DESCRIPTOR
    assert found.get("plain").type == "plain"


def test_a_broken_entry_point_harms_nobody_else(here):
    found = AgentRegistry(discover=lambda: [entry("broken", "NoSuchThing"), entry("odd", "GROUP")])
    with pytest.raises(PermanentAgentError, match="'broken' cannot be loaded"):
        found.load("broken")
    with pytest.raises(PermanentAgentError, match="neither a Runtime nor a RuntimeDescriptor"):
        found.load("odd")
    assert "claude" in [one.type for one in found.find_by_capability(Capability.CODE_REVIEW)]


def test_types_are_found_by_what_they_can_do():
    found = AgentRegistry(discover=list)
    found.register(DESCRIPTOR)
    both = found.find_by_capability("TestWriting")
    assert {"claude", "aider", "described"} <= {one.type for one in both}
    narrow = {one.type for one in found.find_by_capability("TestWriting", "SecurityHardening")}
    assert narrow == {"claude", "kimi", "opencode", "codex"}
    with pytest.raises(ConfigError, match="Cooking"):
        found.find_by_capability("Cooking")


def test_a_type_whose_parts_are_missing_says_how_to_get_them():
    found = AgentRegistry(
        [
            RuntimeDescriptor(
                type="far", display_name="Far", factory="nowhere.at.all:Far", how_to_install="pip install far"
            )
        ],
        discover=list,
    )
    with pytest.raises(PermanentAgentError, match=r"missing: nowhere\.at\.all\): pip install far"):
        found.check("far")


def test_an_unknown_type_is_answered_with_a_near_one():
    with pytest.raises(PermanentAgentError, match="did you mean 'opencode'"):
        registry.check_type("opncode")


@pytest.mark.parametrize(
    ("config", "mistakes"),
    [
        ({"depth": 3, "token": "${TOKEN}"}, []),
        ({"depth": "${DEPTH}"}, []),
        ({"depth": "deep"}, [(("depth",), "\"depth\": 'deep' is not of type 'integer'", "")]),
        (
            {"token": "plain"},
            [(("token",), '"token" is a secret', "write ${NAME}, and set NAME on the node")],
        ),
        ({"dept": 1}, [(("dept",), 'unknown key "dept"', "there are depth, token")]),
    ],
)
def test_a_config_is_judged_by_the_schema(config, mistakes):
    assert DESCRIPTOR.config_mistakes(config) == mistakes


def test_a_config_that_its_runtime_does_not_take_stops_the_agent():
    registry.check_config("kimi", {"mode": "plan"})
    with pytest.raises(PermanentAgentError, match="config of agent type 'kimi': unknown key \"mod\""):
        registry.check_config("kimi", {"mod": "plan"})


@pytest.mark.parametrize("value", ["${KEY}", {"X-Key": "Bearer ${KEY}"}])
def test_what_stands_on_a_command_line_must_hold_no_secret(value):
    with pytest.raises(PermanentAgentError, match=r"must hold no secret .*env_http_headers"):
        registry.check_config("codex", {"overrides": {"model_providers.own.http_headers": value}})
    registry.check_config("codex", {"overrides": {"model_providers.own.http_headers": {"X-Plain": "x"}}})


def test_every_type_of_this_package_says_how_it_is_installed():
    for descriptor in registry.BUILT_IN:
        assert descriptor.how_to_install and descriptor.display_name, descriptor.type
        module = descriptor.factory.partition(":")[0].rpartition(".")[0]
        assert Path(*module.split(".")).name == "runtimes"


def test_a_program_that_is_not_there_says_how_it_is_installed(tmp_path):
    from cis_provider.model.options import AgentOptions
    from cis_provider.runtimes.base import Setting
    from cis_provider.runtimes.process import find_program

    setting = Setting(
        workspace=tmp_path, folder=tmp_path, env={"PATH": str(tmp_path)}, options=AgentOptions()
    )
    with pytest.raises(PermanentAgentError, match="npm install -g @moonshot-ai/kimi-code"):
        find_program("kimi", setting)


def test_codex_takes_what_its_schema_says():
    from cis_provider.runtimes.codex.launch import Config

    assert set(registry.REGISTRY.get("codex").config_schema["properties"]) == set(Config.__struct_fields__)


def test_what_a_screen_takes_is_known_before_its_program_is_started():
    runtime = registry.load("terminal")
    on_a_screen = AgentOptions(program=("x",), config={"rules": "claude"})
    assert runtime.largest_prompt(on_a_screen) == 64 * 1024
    assert runtime.largest_prompt(AgentOptions(program=("x",))) == 0
    assert registry.load("codex").largest_prompt(AgentOptions()) > 1_000_000


@pytest.mark.parametrize("policy", ["plan", "accept-edits", "everything"])
def test_a_policy_that_no_screen_can_be_told_is_refused(policy, tmp_path):
    options = AgentOptions(program=("x",), permissions=Permissions(policy=policy))
    setting = Setting(workspace=tmp_path, folder=tmp_path, env={}, options=options)
    with pytest.raises(PermanentAgentError, match=f"policy '{policy}'"):
        registry.load("terminal").open(setting)
