"""Messages over a pipe: eight bytes of length, big endian, then that many bytes."""

from __future__ import annotations

import os
import struct

_LENGTH = struct.Struct(">Q")


def send(fd: int, payload: bytes) -> None:
    """Write one whole message. Raises BrokenPipeError when nobody is left to read it."""
    rest = memoryview(_LENGTH.pack(len(payload)) + payload)
    while rest:
        rest = rest[os.write(fd, rest) :]


def receive(fd: int) -> bytes | None:
    """Wait for one whole message; None when the other end is gone, even in the middle of one."""
    header = _exactly(fd, _LENGTH.size)
    return None if header is None else _exactly(fd, _LENGTH.unpack(header)[0])


def complete(received: bytes | bytearray) -> bytes | None:
    """The message that `received` holds, None while a part of it is still under way."""
    if len(received) < _LENGTH.size:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
    return bytes(received[_LENGTH.size : end]) if len(received) >= end else None


def _exactly(fd: int, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        chunk = os.read(fd, min(size - len(received), 1 << 20))
        if not chunk:
            return None
        received += chunk
    return bytes(received)
