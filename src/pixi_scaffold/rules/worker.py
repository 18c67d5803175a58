"""Rules on the scripts that run on the worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import zip_longest

from pixi_scaffold.rules.exit_code import continues, hides_exit_code, joined
from pixi_scaffold.rules.finding import Edit, Found, Severity, rule
from pixi_scaffold.rules.subject import Subject, read_bytes
from pixi_scaffold.rules.sure import transfers_for_sure

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
_ECHO = re.compile(r"\s*(?:echo|printf)\b[^|>;&]*$")
_PIXI_SOLVES = re.compile(
    r"\s*(?:(?:if|then|do|exec|time|!)\s+)*[\"']?[\w./${}-]*pixi[\"'}]*\s+(?:install|run|shell-hook)\b"
)


@rule("PS301", Severity.WARNING)
def broken_continuation(subject: Subject) -> Iterator[Found]:
    """A line continuation that is broken.

    Why: a backslash continues a line only as its very last character. With a space behind it, or a
    comment below it, the command ends there and its remaining arguments run as a command of their
    own: exit code 127. In a published example this hid exit code 85, so that no checkpoint was
    ever taken.
    Fix: remove what stands behind the backslash, and comments between continued lines.
    Source: the shell's grammar, POSIX 2.2.1.
    Seen: bash 5.2 and dash 0.5.12.
    """
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
    """The exit code of the training is lost.

    Why: HTCondor sees the exit code of the script. When a pipe, `|| true` or a later command hides
    that of the training, a failure looks like success, and the checkpoint exit code is never seen.
    Fix: let the training be the last command, or keep its code: `code=$?` ... `exit "$code"`; `set
    -o pipefail` for a pipe.
    Source: POSIX 2.8.2; the HTCondor manual on self-checkpointing.
    Seen: HTCondor 23.9.6 and 25.14.1, on a pool.
    """
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
    """A download is piped into a shell.

    Why: what runs on the worker is then whatever the server gives on that day, unpinned and
    unchecked; half a download runs half a script.
    Fix: download a pinned version to a file, compare its sha256, then run it.
    Source: real examples of HTCondor jobs with Pixi.
    Seen: in published jobs; no version of HTCondor matters.
    """
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
    """The script relies on HOME.

    Why: HOME can be unset on a worker, or be a folder that the job must not write to; `.
    ~/.bashrc` then fails, or sets up another machine's world.
    Fix: `export HOME=$_CONDOR_SCRATCH_DIR` first, or name the folder.
    Source: the HTCondor manual, environment of a job.
    Seen: HTCondor 23.9.6 and 25.14.1, on a pool: HOME is empty without getenv.
    """
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
                message = (
                    "this line uses HOME, which a worker may not have, or not as the job's own"
                )
                yield Found(
                    script.path, number, message, "set it first: export HOME=$_CONDOR_SCRATCH_DIR"
                )


def _passes_home(subject: Subject) -> bool:
    """Whether the description gives the job the HOME of the access point."""
    words = re.split(r"[,\s]+", subject.meaning.of("getenv").text.lower())
    if any(word.startswith("!") and fnmatch("home", word[1:]) for word in words):
        return False
    return words[0] in ("true", "1", "yes", "t") or any(fnmatch("home", w) for w in words if w)


@rule("PS305", Severity.WARNING)
def shellcheck_says(subject: Subject) -> Iterator[Found]:
    """What shellcheck finds, from its level `warning` on.

    Why: shellcheck knows the traps of the shell: unquoted variables, tests that are always true. It
    is an error only where the shell itself (`bash -n`) cannot read the script.
    Fix: its page of the code says how; `# shellcheck disable=SC...` above the line silences it.
    Source: https://www.shellcheck.net/wiki/
    Seen: shellcheck 0.11, bash 5.2.
    """
    for script in subject.scripts:
        broken = {number for number, line in script.code if re.search(r"\\[ \t]+$", line)}
        for note in subject.notes.get(script.path, ()):
            if {note.line - 1, note.line} & broken:
                continue  # PS301 says it
            severity = Severity.ERROR if note.refused else None
            page = f"https://www.shellcheck.net/wiki/SC{note.code}"
            yield Found(
                script.path, note.line, f"SC{note.code}: {note.message}", page, severity=severity
            )


@rule("PS306", Severity.WARNING)
def solves_on_the_worker(subject: Subject) -> Iterator[Found]:
    """Pixi may solve again on the worker.

    Why: without --frozen or --locked Pixi compares lock and manifest, and may lock again: two jobs
    of one submission can then run with different packages.
    Fix: `pixi install --frozen`, `pixi run --frozen`.
    Source: the Pixi manual, pixi install.
    Seen: Pixi 0.77.
    """
    for script in subject.scripts:
        frozen = any("PIXI_FROZEN" in line or "PIXI_LOCKED" in line for _, line in script.code)
        for number, line in joined(script):
            for part in re.split(r"&&|\|\||[;|]", line):
                asks = _PIXI_SOLVES.match(part) and not re.search(r"--(?:frozen|locked)\b", part)
                if asks and not frozen:
                    yield Found(
                        script.path,
                        number,
                        "pixi may change the locked versions on the worker",
                        "add: --frozen",
                    )


@rule("PS307", Severity.WARNING)
def pretends_a_driver(subject: Subject) -> Iterator[Found]:
    """The script pretends that the worker has a GPU driver.

    Why: CONDA_OVERRIDE_CUDA is for machines without a driver. On a worker it installs the CUDA
    environment where it cannot run.
    Fix: remove it; ask for the GPU with request_gpus.
    Source: the Pixi manual, virtual packages.
    Seen: Pixi 0.77.
    """
    for script in subject.scripts:
        for number, line in script.code:
            if re.search(r"\bCONDA_OVERRIDE_CUDA=", line):
                message = "CONDA_OVERRIDE_CUDA on a worker"
                yield Found(script.path, number, message, "remove it")
    for name in ("environment", "environment2"):
        command = subject.job.command(name)
        if command is not None and "CONDA_OVERRIDE_CUDA" in command.value:
            yield Found(command.file, command.line, "CONDA_OVERRIDE_CUDA on a worker", "remove it")


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
    """`conda activate` or `module load` in a script that does not set them up.

    Why: both are shell functions that a login shell defines for people. A script on a worker has
    none: "conda: command not found", "Run 'conda init' before 'conda activate'", "module: command
    not found".
    Fix: `. CONDA/etc/profile.d/conda.sh` first, or `eval "$(conda shell.bash hook)"`; for modules
    `. /etc/profile.d/modules.sh`, or `#!/bin/bash -l`.
    Source: conda/conda issue 8536; the manual of Environment Modules.
    Seen: conda 24 and 25, Environment Modules 5; no version of HTCondor matters.
    """
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


@rule("PS311", Severity.WARNING)
def path_of_a_home(subject: Subject) -> Iterator[Found]:
    """A path in somebody's home, in what runs on the worker.

    Why: files travel because the worker does not see the access point's disk: there is no
    /home/NAME there, nor the environment or the data in it.
    Fix: transfer it, and name it as it arrives.
    Source: the HTCondor manual, file transfer.
    Seen: HTCondor 25.14.1, on a pool.
    """
    if not transfers_for_sure(subject):
        return  # they may share a disk
    texts = [(s.path, s.code) for s in subject.scripts]
    for path in (*subject.input_files, *filter(None, (subject.executable,))):
        if path.suffix == ".py" and path.is_file():
            lines = (read_bytes(path) or b"").decode("utf-8", errors="replace").splitlines()
            texts.append((path, tuple(enumerate(lines, start=1))))
    for path, code in texts:
        for number, line in code:
            if matched := _OF_ONE_MACHINE.search(line.split(" #")[0]):
                message = f"{matched[0]} lies in a home, which a worker does not have"
                fix = "transfer it, and name it as it arrives"
                yield Found(path, number, message, fix, about=matched[0])
                break


@rule("PS312", Severity.WARNING)
def needs_root(subject: Subject) -> Iterator[Found]:
    """The script needs to be root.

    Why: jobs run as an ordinary user, in containers too: apt-get, yum and sudo are refused.
    Fix: put it into the container image, or into the environment that travels.
    Source: the HTCondor manual, user accounts of jobs.
    Seen: not tried on a pool of HTCondor 23.9 or 25.14; read in the manual.
    """
    for script in subject.scripts:
        for number, line in script.code:
            if matched := re.match(
                r"\s*(sudo\b|(?:apt|apt-get|yum|dnf|apk)\s+(?:-\S+\s+)*install\b)", line
            ):
                message = f"{matched[1]} works only as root, which a job is not"
                yield Found(
                    script.path, number, message, "put it into the image or the environment"
                )
                break
