"""Searches of the Hub's double that are not lists of repositories: Spaces, papers, documentation.

The forms are those of https://huggingface.co/api/spaces/semantic-search, /api/papers/search and
/api/docs/search, and of a documentation page's ``.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web


class SearchRoom:
    """What is found: by any word of the query in its text."""

    def __init__(self) -> None:
        self.spaces: list[dict[str, Any]] = []
        self.papers: list[dict[str, Any]] = []
        self.pages: dict[str, str] = {}
        """Path under /docs → markdown."""

    def add_space(self, space_id: str, description: str, **more: Any) -> None:
        """Have a Space that does something."""
        owner, name = space_id.split("/")
        self.spaces.append(
            {
                "id": space_id,
                "author": owner,
                "title": name.replace("-", " "),
                "emoji": "🔎",
                "sdk": "gradio",
                "likes": 3,
                "private": False,
                "tags": ["gradio", "mcp-server"],
                "runtime": {"stage": "RUNNING", "hardware": {"current": "cpu-basic"}},
                "ai_short_description": description,
                "ai_category": "Code Generation",
                "semanticRelevancyScore": 0.75,
                "trendingScore": 1,
                **more,
            }
        )

    def add_paper(self, paper_id: str, title: str, summary: str) -> None:
        """Have a paper."""
        inner = {
            "id": paper_id,
            "authors": [{"_id": "1", "name": "Ada Lovelace", "hidden": False}],
            "publishedAt": "2026-01-02T00:00:00.000Z",
            "title": title,
            "summary": summary,
            "upvotes": 7,
        }
        self.papers.append({"paper": inner, "title": title, "numComments": 0})

    def routes(self) -> list[web.RouteDef]:
        """Return what clients call."""
        return [
            web.get("/api/spaces/semantic-search", self._spaces),
            web.get("/api/papers/search", self._papers),
            web.get("/api/docs/search", self._docs),
            web.get("/docs/{path:.+}.md", self._page),
        ]

    async def _spaces(self, request: web.Request) -> web.Response:
        wanted = set(request.query.getall("filter", []))
        found = [
            space
            for space in self.spaces
            if _holds(space["ai_short_description"], request.query) and wanted <= {*space["tags"]}
        ]
        return web.json_response(found)

    async def _papers(self, request: web.Request) -> web.Response:
        found = [paper for paper in self.papers if _holds(paper["paper"]["summary"], request.query)]
        return web.json_response(found[: int(request.query.get("limit", "120"))])

    async def _docs(self, request: web.Request) -> web.Response:
        product = request.query.get("product")
        found = [
            {
                "text": text,
                "product": path.split("/")[0],
                "heading1": text.partition("\n")[0].removeprefix("# "),
                "source_page_url": f"https://huggingface.co/docs/{path}",
                "source_page_title": path,
            }
            for path, text in self.pages.items()
            if _holds(text, request.query) and product in {None, path.split("/")[0]}
        ]
        return web.json_response(found)

    async def _page(self, request: web.Request) -> web.Response:
        text = self.pages.get(request.match_info["path"])
        if text is None:
            return web.Response(status=404, text="Not found")
        return web.Response(text=text, content_type="text/markdown")


def _holds(text: str, query: Mapping[str, str]) -> bool:
    return any(word in text.lower() for word in query.get("q", "").lower().split())
