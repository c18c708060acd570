"""The Hugging Face Hub on loopback, as the real ``huggingface_hub`` client sees it.

::

    with HubDouble() as hub:
        api = HfApi(endpoint=hub.url, token=WRITE)
        hub.repos.add_model("Qwen/Qwen2.5-0.5B", parameters=494_032_768, license="apache-2.0")
        hub.fail(429, path="/api/models")

It runs in a thread of its own, so that blocking clients and child processes (``hub.environment()``)
reach it. Rooms: who is asking and what fails (here), repositories (``hub_repos``), Spaces
(``hub_spaces``), Jobs (``hub_jobs``), searches (``hub_search``). Uploads go by LFS: the Xet
protocol is switched off while it runs.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiohttp import web
from huggingface_hub import close_session, constants
from tests.doubles.hub_jobs import JobsRoom
from tests.doubles.hub_repos import Refused, ReposRoom
from tests.doubles.hub_search import SearchRoom
from tests.doubles.hub_spaces import SpacesRoom
from tests.doubles.runners import end

WRITE = "hf_write"
READ = "hf_read"
FINE_GRAINED = "hf_fine"
USER = "acme"
ORG = "acme-org"

Role = Literal["read", "write", "fineGrained"]


@dataclass(frozen=True)
class Account:
    """Whose token it is, and what it may."""

    name: str = USER
    role: Role = "write"
    orgs: Mapping[str, str] = field(default_factory=dict)
    """Organisation → the user's role there: admin, write, contributor, read."""
    scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a fine-grained token: namespace → permissions (``repo.write``, ``job.write`` …)."""
    granted: frozenset[str] = frozenset()
    """Gated repositories that it may read."""

    def may_write(self, namespace: str, permission: str = "repo.write") -> bool:
        """Return whether it may change what belongs to a namespace."""
        if self.role == "fineGrained":
            return permission in self.scopes.get(namespace, ())
        own = namespace == self.name or self.orgs.get(namespace) in {
            "admin",
            "write",
            "contributor",
        }
        return self.role == "write" and own

    def may_read(self, namespace: str) -> bool:
        """Return whether it sees what is private to a namespace."""
        return namespace == self.name or namespace in self.orgs or namespace in self.scopes

    def whoami(self) -> dict[str, Any]:
        """Return ``GET /api/whoami-v2``."""
        access: dict[str, Any] = {"displayName": "chef", "role": self.role}
        if self.role == "fineGrained":
            access["fineGrained"] = {
                "canReadGatedRepos": bool(self.granted),
                "global": [],
                "scoped": [
                    {
                        "entity": {"_id": name, "type": "user", "name": name},
                        "permissions": list(permissions),
                    }
                    for name, permissions in self.scopes.items()
                ],
            }
        return {
            "type": "user",
            "id": f"id-{self.name}",
            "name": self.name,
            "fullname": self.name,
            "canPay": True,
            "isPro": False,
            "orgs": [
                {"type": "org", "id": f"id-{name}", "name": name, "roleInOrg": role}
                for name, role in self.orgs.items()
            ],
            "auth": {"type": "access_token", "accessToken": access},
        }


@dataclass(frozen=True)
class Seen:
    """One request that came in."""

    method: str
    path: str
    query: Mapping[str, str]
    token: str | None
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class _Fault:
    path: re.Pattern[str]
    method: str | None
    status: int | None
    code: str | None
    message: str
    times: int
    headers: Mapping[str, str]


class HubDouble:
    """The service, and everything in it; change it as you please."""

    def __init__(self) -> None:
        self.url = ""
        self.accounts: dict[str, Account] = {
            WRITE: Account(orgs={ORG: "write"}),
            READ: Account(role="read", orgs={ORG: "write"}),
            FINE_GRAINED: Account(role="fineGrained", scopes={USER: ("repo.write", "job.write")}),
        }
        self.requests: list[Seen] = []
        """Everything that was asked for, in order."""
        self.repos = ReposRoom(self)
        self.spaces = SpacesRoom(self)
        self.jobs = JobsRoom(self)
        self.search = SearchRoom()
        self._faults: list[_Fault] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hub-double", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._xet = constants.HF_HUB_DISABLE_XET

    # -- use ---------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        constants.HF_HUB_DISABLE_XET = True
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.jobs.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        close_session()
        constants.HF_HUB_DISABLE_XET = self._xet

    def environment(self, token: str | None = WRITE) -> dict[str, str]:
        """Return what points a child process at this Hub; ``HF_HOME`` is for the caller to add."""
        common = {
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return common if token is None else {**common, "HUGGINGFACE_TOKEN": token}

    def fail(
        self,
        status: int | None,
        *,
        path: str = "",
        method: str | None = None,
        times: int = 1,
        code: str | None = None,
        message: str = "Something went wrong",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next ``times`` requests whose path holds the regex ``path`` like this.

        ``status`` None breaks the connection; ``code`` is the Hub's ``X-Error-Code``.
        """
        self._faults.append(
            _Fault(re.compile(path), method, status, code, message, times, headers or {})
        )

    def forgive(self) -> None:
        """Forget every failure that was ordered."""
        self._faults.clear()

    def seen(self, method: str, path: str) -> list[Seen]:
        """Return the requests of this method whose path holds the regex."""
        return [r for r in self.requests if r.method == method and re.search(path, r.path)]

    # -- what the rooms use ------------------------------------------------------------------------

    def account(self, request: web.Request) -> Account | None:
        """Return who is asking; None for nobody."""
        token = _token(request)
        return None if token is None else self.accounts[token]

    @staticmethod
    def error(status: int, message: str, code: str | None = None) -> web.Response:
        """Return an error as the Hub says it."""
        headers = {"X-Error-Message": message, "X-Request-Id": "Root=1-double"}
        if code is not None:
            headers["X-Error-Code"] = code
        return web.json_response({"error": message}, status=status, headers=headers)

    # -- the server --------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=1 << 30)
        app.router.add_get("/api/whoami-v2", self._whoami)
        for room in (self.search, self.spaces, self.jobs, self.repos):
            app.add_routes(room.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await end(runner)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Write down what was asked, fail where it should, and refuse unknown tokens."""
        token = _token(request)
        body = b"" if request.path.startswith("/_lfs/") else await request.read()
        query = dict(request.query)
        self.requests.append(Seen(request.method, request.path, query, token, body))
        if (fault := self._fault(request)) is not None:
            if fault.status is None:
                transport = request.transport
                assert transport is not None
                transport.abort()
                return web.Response()
            answer = self.error(fault.status, fault.message, fault.code)
            answer.headers.update(fault.headers)
            return answer
        if token is not None and token not in self.accounts:
            return self.error(401, "Invalid credentials in Authorization header")
        try:
            response: web.StreamResponse = await handler(request)
        except Refused as refused:
            return refused.answer
        return response

    def _fault(self, request: web.Request) -> _Fault | None:
        for fault in self._faults:
            fits = fault.method in {None, request.method} and fault.path.search(request.path)
            if fits and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    async def _whoami(self, request: web.Request) -> web.Response:
        account = self.account(request)
        if account is None:
            return self.error(401, "Invalid username or password.")
        return web.json_response(account.whoami())


def _token(request: web.Request) -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind == "Bearer" and token else None
