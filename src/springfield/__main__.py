"""In charge of the program's entry: the `springfield` command, and `python -m springfield`.

Signals are obeyed before the command is imported, which takes most of a second on a slow machine. A
question to a service that runs imports nothing of what serves: a container asks every few seconds.
"""

import sys

from springfield.signals import obey_while_starting
from springfield.streams import open_what_is_closed


def main() -> int:
    """Run the command that the process was started with, and return its exit code."""
    open_what_is_closed()
    obey_while_starting(is_service=sys.argv[1:2] == ["serve"])
    if (url := _asked(sys.argv[1:])) is not None:
        from springfield.server.inquiry import address_of, check  # noqa: PLC0415 - see above

        if (address := address_of(url)) is not None:
            return check(address)
    from springfield import cli  # noqa: PLC0415 - see above

    return cli.main()


def _asked(arguments: list[str]) -> str | None:
    """Return the URL of `check --url` where nothing else is asked; all else is the command line's."""
    match arguments:
        case ["check", "--url", url]:
            return url
        case ["check", flag] if flag.startswith("--url="):
            return flag.removeprefix("--url=")
    return None


if __name__ == "__main__":
    sys.exit(main())
