"""In charge of finding the programs of the servers. Nothing else knows where they are kept."""

import os
import shutil
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
UNPACKED = CHECKOUT / ".servers"  # Debian packages that ``install.py`` unpacked without root


def find_program(*names: str) -> Path | None:
    """Return the first of the names that is an executable file, earlier names preferred.

    Looks on the PATH, in the system's sbin directories, beside this Python, and in what
    ``install.py`` unpacked.
    """
    folders = [
        *os.environ.get("PATH", "").split(os.pathsep),
        "/usr/local/sbin",
        "/usr/sbin",
        "/usr/libexec",
        str(Path(sys.prefix) / "bin"),
        str(UNPACKED / "usr/bin"),
        str(UNPACKED / "usr/sbin"),
    ]
    for name in names:
        found = shutil.which(name, path=os.pathsep.join(folders))
        if found:
            return Path(found)
    return None


def environment_of(program: Path) -> dict[str, str]:
    """Return the environment that the program needs: an unpacked one brings its libraries along."""
    environment = dict(os.environ)
    if program.is_relative_to(UNPACKED):
        folders = [*UNPACKED.glob("usr/lib/*-linux-gnu"), *UNPACKED.glob("lib/*-linux-gnu")]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, folders))
    return environment
