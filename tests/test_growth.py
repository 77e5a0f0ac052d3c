"""What the benchmarks of overhead and growth reckon with, and that they run."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("growing.steps")


def printed(program: str, *arguments: str) -> dict[str, list[dict[str, object]]]:
    command = (sys.executable, str(BENCHMARKS / program), *arguments, "--json")
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_what_first_steps_take_beyond_warm_ones_is_no_part_of_the_loop(growing):
    steps = growing.Steps(began=100)
    for level, ended in [(0, 103), (0, 104.5), (0, 105.5), (0, 106.5), (1, 110.5), (1, 112.5), (1, 114.5), (1, 117.5)]:
        steps.add(level, ended)
    # Level 0 took 3, 1.5, 1, 1 and level 1 took 4, 2, 2, 3: a warm step takes 1 there, and 2.5 here.
    assert steps.warm_seconds == 2.5
    assert steps.extra_seconds == (3 + 1.5 - 2 * 1) + (4 + 2 - 2 * 2.5)
    assert steps.loop_seconds == 4 * 1 + 2 * 2.5 + 2 + 3
    assert steps.ended == 117.5
    steps.matches = [[], [0, 3]]  # the one before the last step took half a second, and so did the first
    assert steps.extra_seconds == (3 + 1.5 - 2 * 1) + (4 + 2 - 2 * 2.5 - 0.5)


@pytest.mark.usefixtures("cache")
def test_overhead_adds_up():
    told = printed("overhead.py", "--size", "96", "--photos", "2", "--iterations", "6", "--photo-size", "80")
    assert [(job["queue"], job["job"]) for job in told["jobs"]] == [
        (queue, number) for queue in ("one size", "many sizes") for number in ("1", "2")
    ]
    assert [row["job"] for row in told["overhead"]] == ["first", "median", "worst"] * 2
    for job in told["jobs"]:
        parts = [job[part] for part in ("daemon", "decode", "style_targets", "first_steps", "encode", "cleanup")]
        assert sum(parts) == pytest.approx(job["overhead"], abs=0.01)
        assert job["loop"] >= job["step"] > 0


@pytest.mark.usefixtures("cache")
def test_growth_by_pixels_and_waiting_jobs():
    told = printed("growth.py", "--sizes", "48", "--styles", "--jobs", "20", "--iterations", "4")
    [picture], [waiting] = told["pixels"], told["jobs"]
    assert picture["pixels"] == 48 * 48
    assert picture["step_ns_per_pixel"] == pytest.approx(picture["step_seconds"] * 1e9 / 48**2)
    assert picture["peak_mib"] > 100
    assert told["styles"] == []
    assert waiting["jobs"] == 20
    assert all(value > 0 for value in waiting.values())
