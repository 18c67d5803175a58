"""Whether the training's exit code gets out of a worker script."""

import re
from functools import lru_cache
from typing import NamedTuple

from pixi_scaffold.rules.subject import Script

_TRAINING = re.compile(
    r"(?:^|(?<=[\s;&|(!]))(?:[\w./${}-]*/)?"
    r"(?:python[0-9.]*|torchrun|accelerate\s+launch|deepspeed|(?:pixi|uv)\s+run|Rscript|julia|mpirun"
    r"|mpiexec|(?:apptainer|singularity)\s+(?:exec|run))(?![\w.])"
    r"(?!\s*(?:-c|-V|--version|-m\s+(?:pip|venv)))"
)
_FILES_ONLY = re.compile(
    r"\s*(?:(?:then|do|else|!|time|sudo)\s+)*(?:\w+=\S*\s+)*(?:tar|cp|mv|rm|ln|ls|mkdir|touch|wget|curl"
    r"|unzip|gunzip|gzip|cat|chmod|which|command|export|pip3?|du|find|rsync|scp|git|module)\b"
    r"|.*\b(?:apptainer|singularity)\s+exec\b.*\s(?:tar|cp|mv|ls|mkdir|nvidia-smi)\s"
)
"""Commands that move files about, also where a name in them looks like an interpreter."""


def continues(line: str) -> bool:
    """Whether a line ends with an odd number of backslashes."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


@lru_cache(maxsize=64)
def joined(script: Script) -> tuple[tuple[int, str], ...]:
    """Return the script's commands with continued lines joined, and where each starts."""
    lines: list[tuple[int, str]] = []
    parts: list[str] = []
    first = 0
    for number, line in script.code:
        if not parts:
            first = number
        if continues(line):
            parts.append(line[:-1])
            continue
        whole = "".join([*parts, line])
        if _open(whole) or re.search(r"(?<!\|)\|\s*$", whole):
            parts = [f"{whole}\n"]
            continue
        lines.append((first, whole))
        parts = []
    if parts:
        lines.append((first, "".join(parts)))
    return tuple(lines)


def _open(text: str) -> bool:
    """Whether a quoted text goes on in the next line; after many lines a quote is no such thing."""
    bare = re.sub(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", "", text)
    bare = re.split(r"(?:^|\s)#", bare)[0]
    return ("'" in bare or '"' in bare) and text.count("\n") < _MOST_QUOTED


_MOST_QUOTED = 60


@lru_cache(maxsize=4096)
def _trains(command: str) -> bool:
    """Whether a command starts a training."""
    parts = re.split(r"&&|\|\||[;|(]", _unquoted(command))
    return any(_TRAINING.search(part) and not _FILES_ONLY.match(part) for part in parts)


class _TrainingLine(NamedTuple):
    """The line that trains, and the commands before and after it."""

    command: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    checkpoint: int | None

    @property
    def rest(self) -> str:
        return "\n".join(self.after)


@lru_cache(maxsize=64)
def hides_exit_code(script: Script, checkpoint: int | None = None) -> tuple[int, str] | None:
    """Return the line that hides the training's exit code and how, or None when it is seen.

    checkpoint: the exit code that has to get out, where there is one. The last command that starts
    a training counts; a script without one hides nothing.
    """
    commands = [
        (n, part.strip())
        for n, c in joined(script)
        for part in _parts(c if "\n" in c else re.split(r"\s#", c)[0])
        if part.strip()
    ]
    at, inside = -1, -1
    for index, (_, command) in enumerate(commands):
        if _trains(command) and not _is_helper(command):
            at = index
        elif checkpoint is not None and _in_condition(command):
            inside = index
    if at < 0 and inside >= 0:
        rest = "\n".join(c for _, c in commands[inside:])
        return None if _gives_back(rest, checkpoint) else (commands[inside][0], _TAKEN)
    if at < 0:
        return None
    texts = [script.lines[0], *(c for _, c in commands)]
    before, after = tuple(texts[: at + 1]), tuple(texts[at + 2 :])
    training = _TrainingLine(commands[at][1], before, after, checkpoint)
    for look in (_in_function, _ignored, _made_another, _piped, _in_background, _kept, _followed):
        answer = look(training)
        if answer is not None:
            return (commands[at][0], answer) if answer else None
    return None


@lru_cache(maxsize=4096)
def _parts(line: str) -> tuple[str, ...]:
    """Split a line at the semicolons outside of quotes and parentheses."""
    plain = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\([^()]*\)", lambda m: "x" * len(m[0]), line)
    cuts = [m.start() for m in re.finditer(r"(?<!;);(?!;)", plain)]
    return tuple(line[a + 1 : b] for a, b in zip([-1, *cuts], [*cuts, len(line)], strict=True))


# Each of these returns how the exit code is lost, "" when it certainly is not, None when it cannot
# tell.


def _in_function(training: _TrainingLine) -> str | None:
    """Leave a training inside of a function alone when the script ends with a call of it."""
    matches = (re.match(r"\s*(?:function\s+)?(\w+)\s*\(\)", c) for c in training.before)
    opened = [matched[1] for matched in matches if matched]
    closes = any(c.strip().startswith("}") for c in training.after)
    last = training.after[-1].split() if training.after else []
    return "" if opened and closes and last and last[0] in opened else None


def _ignored(training: _TrainingLine) -> str | None:
    if any(re.search(r"\btrap\s+[\"']?\s*exit\s+0\b", c) for c in training.before):
        return "the trap ends the script with 0 whatever the training did"
    after = re.search(r"\|\|\s*(.*)$", _unquoted(training.command))
    if after is None or re.match(r"\{?\s*(?:\w+=\$\?|exit\b(?!\s+0)|return\b|fail\b)", after[1]):
        return None
    more = any(re.search(r"exit\s+[\"']?[$1-9]", c) for c in training.after[:3])
    return None if after[1].startswith("{") and more else "what follows `||` hides the exit code"


_TAKEN = "the `if` takes the exit code, and what the script ends with is another one"


def _in_condition(command: str) -> bool:
    """Whether a command is an `if` whose condition is the training."""
    matched = re.match(r"\s*(?:if|elif)\s+(?:!\s+)?(.*)", command)
    return (
        matched is not None
        and _TRAINING.match(matched[1]) is not None
        and re.match(r"\S+\s+-[cm]\b", matched[1]) is None
    )


def _gives_back(text: str, checkpoint: int | None) -> bool:
    """Whether a part of a script exits with a code that it kept, or with the checkpoint's."""
    return re.search(rf"(?:exit|return)\s+[\"']?(?:\$|{checkpoint}\b)", text) is not None


def _made_another(training: _TrainingLine) -> str | None:
    """Judge a constant exit on the failure path: the checkpoint's code becomes another one."""
    if training.checkpoint is None:
        return None
    behind = re.search(r"\|\|(.*)$", _unquoted(training.command))
    test = r"\s*(?:\w+=\$\?|if\s+\[+\s+[\"']?\$\?)"
    tested = training.after and re.match(test, training.after[0])
    failure = f"{behind[1] if behind else ''}\n" + (training.rest if behind or tested else "")
    constant = re.search(r"exit\s+([1-9]\d*)\b", failure)
    if constant is None or _gives_back(failure, training.checkpoint):
        return None
    return f"exit code {training.checkpoint} of the training becomes {constant[1]}"


def _piped(training: _TrainingLine) -> str | None:
    if "PIPESTATUS" in training.rest and re.search(r"exit\s+[\"']?\$", training.rest):
        return ""
    piped = re.search(r"(?<!\|)\|(?!\|)(?!&)", _unquoted(training.command)) is not None
    seen = any("pipefail" in c for c in training.before) or "PIPESTATUS" in training.rest
    if piped and not seen and "PIPESTATUS" not in training.command:
        return "the exit code is that of the pipe's last command"
    return None


def _in_background(training: _TrainingLine) -> str | None:
    if not re.search(r"(?<!&)&\s*$", training.command):
        return None
    if not re.search(r"\bwait\b", training.rest):
        return "the training runs in the background, and nothing waits for it"
    given = re.search(r"exit\s+[\"']?\$|wait\s+[\"']?\$\S*\s*$", training.rest)
    return "" if given else "the script waits for the training and does not exit with its code"


def _kept(training: _TrainingLine) -> str | None:
    """Judge `code=$?` behind the training or on the next line."""
    if re.search(r"\|\|\s*(?:exit\s+[\"']?\$\?|exit\s+[1-9])", training.command):
        return ""
    next_line = training.after[0] if training.after else ""
    behind = re.search(r"(?:\|\||;)\s*\w+=\$\?", training.command)
    looks = r"\s*(?:\w+=\$\?|exit\s+\$\?|case\s+[\"']?\$\?|if\s+\[+\s+[\"']?\$\?)"
    if not behind and not re.match(looks, next_line):
        return None
    given = re.search(r"exit\s+[\"']?[$1-9]", f"{training.command}\n{training.rest}")
    return "" if given else 'the exit code is kept and not given back: no exit "$code"'


def _followed(training: _TrainingLine) -> str | None:
    strict = False
    for command in training.before:
        if re.search(r"^\s*set\s+-[a-z]*e|set\s+-o\s+errexit|^#!.*\s-\w*e", command):
            strict = True
        elif re.search(r"^\s*set\s+\+[a-z]*e", command):
            strict = False
    more = [c for c in training.after if not re.match(r"\s*(?:fi|done|esac|\}|;;)\s*$", c)]
    if strict or not more:
        return None
    return "the script goes on after the training, so its exit code is that of the last command"


def _unquoted(command: str) -> str:
    return re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", '""', command)


def _is_helper(command: str) -> bool:
    """Whether a Python line is a probe, not the training: a test, a substitution, an echo."""
    if re.search(r"\$\([^)]*python|`[^`]*python", command):
        return True
    if re.match(r"\s*(?:if|elif|while|until|!|\[|echo|printf|say|alias|export)\b", command):
        return True
    return re.match(r"\s*[!\[]?\s*python\S*\s+-c\b", command) is not None
