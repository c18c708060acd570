"""The server: what it says of itself, and which part answers what. Transports stand beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from mcp import McpError, types
from mcp.server.lowlevel.server import Server

from agent_orchestrator import __version__
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.errors import ChefError, InputError, NotFoundError
from agent_orchestrator.mcp_server import prompts
from agent_orchestrator.mcp_server.calls import Calls, Identify
from agent_orchestrator.mcp_server.resources import Resources
from agent_orchestrator.mcp_server.tools import list_tools
from agent_orchestrator.wiring.embedded import Embedded

#: The protocol's code for a resource that does not exist.
_NOT_FOUND: Final = -32002
_INSTRUCTIONS: Final = """\
code/chef ModelOps: train a model for an agent, compare it with what serves, let part of the traffic
try it, and have it promoted or rolled back on evidence.

Training, evaluation, conversion and search answer with a job at once; follow_job waits for it.
What spends more than the limit, and every change of what serves, waits for a person's approval: the
error names its id. No tool approves. A person does, where this client asks them, or with
`chef approve ID`; after `chef approve ID --only`, carry_out_approved goes on with it.
With dry_run a changing tool only says what would happen."""


def build_server(embedded: Embedded, identify: Identify) -> Server[Any, Any]:
    """Return a server of everything, for callers whom ``identify`` tells from one another."""
    server: Server[Any, Any] = Server("code-chef", __version__, _INSTRUCTIONS)
    handlers = _Handlers(server, embedded, identify)
    server.request_handlers |= {
        types.ListToolsRequest: handlers.list_tools,
        types.CallToolRequest: handlers.call_tool,
        types.ListResourcesRequest: handlers.list_resources,
        types.ListResourceTemplatesRequest: handlers.list_templates,
        types.ReadResourceRequest: handlers.read_resource,
        types.ListPromptsRequest: handlers.list_prompts,
        types.GetPromptRequest: handlers.get_prompt,
    }
    return server


class _Handlers:
    """One method for each request of the protocol.

    A call's arguments are checked by the use case's own model, whose messages say more than those
    of a schema's check, which the SDK's decorator would add.
    """

    def __init__(self, server: Server[Any, Any], embedded: Embedded, identify: Identify) -> None:
        self._server = server
        self._identify = identify
        self._calls = Calls(embedded.coordinator, identify)
        self._resources = Resources(embedded)
        self._tools = list_tools()

    async def list_tools(self, _request: types.ListToolsRequest) -> types.ServerResult:
        return types.ServerResult(types.ListToolsResult(tools=self._tools))

    async def call_tool(self, request: types.CallToolRequest) -> types.ServerResult:
        name, arguments = request.params.name, request.params.arguments or {}
        return types.ServerResult(
            await self._calls.call(self._server.request_context, name, arguments)
        )

    async def list_resources(self, _request: types.ListResourcesRequest) -> types.ServerResult:
        with _failures():
            found = await self._resources.listed(await self._caller())
        return types.ServerResult(types.ListResourcesResult(resources=found))

    async def list_templates(
        self, _request: types.ListResourceTemplatesRequest
    ) -> types.ServerResult:
        templates = self._resources.templates()
        return types.ServerResult(types.ListResourceTemplatesResult(resourceTemplates=templates))

    async def read_resource(self, request: types.ReadResourceRequest) -> types.ServerResult:
        with _failures():
            content = await self._resources.read(request.params.uri, await self._caller())
        return types.ServerResult(types.ReadResourceResult(contents=[content]))

    async def list_prompts(self, _request: types.ListPromptsRequest) -> types.ServerResult:
        return types.ServerResult(types.ListPromptsResult(prompts=prompts.list_prompts()))

    async def get_prompt(self, request: types.GetPromptRequest) -> types.ServerResult:
        with _failures():
            found = prompts.get_prompt(request.params.name, request.params.arguments or {})
        return types.ServerResult(found)

    async def _caller(self) -> Caller:
        return await self._identify(self._server.request_context)


@contextmanager
def _failures() -> Iterator[None]:
    """Say our errors in the protocol's words: what is not a tool has no result for a failure."""
    try:
        yield
    except ChefError as error:
        code = _NOT_FOUND if isinstance(error, NotFoundError) else types.INTERNAL_ERROR
        code = types.INVALID_PARAMS if type(error) is InputError else code
        raise McpError(types.ErrorData(code=code, message=str(error))) from error
