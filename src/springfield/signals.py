"""In charge of signals while the program starts, before anything that takes long is imported.

Process 1 of a container has no default actions: a signal that it has no handler for is lost. So
there is one from the first lines of the program on. Who serves puts its own in their place.
"""

import os
import signal
from types import FrameType


def obey_while_starting(*, is_service: bool) -> None:
    """Let SIGTERM, and SIGINT to a service, end the process at once: nothing is to be finished yet.

    The exit code is then 0 for a service, which stops as it was told, and 128 + 15 for a command,
    which has not done its work. SIGHUP and SIGUSR2 have no effect on a service that only starts,
    unless its terminal is gone.
    """

    def end(number: int, _: FrameType | None) -> None:
        os._exit(0 if is_service else 128 + number)

    signal.signal(signal.SIGTERM, end)
    if not is_service:
        return
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGUSR2, _ignore)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup(1) has it
        signal.signal(signal.SIGHUP, end if has_terminal() else _ignore)


def has_terminal() -> bool:
    """Tell whether there is a controlling terminal; asked at start, since it is what goes away."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _ignore(_: int, __: FrameType | None) -> None:
    """Do nothing. It is not SIG_IGN, which would look like nohup's wish to who asks later."""
