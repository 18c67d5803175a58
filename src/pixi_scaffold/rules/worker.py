"""Rules on the scripts that run on the worker."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch

from pixi_scaffold.rules.exit_code import continues, hides_exit_code, joined
from pixi_scaffold.rules.finding import Edit, Found, Severity, rule
from pixi_scaffold.rules.programs import Code, codes_of, matches
from pixi_scaffold.rules.subject import Subject, is_url

_HOME = re.compile(
    r"(?<![\w\\])\$\{?HOME\b|(?:^|(?<=[\s=:]))(?<!=)~(?:[A-Za-z_]\w*)?(?=/|\s|$)(?!\s*\])"
    r"|^\s*cd\s*(?:$|[;&|])|\bpip3?\s+install\s+(?:\S+\s+)*--user\b"
)
_SETS_HOME = re.compile(
    r"^\s*(?:export\s+)?HOME=|\bexport\s+(?:\w+=\S*\s+)*HOME=|\$\{HOME:?=|-[nz]\s+[\"']?\$\{?HOME\b"
)
_PYTHON_HOME = re.compile(
    r"^(?!.*(?:\.get\(|\bgetenv\(|\bdefault=)).*?"
    r"(\benviron\[[\"']HOME[\"']\]|\bexpanduser\([\"']~[^)]*\)?|\bPath\.home\(\))"
)
_PYTHON_SETS = re.compile(r"\benviron\[[\"']HOME[\"']\]\s*=[^=]|\bsetdefault\([\"']HOME[\"']")
_ECHO = re.compile(r"\s*(?:echo|printf)\b[^|>;&]*$")
_BROKEN = re.compile(r"\\[ \t]+$")


@rule("PS301", Severity.WARNING)
def broken_continuation(subject: Subject) -> Iterator[Found]:
    """A line continuation that is broken."""
    for script in subject.scripts:
        for number, line in script.code if b"\\" in script.data else ():
            if matched := _BROKEN.search(line):
                edits = (Edit(script.path, number, number, (line[: matched.start()] + "\\",)),)
                message = "a space behind the backslash: the line is not continued"
                yield Found(script.path, number, message, "remove the space", edits)
                continue
            following = script.lines[number] if number < len(script.lines) else ""
            if not continues(line):
                continue
            if not following.strip() or following.lstrip().startswith("#"):
                kind = "a comment" if following.strip() else "a blank line"
                message = f"the continued line is followed by {kind}, which ends the command"
                yield Found(script.path, number, message, "remove that line, or the backslash")


@rule("PS302")
def exit_code_lost(subject: Subject) -> Iterator[Found]:
    """The exit code of the training is lost."""
    script = subject.worker
    if script is None:
        return
    wanted = subject.meaning.of("checkpoint_exit_code").text
    code = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else None
    hidden = hides_exit_code(script, code)
    if hidden is not None:
        number, message = hidden
        severity = None if wanted else Severity.WARNING
        fix = 'end with: code=$?; ...; exit "$code"'
        yield Found(script.path, number, message, fix, severity=severity)


@rule("PS304", Severity.WARNING)
def relies_on_home(subject: Subject) -> Iterator[Found]:
    """The script relies on HOME."""
    here = subject.universe in ("local", "scheduler")
    if here or "HOME=" in subject.meaning.of("environment").text or _passes_home(subject):
        return
    for script in subject.scripts:
        for number, line in script.code:
            if _SETS_HOME.search(line):
                break
            if _ECHO.match(line):
                continue  # it only says it
            bare = re.split(r"\s#", re.sub(r"'[^']*'", "", line))[0]
            if "~" in bare:  # in double quotes a tilde is only a tilde
                bare = re.sub(r'"[^"$]*"', '""', bare)
            if _HOME.search(bare):
                message = "this line uses HOME, which a worker may lack, or not as the job's own"
                fix = "set it first: export HOME=$_CONDOR_SCRATCH_DIR"
                yield Found(script.path, number, message, fix)

    sets = any(_SETS_HOME.search(line) for script in subject.scripts for _, line in script.code)
    codes = [(path, code) for path, code in codes_of(subject) if isinstance(code, Code)]
    sets = sets or any(matches(_PYTHON_SETS, code) for _, code in codes)
    for path, code in () if sets else codes:
        for number, _, matched in matches(_PYTHON_HOME, code)[:1]:
            message = f"{matched[1]} is not your home on a worker, which has nothing of yours"
            fix = "transfer the file, and name it as it arrives"
            yield Found(path, number, message, fix, about=matched[1])


def _passes_home(subject: Subject) -> bool:
    """Whether the description gives the job the HOME of the access point."""
    words = re.split(r"[,\s]+", subject.meaning.of("getenv").text.lower())
    if any(word.startswith("!") and fnmatch("home", word[1:]) for word in words):
        return False
    return words[0] in ("true", "1", "yes", "t") or any(fnmatch("home", w) for w in words if w)


_STYLE = frozenset({2034, 2209})
"""What works all the same: a variable that nothing reads, and `name=env`, as guides have it."""


@rule("PS305", Severity.WARNING, late=True)
def shellcheck_says(subject: Subject) -> Iterator[Found]:
    """What shellcheck finds, from its level `warning` on."""
    for script in subject.scripts:
        notes = subject.notes.get(script.path, ())
        broken = {number for number, line in script.code if notes and _BROKEN.search(line)}
        for note in notes:
            if {note.line - 1, note.line} & broken:
                continue  # PS301 says it
            severity = Severity.NOTE if note.code in _STYLE else None
            severity = Severity.ERROR if note.refused else severity
            page = f"https://www.shellcheck.net/wiki/SC{note.code}"
            message = f"SC{note.code}: {note.message}"
            yield Found(script.path, note.line, message, page, severity=severity)


_REMOVES_ALL = re.compile(r"rm\s+(?=-\w*[rR]|-f\s+-[rR])(?:-[rRf]+\s+)+(?:\./)?\*\s*;?\s*$")
_ENDS = re.compile(r"(?:exit(?:\s+\S+)?|date|true|:|echo\b[^>|`&;]*)\s*$")
_ELSEWHERE = re.compile(r"\b(?:cd|pushd|exit|exec|trap|return)\b|\{\s*$|^\s*[({]")
"""What may let the script be in another folder, or not come to its end."""


def removed_in_the_end(subject: Subject) -> Iterator[Found]:
    """Yield that the last that the worker script does is to remove its outputs."""
    script, outputs = subject.worker, subject.meaning.items("transfer_output_files")
    lost = next((o for o in outputs if o[:1] not in ("", ".", "/") and not is_url(o)), "")
    lines = list(joined(script)) if script and lost and subject.transfers else []
    while lines and _ENDS.match(lines[-1][1]):
        lines.pop()
    number, last = lines.pop() if lines else (0, "")
    sure = _REMOVES_ALL.match(last) and not any(_ELSEWHERE.search(line) for _, line in lines)
    if script and sure:
        message = f"this removes {lost}, which is to come back: the job is held"
        fix = "leave it out: HTCondor removes the job's folder itself"
        yield Found(script.path, number, message, fix, about=last.strip())
