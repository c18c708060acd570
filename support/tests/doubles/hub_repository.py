"""What a repository of the Hub's double holds: files, commits, and what its page says."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ruamel.yaml import YAML

Kind = Literal["model", "dataset", "space"]
AT = "2026-11-20T12:00:00.000Z"


@dataclass(frozen=True)
class File:
    """One file as it stands in a commit."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        """The name of its content in LFS."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The git blob's name."""
        data = self.content
        if self.lfs:
            text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n"
            data = f"{text}size {len(self.content)}\n".encode()
        return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()  # noqa: S324 - git's


@dataclass(frozen=True)
class Commit:
    """The whole tree after a commit."""

    oid: str
    title: str
    files: Mapping[str, File]


@dataclass
class Repo:
    """One repository."""

    id: str
    kind: Kind
    private: bool = False
    gated: Literal[False, "auto", "manual"] = False
    info: dict[str, Any] = field(default_factory=dict)
    """What its page says beside its files: ``safetensors``, ``cardData`` … beats what they say."""
    sdk: str | None = None
    commits: list[Commit] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Whose it is."""
        return self.id.split("/")[0]

    @property
    def files(self) -> Mapping[str, File]:
        """What lies in it now."""
        return self.commits[-1].files

    def commit(self, title: str, changes: Mapping[str, File | None]) -> Commit:
        """Add a commit that puts (or, for None, removes) files."""
        files = dict(self.commits[-1].files) if self.commits else {}
        for path, file in changes.items():
            if file is None:
                files.pop(path, None)
            else:
                files[path] = file
        oid = hashlib.sha1(f"{self.id} {len(self.commits)} {title}".encode()).hexdigest()  # noqa: S324
        self.commits.append(Commit(oid, title, files))
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """Return the tree of ``main`` or of a commit."""
        if revision in {"main", "refs/heads/main"}:
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.oid == revision), None)

    def page(self) -> dict[str, Any]:
        """Return what ``GET /api/{kind}s/{id}`` says."""
        card = self._card()
        tags = [f"license:{card['license']}"] if card and "license" in card else []
        known: dict[str, Any] = {
            "_id": hashlib.md5(self.id.encode()).hexdigest(),  # noqa: S324
            "id": self.id,
            "author": self.namespace,
            "sha": self.commits[-1].oid,
            "lastModified": AT,
            "createdAt": AT,
            "private": self.private,
            "gated": self.gated,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": tags,
            "siblings": [{"rfilename": path} for path in sorted(self.files)],
        }
        if self.kind == "model":
            known |= {"modelId": self.id, "library_name": "transformers"}
            if (weights := self._weights()) is not None:
                known["safetensors"] = weights
        if self.kind == "space":
            known["sdk"] = self.sdk
        if card:
            known["cardData"] = card
        return known | self.info

    def _card(self) -> dict[str, Any]:
        readme = self.files.get("README.md")
        text = readme.content.decode() if readme else ""
        if not text.startswith("---\n"):
            return {}
        found: dict[str, Any] = YAML(typ="safe").load(text.split("---\n")[1]) or {}
        return found

    def _weights(self) -> dict[str, Any] | None:
        counts: dict[str, int] = {}
        for path, file in self.files.items():
            if "/" not in path and path.endswith(".safetensors"):
                for kind, count in _count(file.content):
                    counts[kind] = counts.get(kind, 0) + count
        return {"parameters": counts, "total": sum(counts.values())} if counts else None


def _count(content: bytes) -> list[tuple[str, int]]:
    """Return types and sizes of a file's tensors; none of what is no safetensors file."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
    except (struct.error, ValueError):
        return []
    tensors = (tensor for name, tensor in header.items() if name != "__metadata__")
    return [(tensor["dtype"], math.prod(tensor["shape"])) for tensor in tensors]
