"""Compilers that are absent, broken or slow, folders that are full or shared, files that are damaged."""

import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from rnnbench import CaseError, Skipped
from rnnbench_cells import FAMILIES
from rnnbench_fused import compiling
from rnnbench_fused.kernel import supports

TEXT = "int answer(void) { return 42; }\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling, "_LOADED", {})
    return tmp_path / "kernels"


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_library_is_compiled_once(cache, monkeypatch):
    assert compiling.loaded(TEXT).answer() == 42
    assert compiling.loaded(TEXT) is compiling.loaded(TEXT)
    kept = list(cache.iterdir())
    assert [path.suffix for path in kept] == [".so"]
    monkeypatch.setattr(compiling.subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    compiling._LOADED.clear()
    assert compiling.loaded(TEXT).answer() == 42


def test_another_text_is_another_library(cache):
    compiling.loaded(TEXT)
    assert compiling.loaded(TEXT.replace("42", "43")).answer() == 43
    assert len(list(cache.iterdir())) == 2


def test_another_compiler_makes_its_own(cache, monkeypatch, tmp_path):
    compiling.loaded(TEXT)
    own = compiling.compiler()
    assert own is not None
    monkeypatch.setenv("CC", script(tmp_path / "other", f'exec {own[0]} "$@"'))
    compiling.loaded(TEXT)
    assert len(list(cache.iterdir())) == 2


def test_without_a_compiler_rows_are_skipped_with_the_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    answer = supports(FAMILIES["first"][0], "cpu", "float32")
    assert answer == "it needs a C compiler, and none of cc, gcc, clang was found: install one or set CC"
    with pytest.raises(Skipped, match="install one or set CC"):
        compiling.loaded(TEXT)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "echo 'x.c:1: error: no space on device' >&2; exit 1",
            r"fails on the generated kernel \(x.c:1: error: no space",
        ),
        ("exit 0", r"fails on the generated kernel \(no message\)"),
        (r"printf '\377\001 error' >&2; exit 1", "fails on the generated kernel \\(\ufffd error\\)"),
        ("echo 'ld: final link failed: full' >&2; echo 'error: ld returned 1' >&2; exit 1", "link failed: full"),
        ('while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"', "what the compiler .* wrote cannot be loaded"),
        ("sleep 30", "does not run .*timed out"),
    ],
    ids=["fails", "writes nothing", "no text", "no room", "nonsense", "hangs"],
)
def test_a_broken_compiler_is_an_error_of_the_case(body, sentence, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", script(tmp_path / "broken", body))
    monkeypatch.setattr(compiling, "TIMEOUT", 0.2)
    with pytest.raises(CaseError, match=sentence) as found:
        compiling.loaded(TEXT)
    assert not isinstance(found.value, Skipped)
    assert "set CC" in str(found.value)
    assert not cache.exists()


def test_a_compiler_that_does_not_know_this_cpu(monkeypatch, tmp_path):
    own = compiling.compiler()
    assert own is not None
    refusing = f'case "$*" in *native*) echo "error: unknown option" >&2; exit 1;; esac; exec {own[0]} "$@"'
    monkeypatch.setenv("CC", script(tmp_path / "old", refusing))
    assert compiling.loaded(TEXT).answer() == 42


def test_a_damaged_file_is_not_loaded(cache):
    compiling.loaded(TEXT)
    compiling._LOADED.clear()
    [path] = cache.iterdir()
    data = path.read_bytes()
    path.unlink()  # this process has it mapped
    path.write_bytes(data[: len(data) // 2])
    assert compiling.loaded(TEXT).answer() == 42
    [path] = cache.iterdir()
    assert path.read_bytes() == data


def test_a_file_that_cannot_be_loaded_here_is_made_again(cache):
    """Of another machine, say, with the right hash of its bytes in its name."""
    compiling.loaded(TEXT)
    compiling._LOADED.clear()
    [path] = cache.iterdir()
    foreign = path.read_bytes()[:200]
    path.unlink()
    own = cache / f"{path.stem.split('-')[0]}-{compiling._digest(foreign)}.so"
    own.write_bytes(foreign)
    assert compiling.loaded(TEXT).answer() == 42
    assert path.is_file()


def test_no_folder_to_compile_in_is_one_sentence(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(compiling.tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(CaseError, match=r"no folder to compile in .*: set TMPDIR"):
        compiling.loaded(TEXT)


def test_a_name_of_a_compiler_that_is_no_command(cache, monkeypatch):
    monkeypatch.setenv("CC", "'unbalanced")
    assert compiling.loaded(TEXT).answer() == 42


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RNNBENCH_CACHE", str(tmp_path / "file"))
    assert compiling.loaded(TEXT).answer() == 42


def test_a_folder_that_is_full(cache, monkeypatch):
    """Nothing half written stays."""

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiling.os, "fsync", full)
    assert compiling.loaded(TEXT).answer() == 42
    assert list(cache.iterdir()) == []


def test_what_an_interrupted_process_left_is_removed_in_the_end(cache):
    cache.mkdir(parents=True)
    for name, age in [("draft-old", 2 * compiling.STALE), ("draft-new", 0)]:
        (cache / name).write_bytes(b"\x7fELF")
        then = (cache / name).stat().st_mtime - age
        os.utime(cache / name, (then, then))
    assert compiling.loaded(TEXT).answer() == 42
    assert [path.name for path in cache.glob("draft-*")] == ["draft-new"]


def test_a_compilation_that_is_killed_leaves_nothing_that_could_be_loaded(cache, tmp_path, monkeypatch):
    """The same compiler, which stops half way the first time, is asked again."""
    own, begun = compiling.compiler(), tmp_path / "begun"
    assert own is not None
    half = 'while [ "$1" != -o ]; do shift; done; head -c 1000 /dev/urandom > "$2"'
    body = f'[ -e {begun} ] && exec {own[0]} "$@"\n{half}; touch {begun}; exec sleep 600'
    monkeypatch.setenv("CC", script(tmp_path / "slow", body))
    code = f"from rnnbench_fused import compiling; compiling.loaded({TEXT!r})"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert begun.exists()
    assert not list(cache.glob("*"))
    assert compiling.loaded(TEXT).answer() == 42


def test_several_processes_at_once(cache):
    code = f"from rnnbench_fused import compiling; print(compiling.loaded({TEXT!r}).answer())"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=600)[0].strip() for process in running] == ["42"] * 4
    assert [path.suffix for path in cache.iterdir()] == [".so"]


FUNCTIONS = {
    "exp": (np.exp, (-90, 89), 1.5),
    "tanh": (np.tanh, (-12, 12), 2.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (-80, 80), 3.0),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), (-80, 80), 3.0),
}


def test_elementary_functions_are_accurate():
    """In units in the last place, over a range and close to zero; and at the ends of the numbers."""
    import ctypes

    from rnnbench_fused.emit import _runtime

    applied = "".join(
        f"void apply_{name}(long n, const real *x, real *y) "
        f"{{ for (long i = 0; i < n; i += VL) store(y + i, v{name}(load(x + i))); }}\n"
        for name in FUNCTIONS
    )
    for double, dtype in ((0, np.float32), (1, np.float64)):
        library = compiling.loaded(f"#define DOUBLE {double}\n{_runtime()}{applied}")
        for name, (true, ends, ulps) in FUNCTIONS.items():
            rng = np.random.default_rng(0)
            x = np.concatenate(
                [rng.uniform(ends[0], ends[1], 40960), rng.normal(0, 1, 20480), 1e-3 * rng.normal(0, 1, 2048)]
            )
            special = np.array([0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 100.0, -110.0] * 8)
            x = np.concatenate([x, special]).astype(dtype)
            y = np.empty_like(x)
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, y)]
            getattr(library, f"apply_{name}")(ctypes.c_long(len(x)), *pointers)
            with np.errstate(all="ignore"):
                exact = true(x.astype(np.longdouble))
                spacing = np.spacing(np.abs(exact).astype(dtype))
                error = np.abs(y.astype(np.longdouble) - exact) / spacing
            usual = np.isfinite(exact) & (np.abs(exact) > np.finfo(dtype).tiny) & (np.abs(exact) < np.finfo(dtype).max)
            assert error[usual].max() < ulps, (name, dtype, x[usual][np.argmax(error[usual])])
            assert np.isnan(y[np.isnan(x)]).all()
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(y[np.isinf(x)], exact[np.isinf(x)].astype(dtype))
