"""The service where it may write nothing but its data, as nobody: what the container file promises."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

from tests.namespaces import require_namespaces

ROOT = Path(__file__).parents[2]

# In a mount namespace of its own: all is read-only but the data, and no right is left that root had.
# Python and the sources are mounted where nobody can reach them, wherever root keeps its own.
CONFINED = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/source /mnt/packages /mnt/python /mnt/data
mount --bind "$SOURCE" /mnt/source
mount --bind "$PACKAGES" /mnt/packages
mount --bind "$PYTHON" /mnt/python
mount -t tmpfs -o mode=700,uid=10001,gid=10001 tmpfs /mnt/data
for each in $(findmnt --noheadings --list --output TARGET); do
    case "$each" in
        /mnt/data|/proc*|/sys*) ;;
        *) mount -o remount,bind,ro "$each" 2>/dev/null || true ;;
    esac
done
cd /mnt
exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all \
    env --ignore-environment LD_LIBRARY_PATH=/mnt/python/lib PYTHONPATH=/mnt/source:/mnt/packages PYTHONDONTWRITEBYTECODE=1 \
    "/mnt/python/bin/$INTERPRETER" -m springfield serve --port=0 --data-dir=/mnt/data
"""


def test_it_serves_as_nobody_with_everything_read_only_but_its_data() -> None:
    require_namespaces("--mount")
    environment = {
        "PATH": os.environ["PATH"],
        "SOURCE": str(ROOT / "src"),
        "PACKAGES": sysconfig.get_path("purelib"),
        "PYTHON": sys.base_prefix,
        "INTERPRETER": Path(sys.executable).resolve().name,
    }
    process = subprocess.Popen(
        ["unshare", "--mount", "bash", "-c", CONFINED],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, process.communicate(timeout=10)
        url = address[0].rstrip(",")
        for path, body in (("homers/x", b'{"a": 1}'), ("lisas/x", b"text"), ("bart", b"bytes")):
            request = urllib.request.Request(f"{url}/api/v1/{path}", body)
            request.add_header("Content-Type", "application/octet-stream")
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 204
            with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=10) as answer:
                assert answer.read() == body
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "\nUid:\t10001\t" in status
        assert "\nCapEff:\t0000000000000000\n" in status
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
