"""`nstd run` whose workers only count, in a cluster or on this machine.

Usage: daemon.py run -c CONFIG [--once] [--verbose]
"""

import functools
import os
import sys
from pathlib import Path

from nstd.cluster.process import Cluster
from nstd.config.load import load_config
from nstd.daemon.daemon import Daemon
from nstd.daemon.live_config import LiveConfig
from nstd.daemon.logs import configure_logs
from nstd.errors import NstdError
from nstd.weights.store import cache_folder

DRIVER = (sys.executable, str(Path(__file__).with_name("driver.py")))
FIRST_PAUSE_SECONDS = 0.1


def main() -> None:
    """Run until all is done, or until a signal."""
    path, once = Path(sys.argv[3]), "--once" in sys.argv
    configure_logs(verbose="--verbose" in sys.argv)
    load = functools.partial(load_config, path, check_image=lambda *_: None)
    daemon = Daemon(
        LiveConfig(load(), path, load),
        cache_folder(os.environ),
        once=once,
        first_pause_seconds=FIRST_PAUSE_SECONDS,
        join_cluster=functools.partial(Cluster, command=DRIVER),
    )
    if not daemon.run() and once:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except NstdError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
