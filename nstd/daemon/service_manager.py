"""What the daemon tells the service manager that has started it.

Reference:
    sd_notify(3): lines of text in one datagram to the socket that NOTIFY_SOCKET names.
"""

import os
import socket

import structlog

_log = structlog.get_logger()


def notify(*lines: str) -> None:
    """Send assignments such as `STOPPING=1`, if a service manager listens; never raises."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    # An "@" stands for the null byte of an abstract address.
    where = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto("\n".join(lines).encode(), where)
    except OSError as error:
        _log.warning("service_manager_not_told", reason=str(error))
