"""Where the metrics can be read: in a file for node_exporter's textfile collector, by HTTP, or both."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from nstd.config.settings import MetricsSettings
from nstd.errors import SpoolError
from nstd.spool.durable import remove_replaced, replace, trouble

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

_SECONDS_BETWEEN_FILES: Final = 15.0


class Exposition:
    """Publish metrics as the settings say.

    Args:
        settings: where to.
        registry: of the metrics.
        clock: seconds that never run backwards.
    """

    def __init__(
        self, settings: MetricsSettings, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._server: tuple[WSGIServer, Thread] | None = None
        self._served: str | None = None
        self._written: Path | None = None
        self._settings = settings
        self._file_due = clock()

    def use(self, settings: MetricsSettings) -> None:
        """Publish by these settings from now on."""
        if self._written != settings.textfile:
            self._remove_file()
        self._settings = settings
        self._file_due = self._clock()

    def publish(self) -> None:
        """Write the file if that is due, and serve or stop serving.

        Raises:
            SpoolError: the file cannot be written, or the address is not to be had.
        """
        try:
            if self._clock() >= self._file_due:
                self._write(self._settings.textfile)
        finally:
            if self._settings.listen != self._served:
                self._serve(self._settings.listen)

    def seconds_to_next(self) -> float:
        """Say when `publish` has something to do; infinite if nobody wants a file."""
        return max(0.0, self._file_due - self._clock()) if self._settings.textfile else float("inf")

    def close(self) -> None:
        """Publish no more: what nobody writes any more tells nothing but lies."""
        self._remove_file()
        self._serve(None)

    def _write(self, path: Path | None) -> None:
        if path:
            with trouble("write the metrics"):
                replace(path, generate_latest(self._registry))
            self._written = path
        self._file_due = self._clock() + _SECONDS_BETWEEN_FILES

    def _remove_file(self) -> None:
        if self._written:
            with contextlib.suppress(OSError):
                remove_replaced(self._written)
        self._written = None

    def _serve(self, address: str | None) -> None:
        if self._server:
            server, thread = self._server
            server.shutdown()
            thread.join()
            server.server_close()
        self._server = self._served = None
        if address:
            host, _, port = address.rpartition(":")
            try:
                with trouble(f"serve the metrics at {address}"):
                    self._server = start_http_server(int(port), host.strip("[]"), self._registry)
            except RuntimeError as error:  # the system gives no thread
                msg = f"cannot serve the metrics at {address}: {error}"
                raise SpoolError(msg) from error
            self._served = address
