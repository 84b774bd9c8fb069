"""A connection to the store that outlives the file: one that is damaged or replaced is left for the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from pytest_upskill.calls.salvage import UNREADABLE, damage
from pytest_upskill.calls.store_file import Opened, StoreError, StoreFile

_MOST_TURNS = 4
_Result = TypeVar("_Result")


def _unsure(_: object) -> bool:
    return False


class Access:
    """One connection, opened when it is needed. One thread at a time."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._opened: Opened | None = None

    def run(
        self, work: Callable[[sqlite3.Connection], _Result], sure: Callable[[_Result], bool] = _unsure
    ) -> _Result:
        """Do some work; again when the file was damaged, or when it was replaced in the meantime.

        Args:
            work: may be done more than once.
            sure: tells whether a result holds whatever has become of the file.

        Raises:
            StoreError: the file cannot be used.
            sqlite3.Error: the work failed, and not for a damaged file.
        """
        for _ in range(_MOST_TURNS):
            if self._opened is None:
                self._opened = self._file.open_mended()
            opened = self._opened
            try:
                result = work(opened.connection)
            except UNREADABLE as error:
                why = damage(error)
                if why is None:
                    raise
                self.close()
                self._file.mend(opened, why)
            else:
                # Asked after the work: what was written before the file was moved, its mender has copied.
                if sure(result) or not opened.stale():
                    return result
                self.close()
        raise StoreError(
            f"{self._file.path}: damaged again as soon as it was mended: check the disk, or name another folder with "
            "--upskill-cache-dir"
        )

    def close(self) -> None:
        """Close the connection, if there is one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.connection.close()
