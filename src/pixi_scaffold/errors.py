"""What stops a command: one error class with a message and a hint, and an exit code each kind.

The exit codes are the ones of the reference page (docs/reference/exit-codes.md).
"""

EXIT_OK = 0
"""Everything that ran passed (skipped steps are named in the report)."""
EXIT_FAILED = 1
"""The command could not do its work."""
EXIT_USAGE = 2
"""The command line or an answer is wrong; nothing was done."""
EXIT_CHECK = 3
"""The command did its work and a check failed."""
EXIT_INTERRUPTED = 130
"""Stopped by Ctrl-C (128 + SIGINT, as shells report it)."""


class ScaffoldError(Exception):
    """The command could not do its work.

    message: what failed and why, one or more lines, no trailing period needed.
    hint: the next command to type or thing to do; empty only where nothing helps.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ScaffoldError):
    """An argument or an answer is wrong; nothing was done."""

    exit_code = EXIT_USAGE


def causes(error: BaseException | None) -> str:
    """Return what an error says and what its causes say, each once, in one text."""
    parts: list[str] = []
    while error is not None:
        if (text := str(error).strip()) and text not in parts:
            parts.append(text)
        error = error.__cause__
    return ": ".join(parts)


class ManifestError(ScaffoldError):
    """The Pixi manifest cannot be read; the message says file, line and column where known."""


class NoWorkspaceError(ManifestError):
    """There is no Pixi manifest in the folder that was named; nothing was done."""

    exit_code = EXIT_USAGE


class UnsupportedError(ScaffoldError):
    """The manifest or lock uses something that only Pixi itself handles; it is named."""


class LockError(ScaffoldError):
    """No lock could be made: unsatisfiable requirements, or the channel failed."""


class ChannelError(LockError):
    """No lock could be made, because a channel does not answer."""


class CheckFailed(ScaffoldError):  # noqa: N818  the name says what happened, as pytest's Failed does
    """A check did its work and the answer is no."""

    exit_code = EXIT_CHECK


class Interrupted(KeyboardInterrupt):
    """Ctrl-C after something was finished: the message and the hint say what there is."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Skipped(Exception):  # noqa: N818  not an error: a step that cannot run here
    """A step cannot run on this machine or with this input.

    reason: why; command: what would run it, empty when nothing would.
    """

    def __init__(self, reason: str, command: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.command = command
