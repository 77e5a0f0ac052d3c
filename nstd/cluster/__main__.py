"""The driver's process: its settings are its argument; workers are asked for by the socket that is its input."""

import ctypes
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from nstd.config.settings import ClusterSettings

if TYPE_CHECKING:
    from nstd.cluster.actor import Actor

_PR_SET_PDEATHSIG: Final = 1
_STDIN: Final = 0


def main(actor: "type[Actor] | None" = None) -> None:
    """Serve the daemon until it hangs up and the last worker has ended.

    Args:
        actor: what to place in the cluster, if not what paints.
    """
    # With its driver a cluster ends the actors that nobody would hear any more.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A signal to the whole process group is meant for the daemon.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from nstd.cluster.driver import serve  # noqa: PLC0415  Ray takes a second to load

    settings, control = ClusterSettings.model_validate_json(sys.argv[1]), socket.socket(fileno=_STDIN)
    serve(settings, control, actor) if actor else serve(settings, control)
    os._exit(os.EX_OK)


if __name__ == "__main__":
    main()
