"""`nstd run` with a worker that paints by copying, and little patience with the machine's trouble.

Usage: copying_daemon.py run -c CONFIG [--once] [--verbose]

COPYING_WORKER_UNDER is a command that runs the worker, such as strace.
"""

import functools
import os
import shlex
import sys
from pathlib import Path

from nstd.config.load import load_config
from nstd.daemon.daemon import Daemon
from nstd.daemon.live_config import LiveConfig
from nstd.daemon.logs import configure_logs
from nstd.errors import ConfigError, NstdError, SpoolLockedError
from nstd.worker.process import WorkerProcess

WORKER = (sys.executable, str(Path(__file__).with_name("copying_worker.py")))
FIRST_PAUSE_SECONDS = 0.02


def main() -> None:
    path, once = Path(sys.argv[3]), "--once" in sys.argv
    configure_logs(verbose="--verbose" in sys.argv)
    cache = path.parent / "cache"
    (cache / "weights").mkdir(parents=True, exist_ok=True)
    (cache / "weights" / "vgg19.npz").touch()
    load = functools.partial(load_config, path, check_image=lambda *_: None)
    under = shlex.split(os.environ.get("COPYING_WORKER_UNDER", ""))
    start_worker = functools.partial(WorkerProcess, command=(*under, *WORKER))
    daemon = Daemon(
        LiveConfig(load(), path, load),
        cache,
        once=once,
        first_pause_seconds=FIRST_PAUSE_SECONDS,
        start_worker=start_worker,
    )
    if not daemon.run() and once:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except NstdError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(75 if isinstance(error, SpoolLockedError) else 78 if isinstance(error, ConfigError) else 1)
