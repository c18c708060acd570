"""The API under requests made from its own document, right ones and wrong ones, by every role.

The server is a process of its own, so that what breaks off in it is found in its log. Streams that
have no end are left as soon as they have begun.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.api.test_chat import register
from tests.doubles.api_process import ApiProcess
from tests.doubles.workspace import Workspace

from agent_orchestrator.domain.roles import Role
from agent_orchestrator.wiring.embedded import compose

pytestmark = pytest.mark.slow

CHECKS: list[CheckFunction] = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
NOWHERE = "http://127.0.0.1:9"
SECONDS = 60


@dataclass
class Server:
    """The API in a process of its own, and who may ask it."""

    process: ApiProcess
    tokens: dict[Role, str]
    document: dict[str, Any]

    @property
    def workspace(self) -> Workspace:
        """What it serves."""
        return self.process.workspace

    @property
    def log(self) -> str:
        """What it logged."""
        return self.process.log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the API over an installation with data, two versions and nothing outside of it."""
    variables = {
        "OPENROUTER_BASE_URL": "https://openrouter.ai/api/v1",
        "HF_ENDPOINT": NOWHERE,
        "LANGSMITH_ENDPOINT": NOWHERE,
        "CHEF_API_RATE": "1000000",
    }
    workspace = Workspace(tmp_path_factory.mktemp("api"), variables)
    register(workspace)
    api = ApiProcess(workspace)
    bearers = {role: api.token(role, role) for role in get_args(Role)}
    with api.running():
        document = requests.get(f"{api.url}/openapi.json", timeout=SECONDS).json()
        yield Server(api, bearers, document)


def pointed(document: dict[str, Any], values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the document with only these values for what requests have of these names."""
    found = copy.deepcopy(document)
    operations = [one for path in found["paths"].values() for one in path.values()]
    for operation in operations:
        for parameter in operation.get("parameters", []):
            if parameter["name"] in values:
                parameter["schema"] = {"type": "string", "enum": list(values[parameter["name"]])}
        body = operation.get("requestBody")
        if body is not None:
            name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            fields = found["components"]["schemas"][name].get("properties", {})
            fields |= {field: {"enum": list(values[field])} for field in values.keys() & fields}
    return found


def attack(
    server: Server,
    token: str,
    check: Callable[[Any, Any], None],
    *,
    examples: int = 1,
    values: Mapping[str, Sequence[Any]] | None = None,
) -> int:
    """Send each operation some requests of each kind; return how many there were."""
    schema = schemathesis.openapi.from_dict(pointed(server.document, values or {}))
    headers = {"Authorization": f"Bearer {token}"}
    sent = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in GenerationMode:

            @seed(20261121)
            @settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: Any) -> None:
                nonlocal sent
                sent += 1
                asked = case.as_transport_kwargs(base_url=server.process.url, headers=headers)
                with requests.request(**asked, timeout=SECONDS, stream=True) as answer:
                    if not answer.headers["Content-Type"].startswith("text/event-stream"):
                        assert answer.content is not None
                        check(case, answer)

            try:
                send()
            except Unsatisfiable:  # there is nothing that would be wrong
                assert mode is GenerationMode.NEGATIVE
    return sent


def state(server: Server) -> Any:
    """Return everything that a role without the right must not change."""
    system = compose(server.workspace.settings())
    approvals = system.audit.tail(100_000)
    return (
        system.jobs.newest(),
        system.rollouts.newest(),
        system.outcomes.position(),
        [entry for entry in approvals if entry.actor in server.tokens],
        server.workspace.models_yaml.read_bytes(),
        server.workspace.settings().registry_json.read_bytes(),
        sorted(path.name for path in server.workspace.settings().datasets_dir.iterdir()),
    )


def sound(case: Any, answer: requests.Response) -> None:
    """An answer is as documented; an error is a problem that says what it is."""
    assert answer.status_code != 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["title"]
        assert problem["detail"]
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_not_change_changes_nothing(server: Server, role: Role):
    """Though they name what is there; no answer is an internal error or other than documented."""
    before = state(server)
    known = {"agent": ["code_review", "cicd"], "version": ["v1.0.0", "v1.1.0"]}
    assert attack(server, server.tokens[role], sound, values=known) > 100
    assert state(server) == before
    assert "Traceback" not in server.log


def test_no_plan_breaks_the_server(server: Server):
    """Of whatever could be done to what is there, by who may do everything."""
    known = {"agent": ["code_review"], "version": ["v1.0.0", "v1.1.0", None], "dry_run": [True]}
    assert attack(server, server.tokens["admin"], sound, values=known) > 100
    assert "Traceback" not in server.log


def test_who_asks_for_changes_approves_none_of_them(server: Server):
    """What needs no approval may happen; what serves stays, and nothing waiting is answered."""
    system = compose(server.workspace.settings())

    def served() -> Any:
        models = server.workspace.models_yaml.read_bytes()
        answered = [e for e in system.audit.tail(100_000) if e.actor == "operator"]
        return models, [e.action for e in answered if e.action in {"approved", "rejected"}]

    before = served()
    known = {"agent": ["code_review"], "version": ["v1.0.0", "v1.1.0"]}
    assert attack(server, server.tokens["operator"], sound, values=known) > 100
    assert served() == before
    assert "Traceback" not in server.log


def test_no_nonsense_breaks_the_server(server: Server):
    """By who may do everything."""
    assert attack(server, server.tokens["admin"], sound, examples=2) > 200
    assert "Traceback" not in server.log


def test_without_a_token_nothing_is_told(server: Server):
    """401 to whatever is asked, right or wrong."""

    def refused(case: Any, answer: requests.Response) -> None:
        if case.operation.path not in {"/health", "/ready"}:
            assert answer.status_code in {401, 405}, (case.operation.path, answer.status_code)

    before = state(server)
    attack(server, "of-nobody", refused)
    assert state(server) == before
