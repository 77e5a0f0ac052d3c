import pytest

from nstd.engine.gpu_memory import GpuMemory
from nstd.memory import GIB
from nstd.worker.messages import Blame, Failed
from nstd.worker.shortage import explained

FAILED = Failed(blame=Blame.MEMORY, message="the GPU is out of memory: OOM", is_last=True)
NEED = "the GPU is out of memory: OOM; a picture of 4096 x 3072 px takes about 26.6 GiB"


@pytest.mark.parametrize(
    ("free", "total", "limit", "words", "may_pass"),
    [
        (23.2, 24, 0, ", and there are 24.0 of the GPU's 24.0 GiB for it: size_px: 3872 would fit", False),
        (7.4, 8, 0, ", and there are 8.0 of the GPU's 8.0 GiB for it: size_px: 2144 would fit", False),
        (
            13,
            24,
            0,
            (
                ", and there are 14.0 of the GPU's 24.0 GiB for it, as other programs have 10.0 GiB: "
                "size_px: 2912 would fit"
            ),
            True,
        ),
        (23.2, 24, 4, ", and there are 4.0 of the GPU's 24.0 GiB for it: size_px: 1408 would fit", False),
        (0.2, 1, 0, ", and there are 1.0 of the GPU's 1.0 GiB for it: size_px: 320 would fit", False),
        (0.2, 0.8, 0, ", and there are 0.8 of the GPU's 0.8 GiB for it: take a smaller size_px", False),
        (79, 80, 0, ", and there are 80.0 of the GPU's 80.0 GiB for it: take a smaller size_px", False),
    ],
)
def test_need_and_memory_and_what_would_fit_are_told(free, total, limit, words, may_pass):
    memory = GpuMemory(round(free * GIB), round(total * GIB))
    told = explained(FAILED, (4096, 3072), memory, limit_bytes=limit * GIB, in_float32=False)
    assert told == FAILED.model_copy(update={"message": NEED + words, "may_pass": may_pass})


def test_gpu_that_tells_nothing_is_not_guessed_at():
    told = explained(FAILED, (4096, 3072), None, limit_bytes=0, in_float32=False)
    assert (told.message, told.may_pass) == (f"{NEED}: take a smaller size_px", False)


def test_photo_of_another_shape_and_precision_is_reckoned_with():
    memory = GpuMemory(15 * GIB, 16 * GIB)
    told = explained(FAILED, (1000, 4000), memory, limit_bytes=0, in_float32=True)
    assert "a picture of 1000 x 4000 px takes about 16.0 GiB" in told.message
    larger = explained(FAILED, (4000, 8000), memory, limit_bytes=0, in_float32=True)
    assert larger.message.endswith("size_px: 2816 would fit")
