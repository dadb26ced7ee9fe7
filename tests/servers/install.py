"""In charge of putting a MySQL server on this machine; in CI also a Redis of the distribution's.

Run it as ``python tests/servers/install.py``: it needs no package, is quiet where all is there,
and never fails a laptop. As root it installs Debian's packages without starting a service; anybody
else gets them unpacked under ``.servers/``, where the tests find them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.programs import UNPACKED, environment_of, find_program

_APT_DEADLINE = 600.0
_POLICY = Path("/usr/sbin/policy-rc.d")  # asked by Debian's packages before they start a service
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A program, and the Debian packages that bring it."""

    program: str
    packages: tuple[str, ...]


_MARIADB = Wanted("mariadbd", ("mariadb-server-core", "mariadb-client-core"))
_REDIS = Wanted("redis-server", ("redis-server",))


def main() -> int:
    """Install what is missing. Returns 1 where CI is ``true`` and something is missing still."""
    in_ci = os.environ.get("CI") == "true"
    wanted = [_MARIADB, _REDIS] if in_ci else [_MARIADB]
    packages = [name for one in wanted if not find_program(one.program) for name in one.packages]
    if not packages:
        return 0
    if shutil.which("apt-get") is None:
        say("This machine has no apt-get, so nothing is installed.")
    elif os.geteuid() == 0:
        install(packages)
    else:
        unpack(packages)
    complaints = [complaint for one in wanted if (complaint := complaint_about(one))]
    for complaint in complaints:
        say(complaint)
    return 1 if in_ci and complaints else 0


def install(packages: Sequence[str]) -> None:
    """Install the packages as root, with fresh package lists where the old ones do not do."""
    say(f"Installing {' '.join(packages)}.")
    command = ("install", "--yes", "--no-install-recommends", *packages)
    with no_services_started():
        if run("apt-get", *command).returncode:
            say("Fetching the package lists first.")
            run("apt-get", "update")
            report(run("apt-get", *command))


@contextmanager
def no_services_started() -> Iterator[None]:
    """Keep Debian from starting the services it installs. A policy that is there is kept."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text(_NO_SERVICES)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def unpack(packages: Sequence[str]) -> None:
    """Unpack the packages, and the libraries they lack here, under ``.servers/``."""
    plan = run("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    if plan.returncode:
        report(plan)
        return
    needed = re.findall(r"^Inst (\S+)", plan.stdout, re.MULTILINE)
    say(f"Not root: unpacking {' '.join(needed)} into {UNPACKED}.")
    archives = UNPACKED / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    report(run("apt-get", "download", *needed, directory=archives))
    for archive in archives.glob("*.deb"):
        report(run("dpkg", "--extract", str(archive), str(UNPACKED)))
    shutil.rmtree(archives)


def complaint_about(wanted: Wanted) -> str | None:
    """Return one sentence about why the program does not run, or None when it does."""
    program = find_program(wanted.program)
    if program is None:
        names = " ".join(wanted.packages)
        return (
            f"MISSING: {wanted.program}. As root: apt-get install --no-install-recommends {names}"
        )
    environment = environment_of(program)
    if run(str(program), "--version", environment=environment).returncode == 0:
        return None
    libraries = run("ldd", str(program), environment=environment).stdout
    absent = re.findall(r"(\S+) => not found", libraries)
    return f"BROKEN: {program} does not run; libraries not found: {' '.join(absent) or 'none'}."


def run(
    *command: str, directory: Path | None = None, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command for at most ten minutes, without questions, and keep its output."""
    return subprocess.run(
        command,
        cwd=directory,
        env={**(environment or os.environ), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_APT_DEADLINE,
        check=False,
    )


def report(done: "subprocess.CompletedProcess[str]") -> None:
    """Show, on one line, why a command failed."""
    if done.returncode:
        lines = done.stdout.splitlines()
        errors = [line for line in lines if line.startswith(("E:", "dpkg"))] or lines[-1:]
        say(f"{' '.join(done.args[:2])} failed. {' '.join(errors)}")


def say(line: str) -> None:
    print(f"servers: {line}", flush=True)  # noqa: T201 - a command line prints


if __name__ == "__main__":
    sys.exit(main())
