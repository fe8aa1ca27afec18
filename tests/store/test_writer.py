"""What happens to a file of lines while it is being written is noticed at the next line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rnnbench.errors import UsageError
from rnnbench.store.files import write_atomically
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


@pytest.mark.parametrize("content", [b"", b"first\nother\n", b"Third\n", b"first\n"])
@pytest.mark.parametrize("last", [False, True])
def test_what_something_else_does_to_the_file_is_undone_and_told(path, content, last):
    """Also at the end, when no line follows."""
    writer = Writer(path)
    writer.append(b"first\n")
    path.write_bytes(content)
    if last:
        writer.check()
    else:
        writer.append(b"second\n")
    writer.check()
    expected = [f"{path} was changed by something else while the run was writing it, and set back"]
    assert [notice.partition(":")[0] for notice in writer.notices] == (expected if content != b"first\n" else [])
    writer.close()
    assert path.read_bytes() == (b"first\n" if last else b"first\nsecond\n")


def test_what_was_measured_is_kept_elsewhere_even_where_it_was_first_emptied(path):
    writer = Writer(path)
    writer.append(b"first\n")
    path.write_bytes(b"")
    path.unlink()
    with pytest.raises(UsageError, match=r"is in (.*)\.") as raised:
        writer.append(b"second\n")
    writer.close()
    assert Path(str(raised.value).rpartition(" is in ")[2].rstrip(".")).read_bytes() == b"first\nsecond\n"


def test_a_resumed_file_is_set_back_with_its_earlier_lines(path):
    path.write_bytes(b"zeroth\ntorn")
    writer = Writer(path)
    path.write_bytes(b"")
    writer.append(b"first\n")
    writer.close()
    assert path.read_bytes() == b"zeroth\nfirst\n"


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_records_that_are_no_regular_file_are_refused(tmp_path, place):
    (tmp_path / "records.jsonl").symlink_to(place)
    with pytest.raises(UsageError, match="is no regular file"):
        Writer(tmp_path / "records.jsonl")


def test_the_top_folder_is_no_file_to_write():
    with pytest.raises(UsageError, match="it names no file"):
        write_atomically(Path("/"), "text")
