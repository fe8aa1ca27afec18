"""Gates of the default run start as few processes as they can."""

import pytest

from rnnbench.gate.pairs import Sampler


@pytest.fixture(scope="module", autouse=True)
def launchers_of_all_rounds(request):
    """Launchers that measured a pair measure the others too; a gate in a process of its own makes new ones for each
    round of pairs.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.config.option.markexpr == "not long":
            patch.setattr(Sampler, "_used", property(lambda _: False, lambda *_: None))
        yield
