"""File systems that go away: an unmounted share leaves an empty folder, which must not be taken for the share."""

import os
from collections.abc import Iterable
from pathlib import Path

from nstd.errors import SpoolError
from nstd.spool.names import to_text


class Mounts:
    """Remembers below which mount points some folders lay; what is mounted later is as good as what was there before.

    Args:
        roots: absolute paths; they need not exist.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._points = {root: _mount_point(root) for root in roots}

    def check(self, *roots: Path) -> None:
        """Tell trouble from emptiness.

        Args:
            roots: some of the folders; all of them if none is named.

        Raises:
            SpoolError: nothing is mounted any more where one of them lay.
        """
        for root in roots or self._points:
            point = self._points[root]
            if not os.path.ismount(point):
                msg = f"{to_text(root)}: nothing is mounted at {to_text(point)} any more"
                raise SpoolError(msg)


def _mount_point(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if os.path.ismount(place))
