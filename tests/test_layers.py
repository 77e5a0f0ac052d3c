"""The layers of the design, held against what each module imports."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nstd.starter import create_project

ROOT = Path(__file__).parent.parent
HOUSE = (
    {"errors"},
    {"record", "network", "pyramid", "manner"},
    {"transfer_settings", "history"},
    {"job", "memory", "preset"},
    {"config"},
    {"weights"},
    {"images"},
    {"engine"},
    {"spool"},
    {"worker"},
    {"cluster"},
    {"daemon"},
    {"starter", "users", "cuda"},
    {"installation"},
    {"checkup"},
    {"terminal"},
    {"cli"},
    {"__main__", "__init__"},
)
EXIT_IF_LOADED = "sys.exit(not {'tensorflow', 'keras', 'ray'}.isdisjoint(sys.modules))"
MODULES = sorted((ROOT / "nstd").rglob("*.py"))


def room(module: str) -> str:
    """`nstd.engine.losses` is in the room `engine`; `nstd` itself, with its version, is in none."""
    return "" if module in {"nstd", "nstd.__version__"} else module.split(".")[1]


def layer(name: str) -> int:
    return next(index for index, rooms in enumerate(HOUSE) if name in rooms)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def own_room(path: Path) -> str:
    return path.relative_to(ROOT / "nstd").with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_from_layers_above_it_only(path):
    for module in imported(path):
        if module.split(".")[0] != "nstd" or not room(module):
            continue
        same_room = room(module) == own_room(path)
        assert same_room or layer(room(module)) <= layer(own_room(path)), f"{path.name} imports {module}"
        assert {room(module), own_room(path)} != {"engine", "spool"}


def test_engine_knows_no_settings_of_files_and_no_records_of_them():
    known = {
        "errors",
        "record",
        "network",
        "pyramid",
        "manner",
        "transfer_settings",
        "history",
        "memory",
        "images",
        "engine",
    }
    for path in MODULES:
        if own_room(path) == "engine":
            rooms = {room(module) for module in imported(path) if module.split(".")[0] == "nstd"}
            assert rooms <= known, path.name


def test_tensorflow_is_imported_where_tensors_are_only():
    rooms = {
        own_room(path)
        for path in MODULES
        for module in imported(path)
        if module.split(".")[0] in {"tensorflow", "keras"}
    }
    assert rooms == {"engine", "worker"}


def test_ray_is_imported_where_the_cluster_is_only():
    rooms = {own_room(path) for path in MODULES for module in imported(path) if module.split(".")[0] in {"ray", "grpc"}}
    assert rooms == {"cluster"}


@pytest.mark.parametrize("module", ["nstd", "nstd.cli", "nstd.daemon.daemon", "nstd.terminal", "nstd.worker.process"])
def test_import_loads_neither_tensorflow_nor_ray(module):
    code = f"import sys, {module}; {EXIT_IF_LOADED}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", ["--help", "check", "status"])
def test_command_that_paints_nothing_loads_neither_tensorflow_nor_ray(tmp_path, cache, command):
    create_project(tmp_path)
    code = (
        f"import sys; from nstd.cli import main; sys.argv = ['nstd', {command!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"{EXIT_IF_LOADED}"
    )
    environ = os.environ | {"NSTD_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
