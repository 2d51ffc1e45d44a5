"""
How ``cis`` talks to Airflow's REST API: one blocking client with deadlines, pages, and our errors.

Nothing here knows what is asked for; that is ``airflow_api``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from cis_provider.errors import AirflowRefused, AirflowUnreachable, ConfigError

# httpx brings its own command line, and with it click and rich, when it finds them: 60 ms for nothing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

#: Seconds. Connecting to a live Airflow takes milliseconds; an answer may be slow on a busy machine.
CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 30.0
#: Airflow's own upper limit for one page.
PAGE = 100

T = TypeVar("T")


class AirflowHttp:
    """
    A client of one Airflow; a context manager.

    :param url: Where Airflow's pages are, e.g. ``http://127.0.0.1:8080``.
    :param token: Gives a bearer token; asked again when Airflow does not accept the first.
    :param transport: Takes the place of the network in tests.
    :raises AirflowUnreachable: From every method: no answer in time, or none that makes sense.
    :raises AirflowRefused: From every method: Airflow said no.
    :raises ConfigError: From every method: Airflow does not know us.
    """

    def __init__(
        self, url: str, token: Callable[[], str], *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v2/",
            timeout=httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
            transport=transport,
            trust_env=not _is_loopback(self.url),
            # Reading the system's certificates takes 60 ms, and without TLS nobody shows one.
            verify=self.url.startswith("https:"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._http.close()

    def _pages(
        self, method: str, path: str, key: str, kind: type[T], query: dict[str, Any], limit: int = 100_000
    ) -> Iterator[T]:
        names = ("page_limit", "page_offset") if method == "POST" else ("limit", "offset")
        offset = 0
        while offset < limit:
            page = query | {names[0]: min(PAGE, limit - offset), names[1]: offset}
            given: dict[str, Any] = {"json": page} if method == "POST" else {"params": page}
            answer = self._decode(self._request(method, path, **given), dict[str, Any])
            items = msgspec.convert(answer.get(key, []), list[kind])  # type: ignore[valid-type]
            yield from items
            offset += len(items)
            # A server may give smaller pages than it was asked for, so its own count decides.
            total = answer.get("total_entries", offset)
            if not items or offset >= total:
                return

    def _get(self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        return self._decode(self._request("GET", path, params=query), kind)

    def _send(self, method: str, path: str, body: dict[str, Any], kind: type[T]) -> T:
        return self._decode(self._request(method, path, json=body), kind)

    def _decode(self, response: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise AirflowUnreachable(
                f"{self.url} does not answer like Airflow 3 ({error}); is the address right?"
            ) from error

    def _request(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            response = self._authorized(method, path, **given)
            if response.status_code == 401:
                self._http.headers.pop("Authorization", None)
                response = self._authorized(method, path, **given)
        except httpx.TimeoutException as error:
            raise AirflowUnreachable(
                f"Airflow at {self.url} did not answer {method} /{path} in time; "
                "`cis airflow status` shows how it is"
            ) from error
        except httpx.HTTPError as error:
            raise AirflowUnreachable(
                f"Airflow at {self.url} does not answer ({error}); "
                "`cis airflow status` shows how it is, `cis airflow start` starts it"
            ) from error
        if response.is_success:
            return response
        raise self._complaint(response)

    def _authorized(self, method: str, path: str, **given: Any) -> httpx.Response:
        if "Authorization" not in self._http.headers:
            self._http.headers["Authorization"] = f"Bearer {self._token()}"
        return self._http.request(method, path, **given)

    def _complaint(self, response: httpx.Response) -> Exception:
        status, words = response.status_code, _detail(response)
        if status == 401:
            return ConfigError(
                f"Airflow at {self.url} refused us ({status}: {words}); "
                "check CIS_AIRFLOW_TOKEN, or CIS_AIRFLOW_USER and CIS_AIRFLOW_PASSWORD"
            )
        if status == 403:
            asked = f"{response.request.method} {response.request.url.path}"
            return AirflowRefused(
                f"Airflow at {self.url} knows this login, but its user has no right to {asked} ({words})",
                status,
            )
        if status in (502, 503, 504):
            return AirflowUnreachable(f"Airflow at {self.url} is not ready ({status}: {words})")
        return AirflowRefused(f"Airflow refused ({status}): {words}", status)


def login(url: str, user: str, password: str, *, transport: httpx.BaseTransport | None = None) -> str:
    """
    A bearer token for a name and a password.

    :raises ConfigError: They are not accepted.
    :raises AirflowUnreachable: No answer.
    """
    address = f"{url.rstrip('/')}/auth/token"
    try:
        with httpx.Client(
            timeout=ANSWER_TIMEOUT, transport=transport, trust_env=not _is_loopback(url)
        ) as http:
            response = http.post(address, json={"username": user, "password": password})
    except httpx.HTTPError as error:
        raise AirflowUnreachable(f"Airflow at {url} does not answer ({error})") from error
    if not response.is_success:
        raise ConfigError(
            f"Airflow at {url} did not accept user {user!r} ({response.status_code}: {_detail(response)})"
        )
    token: str = response.json()["access_token"]
    return token


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json().get("detail", "")
    except (ValueError, AttributeError):
        return response.reason_phrase or "no reason given"
    return detail if isinstance(detail, str) else str(detail)


def _is_loopback(url: str) -> bool:
    """A proxy from the environment has no business between us and our own machine."""
    return httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")
