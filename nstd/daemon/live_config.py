"""The config file while the daemon runs: a valid change comes into force, a wrong one is told."""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from nstd.config.settings import Config, SpoolSettings
from nstd.errors import ConfigError

_SETTLE_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 5.0

_log = structlog.get_logger()


class _Signature(NamedTuple):
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class LiveConfig:
    """Notice changes of the config file, and load it once it has settled.

    Args:
        config: what is in force at the start. The file may have changed since it was loaded, so it is looked at once.
        path: the config file.
        load: reads and checks it; raises ConfigError.
        accept: raises ConfigError if a valid config cannot come into force while the daemon runs.
        clock: seconds that never run backwards.
        settle_seconds: quiet time before the file counts as completely written, or as missing.

    Attributes:
        config: what is in force.
        error: why the file that lies there now is not in force.
    """

    def __init__(
        self,
        config: Config,
        path: Path,
        load: Callable[[], Config],
        *,
        accept: Callable[[Config], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        self._path = path
        self._load = load
        self._accept = accept
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._seen = _signature(path)
        self._since = self._due = clock()
        self._judged: _Signature | None = None
        self._judged_at: float | None = None
        self._asked = False
        self.config = config
        self.error: str | None = None

    @property
    def folders(self) -> frozenset[Path]:
        """Where changes show: the folder of the path as given, and of what it leads to."""
        return frozenset({self._path.absolute().parent, Path(os.path.realpath(self._path)).parent})

    @property
    def is_reloading(self) -> bool:
        """Whether what `reload` has asked for is still to be done."""
        return self._asked

    def hint(self) -> None:
        """Look again soon: something may have changed."""
        self._due = min(self._due, self._clock())

    def reload(self) -> None:
        """Look again at once, load the file even if it is the same, and say again what is wrong with it."""
        self._asked = True
        self.hint()

    def seconds_to_next(self) -> float:
        """Say when `advance` has something to do; infinite if only a hint can change that."""
        return max(0.0, self._due - self._clock())

    def advance(self) -> Config | None:
        """Look at the file if that is due.

        Returns:
            The new config if it has just come into force.
        """
        now = self._clock()
        if now < self._due:
            return None
        if (signature := _signature(self._path)) != self._seen:
            self._seen, self._since = signature, now
        if not self._is_wanted(now):
            self._due = math.inf
            return None
        self._due = self._since if self._asked else self._since + self._settle_seconds
        return self._judge() if self._due <= now else None

    def _is_wanted(self, now: float) -> bool:
        if self._asked or self._judged_at is None or self._seen != self._judged:
            return True
        # A style image that was missing may be there now.
        return self.error is not None and now >= self._judged_at + _RETRY_SECONDS

    def _judge(self) -> Config | None:
        config, error = self._read()
        if _signature(self._path) != self._seen:  # it was written meanwhile: this may be half of it
            self.hint()
            return None
        asked, self._asked = self._asked, False
        first = self._judged_at is None
        self._judged, self._judged_at, self._due = self._seen, self._clock(), math.inf
        if config is None:
            self._refuse(error, again=asked)
        elif not first or asked or config != self.config:
            _log.info("config_reloaded", config=str(self._path))
            self.config, self.error = config, None
            return config
        return None

    def _read(self) -> tuple[Config | None, str]:
        try:
            config = self._load()
            _check_roots(self._path, self.config.spool, config.spool)
            self._accept(config)
        except ConfigError as error:
            return None, str(error)
        return config, ""

    def _refuse(self, error: str, *, again: bool) -> None:
        if again or error != self.error:
            _log.error("config_refused", config=str(self._path), reason=error)
        self.error = error


def _signature(path: Path) -> _Signature | None:
    """Follow links, and return None for what is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _check_roots(path: Path, old: SpoolSettings, new: SpoolSettings) -> None:
    """Raise ConfigError if the spool would have to move."""
    moved = []
    for name, after in new:
        before = getattr(old, name)
        if isinstance(after, Path) and after != before and os.path.realpath(after) != os.path.realpath(before):
            change = f"cannot change from {before} to {after} while nstd runs: restart nstd"
            moved.append(f"{path}: spool.{name}: {change}")
    if moved:
        raise ConfigError("\n".join(moved))
