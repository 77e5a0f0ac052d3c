from pathlib import Path

from nstd.worker.environment import tensorflow_environment

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
