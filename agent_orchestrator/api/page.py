"""The web page: its files, with the headers under which a browser runs nothing else."""

from __future__ import annotations

import gzip
import hashlib
import html
import secrets
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

FILES: Final = Path(__file__).parent / "page_files"
"""Where ``make page`` puts what it builds."""

_SCRIPT: Final = "views.js"
_STYLE: Final = "views.css"
_TYPES: Final = {_SCRIPT: "text/javascript; charset=utf-8", _STYLE: "text/css; charset=utf-8"}
_A_YEAR: Final = 365 * 24 * 3600

_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The page needs no token: it holds nothing. What it asks for does.
_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>code/chef</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="$style">
<script type="module" nonce="$nonce" src="$script"></script>
</head>
<body>
<div id="codechef"></div>
<noscript>The pages of code/chef need JavaScript; its API and <code>chef</code> do not.</noscript>
</body>
</html>
""")
_UNBUILT: Final = Template("""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>code/chef</title></head>
<body>
<h1>The page is not built</h1>
<p>The API serves, but $missing is missing. In a checkout, <code>make page</code> builds it; then
load this page again. An installed wheel has it.</p>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class _Asset:
    """A file of the page. Its address names its content, so that it may be kept for ever."""

    digest: str
    content: bytes
    compressed: bytes
    media_type: str


def router(folder: Path = FILES) -> APIRouter:
    """Return the routes of the page whose files are in the folder, now or once they are built."""
    routes = APIRouter(include_in_schema=False)
    files = _Files(folder)

    @routes.get("/")
    def page() -> Response:
        missing = next((name for name in _TYPES if files.asset(name) is None), None)
        if missing is not None:
            return HTMLResponse(_UNBUILT.substitute(missing=html.escape(missing)), 503)
        nonce = secrets.token_urlsafe(16)
        text = _PAGE.substitute(
            nonce=nonce, style=files.address(_STYLE), script=files.address(_SCRIPT)
        )
        return HTMLResponse(
            text,
            headers={
                "Content-Security-Policy": _POLICY.format(nonce=nonce),
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )

    @routes.get("/page/{digest}/{name}")
    def asset(digest: str, name: str, request: Request) -> Response:
        found = files.asset(name)
        if found is None or found.digest != digest:
            raise HTTPException(404, "The page has no such file. Load the page again.")
        return _answer(found, request)

    return routes


def _answer(asset: _Asset, request: Request) -> Response:
    headers = {
        "Cache-Control": f"public, max-age={_A_YEAR}, immutable",
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": f'"{asset.digest}"',
        "Vary": "Accept-Encoding",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(asset.content, headers=headers, media_type=asset.media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(asset.compressed, headers=headers, media_type=asset.media_type)


class _Files:
    """The files by their names, read again when they have changed. No other name is looked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int], _Asset]] = {}

    def asset(self, name: str) -> _Asset | None:
        """Return a file of the page; None when it is not one, or not built."""
        if name not in _TYPES:
            return None
        path = self._folder / name
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size)
            known = self._known.get(name)
            if known is None or known[0] != signature:
                known = self._known[name] = (signature, _read(path, _TYPES[name]))
        except FileNotFoundError:
            return None
        return known[1]

    def address(self, name: str) -> str:
        """Return where a file that is there can be had."""
        asset = self.asset(name)
        return f"/page/{asset.digest if asset else ''}/{name}"


def _read(path: Path, media_type: str) -> _Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return _Asset(digest, content, gzip.compress(content, mtime=0), media_type)
