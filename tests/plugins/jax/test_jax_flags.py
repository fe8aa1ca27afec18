"""Flags of jax that a user's environment sets and that spoil times are refused by name."""

from __future__ import annotations

import pytest

from rnnbench.errors import CaseError
from rnnbench.machine.environment import THREAD_VARIABLES

jax = pytest.importorskip("jax")

FLAGS = ("jax_disable_jit", "jax_debug_nans", "jax_debug_infs", "jax_enable_checks", "jax_check_tracer_leaks")


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_that_spoils_times_is_refused_and_recorded(flag):
    from rnnbench_jax.devices import device

    assert flag.upper() in THREAD_VARIABLES
    jax.config.update(flag, True)
    try:
        with pytest.raises(CaseError, match=rf"^{flag.upper()} is set: .*its times would say nothing; unset it$"):
            device("cpu", 1)
    finally:
        jax.config.update(flag, False)
