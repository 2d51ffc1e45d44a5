"""What an agent can be asked to do."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """Kinds of work, by which :class:`~cis_provider.runtimes.registry.AgentRegistry` finds a type."""

    CODE_REVIEW = "CodeReview"
    MODULE_REFACTORING = "ModuleRefactoring"
    ENGINE_CODE_INJECTION = "EngineCodeInjection"
    TEST_WRITING = "TestWriting"
    DOCUMENTATION = "Documentation"
    PERFORMANCE_OPTIMIZATION = "PerformanceOptimization"
    SECURITY_HARDENING = "SecurityHardening"
