"""In charge of the service's life as a whole: bind, then serve, alone or with workers.

Whatever stops the service from starting is known before anything is served, as one sentence.
"""

import contextlib
import os
import resource
import signal
from collections.abc import Callable
from urllib.parse import quote

from springfield.opening import import_adapters
from springfield.server.listener import CannotListen
from springfield.server.reload import Loaded
from springfield.server.serving import SERVING, CannotStart, Plan, run_serving
from springfield.server.sockets import listening
from springfield.server.systemd import notify_ready
from springfield.server.tls import BadCertificate, Certificate
from springfield.server.workers import serve_with_workers
from springfield.settings.table import Settings


def run(loaded: Loaded, load: Callable[[], Loaded], announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and close everything.

    `load` reads the settings anew, for a reload. `announce` is called with the place that is listened
    on once requests are answered. A second signal ends the process at once. Returns the exit code;
    raises CannotStart and the errors of `assemble`.
    """
    _raise_descriptor_limit()
    settings = loaded.settings
    with contextlib.ExitStack() as stack:
        try:
            sockets = stack.enter_context(listening(settings))
        except CannotListen as error:
            raise CannotStart(str(error)) from error
        _make_data_dir(settings)
        plan = Plan(loaded, load, sockets, _certificate(settings))
        if settings.workers > 1:
            return serve_with_workers(plan, lambda: announce(sockets.place))
        if os.getpid() == 1:  # of a container: orphans end up here, and the kernel reaps them
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        import_adapters(settings)  # not on the event loop, which it would block

        def started() -> None:
            notify_ready(SERVING)
            announce(sockets.place)

        run_serving(plan, started)
    return 0


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        return Certificate(settings.tls_certificate, settings.tls_key)
    except BadCertificate as error:
        raise CannotStart(str(error)) from error


def _raise_descriptor_limit() -> None:
    """Allow as many connections as the system lets this process have: the default is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # the service works with fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _make_data_dir(settings: Settings) -> None:
    here = settings.data_dir.absolute()
    if not any(quote(str(here)) in binding.url for binding in settings.bindings):
        return
    try:
        here.mkdir(parents=True, exist_ok=True)
        probe = here / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"The data directory {here} cannot be written ({error.strerror}); choose another with "
            "--data-dir."
        ) from error
