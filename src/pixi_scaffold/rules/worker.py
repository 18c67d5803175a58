"""Rules on the scripts that run on the worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import zip_longest

from pixi_scaffold.rules.exit_code import continues, hides_exit_code, joined
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule
from pixi_scaffold.rules.programs import Code, codes_of, matches
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.trouble import trouble

_DOWNLOAD = r"(?:curl|wget)\b[^|;&]*"
_SHELL = (
    r"(?:sudo\s+(?:-\w+\s+)*)?(?:/(?:usr/)?bin/)?(?:env\s+)?(?:\w+=\S*\s+)*(?:/(?:usr/)?bin/)?"
    r"(?:(?:ba|z|da|k)?sh|python[0-9.]*(?!\s+-[cm]))\b"
)
_FILTERS = r"(?:(?:tr|tee|sed|cat|gunzip|zcat|base64)\b[^|;&]*\|\s*)*"
_PIPED = re.compile(
    rf"{_DOWNLOAD}\|\s*{_FILTERS}{_SHELL}|{_SHELL}\s+<\(\s*{_DOWNLOAD}|{_SHELL}\s+-c\s+[\"']?\$\(\s*{_DOWNLOAD}"
    rf"|(?:source|\.)\s+<\(\s*{_DOWNLOAD}|eval\s+[\"']?\$\(\s*{_DOWNLOAD}"
)
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
_PIXI_SOLVES = re.compile(
    r"\s*(?:(?:if|then|do|exec|time|!)\s+)*[\"']?[\w./${}-]*pixi[\"'}]*\s+(?:install|run|shell-hook)\b"
)


@rule("PS301", Severity.WARNING)
def broken_continuation(subject: Subject) -> Iterator[Found]:
    """A line continuation that is broken."""
    for script in subject.scripts:
        for number, line in script.code:
            if matched := re.search(r"\\[ \t]+$", line):
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


@rule("PS303", Severity.WARNING)
def download_into_shell(subject: Subject) -> Iterator[Found]:
    """A download is piped into a shell."""
    for script in subject.scripts:
        commands = joined(script)
        for (number, line), (_, following) in zip_longest(
            commands, commands[1:], fillvalue=(0, "")
        ):
            if _PIPED.search(f"{line} {following}" if line.rstrip().endswith("|") else line):
                message = "this runs whatever the server sends, unchecked"
                yield Found(script.path, number, message, "download, compare the sha256, then run")


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


@rule("PS305", Severity.WARNING)
def shellcheck_says(subject: Subject) -> Iterator[Found]:
    """What shellcheck finds, from its level `warning` on."""
    for script in subject.scripts:
        broken = {number for number, line in script.code if re.search(r"\\[ \t]+$", line)}
        for note in subject.notes.get(script.path, ()):
            if {note.line - 1, note.line} & broken:
                continue  # PS301 says it
            severity = Severity.ERROR if note.refused else None
            page = f"https://www.shellcheck.net/wiki/SC{note.code}"
            message = f"SC{note.code}: {note.message}"
            yield Found(script.path, note.line, message, page, severity=severity)


@rule("PS306", Severity.WARNING)
def solves_on_the_worker(subject: Subject) -> Iterator[Found]:
    """Pixi may solve again on the worker."""
    for script in subject.scripts:
        frozen = any("PIXI_FROZEN" in line or "PIXI_LOCKED" in line for _, line in script.code)
        for number, line in joined(script):
            for part in re.split(r"&&|\|\||[;|]", line):
                asks = _PIXI_SOLVES.match(part) and not re.search(r"--(?:frozen|locked)\b", part)
                if asks and not frozen:
                    message = "pixi may change the locked versions on the worker"
                    yield Found(script.path, number, message, "add: --frozen")


_ACTIVATES = re.compile(r"^\s*(?:(?:conda|mamba|micromamba)\s+activate|source\s+activate)\b")
_HOOK = re.compile(
    r"conda\.sh|shell\.bash\s+hook|shell\s+hook|shell\.posix\s+hook|conda\s+init|\.bashrc|bash_profile"
    r"|(?:source|\.)\s+(?!activate\s)\S*(?:profile|activate|setup|env)\w*|module\s+load|^#!.*\s-\w*[il]"
)
_LOADS = re.compile(r"^\s*module\s+(?:load|add)\b")
_MODULES = re.compile(
    r"(?:source|\.)\s+\S*(?:modules|lmod|profile|bashrc|setup|init/)|^#!.*\s-\w*[il]"
)


@rule("PS308", Severity.WARNING)
def activates_without_hook(subject: Subject) -> Iterator[Found]:
    """`conda activate` or `module load` in a script that does not set them up."""
    needs = [
        (_ACTIVATES, _HOOK, '. CONDA/etc/profile.d/conda.sh, or eval "$(conda shell.bash hook)"')
    ]
    if not subject.meaning.getenv.text:  # which may bring the function along
        needs.append((_LOADS, _MODULES, ". /etc/profile.d/modules.sh, or #!/bin/bash -l"))
    for script in subject.scripts:
        for uses, sets_up, fix in needs:
            for number, line in ((1, script.lines[0]), *script.code):
                if sets_up.search(line):
                    break
                if matched := uses.match(line):
                    message = f"{matched[0].strip()} needs what this script does not set up"
                    yield Found(script.path, number, message, f"first: {fix}", about=line.strip())
                    break


_OF_ONE_MACHINE = re.compile(r"(?<![\w$/.:~-])/(?:home|Users)/[\w.-]+(?:/[\w./-]*)?")
_SHARED = re.compile(
    r"(?<![\w$/.:~-])/(?:afs|eos|nfs|lustre|gpfs|ceph|beegfs|scratch|project|projects|work|data|mnt|staging"
    r"|groups?|pnfs|hdfs)\d*/[\w.-]+(?:/[\w./-]*)?"
)
_MOVES = re.compile(r"\b(?:cd|pushd)\s")
_ABOVE = re.compile(r"(?<![\w./$}-])\.\./[\w./-]+")
_FOLDERS = (
    (_OF_ONE_MACHINE, None, "lies in a home, which a worker does not have"),
    (_ABOVE, None, "lies above the job's folder, where a worker has nothing of yours"),
    (_SHARED, Severity.NOTE, "is there only on workers that mount that disk"),
)


@rule("PS311", Severity.WARNING)
def path_of_this_machine(subject: Subject) -> Iterator[Found]:
    """A path of this machine, in what runs on the worker."""
    if not subject.surely_transfers:
        return  # they may share a disk
    fix = "transfer it, and name it as it arrives"
    for command, text in subject.said("arguments", "environment"):
        for pattern, severity, why in _FOLDERS:
            if matched := pattern.search(text):
                yield at(command, f"{matched[0]} {why}", fix, (), severity, matched[0])
    for path, code in codes_of(subject):
        for pattern, severity, why in _FOLDERS:
            moves = pattern is _ABOVE and (path.suffix == ".py" or matches(_MOVES, code))
            for number, _, matched in () if moves else matches(pattern, code)[:1]:
                message = f"{matched[0]} {why}"
                yield Found(path, number, message, fix, severity=severity, about=matched[0])
    yield from trouble(subject, "PS311")
