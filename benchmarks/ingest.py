"""How fast the daemon takes in many files that are dropped at once.

    python benchmarks/ingest.py [--files 20000] [--bytes 1000] [--folder DIR] [--json]

A real daemon runs in a folder of its own; its worker paints by copying and has one job that never ends, so that what is
measured is the way from the inbox to the queue. The files are moved in at once, more than the kernel's queue of events
holds. Then the daemon is told to stop, which must not take long either.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
DAEMON = (sys.executable, str(ROOT / "tests" / "copying_daemon.py"))
CONFIG = """
spool: {settle_seconds: 0.5, rescan_seconds: 30}
presets: {swirls: {styles: [style.jpg]}}
"""


def make_spool(root: Path, files: int, size: int) -> None:
    """Write config, style image and the photos, not yet in the inbox."""
    (root / "config.yaml").write_text(CONFIG)
    (root / "style.jpg").write_bytes(b"style")
    (root / "inbox" / "swirls").mkdir(parents=True)
    (root / "inbox" / "swirls" / "slow.jpg").write_bytes(b"slow to paint")
    (root / "camera").mkdir()
    for number in range(files):
        (root / "camera" / f"{number:06}.jpg").write_bytes(b"photo %d ".ljust(size, b".") % number)
    os.sync()


def wait_until(condition: Callable[[], object], daemon: subprocess.Popen[bytes]) -> None:
    """Look five times a second."""
    while not condition():
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended with status {daemon.returncode}")
        time.sleep(0.2)


def entries(folder: Path) -> int:
    """Count what lies in a folder."""
    return sum(1 for _ in os.scandir(folder)) if folder.exists() else 0


def peak_megabytes(pid: int) -> float:
    """Return the most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(root: Path, files: int, size: int) -> dict[str, float]:
    """Let a daemon take the files in, and stop it."""
    make_spool(root, files, size)
    with (root / "log").open("wb") as log:
        daemon = subprocess.Popen([*DAEMON, "run", "-c", str(root / "config.yaml")], stdout=log, stderr=log)
    wait_until(lambda: entries(root / "state" / "queue" / "cur"), daemon)
    idle_cpu, began = cpu_seconds(daemon.pid), time.perf_counter()
    for photo in os.scandir(root / "camera"):
        Path(photo).rename(root / "inbox" / "swirls" / photo.name)
    wait_until(lambda: not entries(root / "inbox" / "swirls"), daemon)
    took = time.perf_counter() - began
    figures = {
        "files": files,
        "bytes": size,
        "seconds": round(took, 1),
        "files_per_s": round(files / took, 1),
        "cpu_seconds": round(cpu_seconds(daemon.pid) - idle_cpu, 1),
        "peak_mb": round(peak_megabytes(daemon.pid), 1),
    }
    began = time.perf_counter()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()
    queued = entries(root / "state" / "queue" / "new")
    return figures | {"stop_seconds": round(time.perf_counter() - began, 2), "lost": files + 1 - queued}


def main() -> None:
    """Measure, and print a line or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000, help="how many")
    parser.add_argument("--bytes", type=int, default=1000, help="size of each")
    parser.add_argument("--folder", type=Path, help="where the spool is made; its file system is what is measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as root:
        row = measure(Path(root), arguments.files, arguments.bytes)
    if arguments.json:
        print(json.dumps({"ingest": [row]}, indent=2))
        return
    print(
        f"{row['files']} files: {row['seconds']} s, {row['files_per_s']} files/s, {row['cpu_seconds']} s of processor "
        f"time, peak {row['peak_mb']} MB, stopped in {row['stop_seconds']} s, {row['lost']} lost"
    )


if __name__ == "__main__":
    main()
