"""The bytes of files over HTTP: upload addresses, `url_private`, and the control plane's files.

Rules of this file: HTTP in and out. An upload address works for whoever has it, until its file is complete; a private
address asks for a token with `files:read` and answers anything else with a page to sign in, status 200, as Slack does:
an app that forgot its token saves HTML as if it were the file. What was uploaded is served so that no browser runs it.
"""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stateroom.emulator import acts, callers, files
from stateroom.emulator.acts import Denied
from stateroom.emulator.bodies import read_limited
from stateroom.emulator.control import reply, workspace_of
from stateroom.emulator.records import File
from stateroom.emulator.webapi.files import info
from stateroom.emulator.webapi.method import Method, Refused
from stateroom.emulator.workspace import Workspace

# A form wraps the bytes in boundaries and headers.
BODY_LIMIT = files.FILE_LIMIT + 65_536
_INLINE = ("image/", "text/plain", "audio/", "video/", "application/pdf")
_SAFE = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, no-store"}
_SIGN_IN = (
    b'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Sign in | Slack</title></head>'
    b"<body><h1>Sign in to your workspace</h1></body></html>"
)
_READING = Method("files.info", info, (), ("files:read",))


def parted(content_type: str, body: bytes) -> bytes:
    """The file of a body: the body itself, or the first part with a file name of a multipart form."""
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return body
    boundary = next((one.split("=", 1)[1] for one in parameters.split(";") if one.strip().startswith("boundary=")), "")
    mark = b"\r\n--" + boundary.strip().strip('"').encode("latin-1", "replace")
    for part in (b"\r\n" + body).split(mark)[1:]:
        head, found, data = part.partition(b"\r\n\r\n")
        if found and b"filename" in head:
            return data
    raise Denied(400, "invalid_form_data", "the form has no part with a file name")


def _is(secret: str, given: str) -> bool:
    return hmac.compare_digest(secret.encode(), given.encode("utf-8", "replace"))


async def upload(request: Request) -> Response:
    """`POST` to an `upload_url`: bytes as they are, or a form. Plain text back, as Slack's own upload server."""
    workspace = workspace_of(request)
    team, _, file_id = request.path_params["file"].partition("-")
    body = await read_limited(request, BODY_LIMIT)  # first: the file may become complete while this body comes
    file = workspace.world.files.find(team, file_id)
    if file is None or file.complete or not _is(file.ticket, request.path_params["ticket"]):
        return Response("no such upload", 404, media_type="text/plain")
    data = parted(request.headers.get("content-type", ""), body)
    if len(data) != file.size:
        return Response(f"length is {file.size}, got {len(data)}", 400, media_type="text/plain")
    if not workspace.world.files.fits(len(data)):
        return Response("no room is left", 413, media_type="text/plain")
    workspace.world.files.put(file, data)
    await workspace.settle()
    return Response(f"OK - {len(data)}", 200, media_type="text/plain")


async def private(request: Request) -> Response:
    """`GET` of `url_private` or `url_private_download`."""
    workspace = workspace_of(request)
    team, _, file_id = request.path_params["file"].partition("-")
    file = workspace.world.files.find(team, file_id)
    if file is None or not file.complete or not _may_read(workspace, request, team):
        return Response(_SIGN_IN, 200, _SAFE, "text/html; charset=utf-8")
    return _served(workspace, file, download="/download/" in request.url.path)


def _may_read(workspace: Workspace, request: Request, team: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    try:
        caller = callers.bearer(workspace.world, _READING, token.strip(), {"team_id": team}, workspace.clock())
        callers.check_scope(caller)
    except Refused:
        return False
    return caller.install.team == team


def _served(workspace: Workspace, file: File, *, download: bool) -> Response:
    kind = file.mimetype or files.kind_of(file.name)[2]
    inline = not download and kind.startswith(_INLINE)
    name = file.name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_")
    shown = "inline" if inline else "attachment"
    headers = {**_SAFE, "Content-Disposition": f'{shown}; filename="{"".join(c for c in name if c.isprintable())}"'}
    return Response(workspace.world.files.content(file), 200, headers, media_type=kind)


async def add(request: Request) -> Response:
    """`POST /_sim/files?team=&channel=&user=&name=`: a person picks a file; a message names it afterwards."""
    workspace, query = workspace_of(request), request.query_params
    world = workspace.world
    team = acts.team_of(world, query.get("team"))
    user = acts.user_of(world, team, query.get("user"))
    if query.get("channel"):
        acts.room_of(world, team, query["channel"])
    data = await read_limited(request, files.FILE_LIMIT)
    if not data or not world.files.fits(len(data)):
        detail = f"a file has 1 to {files.FILE_LIMIT} bytes, all together {files.TOTAL_LIMIT}"
        raise Denied(413 if data else 400, "file_size", detail)
    name = (query.get("name") or "file.bin").replace("/", "_")[:255]
    file = File(id=workspace.new_id("F"), team=team, user=user.id, name=name, created=int(workspace.clock()))
    world.files.add(file)
    world.files.put(file, data)
    await workspace.settle()
    return reply({"ok": True, "file": files.view(file)})


async def read(request: Request) -> Response:
    """`GET /_sim/files/{file_id}`: the bytes, for the page."""
    workspace = workspace_of(request)
    world, wanted = workspace.world, request.query_params.get("team")
    teams = [wanted] if wanted is not None else list(world.teams)
    found = [file for team in teams if (file := world.files.find(team, request.path_params["file_id"])) is not None]
    if not found:
        raise Denied(404, "file_not_found", "no such file, or it was deleted")
    return _served(workspace, found[0], download=request.query_params.get("download") == "1")


ROUTES = [
    Route("/upload/v1/{file}/{ticket}", upload, methods=["POST"]),
    Route("/files-pri/{file}/download/{name}", private, methods=["GET"]),
    Route("/files-pri/{file}/{name}", private, methods=["GET"]),
    Route("/_sim/files", add, methods=["POST"]),
    Route("/_sim/files/{file_id}", read, methods=["GET"]),
]
