from pathlib import Path

import pytest

from nstd.config.settings import EngineSettings, Limits
from nstd.worker.environment import tensorflow_environment, worker_environment
from nstd.worker.messages import Setup

CACHE = Path("/var/cache/nstd")


def test_service_without_a_home_gets_one():
    assert tensorflow_environment({}, CACHE)["HOME"] == "/var/cache/nstd"
    assert tensorflow_environment({"HOME": "/home/ada"}, CACHE)["HOME"] == "/home/ada"


def test_users_keras_settings_do_not_reach_the_arithmetic():
    found = tensorflow_environment({"KERAS_BACKEND": "torch", "KERAS_HOME": "/home/ada/.keras"}, CACHE)
    assert (found["KERAS_BACKEND"], found["KERAS_HOME"]) == ("tensorflow", "/var/cache/nstd/keras")


def test_users_number_of_threads_is_kept():
    assert tensorflow_environment({}, CACHE)["TF_NUM_INTEROP_THREADS"] == "1"
    assert tensorflow_environment({"TF_NUM_INTEROP_THREADS": "4"}, CACHE)["TF_NUM_INTEROP_THREADS"] == "4"


def test_users_own_cache_of_kernels_is_kept():
    assert tensorflow_environment({}, CACHE)["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "0"
    found = tensorflow_environment({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}, CACHE)
    assert found["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"


def test_memory_of_a_gpu_grows_unless_the_user_says_otherwise():
    assert tensorflow_environment({}, CACHE)["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    found = tensorflow_environment({"TF_FORCE_GPU_ALLOW_GROWTH": "false"}, CACHE)
    assert found["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_users_log_level_is_kept():
    assert tensorflow_environment({"TF_CPP_MIN_LOG_LEVEL": "0"}, CACHE)["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_what_cuda_compiles_is_kept_below_nstds_cache_unless_the_user_says_otherwise():
    found = tensorflow_environment({}, CACHE)
    assert found["CUDA_CACHE_PATH"] == "/var/cache/nstd/cuda"
    assert int(found["CUDA_CACHE_MAXSIZE"]) >= 4_000_000_000
    own = {"CUDA_CACHE_PATH": "/mnt/kernels", "CUDA_CACHE_MAXSIZE": "1"}
    assert tensorflow_environment(own, CACHE).items() >= own.items()


def environment_for(device: str, **environ: str) -> dict[str, str]:
    return worker_environment(environ, Setup(engine=EngineSettings(device=device), limits=Limits(), cache=CACHE))


@pytest.mark.parametrize("kind", ["GPU", "MIG"])
def test_gpu_that_is_named_by_its_uuid_is_shown_alone(kind):
    device = f"{kind}-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
    assert environment_for(device)["CUDA_VISIBLE_DEVICES"] == device
    assert environment_for(device, CUDA_VISIBLE_DEVICES="0,1")["CUDA_VISIBLE_DEVICES"] == device


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu:1"])
def test_otherwise_an_administrators_choice_of_gpus_is_left_alone(device):
    assert "CUDA_VISIBLE_DEVICES" not in environment_for(device, CUDA_VISIBLE_DEVICES="3,1")
    assert environment_for(device)["CUDA_CACHE_PATH"] == "/var/cache/nstd/cuda"


def test_memory_is_spared_by_cudas_own_allocator_unless_it_would_exceed_a_limit():
    def allocator(gib: float, *, spare_memory: bool, **environ: str) -> str | None:
        engine = EngineSettings(device="gpu:0", gpu_memory_gib=gib)
        setup = Setup(engine=engine, limits=Limits(), cache=CACHE, spare_memory=spare_memory)
        return worker_environment(environ, setup).get("TF_GPU_ALLOCATOR")

    assert allocator(0, spare_memory=True) == "cuda_malloc_async"
    assert allocator(0, spare_memory=True, TF_GPU_ALLOCATOR="mine") == "mine"
    assert allocator(4, spare_memory=True) is None
    assert allocator(0, spare_memory=False) is None
