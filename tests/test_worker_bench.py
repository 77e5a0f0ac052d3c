from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from nstd.engine.device import Device
from nstd.errors import EngineError
from nstd.network import Precision
from nstd.transfer_settings import TransferSettings
from nstd.worker.bench import measure_on


class Clockwork:
    """A machine on which everything takes its time by a clock of its own.

    An evaluation of 512 px takes 1 s, a step 4 % more, a match a third of that, and a product 0.4 s; sizes beyond
    `most_px` do not fit into memory.
    """

    device = Device("cpu", "AMD EPYC", Precision.FLOAT32, "the CPU has no avx512_bf16 or amx_bf16")
    flop_per_pixel = 1000.0
    within_memory = staticmethod(nullcontext)

    def __init__(self, most_px: int = 2048) -> None:
        self.now = 0.0
        self.done: list[str] = []
        self.most_px = most_px
        self.product = self.taking("product", 0.4)
        self.product.flop = 4e9

    def taking(self, name: str, seconds: float):
        def work() -> None:
            self.done.append(name)
            self.now += seconds

        return work

    def trial(self, size_px: int) -> SimpleNamespace:
        if size_px > self.most_px:
            raise MemoryError
        seconds = (size_px / 512) ** 2
        self.taking("prepare", seconds / 3)()
        return SimpleNamespace(
            evaluate=self.taking("evaluation", seconds),
            step=self.taking("step", 1.04 * seconds),
            match=self.taking("match", seconds / 3),
        )

    def work(self, settings: TransferSettings, size_px: int) -> tuple[int, int]:
        evaluations, matches = {"draft": (40, 2), "standard": (110, 6), "high": (270, 12)}[settings.quality]
        return evaluations * size_px**2, matches * size_px**2

    def peak_memory_mib(self) -> float:
        return 100 + self.now

    def bench(self, *sizes_px: int):
        return measure_on(self, sizes_px, lambda *_: None, clock=lambda: self.now)


def test_rates_and_times_are_those_of_the_machine():
    told = Clockwork().bench(512)
    assert (told.device, told.precision, told.precision_reason) == ("cpu", Precision.FLOAT32, Clockwork.device.reason)
    assert told.matmul_gflop_per_s == pytest.approx(10)  # 4e9 in 0.4 s
    [found] = told.evaluations
    assert (found.size_px, found.precision) == (512, "float32")
    assert (found.seconds, found.step_seconds) == (pytest.approx(1), pytest.approx(1.04))
    assert found.share_of_matmul == pytest.approx(512**2 * 1000 / 10e9)
    assert found.quality_seconds == pytest.approx({"draft": 41.6 + 2 / 3, "standard": 114.4 + 2, "high": 280.8 + 4})


def test_works_are_done_in_turn_after_one_step_to_warm_up():
    machine = Clockwork()
    rounds = []
    measure_on(machine, [1024], lambda *one: rounds.append(one), clock=lambda: machine.now)
    assert machine.done == ["prepare", "step", *["evaluation", "product", "step", "match"] * 3]
    assert rounds == [(1024, 0), (1024, 1), (1024, 2), (1024, 3)]


def test_small_sizes_get_more_rounds_but_not_without_end():
    machine = Clockwork()
    machine.bench(64)
    assert machine.done.count("evaluation") == 9


def test_default_sizes_take_about_three_minutes_where_512_takes_a_second():
    machine = Clockwork()
    machine.bench(256, 512, 1024, 2048)
    assert 120 < machine.now < 200


def test_size_beyond_memory_ends_the_measuring_and_keeps_what_was_measured():
    told = Clockwork(most_px=1024).bench(512, 1024, 2048, 4096)
    assert [one.size_px for one in told.evaluations] == [512, 1024]
    assert told.too_large_px == 2048


def test_nothing_that_fits_into_memory_is_an_error():
    with pytest.raises(EngineError, match=r"^1024 px: memory does not suffice; ask for less with --sizes$"):
        Clockwork(most_px=512).bench(1024, 2048)
