"""The page's files as they are sent: the scripts as one, everything compressed, each with its ETag, made once.

Rules of this file: reads a folder, answers from memory; no clock. `/?source` is the page made of its modules as they
were written, for whoever works on it. What a browser has it asks about with `If-None-Match`, and gets 304.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from stateroom.emulator.bundle import bundle

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".map": "application/json",
}
SCRIPT = "page.js"
ENTRY = '"/page/app.js"'


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: `packed` is the gzip of what is sent, `tag` its ETag."""

    media_type: str
    packed: bytes
    tag: str


def pack(name: str, content: bytes) -> Asset:
    packed = gzip.compress(content, mtime=0)
    return Asset(TYPES[Path(name).suffix], packed, f'"{hashlib.sha256(packed).hexdigest()[:20]}"')


def load(folder: Path) -> dict[str, Asset]:
    """What can be asked for, by name; nothing else is looked up, so no path leads out of the folder.

    Beside the files as they are: `page.js` (all modules in one) with its map, and `index.html?source`, the start page
    that asks for the modules themselves.
    """
    if not folder.is_dir():
        return {}
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in TYPES}
    script, mapped = bundle({name[:-3]: text.decode() for name, text in files.items() if name.endswith(".js")})
    files[SCRIPT] = f"{script}\n//# sourceMappingURL={SCRIPT}.map\n".encode()
    files[f"{SCRIPT}.map"] = mapped.encode()
    made = {name: pack(name, content) for name, content in files.items()}
    made["index.html?source"] = made["index.html"]
    start = files["index.html"].replace(ENTRY.encode(), f'"/page/{SCRIPT}"'.encode())
    made["index.html"] = pack("index.html", start)
    return made


def answer(request: Request, asset: Asset) -> Response:
    """The file, or 304 for a browser that has it."""
    headers = {"Cache-Control": "no-cache", "ETag": asset.tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(gzip.decompress(asset.packed), media_type=asset.media_type, headers=headers)
    return Response(asset.packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
