"""Run a script of Pixi's task shell: statements, pipes, redirections, programs.

Behaves as deno_task_shell does (src/shell/execute.rs). Programs get this process's own streams
wherever no pipe or file stands between, so that a terminal stays one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Thread

from pixi_scaffold.system import Children
from pixi_scaffold.tasks import script as ast
from pixi_scaffold.tasks.builtins import BUILTINS, BuiltinCall, run_builtin
from pixi_scaffold.tasks.expand import Expander
from pixi_scaffold.tasks.programs import resolve
from pixi_scaffold.tasks.scope import CommandError, Exit, Scope, Streams, reason


@dataclass(slots=True)
class Shell:
    """One run of a script: the programs that it started, and how a failure ended it."""

    children: Children = field(default_factory=Children)
    first_failure: int = 0
    """The exit code that ended the rest of the script; 0 while nothing did."""

    def run(self, script: ast.Statements, scope: Scope, streams: Streams) -> int:
        """Run the script to its end, background statements too; return its exit code."""
        jobs: list[_Job] = []
        try:
            code = self._script(script, scope, streams, jobs)
        except Exit as end:
            code = end.code
        return self._wait(code, jobs)

    def _wait(self, code: int, jobs: list[_Job]) -> int:
        """Wait for what runs in the background; where this part failed, that is ended."""
        if code:
            self.first_failure = self.first_failure or code
            self.children.end()
        for job in jobs:
            job.thread.join()
        code = self.first_failure or code
        return code or next((job.code for job in jobs if job.code), 0)

    def _script(
        self, script: ast.Statements, scope: Scope, streams: Streams, jobs: list[_Job]
    ) -> int:
        code = 0
        for statement in script.statements:
            if statement.in_background:
                inner = ast.Statements((ast.Statement(statement.sequence),))
                job = _Job()
                # a pipe or a file is closed when its command ends: a job has its own copies
                copies = Streams(*map(os.dup, streams.all()))
                job.start(self, inner, scope.copy(), copies, closes=copies.all())
                jobs.append(job)
                continue
            code = self._sequence(statement.sequence, scope, streams, jobs)
            scope.status = code
            if code and "errexit" in scope.options:
                break
        return code

    def _sequence(
        self, sequence: ast.Sequence, scope: Scope, streams: Streams, jobs: list[_Job]
    ) -> int:
        if isinstance(sequence, ast.Assignment):
            try:
                scope.assign(sequence.name, self._expander(scope, streams).text(sequence.value))
            except CommandError as error:
                return _complain(streams, str(error))
            return 0
        if isinstance(sequence, ast.Pipeline):
            return self._pipeline(sequence, scope, streams, jobs)
        code = scope.status = self._sequence(sequence.first, scope, streams, jobs)
        following: ast.Sequence = sequence
        while isinstance(following, ast.Conditional):
            if (following.operator == "&&") == (code == 0):
                return self._sequence(following.rest, scope, streams, jobs)
            following = following.rest
        return code

    def _pipeline(
        self, pipeline: ast.Pipeline, scope: Scope, streams: Streams, jobs: list[_Job]
    ) -> int:
        if len(pipeline.stages) == 1:
            code = self._command(pipeline.stages[0], scope, streams, jobs)
        else:
            codes = self._stages(pipeline.stages, scope, streams)
            failed = [c for c in codes if c] if "pipefail" in scope.options else []
            code = failed[-1] if failed else codes[-1]
        return int(code == 0) if pipeline.negated else code

    def _stages(
        self, stages: Sequence[ast.Redirected], scope: Scope, streams: Streams
    ) -> list[int]:
        jobs, reader = [], os.dup(streams.stdin)
        for stage in stages:
            if stage is stages[-1]:
                following, writer = -1, os.dup(streams.stdout)
            else:
                following, writer = os.pipe()
            piped = Streams(reader, writer, writer if stage.joins_stderr else streams.stderr)
            job = _Job()
            job.start(self, stage, scope.copy(), piped, closes=(reader, writer))
            jobs.append(job)
            reader = following
        for job in jobs:
            job.thread.join()
        return [job.code for job in jobs]

    def _command(
        self, command: ast.Redirected, scope: Scope, streams: Streams, jobs: list[_Job]
    ) -> int:
        with ExitStack() as stack:
            try:
                streams = stack.enter_context(self._redirected(command.redirection, scope, streams))
                if isinstance(command.body, ast.Statements):
                    return self._subshell(command.body, scope, streams, jobs)
                return self._invocation(command.body, scope, streams)
            except CommandError as error:
                return _complain(streams, str(error))

    def _subshell(
        self, script: ast.Statements, scope: Scope, streams: Streams, jobs: list[_Job]
    ) -> int:
        try:
            return self._script(script, scope.copy(), streams, jobs)
        except Exit as end:  # ends the parentheses, not what is around them
            return end.code

    @contextmanager
    def _redirected(
        self, redirection: ast.Redirection | None, scope: Scope, streams: Streams
    ) -> Iterator[Streams]:
        """Give the streams of a command; a file that was opened is closed again."""
        if redirection is None:
            yield streams
            return
        if redirection.operator == "<" and isinstance(redirection.target, int):
            raise CommandError("input redirecting file descriptors is not implemented")
        if isinstance(redirection.target, int):
            if redirection.target not in (1, 2):
                raise CommandError("only &1 and &2 can be redirected to")
            yield _with(
                streams, redirection, (streams.stdout, streams.stderr)[redirection.target - 1]
            )
            return
        handle = self._open(redirection, redirection.target, scope, streams)
        try:
            yield _with(streams, redirection, handle)
        finally:
            os.close(handle)

    def _open(
        self, redirection: ast.Redirection, target: ast.Word, scope: Scope, streams: Streams
    ) -> int:
        paths = self._expander(scope, streams).words(target)
        if len(paths) != 1:
            wrong = f"redirect path must be 1 argument, but found {len(paths)}"
            joined = " ".join(paths)
            more = f' ({joined}). Did you mean to quote it (ex. "{joined}")?' if paths else ""
            raise CommandError(wrong + more)
        path = scope.cwd / paths[0]
        flags = {
            "<": os.O_RDONLY,
            ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
            ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        }[redirection.operator]
        try:
            return os.open(path, flags, 0o666)
        except OSError as error:
            raise CommandError(
                f"error opening file for redirect ({path}). {reason(error)}"
            ) from error

    def _invocation(self, call: ast.Invocation, scope: Scope, streams: Streams) -> int:
        expander = self._expander(scope, streams)
        args = [arg for word in call.words for arg in expander.words(word)]
        inner = scope
        for assignment in call.assignments:
            inner = scope.copy() if inner is scope else inner
            inner.export(assignment.name, self._expander(inner, streams).text(assignment.value))
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
            argv = resolve(args, scope)
            return self.children.run(
                argv, cwd=scope.cwd, env=scope.variables, streams=streams.of_program()
            )
        except CommandError as error:
            return _complain(streams, str(error), error.code)
        except OSError as error:
            return _complain(streams, f"Error launching '{name}': {reason(error)}")

    def _expander(self, scope: Scope, streams: Streams) -> Expander:
        def output(script: ast.Statements) -> bytes:
            inner = Shell(self.children.inner())
            with _captured() as (writer, read):
                inner.run(script, scope.copy(), replace(streams, stdout=writer))
            return read()

        return Expander(scope, output)


@dataclass(slots=True)
class _Job:
    code: int = 0
    thread: Thread = field(init=False)

    def start(
        self,
        shell: Shell,
        part: ast.Statements | ast.Redirected,
        scope: Scope,
        streams: Streams,
        closes: tuple[int, ...] = (),
    ) -> None:
        jobs: list[_Job] = []

        def work() -> None:
            try:
                if isinstance(part, ast.Statements):
                    self.code = shell.run(part, scope, streams)
                else:
                    self.code = shell._command(part, scope, streams, jobs)
            except Exit as end:
                self.code = end.code
            finally:
                for job in jobs:
                    job.thread.join()
                for handle in closes:
                    os.close(handle)

        self.thread = Thread(target=work, daemon=True)
        self.thread.start()


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


def _with(streams: Streams, redirection: ast.Redirection, handle: int) -> Streams:
    """Return the streams with those replaced that a redirection names."""
    if redirection.operator == "<":
        if redirection.stream is not None:
            raise CommandError("input redirects with file descriptors are not supported")
        return replace(streams, stdin=handle)
    match redirection.stream:
        case None | 1:
            return replace(streams, stdout=handle)
        case 2:
            return replace(streams, stderr=handle)
        case "both":
            return replace(streams, stdout=handle, stderr=handle)
    raise CommandError("only redirecting to stdout (1) and stderr (2) is supported")


def _complain(streams: Streams, text: str, code: int = 1) -> int:
    with suppress(OSError):
        os.write(streams.stderr, f"{text}\n".encode(errors="surrogateescape"))
    return code
