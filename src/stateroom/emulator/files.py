"""Files of a local Slack: what is said about them, and their bytes in pieces.

Rules of this file: no I/O, no clock. At most 20 MB a file and 200 MB in all, since they lie in memory, and with
`--state` in the store too; pieces are small enough for every engine's rows. An upload that was begun and never
completed is seen by nobody.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterator

from stateroom.emulator.records import Blob, File, Json, Record

FILE_LIMIT = 20_000_000
TOTAL_LIMIT = 200_000_000
PIECE_BYTES = 256_000

# Slack's names for the commonest kinds; any other goes by its extension.
_KINDS = {
    "txt": ("text", "Plain Text"),
    "md": ("markdown", "Markdown"),
    "py": ("python", "Python"),
    "js": ("javascript", "JavaScript"),
    "jpeg": ("jpg", "JPEG"),
    "jpg": ("jpg", "JPEG"),
    "png": ("png", "PNG"),
    "gif": ("gif", "GIF"),
    "pdf": ("pdf", "PDF"),
    "csv": ("csv", "CSV"),
    "json": ("json", "JSON"),
    "zip": ("zip", "Zip"),
}
_UNTYPED = "application/octet-stream"


def kind_of(name: str) -> tuple[str, str, str]:
    """`(filetype, pretty_type, mimetype)` of a file name."""
    extension = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    filetype, pretty = _KINDS.get(extension, (extension or "binary", (extension or "binary").upper()))
    return filetype, pretty, mimetypes.guess_type(name)[0] or _UNTYPED


class Files:
    """All files by team and id. `keep` and `forget` note what is to be journaled."""

    def __init__(self, keep: Callable[[Record], None], forget: Callable[[str], None]) -> None:
        self._keep = keep
        self._forget = forget
        self._files: dict[tuple[str, str], File] = {}
        self._content: dict[tuple[str, str], dict[int, bytes]] = {}
        self.total = 0

    def load(self, record: File | Blob) -> None:
        if isinstance(record, File):
            self._files[record.team, record.id] = record
        else:
            self._content.setdefault((record.team, record.file), {})[record.number] = record.data
            self.total += len(record.data)

    def find(self, team: str, file_id: str) -> File | None:
        return self._files.get((team, file_id))

    def listed(self, team: str) -> Iterator[File]:
        """The complete files of a team, newest first."""
        found = [file for file in self._files.values() if file.team == team and file.complete]
        return iter(sorted(found, key=lambda file: (-file.created, file.id)))

    def add(self, file: File) -> File:
        self.load(file)
        self._keep(file)
        return file

    def changed(self, file: File) -> None:
        self._keep(file)

    def fits(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        return size <= FILE_LIMIT and self.total + size <= TOTAL_LIMIT

    def put(self, file: File, data: bytes) -> None:
        """The content of a file, in place of what it was."""
        self._drop(file)
        for number, start in enumerate(range(0, len(data), PIECE_BYTES)):
            piece = Blob(team=file.team, file=file.id, number=number, data=data[start : start + PIECE_BYTES])
            self.load(piece)
            self._keep(piece)
        file.size, file.uploaded = len(data), True
        self._keep(file)

    def content(self, file: File) -> bytes:
        pieces = self._content.get((file.team, file.id), {})
        return b"".join(pieces[number] for number in sorted(pieces))

    def remove(self, file: File) -> None:
        self._drop(file)
        del self._files[file.team, file.id]
        self._forget(file.key)

    def clear(self) -> None:
        for file in list(self._files.values()):
            self.remove(file)

    def _drop(self, file: File) -> None:
        for number, data in self._content.pop((file.team, file.id), {}).items():
            self.total -= len(data)
            self._forget(f"blob/{file.team}/{file.id}/{number}")


def place(file: File) -> str:
    """Where its bytes are, below the address of this server."""
    return f"/files-pri/{file.team}-{file.id}"


def view(file: File) -> Json:
    """As messages carry it; addresses are relative until they are shown to somebody (see `absolute`)."""
    filetype, pretty, mimetype = kind_of(file.name)
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title or file.name,
        "mimetype": file.mimetype or mimetype,
        "filetype": filetype,
        "pretty_type": pretty,
        "user": file.user,
        "user_team": file.team,
        "editable": False,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": any(not channel.startswith("D") for channel in file.channels),
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": f"{place(file)}/{_path_name(file.name)}",
        "url_private_download": f"{place(file)}/download/{_path_name(file.name)}",
        "permalink": f"{place(file)}/{_path_name(file.name)}",
        "has_rich_preview": False,
        "file_access": "visible",
        **({"alt_txt": file.alt_txt} if file.alt_txt else {}),
    }


def _path_name(name: str) -> str:
    """As Slack writes a name into an address: lower case, what is no letter, digit, dot or dash as a low line."""
    return "".join(one if one.isascii() and (one.isalnum() or one in ".-") else "_" for one in name.lower()) or "file"


def absolute(shown: Json, base_url: str) -> Json:
    """A file's view with addresses that a client can fetch."""
    named = ("url_private", "url_private_download", "permalink")
    return shown | {name: base_url + shown[name] for name in named if str(shown.get(name, "")).startswith("/")}


def full_view(file: File, base_url: str) -> Json:
    """As `files.info` shows it: with the channels it is in."""
    rooms = [name for name in file.channels if not name.startswith("D")]
    shares = {"public": {name: found for name, found in file.shares.items() if not name.startswith("D")}}
    private = {name: found for name, found in file.shares.items() if name.startswith("D")}
    return {
        **absolute(view(file), base_url),
        "channels": rooms,
        "groups": [],
        "ims": [name for name in file.channels if name.startswith("D")],
        "shares": {**({"private": private} if private else {}), **(shares if shares["public"] else {})},
        "comments_count": 0,
    }
