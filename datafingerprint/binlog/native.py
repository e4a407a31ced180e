"""The functions of `binlog.c`, which find transactions, row images and values in a binlog.

They never raise an error for what they do not know. They end before it, and the Python code continues from there.
The library is used only if it passes a small test of each function, which runs at the first use.
"""

from __future__ import annotations

import ctypes
import functools
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datafingerprint.native.library import PATH, library

Integers = npt.NDArray[np.int64]

_PACKET_BYTES_MIN = 24
"""The shortest packet with an event: the packet's header, a status, and the event's header."""


@dataclass(frozen=True, slots=True)
class Packets:
    """Whole packets at the head of some data.

    Attributes:
        begins: Offset of each packet's event.
        ends: Offset of the end of each packet's event.
        length: How many bytes the packets take.
    """

    begins: Integers
    ends: Integers
    length: int


@dataclass(frozen=True, slots=True)
class PlainRun:
    """Consecutive plain transactions of one server.

    `dfp_transactions` in `binlog.c` defines which transactions are plain.

    Attributes:
        events: How many events the transactions consist of.
        numbers: Each transaction's number in its GTID.
        timestamp: Unix time in seconds at which the last transaction was logged.
        ends: The lower 32 bits of each transaction's end in the binlog file.
        transactions: Each rows event's transaction, as an index.
        maps: Each rows event's table map, as an index into `map_events`.
        kinds: Each rows event's event type.
        image_begins: Offset of each rows event's images.
        image_ends: Offset of the end of each rows event's images.
        map_events: The number of an event for each different table map.
    """

    events: int
    numbers: list[int]
    timestamp: int
    ends: list[int]
    transactions: list[int]
    maps: list[int]
    kinds: list[int]
    image_begins: list[int]
    image_ends: list[int]
    map_events: list[int]


class _Run(ctypes.Structure):
    """`struct run` of `binlog.c`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("transactions", "events", "rows", "maps")),
        *((name, ctypes.c_void_p) for name in ("number", "timestamp", "end")),
        *((name, ctypes.c_void_p) for name in ("transaction", "map", "kind", "image_begin", "image_end", "map_event")),
    )


_ARRAYS = 9
_LONG, _INT, _POINTER, _DATA = ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p


class Binlog:
    """The functions. While one runs, its data must not move, and other Python threads may run.

    Args:
        loaded: The library.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._packets, self._transactions = loaded.dfp_packets, loaded.dfp_transactions
        self._images, self._column, self._windows = loaded.dfp_images, loaded.dfp_column, loaded.dfp_windows
        self._packets.argtypes = (_DATA, _LONG, _INT, _INT, _LONG, _POINTER, _POINTER, ctypes.POINTER(_LONG))
        self._packets.restype = self._images.restype = _LONG
        self._transactions.restype = self._column.restype = self._windows.restype = None
        events = (_DATA, _POINTER, _POINTER, _LONG, _LONG)
        self._transactions.argtypes = (*events, ctypes.c_uint32, _LONG, _LONG, _LONG, ctypes.POINTER(_Run))
        self._images.argtypes = (_DATA, _LONG, _POINTER, _POINTER, _INT, _POINTER)
        self._column.argtypes = (_POINTER, _POINTER, _LONG, _INT, _INT, _INT, *(_POINTER,) * 4)
        self._windows.argtypes = (_POINTER, _POINTER, _LONG, _LONG, _POINTER)

    def packets(self, data: bytes, sequence: int, *, have_checksums: bool) -> Packets:
        """The ordinary packets at the head of `data`, where the first has the number `sequence`."""
        count_max = len(data) // _PACKET_BYTES_MIN
        begins, ends = np.empty((2, count_max), np.int64)
        length = _LONG()
        results = _address(begins), _address(ends), ctypes.byref(length)
        count = self._packets(data, len(data), sequence, have_checksums, count_max, *results)
        return Packets(begins[:count], ends[:count], length.value)

    def transactions(
        self,
        data: bytes,
        begins: Integers,
        ends: Integers,
        *,
        first: int,
        offset: int,
        transaction_bytes_max: int,
        run_bytes: int,
        count_max: int,
    ) -> PlainRun | None:
        """The plain transactions that begin with the event `first`, or None if there are none.

        Args:
            data: The events.
            begins: Offset of each event in `data`.
            ends: Offset of the end of each event in `data`.
            first: The first event of the run.
            offset: The position in the binlog file before that event. Its lower 32 bits are used.
            transaction_bytes_max: How many bytes of images a transaction may have.
            run_bytes: The run ends with the transaction by which its images reach this number of bytes.
            count_max: How many transactions the run may have.
        """
        arrays = np.empty((_ARRAYS, len(begins) - first), np.int64)
        stride, base = arrays.strides[0], _address(arrays)
        run = _Run(0, 0, 0, 0, *(base + number * stride for number in range(_ARRAYS)))
        bounds = first, len(begins), offset & 0xFFFFFFFF, transaction_bytes_max, run_bytes, count_max
        self._transactions(data, _address(begins), _address(ends), *bounds, ctypes.byref(run))
        if not run.transactions:
            return None
        numbers, timestamps, transaction_ends = arrays[:3, : run.transactions]
        transactions, maps, kinds, image_begins, image_ends = arrays[3:8, : run.rows].tolist()
        return PlainRun(
            events=run.events,
            numbers=numbers.view(np.uint64).tolist(),
            timestamp=int(timestamps[-1]),
            ends=transaction_ends.tolist(),
            transactions=transactions,
            maps=maps,
            kinds=kinds,
            image_begins=image_begins,
            image_ends=image_ends,
            map_events=arrays[8, : run.maps].tolist(),
        )

    def images(self, data: bytes, widths: npt.NDArray[np.int32], prefixes: npt.NDArray[np.int32]) -> Integers | None:
        """The offset of each image, or None if the last one does not end where the data does."""
        layout = _address(widths), _address(prefixes), len(widths)
        count = self._images(data, len(data), *layout, None)
        if count < 0:
            return None
        begins = np.empty(count, np.int64)
        self._images(data, len(data), *layout, _address(begins))
        return begins

    def column(
        self, images: npt.NDArray[np.uint8], begins: Integers, following: Integers, index: int, width: int, prefix: int
    ) -> tuple[Integers, Integers, npt.NDArray[np.bool_]]:
        """Offset, size in bytes and NULL flag of one column's value in each image.

        Args:
            images: The images, which `images` has checked.
            begins: Offset of each image.
            following: Offset of the column in each image. The call moves it to the next column.
            index: The column's number.
            width: Bytes of a value, if `prefix` is 0.
            prefix: Bytes of the length before each value, or 0.
        """
        count = len(begins)
        at, size = np.empty((2, count), np.int64)
        null = np.empty(count, np.bool_)
        results = (_address(array) for array in (following, at, size, null))
        self._column(_address(images), _address(begins), count, index, width, prefix, *results)
        return at, size, null

    def windows(self, data: npt.NDArray[np.uint8], positions: Integers, width: int) -> npt.NDArray[np.uint8]:
        """`width` bytes from each position, as one row each."""
        positions = np.ascontiguousarray(positions, np.int64)
        rows = np.empty((len(positions), width), np.uint8)
        self._windows(_address(data), _address(positions), len(positions), width, _address(rows))
        return rows


def _address(array: npt.NDArray[np.generic]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


@functools.cache
def native_binlog() -> Binlog | None:
    """The functions, or None if there is no library that works."""
    if library() is None:
        return None
    functions = Binlog(ctypes.CDLL(str(PATH)))
    return functions if _works(functions) else None


def _works(functions: Binlog) -> bool:
    """Tries the functions on two packets, the second with a wrong checksum, and on two images."""
    event = bytes(range(19)) + b"the body of an event"
    packet = (len(event) + 5).to_bytes(3, "little") + b"\xff\0" + event
    data = packet + zlib.crc32(event).to_bytes(4, "little") + packet.replace(b"\xff", b"\0", 1) + bytes(4)
    packets = functions.packets(data, 255, have_checksums=True)
    if (packets.begins.tolist(), packets.ends.tolist(), packets.length) != ([5], [5 + len(event)], len(packet) + 4):
        return False
    images = b"\0\x01\0\0\0\x02ab" + b"\x01\x01c"
    begins = functions.images(images, np.array([4, 0], np.int32), np.array([0, 1], np.int32))
    return begins is not None and begins.tolist() == [0, 8]
