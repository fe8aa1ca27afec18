"""A user's data file that is no good: said on the command line, all of it at once, before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

FAULTS = {
    "text(file=missing.txt)": "missing.txt does not exist",
    "text(file=latin.txt)": "byte 3 (0xe9) is not UTF-8",
    "text(file=empty.txt)": "empty.txt is empty",
    "csv(file=ragged.csv)": "ragged.csv:3: 2 fields under 3 columns",
    "csv(file=words.csv)": "words.csv:2: column 'x' has 'abc', which is no finite number",
    "csv(file=long.csv)": "long.csv:3: field larger than field limit",
    "csv(file=header.csv)": "header.csv:1: field larger than field limit",
    "csv(file=underscore.csv)": "underscore.csv:2: column 'x' has '1_000', which is no finite number",
    "csv(file=digits.csv)": "digits.csv:2: column 'x' has '١٢', which is no finite number",
    "arrays(file=none.npz)": "none.npz: xs is empty, with the shape (0, 5, 2)",
    "arrays(file=lengths.npz)": "lengths must be integers (N,) from 1 to T = 5; found int64 (12,) from 0 to 5.",
    "arrays(file=ragged.npz)": "ragged.npz is no .npz archive of plain arrays",
    "arrays(file=words.npz)": "words.npz: xs must be numbers",
    "copy(items=9)": "copy of 9 items needs at least 19 time steps",
}


def write_files(folder: Path) -> None:
    (folder / "latin.txt").write_bytes("café au lait\n".encode("latin-1"))
    (folder / "empty.txt").write_bytes(b"")
    (folder / "ragged.csv").write_text("sequence,x,target\n1,2,3\n1,2\n")
    (folder / "words.csv").write_text("sequence,x,target\n1,abc,3\n1,2,4\n")
    np.savez(folder / "ragged.npz", xs=np.array([[1, 2], [3]], dtype=object), targets=np.arange(2))
    (folder / "long.csv").write_text(f"sequence,x,target\n1,1,3\n1,{'1' * 200_000},4\n")
    (folder / "header.csv").write_text(f"sequence,{'x' * 200_000},target\n1,1,3\n")
    (folder / "underscore.csv").write_text("sequence,x,target\n1,1_000,3\n1,2,4\n")
    (folder / "digits.csv").write_text("sequence,x,target\n1,١٢,3\n1,2,4\n", encoding="utf-8")
    np.savez(folder / "none.npz", xs=np.zeros((0, 5, 2)), targets=np.zeros(0, int))
    lengths = np.r_[0, np.full(11, 5)]
    np.savez(folder / "lengths.npz", xs=np.zeros((12, 5, 2)), targets=np.arange(12) % 2, lengths=lengths)
    np.savez(folder / "words.npz", xs=np.array([["a", "b"]] * 12), targets=np.arange(12) % 2)


def test_every_bad_file_is_named_once_with_what_is_wrong_and_nothing_runs(tmp_path):
    write_files(tmp_path)
    tasks = ", ".join(f'"{task}"' for task in FAULTS)
    (tmp_path / "bad.yaml").write_text(
        "name: bad\ngrid: {cell: gru, backend: jax, seq_len: 16}\nprobes:\n  convergence: {task: [" + tasks + "]}\n"
    )
    command = [sys.executable, "-m", "rnnbench", "run", "bad.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    for task, said in FAULTS.items():
        [line] = [line for line in done.stderr.splitlines() if f"{task} at seq_len 16" in line]
        assert "bad.yaml:4: probes.convergence.task: " in line and said in line
    assert not (tmp_path / "results").exists()
