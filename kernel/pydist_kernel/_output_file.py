"""The file that ``pydist run -o`` writes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from pydist_kernel._complaint import Complaint

__all__ = ["SUFFIXES", "OutputFile"]

SUFFIXES = (".ipynb", ".html")


class OutputFile:
    """A file that is found writable before the work begins, and replaced as a whole when it is done."""

    def __init__(self, name: str) -> None:
        self.name = name
        # A link is written through, not replaced.
        self.path = Path(os.path.realpath(name))
        if self.suffix not in SUFFIXES:
            raise Complaint(f"-o {name}: the name must end in {' or '.join(SUFFIXES)}")

    @property
    def suffix(self) -> str:
        """The ending of the name that the user gave."""
        return Path(self.name).suffix.lower()

    def prepare(self) -> None:
        """Make the folder, and complain now if the file cannot be written later."""
        if self.path.is_dir():
            raise Complaint(f"-o {self.name}: that is a folder")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._is_special():
                return
            handle, trial = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            os.close(handle)
            os.unlink(trial)
        except OSError as error:
            raise self._complaint(error) from error

    def write(self, text: str) -> None:
        """Replace the file, so that a reader, or a full disk, never leaves half of it."""
        try:
            if self._is_special():
                self.path.write_text(text, encoding="utf-8")
            else:
                self._replace(text)
        except OSError as error:
            raise self._complaint(error) from error

    def _is_special(self) -> bool:
        """Say whether this is a device or a pipe, which a file must not replace."""
        return self.path.exists() and not self.path.is_file()

    def _replace(self, text: str) -> None:
        handle, draft = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            # mkstemp lets only the user read; a new file gets what the user's mask says, an old one keeps its mode.
            os.chmod(draft, self.path.stat().st_mode & 0o7777 if self.path.exists() else 0o666 & ~_umask())
            os.replace(draft, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise

    def _complaint(self, error: OSError) -> Complaint:
        return Complaint(f"cannot write {self.name}: {error.strerror or error}")


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
