"""Repositories of the Hub's double: models, data sets and Spaces, with small files and LFS."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from aiohttp import web
from tests.doubles.hub_repository import AT, Commit, File, Kind, Repo

if TYPE_CHECKING:
    from tests.doubles.hub import Account, HubDouble

_LFS_SUFFIXES: Final = (
    *(".safetensors", ".gguf", ".bin", ".pt", ".parquet", ".npz", ".whl", ".zip"),
)
_REGULAR_BYTES: Final = 10 << 20
_REPO: Final = "{owner:[^/]+}/{name:[^/]+}"
_KIND: Final = "{kind:models|datasets|spaces}"
_PREFIX: Final = "{prefix:(?:datasets/|spaces/|)}"


class Refused(Exception):  # noqa: N818 - it carries an answer
    """What was asked is answered by an error."""

    def __init__(self, answer: web.Response) -> None:
        self.answer = answer


class ReposRoom:
    """All repositories."""

    def __init__(self, hub: HubDouble) -> None:
        self._hub = hub
        self._repos: dict[tuple[Kind, str], Repo] = {}
        self._blobs: dict[str, bytes] = {}
        self._parts: dict[str, dict[int, bytes]] = {}
        self.damage = False
        """Spoil the bytes of large files on their way."""
        self.lfs_part_bytes: int | None = None
        """Ask for LFS uploads in parts of this size."""

    # -- use ---------------------------------------------------------------------------------------

    def add(
        self, kind: Kind, repo_id: str, files: Mapping[str, bytes | str] | None = None, **more: Any
    ) -> Repo:
        """Have a repository already; ``more`` are fields of ``Repo``."""
        repo = Repo(repo_id, kind, **more)
        first = {path: _file(path, content) for path, content in (files or {}).items()}
        repo.commit("initial commit", {".gitattributes": File(b"", lfs=False), **first})
        self._repos[kind, repo_id] = repo
        return repo

    def add_model(
        self,
        repo_id: str,
        *,
        parameters: int | None = None,
        license: str | None = "apache-2.0",  # noqa: A002 - the card's own word
        card: Mapping[str, Any] | None = None,
        gated: Literal[False, "auto", "manual"] = False,
        private: bool = False,
    ) -> Repo:
        """Have a model's page without its weights."""
        data = {**({"license": license} if license else {}), **(card or {})}
        info: dict[str, Any] = {"cardData": data}
        info["tags"] = [f"license:{data['license']}"] if "license" in data else []
        if parameters is not None:
            info["safetensors"] = {"parameters": {"BF16": parameters}, "total": parameters}
        return self.add("model", repo_id, info=info, gated=gated, private=private)

    def get(self, kind: Kind, repo_id: str) -> Repo:
        """Return a repository; KeyError without it."""
        return self._repos[kind, repo_id]

    def ids(self, kind: Kind) -> list[str]:
        """Return the names of all repositories of a kind."""
        return sorted(name for of, name in self._repos if of == kind)

    def delete(self, kind: Kind, repo_id: str) -> None:
        """Forget a repository."""
        del self._repos[kind, repo_id]

    # -- routes ------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """Return what the client calls."""
        one = f"/api/{_KIND}/{_REPO}"
        return [
            web.post("/api/repos/create", self._create),
            web.delete("/api/repos/delete", self._delete),
            web.post("/api/validate-yaml", self._validate_yaml),
            web.get(f"/api/{_KIND}", self._list),
            web.get(one, self._info),
            web.get(f"{one}/revision/{{revision}}", self._info),
            web.get(f"{one}/auth-check", self._auth_check),
            web.get(f"{one}/auth-check/write", self._auth_check_write),
            web.put(f"{one}/settings", self._settings),
            web.get(f"{one}/refs", self._refs),
            web.get(f"{one}/commits/{{revision}}", self._commits),
            web.get(f"{one}/tree/{{revision}}", self._tree),
            web.get(f"{one}/tree/{{revision}}/{{path:.*}}", self._tree),
            web.post(f"{one}/paths-info/{{revision}}", self._paths_info),
            web.post(f"{one}/preupload/{{revision}}", self._preupload),
            web.post(f"{one}/commit/{{revision}}", self._commit),
            web.post(f"/{_PREFIX}{_REPO}.git/info/lfs/objects/batch", self._batch),
            web.put("/_lfs/{oid}", self._put),
            web.put("/_lfs/{oid}/{part}", self._put_part),
            web.post("/_lfs/{oid}", self._complete),
            web.get("/_lfs/{oid}", self._get_blob),
            web.get(
                f"/{_PREFIX}{_REPO}/resolve/{{revision}}/{{path:.+}}", self._resolve
            ),  # and HEAD
        ]

    def find(self, request: web.Request, *, write: bool = False, kind: Kind | None = None) -> Repo:
        """Return the repository of the path; the Hub hides what one may not see."""
        match = request.match_info
        kind = kind or _kind(match)
        repo_id = f"{match['owner']}/{match['name']}"
        repo = self._repos.get((kind, repo_id))
        account = self._hub.account(request)
        seen = repo is not None and (not repo.private or _reads(account, repo))
        if repo is None or not seen:
            status = 401 if account is None else 404
            raise Refused(self._hub.error(status, "Repository not found", "RepoNotFound"))
        if write and (account is None or not account.may_write(repo.namespace)):
            message = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
            raise Refused(self._hub.error(403, message))
        return repo

    def _tree_of(self, request: web.Request, repo: Repo) -> Commit:
        commit = repo.at(request.match_info.get("revision", "main"))
        if commit is None:
            raise Refused(self._hub.error(404, "Invalid rev id", "RevisionNotFound"))
        return commit

    def _check_gate(self, request: web.Request, repo: Repo) -> None:
        account = self._hub.account(request)
        if not repo.gated or (account and (repo.id in account.granted or _reads(account, repo))):
            return
        message = (
            f"Access to model {repo.id} is restricted and you are not in the authorized list. "
            f"Visit {self._hub.url}/{repo.id} to ask for access."
        )
        raise Refused(self._hub.error(403 if account else 401, message, "GatedRepo"))

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        account = self._hub.account(request)
        if account is None:
            return self._hub.error(401, "Invalid username or password.")
        kind: Kind = body.get("type") or "model"
        namespace = body.get("organization") or account.name
        if not account.may_write(namespace):
            message = (
                f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"'
            )
            return self._hub.error(403, message)
        repo_id = f"{namespace}/{body['name']}"
        prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
        answer = {"url": f"{self._hub.url}/{prefix}{repo_id}", "name": repo_id, "id": repo_id}
        if (kind, repo_id) in self._repos:
            taken = {"error": f"You already created this {kind} repo", **answer}
            return web.json_response(taken, status=409)
        private = body.get("visibility") == "private"
        self.add(kind, repo_id, private=private, sdk=body.get("sdk"))
        if kind == "space":
            self._hub.spaces.created(repo_id, body)
        return web.json_response(answer)

    async def _delete(self, request: web.Request) -> web.Response:
        body = await request.json()
        account = self._hub.account(request)
        namespace = body.get("organization") or (account.name if account else "")
        if account is None or not account.may_write(namespace):
            return self._hub.error(403, "Forbidden")
        key = (body.get("type") or "model", f"{namespace}/{body['name']}")
        if self._repos.pop(key, None) is None:
            return self._hub.error(404, "Repository not found", "RepoNotFound")
        return web.json_response({})

    async def _validate_yaml(self, request: web.Request) -> web.Response:
        return web.json_response({"errors": [], "warnings": []})

    async def _list(self, request: web.Request) -> web.Response:
        kind = _kind(request.match_info)
        account = self._hub.account(request)
        author, words = request.query.get("author"), request.query.get("search", "").lower()
        found = [
            repo.page()
            for (of, name), repo in sorted(self._repos.items())
            if of == kind
            and (author is None or repo.namespace == author)
            and words in name.lower()
            and (not repo.private or _reads(account, repo))
        ]
        if (task := request.query.get("pipeline_tag")) is not None:
            found = [page for page in found if page.get("pipeline_tag") == task]
        for wanted in request.query.getall("filter", []):
            found = [page for page in found if wanted in (*page["tags"], page.get("library_name"))]
        if (by := request.query.get("sort")) is not None:
            found.sort(key=lambda page: page.get(by) or 0, reverse=True)
        if expand := request.query.getall("expand", []):
            found = [_expanded(page, expand) for page in found]
        return web.json_response(found[: int(request.query.get("limit", "1000"))])

    async def _info(self, request: web.Request) -> web.Response:
        repo = self.find(request)
        commit = self._tree_of(request, repo)
        page = repo.page() | {"sha": commit.oid}
        if request.query.get("blobs"):
            page["siblings"] = [
                {"rfilename": path, "size": len(file.content), "blobId": file.oid, **_lfs(file)}
                for path, file in sorted(commit.files.items())
            ]
        if wanted := request.query.getall("expand", []):
            page = _expanded(page, wanted)
        return web.json_response(page)

    async def _auth_check(self, request: web.Request) -> web.Response:
        self._check_gate(request, self.find(request))
        return web.json_response({})

    async def _auth_check_write(self, request: web.Request) -> web.Response:
        self.find(request, write=True)
        return web.json_response({})

    async def _settings(self, request: web.Request) -> web.Response:
        repo = self.find(request, write=True)
        body = await request.json()
        if "visibility" in body:
            repo.private = body["visibility"] == "private"
        repo.private = body.get("private", repo.private)
        repo.gated = body.get("gated", repo.gated)
        return web.json_response({"private": repo.private, "gated": repo.gated})

    async def _refs(self, request: web.Request) -> web.Response:
        repo = self.find(request)
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commits[-1].oid}
        return web.json_response({"branches": [main], "tags": [], "converts": []})

    async def _commits(self, request: web.Request) -> web.Response:
        repo = self.find(request)
        entries = [
            {"id": one.oid, "title": one.title, "message": "", "date": AT, "authors": []}
            for one in reversed(repo.commits)
        ]
        return web.json_response(entries)

    async def _tree(self, request: web.Request) -> web.Response:
        repo = self.find(request)
        commit = self._tree_of(request, repo)
        under = request.match_info.get("path", "").strip("/")
        deep = request.query.get("recursive", "").lower() == "true"
        files, folders = [], set()
        for path, file in sorted(commit.files.items()):
            if under and not path.startswith(f"{under}/"):
                continue
            rest = path[len(under) + 1 if under else 0 :]
            parts = rest.split("/")
            for depth in range(1, len(parts) if deep else min(2, len(parts))):
                folders.add("/".join(([under] if under else []) + parts[:depth]))
            if deep or len(parts) == 1:
                files.append(_entry(path, file))
        if under and not files and not folders:
            return self._hub.error(404, f'"{under}" does not exist', "EntryNotFound")
        shown = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": p} for p in folders]
        return web.json_response(sorted(shown + files, key=lambda entry: str(entry["path"])))

    async def _paths_info(self, request: web.Request) -> web.Response:
        commit = self._tree_of(request, self.find(request))
        form = await request.post()
        paths = [str(path) for path in form.getall("paths", [])]
        return web.json_response(
            [_entry(path, commit.files[path]) for path in paths if path in commit.files]
        )

    # -- writing -----------------------------------------------------------------------------------

    async def _preupload(self, request: web.Request) -> web.Response:
        repo = self.find(request, write=True)
        body = await request.json()
        files = []
        for one in body["files"]:
            mode = "lfs" if _is_large(one["path"], one["size"]) else "regular"
            entry = {"path": one["path"], "uploadMode": mode, "shouldIgnore": False}
            if (old := repo.files.get(one["path"])) is not None:
                entry["oid"] = old.sha256 if old.lfs else old.oid
            files.append(entry)
        return web.json_response({"commitOid": repo.commits[-1].oid, "files": files})

    async def _commit(self, request: web.Request) -> web.Response:
        repo = self.find(request, write=True)
        lines = [json.loads(line) for line in (await request.read()).splitlines()]
        header = lines[0]["value"]
        parent = header.get("parentCommit")
        if parent is not None and parent != repo.commits[-1].oid:
            return self._hub.error(
                412, "A commit has happened since. Please refresh and try again."
            )
        changes: dict[str, File | None] = {}
        for line in lines[1:]:
            value = line["value"]
            path = value["path"]
            if line["key"] == "file":
                changes[path] = File(base64.b64decode(value["content"]), lfs=False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self._blobs:
                    return self._hub.error(400, "LFS pointer pointed to a file that does not exist")
                changes[path] = File(self._blobs[value["oid"]], lfs=True)
            elif line["key"] == "deletedFile":
                changes[path] = None
            elif line["key"] == "deletedFolder":
                inside = path.rstrip("/") + "/"
                changes |= {one: None for one in repo.files if one.startswith(inside)}
        made = repo.commit(header["summary"], changes)
        url = f"{self._hub.url}/{repo.id}/commit/{made.oid}"
        return web.json_response(
            {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""}
        )

    async def _batch(self, request: web.Request) -> web.Response:
        self.find(request, write=True)
        body = await request.json()
        objects = []
        for one in body["objects"]:
            entry: dict[str, Any] = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self._blobs:
                entry["actions"] = {"upload": self._upload(one["oid"], one["size"])}
            objects.append(entry)
        return web.json_response({"transfer": "basic", "objects": objects})

    def _upload(self, oid: str, size: int) -> dict[str, Any]:
        href = f"{self._hub.url}/_lfs/{oid}"
        if self.lfs_part_bytes is None or size <= self.lfs_part_bytes:
            return {"href": href}
        parts = range(1, math.ceil(size / self.lfs_part_bytes) + 1)
        urls = {f"{part:05d}": f"{href}/{part}" for part in parts}
        return {"href": href, "header": {"chunk_size": str(self.lfs_part_bytes), **urls}}

    async def _put(self, request: web.Request) -> web.Response:
        return self._keep(request.match_info["oid"], await request.read())

    async def _put_part(self, request: web.Request) -> web.Response:
        parts = self._parts.setdefault(request.match_info["oid"], {})
        parts[int(request.match_info["part"])] = await request.read()
        return web.Response(headers={"ETag": f'"{request.match_info["part"]}"'})

    async def _complete(self, request: web.Request) -> web.Response:
        oid = request.match_info["oid"]
        parts = self._parts.pop(oid, {})
        return self._keep(oid, b"".join(content for _, content in sorted(parts.items())))

    def _keep(self, oid: str, content: bytes) -> web.Response:
        if hashlib.sha256(content).hexdigest() != oid:
            return self._hub.error(400, "The content does not have the announced SHA-256.")
        self._blobs[oid] = content
        return web.json_response({})

    # -- reading -----------------------------------------------------------------------------------

    async def _resolve(self, request: web.Request) -> web.Response:
        repo = self.find(request)
        self._check_gate(request, repo)
        commit = self._tree_of(request, repo)
        path = request.match_info["path"]
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        file = commit.files.get(path)
        if file is None:
            missing = self._hub.error(404, "Entry not found", "EntryNotFound")
            missing.headers.update(headers)
            return missing
        if not file.lfs:
            return _content(request, file.content, headers | {"ETag": f'"{file.oid}"'})
        self._blobs[file.sha256] = file.content
        headers |= {
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(len(file.content)),
            # Another host, as the real one: the client must not follow it when it asks by HEAD.
            "Location": f"{self._hub.url}/_lfs/{file.sha256}".replace("127.0.0.1", "localhost"),
        }
        return web.Response(status=302, headers=headers)

    async def _get_blob(self, request: web.Request) -> web.Response:
        oid = request.match_info["oid"]
        content = self._blobs[oid]
        if self.damage:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return _content(request, content, {"ETag": f'"{oid}"'})


def _expanded(page: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """Return a page with the asked properties only, as the Hub does when any is asked for."""
    return {key: page[key] for key in ("_id", "id", *wanted) if key in page}


def _kind(match: Mapping[str, str]) -> Kind:
    plural = match.get("kind") or match.get("prefix", "").rstrip("/") or "models"
    kinds: dict[str, Kind] = {"models": "model", "datasets": "dataset", "spaces": "space"}
    return kinds[plural]


def _reads(account: Account | None, repo: Repo) -> bool:
    return account is not None and account.may_read(repo.namespace)


def _is_large(path: str, size: int) -> bool:
    return path.endswith(_LFS_SUFFIXES) or size > _REGULAR_BYTES


def _file(path: str, content: bytes | str) -> File:
    data = content.encode() if isinstance(content, str) else content
    return File(data, lfs=_is_large(path, len(data)))


def _lfs(file: File) -> dict[str, Any]:
    if not file.lfs:
        return {}
    return {
        "lfs": {
            "oid": file.sha256,
            "sha256": file.sha256,
            "size": len(file.content),
            "pointerSize": 134,
        }
    }


def _entry(path: str, file: File) -> dict[str, Any]:
    return {"type": "file", "oid": file.oid, "size": len(file.content), "path": path, **_lfs(file)}


def _content(request: web.Request, content: bytes, headers: Mapping[str, str]) -> web.Response:
    """Return a file, or the part of it that was asked for."""
    wanted = request.headers.get("Range", "")
    if not wanted.startswith("bytes="):
        size = {"Content-Length": str(len(content))}  # aiohttp leaves out the 0 of an empty file
        return web.Response(body=content, headers={**headers, **size})
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), int(last) if last else len(content) - 1
    if start >= len(content):
        unsatisfiable = {"Content-Range": f"bytes */{len(content)}"}
        return web.Response(status=416, headers=unsatisfiable)
    part = content[start : end + 1]
    shown = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(content)}"}
    return web.Response(status=206, body=part, headers={**headers, **shown})
