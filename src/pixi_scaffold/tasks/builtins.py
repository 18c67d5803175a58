"""The commands that Pixi's task shell has itself: what each does, and which flags it takes.

As deno_task_shell has them (src/shell/commands); what one does not take it refuses by name.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pixi_scaffold.tasks import folders
from pixi_scaffold.tasks.scope import CommandError, Exit, Scope, Streams, reason
from pixi_scaffold.tasks.values import evaluate, flagged, flags_and_names, seconds, split_blanks

if TYPE_CHECKING:
    from pixi_scaffold.tasks.shell import Shell

_BLOCK = 512
"""Bytes that are read at once."""
_OPTIONS = {"errexit", "pipefail"}
_GLOBS = ("failglob", "globstar", "nullglob")


class BuiltinCall(NamedTuple):
    """A command of the shell as it was called."""

    shell: Shell
    args: list[str]
    scope: Scope
    streams: Streams
    changes: Scope
    """The state that it changes."""

    def say(self, text: str) -> None:
        """Print a line."""
        write(self.streams.stdout, f"{text}\n")


def write(handle: int, data: str | bytes) -> None:
    """Write all of it."""
    left = memoryview(data.encode(errors="surrogateescape") if isinstance(data, str) else data)
    while left:
        left = left[os.write(handle, left) :]


def _cat(call: BuiltinCall) -> int:
    code = 0
    for path in _names(call) or ["-"]:
        try:
            with _open(call, path) as file:
                while block := file.read1(1 << 16):
                    write(call.streams.stdout, block)
        except (BrokenPipeError, IsADirectoryError):  # a folder opens, and cannot be read
            raise
        except OSError as error:
            write(call.streams.stderr, f"cat: {path}: {reason(error)}\n")
            code = 1
    return code


def _names(call: BuiltinCall) -> list[str]:
    return flags_and_names(call.args)[1]


def _open(call: BuiltinCall, path: str) -> io.BufferedReader:
    """Open a file, or what is read where none is named; `head` leaves the rest to the next."""
    source = os.dup(call.streams.stdin) if path == "-" else call.scope.cwd / path
    return io.BufferedReader(io.FileIO(source), _BLOCK)


def _cd(call: BuiltinCall) -> None:
    paths = _names(call)
    if len(paths) != 1:
        raise CommandError("too many arguments" if paths else "expected at least 1 argument")
    folder = Path(os.path.normpath(call.scope.cwd / paths[0]))
    if not folder.is_dir():
        raise CommandError(f"{paths[0]}: Not a directory")
    call.changes.enter(folder)


def _exit(call: BuiltinCall) -> None:
    try:
        codes = _names(call)
        if len(codes) > 1:
            raise CommandError("too many arguments")
        code = int(codes[0]) if codes else 1
    except (CommandError, ValueError) as error:
        text = error if isinstance(error, CommandError) else "numeric argument required."
        write(call.streams.stderr, f"exit: {text}\n")
        code = 2
    raise Exit(code % 256)


def _export(call: BuiltinCall) -> None:
    for arg in call.args:
        name, sign, value = arg.partition("=")
        if sign:
            call.changes.export(name, value)


def _head(call: BuiltinCall) -> None:
    path, count = _head_arguments(call.args)
    try:
        with _open(call, path) as file:
            if count >= 0:
                lines: Iterable[bytes] = islice(file, count)
            else:
                lines = [line for line in file if line.endswith(b"\n")][:count]
            for line in lines:
                write(call.streams.stdout, line)
    except (BrokenPipeError, IsADirectoryError):
        raise
    except OSError as error:
        raise CommandError(f"{path}: {reason(error)}") from error


def _head_arguments(args: Sequence[str]) -> tuple[str, int]:
    path, count, words = "", 10, flagged(args)
    for text, is_flag in words:
        if not is_flag:
            if path:
                raise CommandError("only one file is supported for now")
            path = text
        elif text == "-n":
            count = _count(_value(words, "expected a value following -n"))
        elif text.startswith("--lines="):
            count = _count(text.removeprefix("--lines="))
        elif text == "--lines":
            raise CommandError("expected a value for --lines")
        else:
            raise CommandError(f"unsupported flag: {text}")
    return path or "-", count


def _value(words: Iterator[tuple[str, bool]], otherwise: str) -> str:
    text, is_flag = next(words, ("", True))
    if is_flag:
        raise CommandError(otherwise)
    return text


def _count(text: str) -> int:
    if not text.removeprefix("-").isdecimal():
        raise CommandError("expected a numeric value following -n")
    return int(text)


def _pwd(call: BuiltinCall) -> None:
    path = call.scope.cwd
    flags, _ = flags_and_names(call.args, "-L -P")
    # the other way round than elsewhere, as there
    call.say(str(path.resolve() if "-L" in flags else path))


def _set(call: BuiltinCall) -> None:
    args, options = list(call.args), call.changes.options
    if args in (["-o"], ["+o"]):
        for name in sorted(_OPTIONS):
            on = name in call.scope.options
            sign = "-o" if on else "+o"
            call.say(f"{name}\t{'on' if on else 'off'}" if args == ["-o"] else f"set {sign} {name}")
        return
    wanted: list[tuple[str, bool]] = []
    while args:
        arg = args.pop(0)
        if arg in ("-o", "+o") and args:
            name = args.pop(0)
            if name not in _OPTIONS:
                raise CommandError(f"unknown option: {name}")
            wanted.append((name, arg == "-o"))
        elif arg in ("-e", "+e"):
            wanted.append(("errexit", arg == "-e"))
        else:
            raise CommandError(f"invalid option: {arg}")
    for name, on in wanted:
        options.add(name) if on else options.discard(name)


def _shopt(call: BuiltinCall) -> int:
    modes = {arg for arg in call.args if arg in ("-s", "-u")}
    names = [arg for arg in call.args if arg not in modes]
    if len(modes) > 1:
        raise CommandError("cannot set and unset options simultaneously")
    if wrong := [name for name in names if name not in _GLOBS]:
        raise CommandError(f"{wrong[0]}: invalid shell option name")
    if not modes:
        for name in names or _GLOBS:
            call.say(f"{name}\t{'on' if name in call.scope.options else 'off'}")
        return int(not set(names) <= call.scope.options)
    if not names:
        raise CommandError("option name required")
    options = call.changes.options
    (options.update if modes == {"-s"} else options.difference_update)(names)
    return 0


def _sleep(call: BuiltinCall) -> int:
    times = _names(call)
    if not times:
        raise CommandError("missing operand")
    return call.shell.children.sleep(sum(map(seconds, times)))


def _test(call: BuiltinCall) -> int:
    try:
        return int(not evaluate(call.args, call.scope.cwd))
    except CommandError as error:
        write(call.streams.stderr, f"test: {error}\n")
        return 2


def _unset(call: BuiltinCall) -> None:
    names = call.args
    if names[:1] == ["-f"]:
        raise CommandError("unsupported flag: -f")
    for name in names[1:] if names[:1] == ["-v"] else names:
        call.changes.unset(name)


def _xargs(call: BuiltinCall) -> int:
    args, delimiter = _xargs_arguments(call.args)
    try:
        with _open(call, "-") as file:
            text = file.read().decode()
    except UnicodeDecodeError as error:
        raise CommandError(str(error)) from error
    if delimiter is None:
        more = split_blanks(text)
    else:
        more = text.split(delimiter)
        more = more if more[-1] else more[:-1]
    return call.shell.call([*(args or ["echo"]), *more], call.scope, call.streams, call.changes)


def _xargs_arguments(args: Sequence[str]) -> tuple[list[str], str | None]:
    words = flagged(args)
    null, delimiter, command = False, None, list[str]()
    for text, is_flag in words:
        if text == "-0" or (is_flag and text == "--null"):  # the one looks like a number
            null = True
        elif not is_flag:
            command = [text, *(word for word, _ in words)]
        elif text == "-d":
            delimiter = _delimiter(_value(words, "expected delimiter argument following -d"))
        elif text.startswith("--delimiter="):
            delimiter = _delimiter(text.removeprefix("--delimiter="))
        else:
            raise CommandError(f"unsupported flag: {text}")
    if null and delimiter is not None:
        raise CommandError("cannot specify both null and delimiter flag")
    return command, "\0" if null else delimiter


def _delimiter(text: str) -> str:
    escapes = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\\\": "\\", "\\0": "\0"}
    delimiter = escapes.get(text, text)
    if len(delimiter) != 1 or text == "\\":
        raise CommandError(f"expected a single byte char delimiter. Found: {text}")
    return delimiter


def _on_files(work: Callable[[Path, Sequence[str]], None]) -> Callable[[BuiltinCall], None]:
    return lambda call: work(call.scope.cwd, call.args)


_COMMANDS: dict[str, Callable[[BuiltinCall], int | None]] = {
    "cat": _cat, "cd": _cd, "cp": _on_files(folders.cp), "exit": _exit,
    "export": _export, "head": _head, "mkdir": _on_files(folders.mkdir),
    "mv": _on_files(folders.mv), "pwd": _pwd, "rm": _on_files(folders.rm), "set": _set,
    "shopt": _shopt, "sleep": _sleep, "test": _test, "unset": _unset, "xargs": _xargs,
    "echo": lambda call: call.say(" ".join(call.args)),
    "true": lambda _: 0, "false": lambda _: 1, ":": lambda _: 0,
}  # fmt: skip

BUILTINS = frozenset(_COMMANDS)
"""Their names."""


def run_builtin(name: str, call: BuiltinCall) -> int:
    """Run a command of the shell; return its exit code. Raises Exit for `exit`."""
    try:
        return _COMMANDS[name](call) or 0
    except (CommandError, IsADirectoryError) as error:
        why = reason(error) if isinstance(error, OSError) else error
        write(call.streams.stderr, f"{name}: {why}\n")
    except BrokenPipeError:  # whoever reads has enough
        return int(name != "echo")
    return 1
