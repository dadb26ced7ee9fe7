"""In charge of the program's entry: the `springfield` command, and `python -m springfield`.

Signals are obeyed before the command is imported, which takes most of a second on a slow machine.
"""

import sys

from springfield.signals import obey_while_starting


def main() -> int:
    """Run the command line; return its exit code."""
    obey_while_starting(is_service=sys.argv[1:2] == ["serve"])
    from springfield import cli  # noqa: PLC0415 - this is what takes long

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
