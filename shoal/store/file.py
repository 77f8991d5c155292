"""Records in one file: whole pages one after another, then their index; what is damaged or cut short is found out."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from shoal import codec
from shoal.errors import InputError, ModelError, WorkError
from shoal.store.values import PAGE, Arrays, Key, Record, TierFigures, laid_out

MAGIC = b"shoalstore1\0"
HEAD = struct.Struct("<12sQQI")  # magic, where the index is, how long, its checksum
MOST_INDEX = 256 << 20


@dataclass(frozen=True)
class Index:
    """What a store holds: the end of its file."""

    records: tuple[Record, ...]
    about: str = ""  # what its writer says of them together, as JSON


def write_file(records: Iterable[tuple[Key, Arrays]], path: Path, about: str = "") -> Index:
    """Write records in the order given, whole or not at all; one of them is in memory at a time.

    Args:
        records: what is to be written.
        path: of the file.
        about: what is to be said of them together; it comes with the index.

    Raises:
        InputError: a key comes twice, there is none, or arrays are no numbers.
        WorkError: the file cannot be written, as when the disk is full.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as file:
            file.write(bytes(PAGE))
            index = Index(tuple(_written(file, key, arrays) for key, arrays in records), about)
            _check_keys(index.records)
            _write_index(file, index)
        beside.replace(path)
    except OSError as fault:
        raise WorkError(f"cannot write the store: {fault.strerror}", where=str(path)) from fault
    finally:
        beside.unlink(missing_ok=True)
    return index


def _check_keys(records: tuple[Record, ...]) -> None:
    keys = [each.key for each in records]
    if not keys or len(set(keys)) < len(keys):
        raise InputError("a store has keys, each of them once", had=", ".join(map(str, keys[:4])) or "none")


def _write_index(file: BinaryIO, index: Index) -> None:
    """The index behind the last record, then the head that tells where it is."""
    end, listed = max(each.offset + each.bytes for each in index.records), codec.encode(index)
    file.seek(end)
    file.write(listed)
    file.truncate()
    file.seek(0)
    file.write(HEAD.pack(MAGIC, end, len(listed), zlib.crc32(listed)))
    file.flush()
    os.fsync(file.fileno())


def _written(file: BinaryIO, key: Key, arrays: Arrays) -> Record:
    record, data = laid_out(key, arrays, file.tell())
    file.write(data)
    return record


class FileTier:
    """A file of `write_file`, read past the system's cache where the file system can do that.

    Args:
        path: the file.
        direct: read past the cache; where that cannot be, the pages read are dropped from it afterwards.
        writable: records may be written again, in place.
        name: what reports call it.

    Raises:
        ModelError: no such file, another kind of file, or one that is damaged or cut short.
    """

    def __init__(self, path: Path, *, direct: bool = True, writable: bool = False, name: str = "file") -> None:
        self._path, self._file = path, -1
        index = _index(path)
        self.about = index.about
        self.figures = TierFigures(name, size_bytes=sum(each.bytes for each in index.records))
        self._records = {each.key: each for each in index.records}
        self.records: Mapping[Key, Record] = self._records
        self._file, self.direct = _opened(path, direct, writable)

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`."""
        record, done = self.records[key], 0
        while done < len(into):
            try:
                got = os.preadv(self._file, [into[done:]], record.offset + offset + done)
            except OSError as fault:
                raise WorkError(f"cannot read the store: {fault.strerror}", where=f"{self._path}, {key}") from fault
            if not got:
                raise self._damaged(key, "is cut short")
            done += got
        if not self.direct:
            os.posix_fadvise(self._file, record.offset + offset, len(into), os.POSIX_FADV_DONTNEED)
        if len(into) == record.bytes and zlib.crc32(into) != record.crc32:
            raise self._damaged(key, "is not what was written")

    def write(self, key: Key, data: memoryview) -> None:
        """Write a record in place, as long as it is; by several threads at once if they write different ones.

        From then until `settle` the file is damaged for whoever else opens it: work that ends in between is found out.

        Raises:
            WorkError: it cannot be written, as when the disk is full.
        """
        record, done = self.records[key], 0
        while done < record.bytes:
            try:
                done += os.pwritev(self._file, [data[done:]], record.offset + done)
            except OSError as fault:
                raise WorkError(
                    f"cannot write the store: {fault.strerror}", where=f"{self._path}, {key}"
                ) from fault
        self._records[key] = replace(record, crc32=zlib.crc32(data))

    def settle(self) -> None:
        """Let what was written stand: first the records reach the disk, then an index with their checksums.

        Raises:
            WorkError: it cannot be written.
        """
        try:
            os.fdatasync(self._file)
            with self._path.open("r+b") as file:
                _write_index(file, Index(tuple(self._records.values()), self.about))
        except OSError as fault:
            raise WorkError(f"cannot write the store: {fault.strerror}", where=str(self._path)) from fault

    def close(self) -> None:
        """See `Tier`."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _damaged(self, key: Key, what: str) -> ModelError:
        return ModelError(f"a record of the store {what}", where=f"{self._path}, {key}", hint="write it again")


def _opened(path: Path, direct: bool, writable: bool) -> tuple[int, bool]:
    """A descriptor, and whether it reads past the cache."""
    way = os.O_RDWR if writable else os.O_RDONLY
    if direct and hasattr(os, "O_DIRECT"):
        try:
            return os.open(path, way | os.O_DIRECT), True
        except OSError as fault:
            if fault.errno != errno.EINVAL:  # file systems in memory have no such way
                raise ModelError(f"cannot read the store: {fault.strerror}", where=str(path)) from fault
    return os.open(path, way), False


def _index(path: Path) -> Index:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEAD.size)
            if len(head) < HEAD.size or not head.startswith(MAGIC):
                raise ModelError("not a store of tensors", where=str(path))
            _, offset, length, checksum = HEAD.unpack(head)
            if offset + length != size or length > MOST_INDEX:
                raise ModelError("the store is cut short, or longer than it says", where=str(path),
                                 needed=f"{offset + length} bytes", had=f"{size}")  # fmt: skip
            file.seek(offset)
            listed = file.read(length)
    except OSError as fault:
        raise ModelError(f"cannot read the store: {fault.strerror}", where=str(path)) from fault
    if zlib.crc32(listed) != checksum:
        raise ModelError("the store's index is damaged", where=str(path))
    index = codec.decode(Index, listed, str(path))
    if any(each.offset + each.bytes > offset for each in index.records):
        raise ModelError("a record lies beyond the store's end", where=str(path))
    return index
