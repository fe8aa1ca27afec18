"""Suites by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnbench.registry.suites import located, shipped
from rnnbench.suite import read

ROOT = Path(__file__).parents[2]


def test_the_shipped_suites_are_those_of_the_folder() -> None:
    assert list(shipped()) == sorted(path.stem for path in (ROOT / "suites").glob("*.yaml"))
    assert all(read(Path(name)).name == name for name in shipped())


def test_an_own_file_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(Path("smoke")) == shipped()["smoke"]
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "smoke.yml").write_text("")
    assert located(Path("smoke")) == Path("suites/smoke.yml")
    (tmp_path / "smoke.yaml").write_text("")
    assert located(Path("smoke")) == Path("smoke.yaml")
    for path in ("./smoke", "smoke.yml", "nothing", "a/smoke"):
        assert located(Path(path)) == (shipped()["smoke"] if path == "./smoke" else Path(path)) or path == "./smoke"
