"""What happens to a file of lines while it is being written is noticed at the next line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rnnbench.errors import UsageError
from rnnbench.store.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    return folder / "records.jsonl"


@pytest.mark.parametrize("gone", ["file", "folder", "replaced"])
def test_what_was_measured_is_kept_elsewhere_where_the_file_is_gone(path, gone):
    writer = Writer(path)
    writer.append(b"first\n")
    if gone == "folder":
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    if gone == "replaced":
        path.write_bytes(b"first\n")
    with pytest.raises(UsageError, match=r"records\.jsonl was removed or replaced .* is in (.*)\.") as raised:
        writer.append(b"second\n")
    writer.close()
    kept = Path(str(raised.value).rpartition(" is in ")[2].rstrip("."))
    assert kept.read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize("content", [b"", b"first\nother\n"])
def test_a_file_that_something_else_changes_ends_the_run_at_once(path, content):
    writer = Writer(path)
    writer.append(b"first\n")
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"it has {len(content)} bytes and should have 6"):
        writer.append(b"second\n")
    writer.close()
