"""The virtual environment in which the PyTorch programs run; nstd is not in it.

    python benchmarks/rivals/environment.py [FOLDER]

It is made once, through the index that pip is configured with, from the newest PyTorch that was built for CPUs alone
if the index has one: the usual build brings gigabytes of CUDA. To compare on a GPU, say `--torch torch`.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = ROOT / "benchmarks" / ".rivals" / "venv"
PASTICHE = "pastiche==1.6.0"


def program(folder: Path, name: str) -> str:
    """Return the path of a program in the environment; exit if it was not made yet."""
    path = folder / "bin" / name
    if not path.exists():
        sys.exit(f"{path}: is not there; make it with: python benchmarks/rivals/environment.py {folder}")
    return str(path)


def without_nstd() -> dict[str, str]:
    """Return the variables for a process that must not find nstd."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def with_nstd() -> dict[str, str]:
    """Return the variables for a process that finds the nstd of this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def torch_for_cpus(python: Path) -> str:
    """Return the newest PyTorch build for CPUs that the index has, or else whichever is newest."""
    command = [str(python), "-m", "pip", "index", "versions", "torch"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    found = re.search(r"[\d.]+\+cpu\b", listed)
    return f"torch=={found[0]}" if found else "torch"


def make(folder: Path, torch: str | None) -> None:
    """Make the environment if it is not there."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "pastiche").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, env=without_nstd())
        wanted = [torch or torch_for_cpus(python), PASTICHE]
        print(f"{folder}: installing {' and '.join(wanted)}", flush=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True, env=without_nstd())
    subprocess.run([str(python), "-m", "pip", "list"], check=True, env=without_nstd())


def main() -> None:
    """Make it, and show what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT_FOLDER, help="where")
    parser.add_argument("--torch", help="which PyTorch, in pip's words; default: a build for CPUs, if there is one")
    arguments = parser.parse_args()
    make(arguments.folder.absolute(), arguments.torch)


if __name__ == "__main__":
    main()
