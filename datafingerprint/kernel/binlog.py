"""The functions of `binlog.c`: what lies where in a binlog. None of them refuses anything; they end before it.

The library is taken only when it does a small piece of each work right, which is tried once, when it is first wanted.
"""

from __future__ import annotations

import ctypes
import functools
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datafingerprint.kernel.library import PATH, library

Integers = npt.NDArray[np.int64]

_PACKET_OCTETS_MIN = 24
"""Of a packet with an event: its header, a status, and the event's header."""


@dataclass(frozen=True, slots=True)
class Packets:
    """Whole packets at the head of some octets: where each one's event begins and ends, and where the rest begins."""

    begins: Integers
    ends: Integers
    behind: int


@dataclass(frozen=True, slots=True)
class PlainRun:
    """Transactions that are plain, one behind the other, and all of one server; see `dfp_transactions`.

    Attributes:
        events: How many events they are made of.
        numbers: Of each transaction, its number in the GTID.
        timestamp: Unix time in seconds at which the last one was logged.
        ends: Of each transaction, the lower 32 bits of where it ends.
        of: Of each rows event, the transaction.
        maps: Of each rows event, its table map as an index into `described`.
        kinds: Of each rows event, its event type.
        begins: Of each rows event, where its images begin.
        until: Of each rows event, where they end.
        described: Of each different table map, the number of an event that is it.
    """

    events: int
    numbers: list[int]
    timestamp: int
    ends: list[int]
    of: list[int]
    maps: list[int]
    kinds: list[int]
    begins: list[int]
    until: list[int]
    described: list[int]


class _Run(ctypes.Structure):
    """`struct run` of `binlog.c`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("transactions", "events", "rows", "maps")),
        *((name, ctypes.c_void_p) for name in ("number", "timestamp", "end")),
        *((name, ctypes.c_void_p) for name in ("of", "map", "kind", "begin", "until", "described")),
    )


_ARRAYS = 9
_LONG, _INT, _POINTER, _OCTETS = ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p


class Binlog:
    """The functions, over octets that stay where they are while one runs. They let other threads run meanwhile.

    Args:
        loaded: The library.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._packets, self._transactions = loaded.dfp_packets, loaded.dfp_transactions
        self._images, self._column, self._windows = loaded.dfp_images, loaded.dfp_column, loaded.dfp_windows
        self._packets.argtypes = (_OCTETS, _LONG, _INT, _INT, _LONG, _POINTER, _POINTER, ctypes.POINTER(_LONG))
        self._packets.restype = self._images.restype = _LONG
        self._transactions.restype = self._column.restype = self._windows.restype = None
        places = (_OCTETS, _POINTER, _POINTER, _LONG, _LONG)
        self._transactions.argtypes = (*places, ctypes.c_uint32, _LONG, _LONG, _LONG, ctypes.POINTER(_Run))
        self._images.argtypes = (_OCTETS, _LONG, _POINTER, _POINTER, _INT, _POINTER)
        self._column.argtypes = (_POINTER, _POINTER, _LONG, _INT, _INT, _INT, *(_POINTER,) * 4)
        self._windows.argtypes = (_POINTER, _POINTER, _LONG, _LONG, _POINTER)

    def packets(self, octets: bytes, sequence: int, *, have_checksums: bool) -> Packets:
        """The ordinary packets at the head of `octets`, of which the first has this number."""
        most = len(octets) // _PACKET_OCTETS_MIN
        begins, ends = np.empty((2, most), np.int64)
        behind = _LONG()
        places = _address(begins), _address(ends)
        count = self._packets(octets, len(octets), sequence, have_checksums, most, *places, ctypes.byref(behind))
        return Packets(begins[:count], ends[:count], behind.value)

    def transactions(
        self,
        octets: bytes,
        begins: Integers,
        ends: Integers,
        *,
        first: int,
        place: int,
        octets_max: int,
        enough: int,
        most: int,
    ) -> PlainRun | None:
        """The plain transactions that the events from `first` on begin with; None where there are none.

        Args:
            octets: Where the events lie.
            begins: Where each event begins.
            ends: Where each one ends.
            first: The event to begin with.
            place: Where the log stands before it; its lower 32 bits count.
            octets_max: How many octets of images a transaction may have.
            enough: How many octets of all images end the run.
            most: How many transactions it may have.
        """
        arrays = np.empty((_ARRAYS, len(begins) - first), np.int64)
        row_octets, base = arrays.strides[0], _address(arrays)
        run = _Run(0, 0, 0, 0, *(base + number * row_octets for number in range(_ARRAYS)))
        bounds = first, len(begins), place & 0xFFFFFFFF, octets_max, enough, most
        self._transactions(octets, _address(begins), _address(ends), *bounds, ctypes.byref(run))
        if not run.transactions:
            return None
        numbers, timestamps, behind = arrays[:3, : run.transactions]
        of, maps, kinds, starts, until = arrays[3:8, : run.rows].tolist()
        return PlainRun(
            events=run.events,
            numbers=numbers.view(np.uint64).tolist(),
            timestamp=int(timestamps[-1]),
            ends=behind.tolist(),
            of=of,
            maps=maps,
            kinds=kinds,
            begins=starts,
            until=until,
            described=arrays[8, : run.maps].tolist(),
        )

    def images(self, octets: bytes, widths: npt.NDArray[np.int32], prefixes: npt.NDArray[np.int32]) -> Integers | None:
        """Where each image begins; None when they do not end where the octets do."""
        layout = _address(widths), _address(prefixes), len(widths)
        count = self._images(octets, len(octets), *layout, None)
        if count < 0:
            return None
        begins = np.empty(count, np.int64)
        self._images(octets, len(octets), *layout, _address(begins))
        return begins

    def column(
        self, octets: npt.NDArray[np.uint8], begins: Integers, following: Integers, index: int, width: int, prefix: int
    ) -> tuple[Integers, Integers, npt.NDArray[np.bool_]]:
        """Of one column of all images: where its values begin, their octets, and whether they are NULL.

        Args:
            octets: The images, found whole.
            begins: Where each begins.
            following: Where each goes on; moved behind the column.
            index: Its number among the columns.
            width: Octets of a value.
            prefix: Octets of the length in front of it; then `width` says nothing.
        """
        count = len(begins)
        at, size = np.empty((2, count), np.int64)
        null = np.empty(count, np.bool_)
        found = (_address(one) for one in (following, at, size, null))
        self._column(_address(octets), _address(begins), count, index, width, prefix, *found)
        return at, size, null

    def windows(self, octets: npt.NDArray[np.uint8], positions: Integers, width: int) -> npt.NDArray[np.uint8]:
        """So many octets from each position, a row each."""
        positions = np.ascontiguousarray(positions, np.int64)
        rows = np.empty((len(positions), width), np.uint8)
        self._windows(_address(octets), _address(positions), len(positions), width, _address(rows))
        return rows


def _address(array: npt.NDArray[np.generic]) -> int:
    place: int = array.__array_interface__["data"][0]
    return place


@functools.cache
def binlog() -> Binlog | None:
    """The functions, or None where there is no library that can be relied upon."""
    if library() is None:
        return None
    found = Binlog(ctypes.CDLL(str(PATH)))
    return found if _is_right(found) else None


def _is_right(found: Binlog) -> bool:
    """Whether two packets are taken apart, the second of them with a wrong checksum, and two images."""
    event = bytes(range(19)) + b"the body of an event"
    packet = (len(event) + 5).to_bytes(3, "little") + b"\xff\0" + event
    octets = packet + zlib.crc32(event).to_bytes(4, "little") + packet.replace(b"\xff", b"\0", 1) + bytes(4)
    packets = found.packets(octets, 255, have_checksums=True)
    if (packets.begins.tolist(), packets.ends.tolist(), packets.behind) != ([5], [5 + len(event)], len(packet) + 4):
        return False
    images = b"\0\x01\0\0\0\x02ab" + b"\x01\x01c"
    begins = found.images(images, np.array([4, 0], np.int32), np.array([0, 1], np.int32))
    return begins is not None and begins.tolist() == [0, 8]
