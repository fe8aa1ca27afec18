"""What can be wrong with the file itself: every fault is one SuiteError that says where."""

import os
import re

import pytest

from rnnbench import suite
from rnnbench.errors import SuiteError
from suite_registry import SMALL, write


def refused(path) -> str:
    with pytest.raises(SuiteError) as caught:
        suite.read(path)
    return str(caught.value)


def test_a_good_document_has_a_name_and_its_plugins(tmp_path):
    (tmp_path / "suites").mkdir()
    plugin = write(tmp_path, "", "my_cell.py")
    path = write(tmp_path / "suites", SMALL + "plugins: [../my_cell.py]\n")
    document = suite.read(path)
    assert (document.name, document.path, document.plugins) == ("small", path, [plugin.resolve()])


FAULTS = {
    "empty": ("", 1, "the suite is empty"),
    "only a comment": ("# nothing\n", 1, "the suite is empty"),
    "a list": ("- name: x\n", 1, "a suite is a mapping"),
    "text": ("\n\nhello\n", 3, "a suite is a mapping"),
    "two documents": (SMALL + "---\nname: second\n", 8, "not valid YAML: expected a single document"),
    "bad indentation": ("name: x\n  grid: 1\n", 2, "not valid YAML"),
    "unclosed bracket": ("name: x\ngrid: {cell: [rnn\n", 3, "not valid YAML"),
    "tab": ("name: x\ngrid:\n\tcell: rnn\n", 3, "not valid YAML"),
    "twice the same key": (SMALL + "seed: 1\nseed: 2\n", 9, "seed: the key stands twice"),
    "twice, deep down": (SMALL.replace("  seq", "  cell: gru\n  seq"), 5, "grid.cell: the key stands twice"),
    "python tag": (SMALL + "seed: !!python/object/apply:os.mkdir [planted]\n", 8, "tags (tag:yaml.org,2002:python/"),
    "own tag": (SMALL + "seed: !seed 5\n", 8, "tags (!seed) are not allowed"),
    "standard tag": (SMALL + "seed: !!int '5'\n", 8, "tags (tag:yaml.org,2002:int) are not allowed"),
    "recursive alias": (SMALL + "probes2: &a\n  x: *a\n", 9, "the alias contains itself"),
    "unknown alias": (SMALL + "seed: *seed\n", 8, "undefined alias"),
    "merge of text": (SMALL.replace("  cell", "  <<: gru\n  cell"), 3, "grid.<<: only mappings can be merged"),
    "two merges": (SMALL + "x: {<<: {a: 1}, <<: {b: 2}}\n", 8, "x.<<: the key stands twice"),
    "merge of itself": (SMALL + "x: &a {<<: *a}\n", 8, "the alias contains itself"),
    "quoted merge key": (SMALL.replace("  cell", "  '<<': {cell: gru}\n  cell"), 3, 'grid.<<: unknown key "<<"'),
    "no-break space after a colon": (SMALL + "seed:\u00a01\nx: 2\n", 9, "Line 8 holds a no-break space (U+00A0)"),
    "no-break space in brackets": (SMALL.replace("[64, 32]", "[64,\u00a032]"), 5, "with a no-break space (U+00A0)"),
    "no-break space before a key": (SMALL + "\u00a0seed: 1\n", 8, "with a no-break space (U+00A0)"),
    "zero width space": (SMALL.replace("[64, 32]", "64\u200b"), 5, "with a zero width space (U+200B)"),
    "number as key": (SMALL + "5: x\n", 8, "a key must be text"),
    "list as key": (SMALL + "[a]: x\n", 8, "a key must be text"),
    "null as key": (SMALL + "~: x\n", 8, "a key must be text"),
    "infinity": (SMALL.replace("[64, 32]", ".inf"), 5, 'grid.seq_len: found ".inf"; a number must be finite'),
    "not a number": (SMALL.replace("[64, 32]", "[64, .nan]"), 5, 'grid.seq_len[1]: found ".nan"'),
    "too large a float": (SMALL.replace("[64, 32]", "1e999"), 5, "a number must be finite"),
    "endless integer": (SMALL + "seed: " + "9" * 5000, 8, "a number of 5000 digits"),
    "control character": (SMALL + "description: a\x07b\n", 8, "a control character stands here"),
    "escaped control character": (SMALL + 'description: "a\\0b"\n', 8, "a control character"),
    "half a surrogate pair": (SMALL + 'description: "\\uD800"\n', 8, "half a surrogate pair"),
    "beyond Unicode": (SMALL + 'description: "\\UFFFFFFFF"\n', 8, "unreadable text"),
    "absurd version": ("%YAML 99999999999999999999.1\n---\n" + SMALL, 1, "not valid YAML"),
    "deep nesting": (SMALL + "x: " + "[" * 5000, 8, "nested deeper than 20 levels"),
    "deep block nesting": (SMALL + "x:\n" + "".join(" " * n + "- \n" for n in range(1, 40)), 28, "nested deeper than"),
    "many values": (SMALL + "x: [" + "1, " * 20_000 + "]", 8, "more than 10000 values"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_file_is_refused_at_its_line(fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, line, message = FAULTS[fault]
    path = write(tmp_path, text)
    found = refused(path)
    assert found.startswith(f"{path}:{line}: ")
    assert message in found
    assert not (tmp_path / "planted").exists()  # what the python tag would have made


def test_an_alias_bomb_does_not_go_off(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    assert "aliases expand it to more than 10000 values" in refused(write(tmp_path, bomb))


def test_aliases_cannot_nest_past_the_limit(tmp_path):
    ladder = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40))
    assert "aliases nest it deeper than 20 levels" in refused(write(tmp_path, ladder))


def test_anchors_and_aliases_are_allowed(tmp_path):
    text = SMALL.replace("[64, 32]", "&lengths [64, 32]") + "  gradient: {grid: {seq_len: *lengths}}\n"
    assert suite.read(write(tmp_path, text)).data["probes"]["gradient"]["grid"]["seq_len"] == [64, 32]


def test_merge_keys_take_over_what_is_not_written(tmp_path):
    """Own keys win wherever they stand, and of several mappings the first one that has a key (YAML 1.1, merge)."""
    text = "name: x\ngrid: &g {cell: gru, seq_len: 8}\nprobes: {throughput: }\n"
    text += "profiles:\n  big: {grid: {seq_len: 16, <<: *g}}\n"
    text += "  two: {grid: {<<: [{seq_len: 4}, *g, {layers: 2}], dtype: float32}}\n"
    profiles = suite.read(write(tmp_path, text)).data["profiles"]
    assert profiles["big"]["grid"] == {"cell": "gru", "seq_len": 16}
    assert profiles["two"]["grid"] == {"cell": "gru", "seq_len": 4, "layers": 2, "dtype": "float32"}


@pytest.mark.parametrize(("written", "value"), [("0x10", 16), ("0o10", 8), ("010", 10), ("0xfF", 255)])
def test_integers_are_those_of_yaml_1_2(written, value, tmp_path):
    data = suite.read(write(tmp_path, SMALL.replace("[64, 32]", written))).data
    assert data["grid"]["seq_len"] == value


def test_a_no_break_space_may_stand_within_text(tmp_path):
    for written in ("10\u00a0% of all", '"exemple\u00a0: a:\u00a0b"'):
        text = SMALL + f"description: {written}\n"
        assert "\u00a0" in suite.read(write(tmp_path, text)).data["description"]


def test_a_byte_order_mark_is_no_fault(tmp_path):
    assert suite.read(write(tmp_path, "\ufeff" + SMALL)).name == "small"


@pytest.mark.parametrize(
    ("raw", "line"), [(b"name: x\nseed: \xff\n", 2), (SMALL.encode("utf-16"), 1), (b"\x89PNG\r\n\x1a\n", 1)]
)
def test_what_is_not_utf8_is_refused_at_its_line(raw, line, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_bytes(raw)
    assert re.match(rf"{re.escape(str(path))}:{line}: byte 0x\w\w is not UTF-8", refused(path))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_bytes(b"name: x\n\x00\x01\x02")
    assert refused(path).startswith(f"{path}:2: a control character")


def test_a_missing_file_names_the_near_one(tmp_path):
    write(tmp_path, SMALL, "smoke.yaml")
    assert (
        refused(tmp_path / "smok.yaml")
        == f"{tmp_path / 'smok.yaml'}: there is no such file. Did you mean 'smoke.yaml'?"
    )
    assert ", smoke.yaml." in refused(tmp_path / "zzz")
    assert "There is no folder" in refused(tmp_path / "nowhere" / "smoke.yaml")


def test_a_directory_is_refused(tmp_path):
    assert "this is a directory" in refused(tmp_path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "not a regular file" in refused(tmp_path / "pipe.yaml")
    (tmp_path / "kernel.yaml").symlink_to("/proc/self/mounts")  # as /proc/kmsg, which never ends
    (tmp_path / "empty.yaml").write_text("")
    assert refused(tmp_path / "kernel.yaml").replace("kernel", "empty") == refused(tmp_path / "empty.yaml")


@pytest.mark.parametrize("name", ["a" * 5000, "nul\0byte"])
def test_an_impossible_file_name_is_refused(name, tmp_path):
    assert "cannot be read" in refused(tmp_path / name) or "no such file" in refused(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path):
    path = write(tmp_path, SMALL)
    path.chmod(0)
    assert "cannot be read" in refused(path)


def test_a_file_that_fails_while_being_read_is_refused(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, SMALL)
    monkeypatch.setattr("pathlib.Path.open", fail)
    assert "the file cannot be read: [Errno 13] Permission denied" in refused(path)


def test_a_file_above_one_mebibyte_is_refused(tmp_path):
    assert "larger than 1 MiB" in refused(write(tmp_path, SMALL + "#" * 2**20))


def test_a_missing_plugin_file_names_the_near_one(tmp_path):
    write(tmp_path, "", "my_cell.py")
    found = refused(write(tmp_path, SMALL + "plugins:\n  - my_cell.py\n  - my_cel.py\n"))
    assert ":10: plugins[1]: " in found
    assert "there is no file" in found
    assert "Did you mean 'my_cell.py'?" in found


def test_all_problems_of_the_structure_are_reported_at_once_in_order_of_lines(tmp_path):
    text = "nam: x\ngrid:\n  cel: rnn\n  seq_len: 0\nprobes: 5\n"
    lines = refused(write(tmp_path, text)).splitlines()
    assert [line.removeprefix(str(tmp_path / "suite.yaml")).split(": ")[:2] for line in lines] == [
        [":1", "name"],
        [":1", "nam"],
        [":2", "grid.cell"],
        [":3", "grid.cel"],
        [":4", "grid.seq_len"],
        [":5", "probes"],
    ]
