"""What the system has, and what its package manager can add: Chromium, and Debian's packages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.processes import SetupError, run_quietly, say

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome that browser tests can drive."""
    named = os.environ.get("PYDIST_CHROMIUM", "")
    found = (shutil.which(name) for name in (named, *BROWSERS, MAC_CHROME) if name)
    return next((path for path in found if path), None)


def provide_chromium() -> None:
    """Install Chromium where that is one command, else say that its tests will be skipped."""
    if find_chromium() is None and can_apt() and is_debian():
        say("installing Chromium for the browser tests")
        try:
            apt_install("chromium", "fonts-liberation")
        except SetupError as error:
            say(str(error))
    if find_chromium() is None:
        say("no Chromium or Chrome found: the browser tests are skipped (PYDIST_CHROMIUM may name one)")


def can_apt() -> bool:
    """Tell whether packages can be installed without asking for a password."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def is_debian() -> bool:
    """Tell Debian from its relatives: Ubuntu's chromium package is a stub for a snap, useless in a container."""
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    return "ID=debian" in release.splitlines()


def apt_install(*packages: str) -> None:
    """Install Debian packages."""
    failure = f"apt-get could not install {' '.join(packages)}"
    run_quietly(failure, "apt-get", "-qq", "update")
    run_quietly(failure, "apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages)
