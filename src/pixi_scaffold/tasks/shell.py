"""Run a script of Pixi's task shell: statements, pipes, redirections, programs.

Behaves as deno_task_shell does (src/shell/execute.rs). Programs get this process's own streams
wherever no pipe or file stands between, so that a terminal stays one.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread

from pixi_scaffold.system import Children
from pixi_scaffold.tasks.builtins import BUILTINS, BuiltinCall, run_builtin
from pixi_scaffold.tasks.expand import Expander
from pixi_scaffold.tasks.scope import CommandError, Exit, Scope, ShellJob, Streams, reason
from pixi_scaffold.tasks.script import Pipeline, Redirection, Script, ShellCommand, Statement, Word

_FLAGS = {
    "<": os.O_RDONLY,
    ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}
_ENV = b"#!/usr/bin/env "


@dataclass(slots=True)
class Shell:
    """One run of a script: the programs that it started, and how a failure ended it."""

    children: Children = field(default_factory=Children)
    first_failure: int = 0
    """The exit code that ended the rest of the script; 0 while nothing did."""

    def run(self, script: Script, scope: Scope, streams: Streams) -> int:
        """Run the script to its end, background statements too; return its exit code.

        Where it fails, what runs in the background is ended.
        """
        try:
            code = self._statements(script, scope, streams)
        except Exit as end:
            code = end.code
        if code:
            self.first_failure = self.first_failure or code
            self.children.end()
        codes = [job.wait() for job in scope.jobs]
        return self.first_failure or next(filter(None, codes), 0)

    def _statements(self, script: Script, scope: Scope, streams: Streams) -> int:
        code = 0
        for statement in script:
            if statement.in_background:
                self._start(statement, scope, streams)
                continue
            for operator, pipeline in statement.steps:
                if not operator or (operator == "&&") == (code == 0):
                    code = scope.status = self._pipeline(pipeline, scope, streams)
            if code and "errexit" in scope.options:
                break
        return code

    def _start(self, statement: Statement, scope: Scope, streams: Streams) -> None:
        script = (statement._replace(in_background=False),)
        # a pipe or a file is closed when its command ends: a job has its own copies
        copies = Streams(*map(os.dup, streams))
        work = partial(self.run, script, scope.copy(jobs=[]), copies)
        scope.jobs.append(ShellJob(work, closes=copies))

    def _pipeline(self, pipeline: Pipeline, scope: Scope, streams: Streams) -> int:
        commands = pipeline.commands
        if len(commands) == 1:
            code = self._command(commands[0], scope, streams)
        else:
            codes = self._piped(commands, scope, streams)
            failed = [c for c in codes if c] if "pipefail" in scope.options else []
            code = failed[-1] if failed else codes[-1]
        return int(code == 0) if pipeline.negated else code

    def _piped(self, commands: Sequence[ShellCommand], scope: Scope, streams: Streams) -> list[int]:
        jobs, reader = [], os.dup(streams.stdin)
        for command in commands:
            is_last = command is commands[-1]
            following, writer = (-1, os.dup(streams.stdout)) if is_last else os.pipe()
            stderr = writer if command.joins_stderr else streams.stderr
            work = partial(self._command, command, scope.copy(), Streams(reader, writer, stderr))
            jobs.append(ShellJob(work, closes=(reader, writer)))
            reader = following
        return [job.wait() for job in jobs]

    def _command(self, command: ShellCommand, scope: Scope, streams: Streams) -> int:
        with ExitStack() as opened:
            try:
                if command.redirection is not None:
                    streams = self._redirected(command.redirection, scope, streams, opened)
                if command.words:
                    return self._invocation(command, scope, streams)
                if not command.assignments:
                    return self._parentheses(command.inner, scope.copy(), streams)
                [alone] = command.assignments
                scope.assign(alone.name, self._expander(scope, streams).text(alone.value))
            except CommandError as error:
                return _complain(streams, str(error))
            return 0

    def _parentheses(self, script: Script, scope: Scope, streams: Streams) -> int:
        try:
            return self._statements(script, scope, streams)
        except Exit as end:  # ends the parentheses, not what is around them
            return end.code

    def _redirected(
        self, redirection: Redirection, scope: Scope, streams: Streams, opened: ExitStack
    ) -> Streams:
        """Return the streams of a command; a file is closed with `opened`."""
        target, stream = redirection.target, redirection.stream
        if not isinstance(target, int):
            handle = self._open(redirection.operator, target, scope, streams)
            opened.callback(os.close, handle)
        elif redirection.operator == "<":
            raise CommandError("input redirecting file descriptors is not implemented")
        elif target in (1, 2):
            handle = streams[target]
        else:
            raise CommandError("only &1 and &2 can be redirected to")
        if redirection.operator == "<":
            if stream is not None:
                raise CommandError("input redirects with file descriptors are not supported")
            return streams._replace(stdin=handle)
        if stream not in (None, 1, 2, "both"):
            raise CommandError("only redirecting to stdout (1) and stderr (2) is supported")
        stdout = streams.stdout if stream == 2 else handle
        stderr = handle if stream in (2, "both") else streams.stderr
        return Streams(streams.stdin, stdout, stderr)

    def _open(self, operator: str, target: Word, scope: Scope, streams: Streams) -> int:
        paths = self._expander(scope, streams).arguments([target])
        if len(paths) != 1:
            wrong = f"redirect path must be 1 argument, but found {len(paths)}"
            joined = " ".join(paths)
            more = f' ({joined}). Did you mean to quote it (ex. "{joined}")?' if paths else ""
            raise CommandError(wrong + more)
        path = scope.cwd / paths[0]
        try:
            return os.open(path, _FLAGS[operator], 0o666)
        except OSError as error:
            raise CommandError(
                f"error opening file for redirect ({path}). {reason(error)}"
            ) from error

    def _invocation(self, command: ShellCommand, scope: Scope, streams: Streams) -> int:
        args = self._expander(scope, streams).arguments(command.words)
        inner = scope.copy() if command.assignments else scope
        for one in command.assignments:
            inner.export(one.name, self._expander(inner, streams).text(one.value))
        return self.call(args, inner, streams, changes=scope)

    def call(self, args: list[str], scope: Scope, streams: Streams, changes: Scope) -> int:
        """Run a command of the shell or a program; return its exit code.

        changes: what a command such as `cd` changes, where `scope` is only for this one.
        """
        if (code := self.children.stopped) is not None:
            return code
        name = args[0] if args else ""
        if name.startswith("!"):
            return _complain(
                streams,
                f"History expansion is not supported:\n  {name}\n  ~\n\nPerhaps you meant to add "
                f"a space after the exclamation point to negate the command?\n  ! {name[1:]}",
            )
        if name in BUILTINS:
            return run_builtin(name, BuiltinCall(self, args[1:], scope, streams, changes))
        try:
            argv = _resolve(args, scope)
            return self.children.run(
                argv, cwd=scope.cwd, env=scope.variables, streams=streams.of_program()
            )
        except CommandError as error:
            return _complain(streams, str(error), error.code)
        except OSError as error:
            return _complain(streams, f"Error launching '{name}': {reason(error)}")

    def _expander(self, scope: Scope, streams: Streams) -> Expander:
        def output(script: Script) -> bytes:
            inner = Shell(self.children.inner())
            with _captured() as (writer, read):
                inner.run(script, scope.copy(jobs=[]), streams._replace(stdout=writer))
            return read()

        return Expander(scope, output)


@contextmanager
def _captured() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Give a place to write to, and what was written once the block has ended."""
    reader, writer = os.pipe()
    pieces: list[bytes] = []

    def collect() -> None:
        with os.fdopen(reader, "rb") as file:
            pieces.append(file.read())

    thread = Thread(target=collect, daemon=True)
    thread.start()
    try:
        yield writer, lambda: pieces[0]
    finally:
        os.close(writer)
        thread.join()


def _complain(streams: Streams, text: str, code: int = 1) -> int:
    with suppress(OSError):
        os.write(streams.stderr, f"{text}\n".encode(errors="surrogateescape"))
    return code


def _resolve(args: list[str], scope: Scope, base: Path | None = None) -> list[str]:
    """Return what to start: the program's path and its arguments; raises CommandError.

    A script that begins with `#!/usr/bin/env NAME` is given to NAME, executable or not; a path in
    place of that name is seen from the script's folder. base: where a path is seen from.
    """
    name = args[0] if args else ""
    if not name:
        raise CommandError("command name was empty")
    if "/" not in name:  # on the script's own PATH; a relative folder of it counts
        folders = (scope.get("PATH") or "").split(":")
        path = ":".join(str(scope.cwd / folder) for folder in folders if folder)
        program = shutil.which(name, path=path)
        if program is None:
            raise CommandError(f"{name}: command not found", 127)
        return [program, *args[1:]]
    script = (base or scope.cwd) / name
    try:
        with script.open("rb") as file:
            first = file.readline(4096)
    except OSError:
        first = b""  # starting it says what is wrong
    if not first.startswith(_ENV):
        return [str(script), *args[1:]]
    wanted = first.removeprefix(_ENV).decode(errors="surrogateescape").strip()
    words = wanted.removeprefix("-S ").split() if wanted.startswith("-S ") else [wanted]
    return _resolve([*words, str(script), *args[1:]], scope, script.parent)
