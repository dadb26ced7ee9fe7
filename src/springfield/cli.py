"""In charge of the command line: serve, init, check, settings.

Exit codes: 0 well; 1 it failed (a store is unreachable, the port is in use); 2 the settings or the
command line are wrong.
"""

import argparse
import asyncio
import importlib.metadata
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from textwrap import fill

from springfield import __version__
from springfield.configuration import LoadedSettings, flag_of, load_settings, shown
from springfield.errors import Misconfigured, SpringfieldError
from springfield.observability.log_writer import write_line_by_line
from springfield.observability.logs import logging_lines
from springfield.opening import OpenStore, open_stores, shared_places
from springfield.server.admin_client import Address
from springfield.server.inquiry import check
from springfield.server.lifecycle import run
from springfield.server.serving import CannotStart
from springfield.settings.fields import PREFIX, Shape
from springfield.settings.mistakes import InvalidSettings
from springfield.settings.table import Settings
from springfield.stores import catalog
from springfield.stores.url import redact
from springfield.streams import show

FAILED, WRONG = 1, 2

log = logging.getLogger("springfield.cli")

Command = Callable[[LoadedSettings, argparse.Namespace], int]

INIT_TIMEOUT = 60.0
"""Seconds that preparing one store may take: an index over many documents is not made in two."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    flags = {
        name: value
        for name in Settings.model_fields
        if (value := getattr(parsed, name)) is not None
    }
    try:
        parsed.load = partial(load_settings, flags, parsed.config)
        loaded = parsed.load()
        command: Command = parsed.command
        return command(loaded, parsed)
    except InvalidSettings as error:
        for mistake in error.mistakes:
            print(f"springfield: {mistake}", file=sys.stderr)
        return WRONG
    except Misconfigured as error:
        for sentence in str(error).splitlines():
            print(f"springfield: {sentence}", file=sys.stderr)
        return WRONG
    except CannotStart as error:
        print(f"springfield: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output is gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="springfield",
        description="One small HTTP resource API in front of MongoDB, Redis, MySQL, S3 and files.",
        epilog="Every setting is a flag, an environment variable and a key of the settings file.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(commands, "serve", _serve, "start the service")
    init = _add(
        commands,
        "init",
        _init,
        "create what the stores lack: tables, indexes, buckets; may be run twice",
        "[--with-ttl] ",
    )
    init.add_argument(
        "--with-ttl", action="store_true", help="create what lifetimes need (MongoDB), too"
    )
    asking = _add(
        commands, "check", _check, "connect to every store and say what is found", "[--url URL] "
    )
    asking.add_argument(
        "--url",
        type=_address,
        metavar="URL",
        help="ask a running service's admin listener at http://host:port or unix:/path instead",
    )
    _add(commands, "settings", _settings, "print every setting, its value and where it came from")
    for command in commands.choices.values():
        _add_settings(command)
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Command,
    summary: str,
    options: str = "",
) -> argparse.ArgumentParser:
    """Add a command; `options` is what its usage says beside the settings."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        usage=f"springfield {name} {options}[--config FILE] [--SETTING VALUE …]",
        allow_abbrev=False,
    )
    command.set_defaults(command=run)
    return command


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Let the command take every setting as a flag."""
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=os.environ.get(PREFIX + "CONFIG") or None,
        help="a settings file (TOML); also SPRINGFIELD_CONFIG",
    )
    for setting, field in Settings.model_fields.items():
        is_switch = field.annotation is bool
        command.add_argument(
            flag_of(setting),
            dest=setting,
            metavar="BOOL" if is_switch else "VALUE",
            help=(field.description or "").replace("%", "%%"),
            **({"nargs": "?", "const": "true"} if is_switch else {}),  # type: ignore[arg-type]
        )


def _version() -> str:
    libraries = ("tornado", "pymongo", "redis", "asyncmy", "boto3", "obstore", "apsw")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    return f"springfield {__version__} (Python {platform.python_version()}, {versions})"


def _serve(loaded: LoadedSettings, parsed: argparse.Namespace) -> int:
    settings = loaded.settings

    def announce(place: str) -> None:
        show(_banner(settings, place))
        log.info("started: %s listens on %s", _version(), place)

    with logging_lines(settings.log_format, settings.log_level, write_line_by_line):
        code = run(loaded, parsed.load, announce)
        log.info("stopped")
    return code


def _banner(settings: Settings, place: str) -> str:
    rows = [
        ("flanders", "", "a greeting"),
        ("maggie", "", _weather_source(settings)),
        ("healthcheck", "", ""),
    ]
    for each in settings.bindings:
        path = each.resource if each.kind is Shape.OBJECT else f"{each.resource}/{{name}}"
        rows.append((path, each.kind.value, f"{catalog.product_of(each.url)}  {redact(each.url)}"))
    lines = [f"  /api/v1/{path:<18} {kind:<7} {where}".rstrip() for path, kind, where in rows]
    if not place.startswith("unix:"):
        place = f"{'http' if settings.tls_certificate is None else 'https'}://{place}"
    mode = " (read-only)" if settings.read_only else ""
    return "\n".join(
        [
            f"Springfield {__version__} listens on {place}{mode}",
            *lines,
            "Ctrl+C stops it.",
        ]
    )


def _weather_source(settings: Settings) -> str:
    if settings.weather_uri:
        return f"weather  {shown(settings.weather_uri)}"
    return f"weather  Open-Meteo, {settings.weather_place}"


def _init(loaded: LoadedSettings, parsed: argparse.Namespace) -> int:
    settings = loaded.settings.model_copy(update={"store_timeout": INIT_TIMEOUT})
    work = partial(_prepare, with_ttl=parsed.with_ttl)
    return asyncio.run(_for_each_store(settings, work))


def _address(url: str) -> Address:
    try:
        return Address(url)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _check(loaded: LoadedSettings, parsed: argparse.Namespace) -> int:
    if parsed.url is not None:
        return check(parsed.url)
    return asyncio.run(_for_each_store(loaded.settings, _inspect))


async def _for_each_store(
    settings: Settings, work: Callable[[OpenStore], Coroutine[None, None, Sequence[str]]]
) -> int:
    failed = False
    async with open_stores(settings) as opened:
        for sentence in shared_places(settings.bindings):
            print(f"warning: {sentence}", file=sys.stderr)
        answers = await asyncio.gather(*(work(each) for each in opened), return_exceptions=True)
    for store, answer in zip(opened, answers, strict=True):
        head = f"{store.binding.resource:<12} {store.product:<10} "
        if isinstance(answer, SpringfieldError):
            failed = True
            print(f"{head} FAILED: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            print(head, "\n             ".join(answer))
    return FAILED if failed else 0


async def _prepare(store: OpenStore, *, with_ttl: bool) -> Sequence[str]:
    return await store.store.prepare(with_ttl=with_ttl) or ["Nothing to do."]


async def _inspect(store: OpenStore) -> Sequence[str]:
    await store.store.ping()  # connects; the second one shows what a request will see
    started = time.perf_counter()
    await store.store.ping()
    milliseconds = (time.perf_counter() - started) * 1000
    found = await store.store.inspect()
    where = redact(store.binding.url)
    product = f"{found.product} {found.version}".removesuffix(" -")
    return [
        f"ok: {product} at {where}, {milliseconds:.1f} ms",
        *(f"warning: {warning}" for warning in found.warnings),
    ]


def _settings(loaded: LoadedSettings, _: argparse.Namespace) -> int:
    for row in loaded.table():
        print(f"{row.name} = {row.value}   [{row.origin}]")
        print(fill(row.description, 96, initial_indent="    ", subsequent_indent="    "))
        print(f"    {', '.join(row.variables)}; {row.flag}; default {row.default}\n")
    return 0
