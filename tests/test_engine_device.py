import pytest

from nstd.config.settings import EngineSettings, Precision
from nstd.engine.device import claim_device
from nstd.errors import ConfigError


@pytest.mark.parametrize(
    ("cpuinfo", "precision"),
    [
        ("processor: 0\nflags\t\t: fpu sse avx512_bf16 ht\n", Precision.BFLOAT16),
        ("processor: 0\nflags\t\t: fpu amx_bf16\n", Precision.BFLOAT16),
        ("processor: 0\nflags\t\t: fpu sse avx2 not_avx512_bf16\n", Precision.FLOAT32),
        ("Features : fp asimd\n", Precision.FLOAT32),
    ],
)
def test_precision_follows_what_the_processor_is_fast_at(tmp_path, cpuinfo, precision):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert claim_device(EngineSettings(device="cpu"), tmp_path / "cpuinfo").precision is precision


def test_unknown_processor_computes_in_float32(tmp_path):
    assert claim_device(EngineSettings(device="cpu"), tmp_path / "missing").precision is Precision.FLOAT32


def test_chosen_precision_is_kept(tmp_path):
    settings = EngineSettings(device="cpu", precision=Precision.BFLOAT16)
    assert claim_device(settings, tmp_path / "missing") == ("cpu", Precision.BFLOAT16)


def test_missing_gpu_is_the_operators_fault():
    with pytest.raises(ConfigError, match=r"engine\.device: got gpu:99, but TensorFlow finds (no|\d+) GPU here"):
        claim_device(EngineSettings(device="gpu:99"))
