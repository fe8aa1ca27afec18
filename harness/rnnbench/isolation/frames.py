"""Messages over a pipe: eight bytes of length, big endian, then that many bytes.

A message that answers a job is a JSON object {status, reason, result}: the fields of a `rnnbench.executor.Outcome`. The
job can write to any open descriptor, this one among them, so an answer is checked before it is believed.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

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


def answer(status: str, reason: str = "", result: Mapping[str, Any] | None = None) -> bytes:
    """The message that answers a job. Raises TypeError and ValueError for a result that is not JSON."""
    return json.dumps({"status": status, "reason": reason, "result": result or {}}).encode()


def understood(message: bytes) -> dict[str, Any]:
    """The fields of an answer; those of a crash where it is none."""
    try:
        fields = json.loads(message)
        wanted = {"status": str, "reason": str, "result": dict}
        if all(isinstance(fields[key], type_) for key, type_ in wanted.items()):
            return {key: fields[key] for key in wanted}
        what = f"{message[:40]!r}"
    except (ValueError, KeyError, TypeError, RecursionError):
        what = f"{message[:40]!r}"
    reason = f"its answer is none ({what}): something in it has written over the channel to the harness"
    return {"status": "crashed", "reason": reason, "result": {}}
