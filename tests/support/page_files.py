"""Files as a browser hands them over: pasted from the clipboard, dropped from a desktop.

Rules of this file: what a person's hands do is done with events of the browser itself.
"""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.async_api import Locator


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 8, height: int = 8) -> bytes:
    """A picture of one colour."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xe9\xb4\x4c" * width) * height
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


PNG = png()

_HAND_OVER = """(el, [kind, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/png" }));
  const props = { bubbles: true, cancelable: true };
  const events = kind === "paste"
    ? [new ClipboardEvent("paste", { ...props, clipboardData: carried })]
    : ["dragenter", "dragover", "drop"].map((one) => new DragEvent(one, { ...props, dataTransfer: carried }));
  for (const event of events) el.dispatchEvent(event);
}"""


async def paste(into: Locator, name: str) -> None:
    await into.evaluate(_HAND_OVER, ["paste", name, base64.b64encode(PNG).decode()])


async def drop(on: Locator, name: str) -> None:
    await on.evaluate(_HAND_OVER, ["drop", name, base64.b64encode(PNG).decode()])
