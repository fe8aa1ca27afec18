"""Threads of processes that wait for their turn sleep, unless the user wants otherwise."""

from __future__ import annotations

from rnnbench.machine import waiting


def test_all_variables_are_set_where_the_user_has_set_none():
    assert waiting.variables({"PATH": "/bin"}) == waiting.VARIABLES | waiting.SHARED_DEVICE


def test_what_the_user_has_set_stays():
    found = waiting.variables({"GOMP_SPINCOUNT": "7"})
    assert "GOMP_SPINCOUNT" not in found and "KMP_BLOCKTIME" in found


def test_a_policy_of_the_user_s_own_is_the_whole_policy():
    assert waiting.variables({"OMP_WAIT_POLICY": "active"}) == waiting.SHARED_DEVICE


def test_a_record_says_what_a_process_ran_with(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "20000")
    assert waiting.settings()["GOMP_SPINCOUNT"] == "20000"
