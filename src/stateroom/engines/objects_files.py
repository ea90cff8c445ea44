"""Objects as plain files in a folder, for several processes on one local disk.

Rules of this file: no reader ever sees half an object, and what `put` has returned for is on the disk: written beside
or without a name, synced, then linked to its name (if absent) or moved over it (if it matches, under a lock), and the
folder synced. What somebody else wrote is relied on (a turn that is known, a write that changes nothing) only after
that sync, too. Locks are flock's: the kernel lets go of them when a process dies, however it dies, so that none is ever
stale. The tag of a file is what is in it, hashed: the marks in objects make that as good as a version.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stateroom.engines.objects_bucket import Found, Lost
from stateroom.model.errors import StoreUnavailable

WRITING: Final = ".writing"  # the folder of what is being written
LOCKS: Final = ".locks"
STRIPES: Final = 64  # lock files: two keys seldom share one, and they do not grow with the store
_OPEN: Final = "/proc/self/fd"  # where Linux has a path of each open file
UNNAMED = hasattr(os, "O_TMPFILE") and os.path.isdir(_OPEN)  # whether files may be written before they have a name
_NO_UNNAMED: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)  # a file system that has no such files
_NO_LINK: Final = (errno.ENOENT, errno.EXDEV, errno.EPERM, errno.EACCES, errno.ELOOP)  # or no way from there to a name
_REASONS: Final = {
    errno.ENOSPC: ("full", "the disk is full; make room and try again", True),
    errno.EDQUOT: ("full", "the quota is used up; make room and try again", True),
    errno.EFBIG: ("full", "a file may not become that large for this process (ulimit -f)", True),
    errno.EACCES: ("readonly", "the folder may not be read or written by this user", False),
    errno.EPERM: ("readonly", "the folder may not be written by this user", False),
    errno.EROFS: ("readonly", "the file system is read-only", False),
    errno.ENOTDIR: ("missing", "there is a file where a folder must be", False),
}


class FileBucket:
    """The folder at `path`, which is made when something is first written."""

    lists_after = False
    near = True
    drops = True
    every = 256  # a snapshot costs as much as an append here, a get next to nothing
    readers = 1  # files of a local disk are quicker one after the other

    def __init__(self, path: Path) -> None:
        self.place = f"file://{path}"
        self._root = str(path)
        self._told = _Told(self.place)
        self._made: set[str] = set()
        self._names = itertools.count()
        self._unnamed = UNNAMED
        self._begin = f"{os.getpid()}-{os.urandom(4).hex()}"

    def get(self, key: str) -> Found | None:
        with self._told:
            data = self._read(self._path(key))
        return None if data is None else Found(data, _tag(data))

    def put(self, key: str, data: bytes, tag: str | None) -> str:
        with self._told:
            try:
                self._put(key, data, tag)
            except FileNotFoundError:  # somebody has removed a folder that we had made
                self._made.clear()
                self._put(key, data, tag)
        return _tag(data)

    def sure(self, key: str) -> None:
        """Whoever made the name may have died before the folder was synced."""
        with self._told, _Behind():
            _sync(os.path.dirname(self._path(key)))

    def drop(self, key: str, tag: str) -> None:
        with self._told:
            path = self._path(key)
            with self._locked(key):
                self._matching(path, key, tag)
                os.unlink(path)
                with _Behind():
                    _sync(os.path.dirname(path))

    def remove(self, keys: Sequence[str]) -> None:
        touched = set()
        with self._told:
            for key in keys:
                path = self._path(key)
                with self._locked(key), suppress(FileNotFoundError):
                    os.unlink(path)
                    touched.add(os.path.dirname(path))
            with _Behind():
                for folder in touched:
                    _sync(folder)

    def names(self, folder: str, after: str = "") -> list[str]:
        with self._told:
            return sorted(name for name in _walk(self._path(folder), "") if name > after)

    def folders(self, folder: str) -> list[str]:
        with self._told:
            return sorted(entry.name for entry in _entries(self._path(folder)) if entry.is_dir())

    def close(self) -> None:
        """Nothing is held."""

    def tidy(self) -> None:
        """Remove what writers that died have left half written: nobody holds the lock of such a file any more."""
        with self._told:
            for entry in _entries(f"{self._root}/{WRITING}", hidden=True):
                with suppress(FileNotFoundError):
                    self._tidied(entry.path)

    @staticmethod
    def _tidied(path: str) -> None:
        found = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        except BlockingIOError:
            pass  # it is being written
        finally:
            os.close(found)

    # How a file comes to its name.

    def _put(self, key: str, data: bytes, tag: str | None) -> None:
        path = self._path(key)
        folder = path.rpartition("/")[0]
        self._folder(folder)
        if tag is None:
            self._link(data, path, folder)
        else:
            self._replace(key, data, path, tag)

    def _link(self, data: bytes, path: str, folder: str) -> None:
        """Of all who link at once one has the name; the others are told so by the file system."""
        try:
            if not self._unnamed or not self._link_unnamed(data, path, folder):
                self._link_named(data, path)
        except FileExistsError:
            raise Lost(path) from None
        with _Behind():
            _sync(folder)

    def _link_named(self, data: bytes, path: str) -> None:
        with self._written(data) as beside:
            os.link(beside, path)
            with _Behind():
                os.unlink(beside)

    def _link_unnamed(self, data: bytes, path: str, folder: str) -> bool:
        """By a file that has no name before: less work for a disk, and who dies leaves nothing. False: not here."""
        try:
            file = os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o666)
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
            self._unnamed = False
            return False
        try:
            _write(file, data)
            # Given a descriptor, which says nothing about an absolute path, Python follows the link to the file itself.
            os.link(f"{_OPEN}/{file}", path, dst_dir_fd=file)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            # /proc has gone (chroot), or somebody forbids its links; or it is the folder that is gone, as the other
            # way finds out.
            self._unnamed = error.errno == errno.ENOENT and os.path.isdir(_OPEN)
            return False
        finally:
            os.close(file)
        return True

    def _replace(self, key: str, data: bytes, path: str, tag: str) -> None:
        with self._written(data) as beside, self._locked(key):
            try:
                self._matching(path, key, tag)
            except Lost:
                os.unlink(beside)
                raise
            os.rename(beside, path)
            with _Behind():
                _sync(os.path.dirname(path))

    def _matching(self, path: str, key: str, tag: str) -> None:
        data = self._read(path)
        if data is None or _tag(data) != tag:
            raise Lost(key)

    @contextmanager
    def _written(self, data: bytes) -> Iterator[str]:
        """A file that holds `data`, on the disk. It is locked while it is here, so that nobody tidies it away."""
        folder = f"{self._root}/{WRITING}"
        self._folder(folder)
        path = f"{folder}/{self._begin}-{next(self._names)}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            _write(file, data)
            yield path
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(path)
            raise
        finally:
            os.close(file)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        folder = f"{self._root}/{LOCKS}"
        self._folder(folder)
        file = os.open(f"{folder}/{zlib.crc32(key.encode()) % STRIPES:02}", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _folder(self, path: str) -> None:
        """Make a folder and those above it; each is on the disk before something is put into it."""
        if path in self._made:
            return
        if not os.path.isdir(path):
            above = os.path.dirname(path)
            if above != path and not os.path.isdir(above):
                self._folder(above)
            with suppress(FileExistsError):
                os.mkdir(path)
        _sync(os.path.dirname(path))  # also when somebody else made it just now, and may not have synced it yet
        self._made.add(path)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    @staticmethod
    def _read(path: str) -> bytes | None:
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return os.read(file, size) if (size := os.fstat(file).st_size) < 1 << 20 else _whole(file)
        finally:
            os.close(file)


class _Told:
    """Faults of the file system, as ours. (No generator, as `_Behind`.)"""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError):
            return
        found = _REASONS.get(error.errno or 0, ("io", f"the disk refused ({error.strerror})", True))
        reason, detail, retryable = found
        unsure = isinstance(error, _Unsynced)
        raise StoreUnavailable(self._place, reason, detail, retryable=retryable, maybe_applied=unsure) from None


class _Unsynced(OSError):
    """A fault behind the one step that counts: what was done may be there after a crash of the machine, or not."""


class _Behind:
    """Around what comes behind the one step that counts; no generator, which costs an append as much as a link does."""

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise _Unsynced(error.errno, error.strerror) from None


def _tag(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _sync(folder: str) -> None:
    """A name is there after a crash only when its folder was synced."""
    file = os.open(folder or "/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write(file: int, data: bytes) -> None:
    """All of it, onto the disk: one that runs full takes a part, and says so at the next try alone."""
    done = os.write(file, data)
    while done < len(data):
        done += os.write(file, memoryview(data)[done:])
    os.fsync(file)


def _whole(file: int) -> bytes:
    return b"".join(iter(lambda: os.read(file, 1 << 20), b""))


def _entries(folder: str, *, hidden: bool = False) -> Iterator[os.DirEntry[str]]:
    """One at a time: those of a large folder together would be larger than what is in its files."""
    try:
        with os.scandir(folder) as found:
            yield from (entry for entry in found if hidden or not entry.name.startswith("."))
    except FileNotFoundError:
        return


def _walk(folder: str, within: str) -> Iterator[str]:
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(entry.path, f"{within}{entry.name}/")
        else:
            yield f"{within}{entry.name}"
