"""Errors, beside what the vendors send."""

from __future__ import annotations

import pytest

from cis_provider.testing.model_server import failures
from cis_provider.testing.model_server.steps import Failure

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_names_its_errors(status, kind):
    headers, body = failures.anthropic(Failure(status=status), NOW, "1")
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["error"]["message"]
    assert headers["request-id"] == body["request_id"] == "req_1"
    assert headers["x-should-retry"] == ("true" if status in (429, 500, 529) else "false")


def test_an_anthropic_limit_says_when_it_ends():
    headers, _ = failures.anthropic(Failure(status=429, retry_after=30, resets_in=3600.5), NOW, "1")
    assert headers["retry-after"] == "30"
    assert headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert headers["anthropic-ratelimit-unified-reset"] == "1800003601"
    assert headers["anthropic-ratelimit-requests-reset"] == "2027-01-15T09:00:01Z"


def test_a_limit_without_a_time_says_none():
    for make in (failures.anthropic, failures.openai):
        headers, _ = make(Failure(status=429), NOW, "1")
        assert not any("reset" in name or name == "retry-after" for name in headers)


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (Failure(status=400), "invalid_request_error", None),
        (Failure(status=401), "invalid_request_error", "invalid_api_key"),
        (Failure(status=429), "requests", "rate_limit_exceeded"),
        (Failure(status=429, error="rate_limit_exceeded"), "requests", "rate_limit_exceeded"),
        (Failure(status=429, error="insufficient_quota"), "insufficient_quota", "insufficient_quota"),
        (Failure(status=429, error="usage_limit_reached"), "usage_limit_reached", None),
        (Failure(status=429, error="exceeded_current_quota_error"), "exceeded_current_quota_error", None),
        (Failure(status=500), "server_error", None),
        (Failure(status=529), "server_error", "server_is_overloaded"),
    ],
)
def test_openai_has_a_type_and_a_code(failure, kind, code):
    _, body = failures.openai(failure, NOW, "1")
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["type"], body["error"]["code"]) == (kind, code)


def test_a_usage_limit_says_when_it_ends():
    failure = Failure(status=429, error="usage_limit_reached", resets_in=7200)
    headers, body = failures.openai(failure, NOW, "1")
    assert body["error"]["resets_in_seconds"] == 7200
    assert body["error"]["resets_at"] == 1_800_007_200
    assert headers["x-codex-primary-reset-at"] == "1800007200"


def test_words_of_the_script_win():
    failure = Failure(status=429, error="my_error", message="Not today.")
    for make in (failures.anthropic, failures.openai):
        _, body = make(failure, NOW, "1")
        assert body["error"]["message"] == "Not today."
        assert body["error"]["type"] == "my_error"


def test_an_error_within_a_stream():
    _, body = failures.anthropic(Failure(status=529), NOW, "1")
    assert failures.in_stream("anthropic", body, "1").encode().startswith(b"event: error\n")
    _, body = failures.openai(Failure(status=429, error="insufficient_quota"), NOW, "1")
    event = failures.in_stream("responses", body, "1")
    assert event.name == "response.failed"
    assert event.data["response"]["error"]["code"] == "insufficient_quota"
    assert failures.in_stream("chat", body, "1").data == body
