"""Searches of the Hub by its own client. Blocking; nothing is changed there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from huggingface_hub import get_session
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import DatasetInfo, ModelInfo, SpaceInfo
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]
from pydantic import Field

from agent_orchestrator.agents.infrastructure.hub_discovery.findings import (
    DocExcerpt,
    DocExcerpts,
    DocPage,
    FoundDataset,
    FoundDatasets,
    FoundModel,
    FoundModels,
    FoundPaper,
    FoundPapers,
    FoundSpace,
    FoundSpaces,
    RepoDetails,
    RepoFile,
    RepoType,
)
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.errors import InputError, NotFoundError

Query = Annotated[str, Field(min_length=1, max_length=200)]
Limit = Annotated[int, Field(ge=1, le=50)]
Sort = Literal["trending_score", "downloads", "likes", "created_at", "last_modified"]

_MODEL: Final = (
    *("cardData", "downloads", "gated", "lastModified", "library_name", "likes", "pipeline_tag"),
    *("safetensors", "tags"),
)
_DATASET: Final = (
    *("cardData", "description", "downloads", "gated", "lastModified", "likes", "tags"),
)
_SHOWN_FILES: Final = 100
_CARD_CHARS: Final = 8_000
_PAGE_CHARS: Final = 20_000


class HubDiscovery:
    """What the Hub has, for one token or none.

    The public methods are the tools of ``server`` by name, arguments and description. Every one
    raises UnavailableError when the Hub does not answer, ConfigurationError for a token that is
    refused, InputError for what cannot be asked, NotFoundError for what is not there.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @property
    def _endpoint(self) -> str:
        return self._hub.api.endpoint.rstrip("/")

    def model_search(
        self,
        *,
        query: Query | None = None,
        author: str | None = None,
        task: Annotated[str | None, Field(description="E.g. text-generation.")] = None,
        library: Annotated[str | None, Field(description="E.g. transformers, peft, gguf.")] = None,
        sort: Sort = "trending_score",
        limit: Limit = 10,
    ) -> FoundModels:
        """Find models on the Hub, with their licence, parameters and whether they are gated."""
        with _asked("models"):
            found = self._hub.api.list_models(
                search=query,
                author=author,
                pipeline_tag=task,
                filter=library,
                sort=sort,
                limit=limit,
                expand=list(_MODEL),
            )
            return FoundModels(models=[self._model(info) for info in found])

    def dataset_search(
        self,
        *,
        query: Query | None = None,
        author: str | None = None,
        task: Annotated[str | None, Field(description="E.g. question-answering.")] = None,
        language: Annotated[str | None, Field(description="ISO 639-1 code, e.g. en.")] = None,
        sort: Sort = "trending_score",
        limit: Limit = 10,
    ) -> FoundDatasets:
        """Find data sets on the Hub, with their licence and size."""
        with _asked("data sets"):
            found = self._hub.api.list_datasets(
                search=query,
                author=author,
                task_categories=task,
                language=language,
                sort=sort,
                limit=limit,
                expand=list(_DATASET),
            )
            return FoundDatasets(datasets=[self._dataset(info) for info in found])

    def space_search(
        self,
        query: Query,
        mcp_only: Annotated[bool, Field(description="Only those that speak MCP.")] = False,
        limit: Limit = 10,
    ) -> FoundSpaces:
        """Find Spaces (running demos and tools) by what they do."""
        with _asked("Spaces"):
            wanted = "mcp-server" if mcp_only else None
            found = list(self._hub.api.search_spaces(query, filter=wanted))[:limit]
        return FoundSpaces(
            spaces=[
                FoundSpace(
                    id=space.id,
                    url=f"{self._endpoint}/spaces/{space.id}",
                    title=space.title,
                    description=space.ai_short_description,
                    category=space.ai_category,
                    sdk=space.sdk,
                    stage=str(space.runtime.stage) if space.runtime else None,
                    likes=space.likes,
                    speaks_mcp="mcp-server" in (space.tags or []),
                    relevance=space.semantic_relevancy_score,
                )
                for space in found
            ]
        )

    def paper_search(self, query: Query, limit: Limit = 10) -> FoundPapers:
        """Find papers about machine learning, with their abstracts."""
        with _asked("papers"):
            found = list(self._hub.api.list_papers(query=query, limit=limit))[:limit]
        return FoundPapers(
            papers=[
                FoundPaper(
                    id=paper.id,
                    url=f"{self._endpoint}/papers/{paper.id}",
                    title=paper.title,
                    authors=[author.name for author in paper.authors or [] if author.name],
                    published=_when(paper.published_at),
                    summary=paper.summary,
                    upvotes=paper.upvotes,
                )
                for paper in found
            ]
        )

    def hub_repo_details(
        self,
        repo_id: Annotated[str, Field(description="owner/name")],
        repo_type: RepoType = "model",
        include_readme: bool = False,
    ) -> RepoDetails:
        """Say what the Hub knows of a repository: licence, gate, parameters, origin, files."""
        try:
            with _asked(repo_id):
                info = self._info(repo_id, repo_type)
                text = self._card(repo_id, repo_type) if include_readme else None
        except (RepositoryNotFoundError, HFValidationError):
            raise NotFoundError(
                f"The Hub has no {repo_type} {repo_id!r} that you may see.",
                remedy="Search for it.",
            ) from None
        return self._details(info, repo_type, text)

    def hf_doc_search(
        self,
        query: Query,
        product: Annotated[str | None, Field(description="E.g. hub, transformers, trl.")] = None,
        limit: Limit = 10,
    ) -> DocExcerpts:
        """Search the Hugging Face documentation."""
        params = {"q": query, **({"product": product} if product else {})}
        with _asked("documentation"):
            answer = get_session().get(f"{self._endpoint}/api/docs/search", params=params)
            hf_raise_for_status(answer)
            found = answer.json()
        return DocExcerpts(
            excerpts=[
                DocExcerpt(
                    product=entry["product"],
                    title=entry.get("heading1") or entry["source_page_title"],
                    section=entry.get("heading2"),
                    url=entry["source_page_url"],
                    text=entry["text"],
                )
                for entry in found[:limit]
            ]
        )

    def hf_doc_fetch(
        self,
        doc_url: Annotated[str, Field(description="https://huggingface.co/docs/…")],
        offset: Annotated[int, Field(ge=0, description="Character to go on from.")] = 0,
    ) -> DocPage:
        """Read a page of the Hugging Face documentation."""
        path = self._docs_path(doc_url)  # nothing else is fetched
        with _asked("documentation"):
            answer = get_session().get(f"{self._endpoint}{path}.md", follow_redirects=True)
            if answer.status_code == 404:  # noqa: PLR2004
                raise NotFoundError(f"There is no page {doc_url!r}.", remedy="Search for it.")
            hf_raise_for_status(answer)
        text = answer.text
        end = offset + _PAGE_CHARS
        return DocPage(
            url=f"{self._endpoint}{path}",
            text=text[offset:end],
            next_offset=end if end < len(text) else None,
        )

    def _docs_path(self, url: str) -> str:
        asked, own = urlsplit(url), urlsplit(self._endpoint)
        known = {"huggingface.co", "hf.co", own.netloc, ""}
        parts = asked.path.split("/")
        if (
            asked.netloc not in known
            or parts[:2] != ["", "docs"]
            or not {"..", "."}.isdisjoint(parts)
        ):
            raise InputError(
                f"{url!r} is no page of the Hugging Face documentation.",
                remedy="Give an address of https://huggingface.co/docs/…",
            )
        return asked.path.removesuffix(".md").rstrip("/")

    def _info(self, repo: str, kind: RepoType) -> ModelInfo | DatasetInfo | SpaceInfo:
        api = self._hub.api
        if kind == "dataset":
            return api.dataset_info(repo, files_metadata=True)
        if kind == "space":
            return api.space_info(repo, files_metadata=True)
        return api.model_info(repo, files_metadata=True)

    def _card(self, repo: str, kind: RepoType) -> str | None:
        prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
        address = f"{self._endpoint}/{prefix}{repo}/resolve/main/README.md"
        headers = {"authorization": f"Bearer {self._hub.token}"} if self._hub.token else {}
        try:
            answer = get_session().get(address, headers=headers, follow_redirects=True)
            hf_raise_for_status(answer)
        except (EntryNotFoundError, GatedRepoError):
            return None
        return answer.text[:_CARD_CHARS]

    def _model(self, info: ModelInfo) -> FoundModel:
        return FoundModel(
            id=info.id,
            url=f"{self._endpoint}/{info.id}",
            task=info.pipeline_tag,
            library=info.library_name,
            licence=_licence(info),
            parameters=info.safetensors.total if info.safetensors else None,
            gated=bool(info.gated),
            downloads=info.downloads,
            likes=info.likes,
            updated=_when(info.last_modified),
        )

    def _dataset(self, info: DatasetInfo) -> FoundDataset:
        return FoundDataset(
            id=info.id,
            url=f"{self._endpoint}/datasets/{info.id}",
            description=" ".join((info.description or "").split()),
            licence=_licence(info),
            tasks=_tagged(info, "task_categories"),
            languages=_tagged(info, "language"),
            size=next(iter(_tagged(info, "size_categories")), None),
            gated=bool(info.gated),
            downloads=info.downloads,
            likes=info.likes,
            updated=_when(info.last_modified),
        )

    def _details(
        self, info: ModelInfo | DatasetInfo | SpaceInfo, kind: RepoType, card: str | None
    ) -> RepoDetails:
        prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
        files = info.siblings or []
        model = info if isinstance(info, ModelInfo) else None
        return RepoDetails(
            id=info.id,
            type=kind,
            url=f"{self._endpoint}/{prefix}{info.id}",
            licence=_licence(info),
            gated=bool(getattr(info, "gated", False)),
            private=bool(info.private),
            tags=list(info.tags or []),
            task=model.pipeline_tag if model else None,
            library=model.library_name if model else None,
            parameters=model.safetensors.total if model and model.safetensors else None,
            base_models=_listed(_card_data(info).get("base_model")),
            trained_on=_listed(_card_data(info).get("datasets")),
            downloads=getattr(info, "downloads", None),
            likes=info.likes,
            updated=_when(info.last_modified),
            files=[RepoFile(path=one.rfilename, bytes=one.size) for one in files[:_SHOWN_FILES]],
            file_count=len(files),
            card=card,
        )


@contextmanager
def _asked(what: str) -> Iterator[None]:
    with hub_failures(f"The Hub, asked for {what},"):
        yield


def _card_data(info: ModelInfo | DatasetInfo | SpaceInfo) -> Mapping[str, Any]:
    return vars(info.card_data) if info.card_data else {}


def _licence(info: ModelInfo | DatasetInfo | SpaceInfo) -> str | None:
    tagged = _tagged(info, "license")
    return ", ".join(_listed(_card_data(info).get("license")) or tagged) or None


def _tagged(info: ModelInfo | DatasetInfo | SpaceInfo, key: str) -> list[str]:
    """Return the values of tags of the form ``key:value``."""
    prefix = f"{key}:"
    return [tag.removeprefix(prefix) for tag in info.tags or [] if tag.startswith(prefix)]


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _when(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
