from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_upskill.kernels.data import Miss
from pytest_upskill.kernels.extract import extract
from tests.kernels.zoo import CHEATS, Cheat
from tests.kernels.zoo.runner import Verdict, Workshop, reason_to_skip

_SEED = b"a seed that no reply knows"
_UNSEEN = [cheat for cheat in CHEATS if cheat.expected == "extract"]
_SEEN = [cheat for cheat in CHEATS if cheat.expected != "extract"]
_PATIENCE = 3.0


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    if reason := reason_to_skip():
        pytest.skip(reason)
    with Workshop(tmp_path_factory.mktemp("artefacts"), _PATIENCE) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def verdicts(workshop: Workshop) -> Mapping[str, Verdict]:
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda cheat: workshop.verdict(cheat.reply, cheat.spec(), _SEED), _SEEN)
        return dict(zip((cheat.name for cheat in _SEEN), found, strict=True))


@pytest.mark.parametrize("cheat", _UNSEEN, ids=lambda cheat: cheat.name)
def test_what_is_no_device_code_is_never_run(cheat: Cheat) -> None:
    with pytest.raises(Miss) as raised:
        extract(cheat.reply, cheat.spec()).declaration.launch({"rows": 8, "cols": 256}, "f32")
    assert raised.value.stage == "extract"
    assert re.search(cheat.evidence, raised.value.evidence)


@pytest.mark.parametrize("cheat", _SEEN, ids=lambda cheat: cheat.name)
def test_a_cheat_that_fools_a_naive_check_gains_nothing_here(
    cheat: Cheat, verdicts: Mapping[str, Verdict]
) -> None:
    verdict = verdicts[cheat.name]
    assert verdict.stopped in (cheat.expected, cheat.also), f"{cheat.does} {verdict.evidence}"
    assert re.search(cheat.evidence, verdict.evidence)


def test_no_evidence_steers_a_terminal_or_a_judge(verdicts: Mapping[str, Verdict]) -> None:
    evidence = verdicts["steering_error"].evidence
    assert "\x1b" not in evidence
    assert len(evidence) < 2000


def test_no_evidence_tells_what_stands_in_a_file_of_the_system(verdicts: Mapping[str, Verdict]) -> None:
    assert "root:" not in "".join(verdict.evidence for verdict in verdicts.values())
    # It depends on the level of the sandbox whether the file is hidden or denied.
    assert re.search("No such file|Permission denied", verdicts["included_file"].evidence)
