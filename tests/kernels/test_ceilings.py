"""Ceilings are measured once, kept, and found again by what they hold for."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pytest_upskill.kernels.ceilings import LARGE, Ceilings, KeptFigures, scaled, ways
from pytest_upskill.kernels.data import Launch
from pytest_upskill.kernels.roofline import Fingerprint, Traffic

MARK = Fingerprint("NVIDIA H100", "GPU-1", "580.1", "nvcc 13.0.88")
FLOOR = 0.002
BYTES_A_MS = 3e9


class Card:
    """A pretended device that moves bytes at one rate, best with blocks of 512 and four chunks a thread."""

    def __init__(self) -> None:
        self.asked: list[Traffic] = []
        self.launched: list[Launch] = []
        self.started = 0

    def times(self, launch: Launch, traffic: Traffic, count: int) -> list[float]:
        self.asked.append(traffic)
        self.launched.append(launch)
        threads = launch.grid[0] * launch.block[0]
        clumsy = 1.0 if launch.block[0] == 512 and threads * 64 < 2 * max(traffic.read, 1) else 1.3
        return [FLOOR + clumsy * traffic.total / BYTES_A_MS] * (count - 1) + [99.0]

    def opened(self) -> Callable[[], AbstractContextManager[Card]]:
        @contextmanager
        def start() -> Iterator[Card]:
            self.started += 1
            yield self

        return start


class Multiplier:
    """Pretends to multiply matrices: f32 at 50, and in TF32 at 400."""

    def __init__(self) -> None:
        self.calls = 0

    def rate(self, dtype: str, *, loose: bool) -> float | None:
        self.calls += 1
        rates = {("f32", False): 50.0, ("f32", True): 400.0, ("bf16", True): 800.0, ("bf16", False): 800.0}
        return rates.get((dtype, loose))


def ceilings(
    folder: Path, card: Card | None, products: Multiplier | None = None, l2: int = 2**20
) -> Ceilings:
    return Ceilings(KeptFigures(folder, MARK), l2, card.opened() if card else None, products)


def test_bytes_are_timed_at_the_very_number_that_the_problem_moves(tmp_path: Path) -> None:
    card = Card()
    found = ceilings(tmp_path, card).ceiling(Traffic(2**20, 2**18), 0, "bf16", loose=False)
    assert set(card.asked) == {Traffic(0, 0), Traffic(2**20, 2**18)}
    assert found.memory_ms == pytest.approx(FLOOR + (2**20 + 2**18) / BYTES_A_MS)
    assert found.floor_ms == FLOOR
    assert found.compute_ms is None


def test_of_several_ways_to_launch_the_probe_the_fastest_is_the_ceiling(tmp_path: Path) -> None:
    card = Card()
    ceilings(tmp_path, card).ceiling(Traffic(2**20, 2**20), 0, "bf16", loose=False)
    assert len(set(card.launched)) == 7
    assert card.launched[-1].block == (512, 1, 1)


def test_nothing_is_measured_twice_not_even_by_another_process(tmp_path: Path) -> None:
    first, second, products = Card(), Card(), Multiplier()
    one = ceilings(tmp_path, first, products).ceiling(Traffic(64, 64), 10**6, "bf16", loose=False)
    other = ceilings(tmp_path, second, products).ceiling(Traffic(64, 64), 10**6, "bf16", loose=False)
    assert one == other
    assert (first.started, second.started, products.calls) == (2, 0, 2)


def test_a_large_problem_is_measured_at_four_times_the_cache_and_scaled_without_its_launch(
    tmp_path: Path,
) -> None:
    card = Card()
    whole = Traffic(3 * 2**32, 2**32)
    found = ceilings(tmp_path, card, l2=2**29).ceiling(whole, 0, "bf16", loose=False)
    assert card.asked[-1] == Traffic(3 * 2**29, 2**29)
    assert found.memory_ms == pytest.approx(FLOOR + whole.total / BYTES_A_MS)


def test_what_is_measured_is_a_whole_number_of_chunks() -> None:
    assert scaled(Traffic(1, 17), LARGE) == (Traffic(16, 32), 1.0)
    asked, factor = scaled(Traffic(LARGE, 3 * LARGE), LARGE)
    assert (asked, factor) == (Traffic(LARGE // 4, 3 * LARGE // 4), 4.0)


def test_operations_take_the_time_of_a_matrix_product_in_that_type(tmp_path: Path) -> None:
    found = ceilings(tmp_path, None, Multiplier()).ceiling(Traffic(64, 64), 4000, "f32", loose=False)
    assert (found.compute_ms, found.fewest_ms, found.memory_ms) == (80.0, 10.0, None)


def test_a_case_that_allows_tf32_is_held_against_tf32(tmp_path: Path) -> None:
    found = ceilings(tmp_path, None, Multiplier()).ceiling(Traffic(64, 64), 4000, "f32", loose=True)
    assert (found.compute_ms, found.fewest_ms) == (10.0, 10.0)


def test_a_type_without_a_matrix_product_has_no_compute_ceiling(tmp_path: Path) -> None:
    found = ceilings(tmp_path, None, Multiplier()).ceiling(Traffic(64, 64), 4000, "i32", loose=False)
    assert found.compute_ms is None


def test_operations_that_nobody_counted_need_no_product(tmp_path: Path) -> None:
    products = Multiplier()
    ceilings(tmp_path, None, products).ceiling(Traffic(64, 64), 0, "f32", loose=False)
    assert products.calls == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"figures": {"a": 1}}', '{"fingerprint": {}, "figures": {"a": 1}}']
)
def test_a_damaged_file_holds_nothing_and_is_written_anew(tmp_path: Path, text: str) -> None:
    kept = KeptFigures(tmp_path, MARK)
    kept.path.write_text(text)
    assert kept.get("a") is None
    kept.put("a", 2.0)
    assert kept.get("a") == 2.0


def test_where_nothing_can_be_kept_it_is_measured_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    card = Card()
    for started in (2, 4):
        found = ceilings(tmp_path / "file", card).ceiling(Traffic(64, 64), 0, "bf16", loose=False)
        assert found.memory_ms is not None
        assert card.started == started


@pytest.mark.parametrize("value", [0, -1.0, None, "x", math.inf, math.nan])
def test_a_figure_that_cannot_be_true_is_not_believed(tmp_path: Path, value: object) -> None:
    kept = KeptFigures(tmp_path, MARK)
    kept.path.write_text(json.dumps({"fingerprint": MARK.plain(), "figures": {"a": value}}))
    assert kept.get("a") is None


def test_figures_of_another_fingerprint_are_in_another_file(tmp_path: Path) -> None:
    other = Fingerprint("NVIDIA H100", "GPU-1", "581.0", "nvcc 13.0.88")
    KeptFigures(tmp_path, MARK).put("a", 1.0)
    assert KeptFigures(tmp_path, other).get("a") is None


def test_the_oldest_figures_go_where_there_are_too_many(tmp_path: Path) -> None:
    kept = KeptFigures(tmp_path, MARK)
    figures = {f"moved {number}": 1.0 for number in range(512)}
    kept.path.write_text(json.dumps({"fingerprint": MARK.plain(), "figures": figures}))
    kept.put("moved last", 1.0)
    assert (kept.get("moved 0"), kept.get("moved 1"), kept.get("moved last")) == (None, 1.0, 1.0)


def test_nothing_is_lost_where_several_write_at_once(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(5):
            KeptFigures(tmp_path / "new", MARK).put(f"{number}:{turn}", 1.0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = KeptFigures(tmp_path / "new", MARK)
    assert all(kept.get(f"{number}:{turn}") for number in range(4) for turn in range(5))
    assert not list((tmp_path / "new").glob("*.part"))


def test_an_empty_launch_is_one_block() -> None:
    assert list(ways(Traffic(0, 0))) == [Launch((1, 1, 1), (32, 1, 1))]
