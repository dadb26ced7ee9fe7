"""In charge of what happens to a test that needs namespaces of the kernel, where there are none to be had.

It is skipped loudly, in CI too: whether a process may have them is the machine's choice, and no
package can be installed for it.
"""

import shutil
import subprocess

import pytest


def require_namespaces(*flags: str) -> None:
    """Skip the test unless `unshare` with these flags, and setpriv, work here."""
    if shutil.which("unshare") and shutil.which("setpriv"):
        tried = subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return
    pytest.skip(f"NOT TESTED: unshare {' '.join(flags)} is not permitted here; it takes root.")
