"""In charge of one server process: starting, stopping, killing, pausing. Knows no product.

No process outlives the tests: on Linux the kernel kills it when its pytest is gone.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.servers.programs import environment_of

# Below the ephemeral ports of Linux (32768 and up) and macOS (49152 and up): no outgoing
# connection takes the port of a server that is just being restarted.
_PORTS = range(12_000, 32_000)
_handed_out: set[int] = set()

_POLL = 0.02
_STOP_DEADLINE = 10.0

# The kernel sends the death signal when the *thread* that started the process ends (prctl(2)),
# so all are started by this one, which lives as long as pytest does.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")

# Runs in the new process and then becomes the server; a preexec_fn would warn beside threads.
_TIED_TO_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerFailed(AssertionError):
    """A server did not start. The text ends with the end of its log."""


def free_port() -> int:
    """Return a loopback port on which nothing listens, never the same one twice."""
    for port in random.sample(_PORTS, 1_000):
        if port in _handed_out:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _handed_out.add(port)
            return port
    raise ServerFailed("No free port between 12000 and 32000: stop some of what listens there.")


class ServerProcess:
    """A program that serves until it is told to stop. Every wait has a deadline."""

    def __init__(self, argv: Sequence[str | Path], directory: Path) -> None:
        """Take the command line and the directory in which it runs and logs (``server.log``)."""
        self._argv = [str(argument) for argument in argv]
        self._directory = directory
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises ServerFailed where it does not run."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, with the same command line every time. Does not wait for it."""
        if self.is_running:
            raise ServerFailed(f"{self._argv[0]} runs already: stop or kill it first.")
        self._process = _starter.submit(self._launch).result()

    def _launch(self) -> "subprocess.Popen[bytes]":
        argv = self._argv
        if sys.platform == "linux":
            argv = [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *argv]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                argv,
                cwd=self._directory,
                env=environment_of(Path(self._argv[0])),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the servers
            )

    def wait_until_ready(self, probe: Callable[[], bool], deadline: float) -> None:
        """Return once the probe answers True.

        Raises ServerFailed, with the end of the log, when the process ends before that or when
        the deadline (seconds) is over.
        """
        end = time.monotonic() + deadline
        while not probe():
            if not self.is_running:
                raise ServerFailed(f"{self._argv[0]} ended while it started.\n{self.log_tail()}")
            if time.monotonic() > end:
                raise ServerFailed(
                    f"{self._argv[0]} was not ready within {deadline:g} s.\n{self.log_tail()}"
                )
            time.sleep(_POLL)

    def log_tail(self, size: int = 4_000) -> str:
        """Return the last bytes of the log as text."""
        return self._log.read_bytes()[-size:].decode(errors="replace")

    def stop(self) -> None:
        """End the process in its own orderly way (SIGTERM), or kill it after 10 seconds."""
        process = self._running()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once (SIGKILL). Nothing happens where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_DEADLINE)

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections stay, the kernel accepts, nobody answers.

        Returns when it is frozen: the kernel needs a moment, in which it could still answer.
        """
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"{self._argv[0]} does not run: start it first.")
        return self._process
