"""Streams as objects: one file an append, put only if its number is free (docs/format.md, "Objects").

Rules of this file: blocking; one caller at a time for each stream of a process (objects.py queues them), any number of
processes. The put of an entry is all that an append is; snapshots are made afterwards and only save requests: without
them, or with old ones, everything is found by listing. What is kept in memory is what may be believed until a put says
otherwise: the last number and whose turns there were, never words that somebody may have rewritten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final

from stateroom.engines import objects_names as names
from stateroom.engines.decide import alive
from stateroom.engines.objects_bucket import Bucket, Found, Lost, Race, again, settled
from stateroom.engines.objects_forms import (
    Entry,
    Snapshot,
    Turn,
    Turns,
    count_turns,
    entry_data,
    erased_data,
    read_entry,
    read_snapshot,
    read_turns,
    wrong,
)
from stateroom.engines.objects_items import Reader
from stateroom.engines.objects_names import Stream
from stateroom.engines.port import Append, Rewrite, Row, Truncate, Written, log_id
from stateroom.model.codec import decode, encode
from stateroom.model.errors import ConditionFailed, StateroomError

RECENT: Final = 32  # entries that a snapshot holds, and
RECENT_BYTES: Final = 256 * 1024  # how large they may be together
LISTED: Final = 256  # turns that a snapshot names, until they go to the list of turns
TAILS: Final = 1024  # streams whose end is remembered, with at most so many turns
TAIL_TURNS: Final = 400_000
_made: Final = tuple.__new__  # half of what Turn(...) costs


@dataclass
class Look:
    """A stream as it is: its snapshot (and tag), and what has been appended since, as far as it was read."""

    generation: int = 0
    last: int = 0
    snapshot: Snapshot | None = None
    tag: str | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    first: int = 1  # entries before it are gone: a rule of the bucket's has removed them


@dataclass
class _Tail:
    """What an append believes."""

    generation: int
    last: int
    turns: dict[str, int]
    ends: dict[int, float]  # when entries end, by number
    snapshot: Snapshot | None
    tag: str | None
    fresh: dict[int, Entry]  # since the snapshot, of our own


class Streams:
    """The streams of all logs."""

    def __init__(self, bucket: Bucket, reader: Reader, clock: Callable[[], float]) -> None:
        self._bucket = bucket
        self._reader = reader
        self._clock = clock
        self._tails: OrderedDict[Stream, _Tail] = OrderedDict()
        self._lock = Lock()

    def append(self, write: Append) -> Written:
        """One put where the end is known. Lost races go on with the next number."""
        stream = Stream(write.table, write.team, write.stream)
        race, lost = Race(self._bucket.place), 0
        tail, fresh = self._tail(stream), False
        while True:
            known = tail.turns.get(write.turn_id)
            if known is not None:
                row = self._known(stream, tail, write.turn_id, known)
                if row is not None or fresh:
                    gone = Row(log_id(stream.name, write.turn_id), {}, known, 0, stream.team)
                    return Written(row or gone, changed=False)
                self._forget(stream)  # the stream may have been erased since
                tail, fresh = self._tail(stream), True
                continue
            entry = Entry(tail.last + 1, write.turn_id, dict(write.item), write.expires_at)
            key = stream.entry(tail.generation, entry.number)
            try:
                settled(self._bucket, key, entry_data(stream, entry), None)
            except Lost:
                race.lost(0.1, first=False)
                tail = self._overtaken(stream, tail, key, lost)
                lost += 1
                continue
            return self._appended(stream, tail, entry)

    def append_here(self, stream: Stream, write: Append) -> Written | None:
        """One put, without any wait; None: nothing was written, and it is for `append` to find out why."""
        tail = self._tails.get(stream)
        if tail is None or write.turn_id in tail.turns:
            return None
        entry = Entry(tail.last + 1, write.turn_id, dict(write.item), write.expires_at)
        try:
            self._bucket.put(stream.entry(tail.generation, entry.number), entry_data(stream, entry), None)
        except Lost:
            return None
        return self._appended(stream, tail, entry)

    def behind(self, stream: Stream) -> int:
        """How many snapshots' worth of entries the snapshot is behind."""
        tail = self._tails.get(stream)
        return 0 if tail is None else (tail.last - (tail.snapshot.number if tail.snapshot else 0)) // self._bucket.every

    def keep(self, stream: Stream) -> None:
        """Write a snapshot. Where somebody else was there first, theirs is as good."""
        tail = self._tails.get(stream)
        if tail is None or not self.behind(stream):
            return
        try:
            base = self._listed_turns(stream, tail)
            made = _next_snapshot(tail, base)
            tag = settled(self._bucket, stream.snapshot, made.data(stream), tail.tag)
        except (Lost, StateroomError):
            self._forget(stream)  # the next append looks again
            return
        tail.snapshot, tail.tag, tail.fresh = made, tag, {}

    def look(self, stream: Stream, *, skip: bool = False) -> Look:
        """What is there now, from two requests and one for each entry behind the snapshot.

        `skip`: entries behind the snapshot are not read, but for the last.
        """
        found = self._reader.one(stream.snapshot)
        snapshot = None if found is None else read_snapshot(found.data, stream.snapshot, stream)
        made = Look(snapshot=snapshot, tag=None if found is None else found.tag)
        if snapshot is not None:
            made.generation, made.last, made.entries = snapshot.generation, snapshot.number, dict(snapshot.entries)
        while self._erased_behind(stream, made, skip=skip):
            made = Look(made.generation + 1, tag=made.tag)  # an erasing that has not come to its end
        return made

    def entries(self, stream: Stream, look: Look, numbers: list[int]) -> dict[int, Entry]:
        """These entries, those that are gone left out. CorruptData where one must be there."""
        wanted = [n for n in numbers if n not in look.entries and n >= look.first]
        keys = [stream.entry(look.generation, n) for n in wanted]
        found: dict[int, Entry] = {n: look.entries[n] for n in numbers if n in look.entries}
        for number, key, one in zip(wanted, keys, self._reader.many(keys), strict=True):
            entry = None if one is None else read_entry(one.data, key, stream, number)
            if entry is not None:
                found[number] = entry
            elif number >= self._begin(stream, look, number):
                raise wrong(key, "the entry is missing from its stream")
        return found

    def find(self, stream: Stream, turn_id: str) -> Row | None:
        """The entry of a turn, expired or not."""
        look = self.look(stream)
        for read in look.entries.values():
            if read.turn_id == turn_id:
                return read.row(stream)
        number = self._turns(stream, look)[0].get(turn_id)
        if number is None:
            return None
        entry = self.entries(stream, look, [number]).get(number)
        return None if entry is None or entry.turn_id != turn_id else entry.row(stream)

    def rewrite(self, write: Rewrite) -> Written:
        """Replace an entry, after no snapshot can hold the old one any more. ConditionFailed."""
        stream = Stream(write.table, write.team, write.stream)
        race = Race(self._bucket.place)
        while True:
            try:
                return self._rewritten(stream, write)
            except Lost:
                race.lost()

    def truncate(self, write: Truncate) -> Written:
        """Erase a stream: close it behind its last entry, move its snapshot on, then remove what it had."""
        stream = Stream(write.table, write.team, write.stream)
        race = Race(self._bucket.place)
        while True:
            look = self.look(stream, skip=True)
            if look.last == 0:
                self._clear(stream, look)
                return Written(None, changed=False)
            key = stream.entry(look.generation, look.last + 1)
            try:
                settled(self._bucket, key, erased_data(stream, look.last + 1), None)
            except Lost:
                race.lost()
                continue
            self._forget(stream)
            self._clear(stream, Look(look.generation + 1, tag=look.tag, snapshot=look.snapshot))
            return Written(None, changed=True)

    def settle(self, stream: Stream, look: Look, number: int) -> None:
        """Note that nothing up to `number` can expire any more. It only saves requests."""
        if look.snapshot is None or look.tag is None or look.snapshot.generation != look.generation:
            return
        made = replace(look.snapshot, settled=min(number, look.snapshot.number))
        if made.settled <= look.snapshot.settled:
            return
        try:
            settled(self._bucket, stream.snapshot, made.data(stream), look.tag)
        except (Lost, StateroomError):
            return

    def ends(self, stream: Stream, look: Look) -> Mapping[int, float]:
        """When entries end, by number, as they were appended; those of rewritten ones may have moved."""
        return self._turns(stream, look)[1]

    # What an append believes.

    def _tail(self, stream: Stream) -> _Tail:
        with self._lock:
            tail = self._tails.get(stream)
            if tail is not None:
                self._tails.move_to_end(stream)
                return tail
        return self._remembered(stream, self.look(stream))

    def _remembered(self, stream: Stream, look: Look) -> _Tail:
        turns, ends = self._turns(stream, look)
        fresh = {n: e for n, e in look.entries.items() if n > (look.snapshot.number if look.snapshot else 0)}
        tail = _Tail(look.generation, look.last, turns, ends, look.snapshot, look.tag, fresh)
        with self._lock:
            self._tails[stream] = tail
            self._tails.move_to_end(stream)
            held = sum(len(one.turns) for one in self._tails.values())
            while len(self._tails) > TAILS or (held > TAIL_TURNS and len(self._tails) > 1):
                held -= len(self._tails.popitem(last=False)[1].turns)
        return tail

    def _appended(self, stream: Stream, tail: _Tail, entry: Entry) -> Written:
        self._add(tail, entry, own=True)
        row = Row(log_id(stream.name, entry.turn_id), {}, entry.number, entry.expires_at, stream.team)
        return Written(row, changed=True)

    def _forget(self, stream: Stream) -> None:
        with self._lock:
            self._tails.pop(stream, None)

    @staticmethod
    def _add(tail: _Tail, entry: Entry, *, own: bool) -> None:
        tail.last = entry.number
        tail.turns.setdefault(entry.turn_id, entry.number)
        if entry.expires_at:
            tail.ends[entry.number] = entry.expires_at
        if own:
            tail.fresh[entry.number] = entry

    def _overtaken(self, stream: Stream, tail: _Tail, key: str, lost: int) -> _Tail:
        """Learn who has the number. After a second time, all that was appended meanwhile."""
        if lost > 1:
            self._forget(stream)
            return self._tail(stream)
        found = self._reader.one(key)
        if found is None:
            return tail  # two puts at once, and the store let neither through
        entry = read_entry(found.data, key, stream, tail.last + 1)
        if entry is None:
            self._forget(stream)
            return self._tail(stream)
        self._add(tail, entry, own=True)
        return tail

    def _known(self, stream: Stream, tail: _Tail, turn_id: str, number: int) -> Row | None:
        """The entry of a turn, there to stay; None where it is gone."""
        key = stream.entry(tail.generation, number)
        found = self._reader.one(key)
        entry = None if found is None else read_entry(found.data, key, stream, number)
        if entry is None or entry.turn_id != turn_id:
            return None
        self._bucket.sure(key)
        return entry.row(stream)

    # What is there.

    def _erased_behind(self, stream: Stream, look: Look, *, skip: bool) -> bool:
        """Read what is behind the snapshot; whether the stream was erased there."""
        seen: dict[int, Found] = {}
        numbers = self._behind(stream, look, seen)
        if not numbers:
            return False
        chosen = numbers[-1:] if skip else numbers[-RECENT:]
        unread = [n for n in chosen if n not in seen]
        more = self._reader.many([stream.entry(look.generation, n) for n in unread])
        seen.update((n, found) for n, found in zip(unread, more, strict=True) if found is not None)
        for number in chosen:
            key, found = stream.entry(look.generation, number), seen.get(number)
            if found is None:
                raise wrong(key, "the entry went while it was read")
            entry = read_entry(found.data, key, stream, number)
            if entry is None:
                return True
            look.entries[number] = entry
        look.last = numbers[-1]
        if look.snapshot is None:
            look.first = numbers[0]
        elif numbers[0] != look.snapshot.number + 1:
            raise wrong(stream.entry(look.generation, look.snapshot.number + 1), "the entry is missing from its stream")
        if len(numbers) != numbers[-1] - numbers[0] + 1:
            raise wrong(stream.within(look.generation), "an entry is missing from the stream")
        return False

    def _behind(self, stream: Stream, look: Look, seen: dict[int, Found]) -> list[int]:
        """Numbers behind the snapshot, in order; `seen` takes those that were read on the way."""
        if look.snapshot is None or look.snapshot.generation != look.generation or self._bucket.lists_after:
            return self._numbers(stream, look.generation, look.last)

        def there(number: int) -> bool:
            found = self._reader.one(stream.entry(look.generation, number))
            if found is not None:
                seen[number] = found
            return found is not None

        last, step = look.last, 1
        if self._bucket.readers > 1:  # at once, as far as there should be no snapshot yet
            some = range(last + 1, last + 1 + self._bucket.every)
            for number, found in zip(
                some, self._reader.many([stream.entry(look.generation, n) for n in some]), strict=True
            ):
                if found is None:
                    return list(range(look.last + 1, number))
                seen[number] = found
            last = some[-1]
        # Numbers have no gaps: the last one is between one that is there and one that is not.
        while there(last + step):
            last, step = last + step, step * 2
            if step > 2 * self._bucket.every:  # snapshots were not made: so many are there that a listing is better
                return self._numbers(stream, look.generation, look.last)
        beyond = last + step
        while beyond - last > 1:
            middle = (last + beyond) // 2
            last, beyond = (middle, beyond) if there(middle) else (last, middle)
        return list(range(look.last + 1, last + 1))

    def _numbers(self, stream: Stream, generation: int, after: int) -> list[int]:
        folder = stream.within(generation)
        numbers = []
        for name in self._reader.names(folder, names.number_name(after) if after else ""):
            number = names.number_of(name)
            if number is not None:
                numbers.append(number)
            elif not names.is_ours(name):
                raise wrong(f"{folder}/{name}", "an object that Stateroom did not write lies among its own")
        return numbers

    def _begin(self, stream: Stream, look: Look, missing: int) -> int:
        """The first number that is still there, where an entry is not: rules of the bucket may remove the oldest."""
        if look.first == 1:
            numbers = self._numbers(stream, look.generation, 0)
            look.first = numbers[0] if numbers else look.last + 1
            if not numbers and look.entries:
                raise wrong(stream.within(look.generation), "all entries are missing from the stream")
        return look.first

    def _turns(self, stream: Stream, look: Look) -> tuple[dict[str, int], dict[int, float]]:
        """The numbers of all turns, and when entries end."""
        listed: dict[int, Turn] = {}
        snapshot = look.snapshot
        if snapshot is not None and snapshot.generation == look.generation:
            listed.update(enumerate(snapshot.turns, snapshot.base + 1))
            if snapshot.base:
                listed |= self._early(stream, look, snapshot)
        listed |= {n: Turn(e.turn_id, e.expires_at) for n, e in look.entries.items() if n not in listed}
        missing = [n for n in range(look.first, look.last + 1) if n not in listed]
        if missing:  # no list, or an old one: the entries themselves say
            found = self.entries(stream, look, missing)
            listed |= {n: Turn(e.turn_id, e.expires_at) for n, e in found.items()}
        turns: dict[str, int] = {}
        for number in sorted(listed):
            turns.setdefault(listed[number].turn_id, number)
        return turns, {n: t.expires_at for n, t in listed.items() if t.expires_at}

    def _early(self, stream: Stream, look: Look, snapshot: Snapshot) -> dict[int, Turn]:
        found = self._reader.one(stream.turns(look.generation))
        if found is None:
            return {}
        turns = read_turns(found.data, stream.turns(look.generation), stream, look.generation).turns
        return dict(enumerate(turns[: snapshot.base], 1))

    # Snapshots.

    def _listed_turns(self, stream: Stream, tail: _Tail) -> int:
        """Up to which number the list of turns goes; it is written when the snapshot would name too many."""
        base = tail.snapshot.base if tail.snapshot else 0
        if tail.last - base < LISTED:
            return base
        key = stream.turns(tail.generation)
        found = self._reader.one(key)
        if found is not None and count_turns(found.data, key, stream, tail.generation) >= tail.last:
            return tail.last
        turns = Turns(_turn_list(tail, 1))
        settled(self._bucket, key, turns.data(stream, tail.generation), None if found is None else found.tag)
        return tail.last

    # Rewriting and erasing.

    def _rewritten(self, stream: Stream, write: Rewrite) -> Written:
        place = f"{write.table}/{write.stream}/{write.number}"
        looked = again(lambda: self._bucket.get(stream.snapshot))
        snapshot = None if looked is None else read_snapshot(looked.data, stream.snapshot, stream)
        generation = 0 if snapshot is None else snapshot.generation
        key = stream.entry(generation, write.number)
        found = self._reader.one(key) if write.number > 0 else None
        entry = None if found is None else read_entry(found.data, key, stream, write.number)
        if entry is None or found is None:
            raise ConditionFailed(place, None)
        now = self._clock()
        moved = write.before is not None and entry.item != write.before
        if moved or (write.expired and alive(entry.row(stream), now) is not None):
            raise ConditionFailed(place, entry.item, version=entry.number)
        item = decode(encode(dict(write.item)))
        expires = entry.expires_at if write.expires_at == "same" else write.expires_at
        made = entry._replace(item=item, expires_at=expires)
        data = entry_data(stream, made)
        self._loosen(stream, looked, snapshot, made, expires != entry.expires_at)
        settled(self._bucket, key, data, found.tag)
        tail = self._tails.get(stream)
        if tail is not None:
            self._forget(stream)
        return Written(made.row(stream), changed=True)

    def _loosen(
        self, stream: Stream, looked: Found | None, snapshot: Snapshot | None, entry: Entry, moved: bool
    ) -> None:
        """From here on no snapshot holds the entry: none that is there, none that others are about to write."""
        old = snapshot or Snapshot()
        made = old
        if (entry.number in old.entries or entry.number > old.number) and entry.number not in old.loose:
            made = old.without(entry.number)
        if moved and entry.expires_at and entry.number <= old.settled:
            made = replace(made, settled=entry.number - 1)
        if made is not old:
            settled(self._bucket, stream.snapshot, made.data(stream), None if looked is None else looked.tag)

    def _clear(self, stream: Stream, look: Look) -> None:
        """Point the snapshot at the new generation, and remove what older ones had, but for the ends of them."""
        if look.generation == 0 or (look.snapshot is not None and look.snapshot.generation == look.generation):
            if look.generation:
                self._remove_old(stream, look.generation)
            return
        found = self._reader.one(stream.snapshot)
        now = None if found is None else read_snapshot(found.data, stream.snapshot, stream)
        if now is None or now.generation < look.generation:
            try:
                data = Snapshot(look.generation).data(stream)
                settled(self._bucket, stream.snapshot, data, None if found is None else found.tag)
            except Lost:
                self._clear(stream, look)
                return
        self._remove_old(stream, look.generation)

    def _remove_old(self, stream: Stream, generation: int) -> None:
        doomed = []
        for name in self._reader.names(stream.folder):
            if name == names.SNAPSHOT or name.startswith(f"again-{generation}/"):
                continue
            doomed.append(f"{stream.folder}/{name}")
        ends = self._ends_of(stream, doomed)
        removed = [key for key in doomed if key not in ends]
        again(lambda: self._bucket.remove(removed))

    def _ends_of(self, stream: Stream, keys: list[str]) -> set[str]:
        """The last object of each older generation: what stops a writer that does not know of the erasing."""
        last: dict[str, str] = {}
        for key in keys:
            folder, _, name = key.rpartition("/")
            if names.number_of(name) is not None:
                last[folder] = max(last.get(folder, ""), key)
        return set(last.values())


def _turn_list(tail: _Tail, first: int) -> tuple[Turn, ...]:
    turn_of, end_of = dict(zip(tail.turns.values(), tail.turns.keys(), strict=True)).get, tail.ends.get
    return tuple([_made(Turn, (turn_of(n, ""), end_of(n))) for n in range(first, tail.last + 1)])


def _next_snapshot(tail: _Tail, base: int) -> Snapshot:
    """The snapshot up to the last entry: what the one before it held, and what we have appended since."""
    before = tail.snapshot or Snapshot(tail.generation)
    loose = frozenset(n for n in before.loose if n > tail.last - RECENT)
    entries: dict[int, Entry] = {}
    room = RECENT_BYTES
    held: dict[int, Any] = {**before.entries, **tail.fresh}
    for number in range(tail.last, max(0, tail.last - RECENT), -1):
        entry = held.get(number)
        if entry is None or number in loose:
            continue
        room -= len(encode(entry.item))
        if room < 0:
            break
        entries[number] = entry
    return Snapshot(tail.generation, tail.last, base, _turn_list(tail, base + 1), entries, loose, before.settled)
