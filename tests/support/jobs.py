"""Small jobs about which a rehearsal and a real pool must agree, and what each of them says."""

from __future__ import annotations

import glob
import pickle
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.pool import T4, Pool, condor_prefix
from tests.support.share import shared

PROBE = r"""
echo "arguments $#"; for word in "$@"; do printf '<%s>\n' "$word"; done
echo "cwd $([ "$PWD" = "$_CONDOR_SCRATCH_DIR" ] && echo scratch || echo "$PWD"), called $0"
env | sed -n 's/^\([A-Za-z_][A-Za-z_0-9]*\)=.*/name \1/p' | sort
for name in HOME TMPDIR OMP_NUM_THREADS MKL_NUM_THREADS BATCH_SYSTEM _CONDOR_SLOT A B C D EMPTY S FOO
do printf '%s=%s\n' "$name" "${!name-unset}"; done | sed 's/slot1_.*/slot1_N/'
[ "$CUDA_VISIBLE_DEVICES" = 10000 ] && echo "no GPU" || echo "a GPU"
find . -printf 'file %y %m %P\n' | sort
echo "stdin: $(cat)"
echo "umask $(umask), core $(ulimit -c)"
grep -E '^(Arguments|Environment|RequestCpus|RequestMemory|RequestDisk|ProcId|JobStatus|Out|Err|In|Mine|JobUniverse|WhenToTransferOutput|TransferOutput|NumJobStarts|NumShadowStarts|JobRunCount) ' "$_CONDOR_JOB_AD"
grep -E '^(Cpus|Memory|Disk|GPUs|SlotType|State|MyType) ' "$_CONDOR_MACHINE_AD"
"""
AGAIN = 'if ! grep -q "^NumJobStarts = 0" .job.ad; then {}; fi\n'
SECOND = "grep -q '^NumJobStarts = 0' .job.ad && exit 3; exit 0"
WAIT = "touch ready; for i in $(seq 600); do sleep 0.1; done"
NESTED = (
    "mkdir r; perl -e 'chdir q(r); for(1..{}) {{mkdir q(d); chdir q(d) or die}}; open F, q(>x)'"
)
LONG = "for i in $(seq 300); do sleep 0.1; done"
LS = "ls -A | grep -v condor_std\n"


@dataclass(frozen=True)
class Case:
    """A job: lines of its description, its script, files beside it ('->x' is a symbolic link).

    evict: how, once the job made a file `ready`. debris: the pool leaves an empty file where a
    transfer failed; the files are then not compared.
    """

    name: str
    lines: str = ""
    script: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    evict: str = ""
    debris: bool = False
    mode: int = 0o755
    modes: Mapping[str, int] = field(default_factory=dict)

    def lay_out(self, folder: Path) -> Path:
        """Write the job's folder; return its description."""
        folder.mkdir(parents=True)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("->"):
                path.symlink_to(text[2:])
            else:
                path.write_text(text)
        for name, mode in self.modes.items():
            (folder / name).chmod(mode)
        settings = {
            "executable": "job.sh", "output": "o.out", "error": "o.err", "log": "o.log",
            "should_transfer_files": "YES", "when_to_transfer_output": "ON_EXIT",
            "request_memory": "64MB", "request_disk": "50MB",
        }  # fmt: skip
        given = {line.partition("=")[0].strip() for line in self.lines.splitlines()}
        if self.script:
            first = "" if self.script.startswith("#!") else "#!/bin/bash\n"
            (folder / "job.sh").write_text(first + self.script + "\n")
            (folder / "job.sh").chmod(self.mode)
        text = "".join(f"{k} = {v}\n" for k, v in settings.items() if k not in given)
        path = folder / "job.sub"
        path.write_text(f"folder = {folder}\n{text}{self.lines}\nqueue\n")
        return path


def outputs(names: str, more: str = "") -> str:
    return f"transfer_output_files = {names}\n{more}"


CHECKPOINT = "checkpoint_exit_code = 85\n"
OR_EVICT = "when_to_transfer_output = ON_EXIT_OR_EVICT\n"

CASES = [
    Case("the probe", "transfer_input_files = a.txt", PROBE, {"a.txt": "a\n", "b.txt": "b\n"}),
    Case("exit code 3", "", "echo out; echo err >&2; exit 3"),
    Case("a signal", "", "echo hi; kill -SEGV $$"),
    Case("missing input", "transfer_input_files = nope.txt", "echo hi"),
    Case("missing output", outputs("there, nope"), "echo hi > there; exit 4"),
    Case("missing output and a signal", outputs("nope"), "kill -9 $$"),
    Case("no output named", "transfer_input_files = a.txt, d, same",
         "echo x > new; mkdir sub; echo y > sub/y; sleep 1.1; echo more >> a.txt; echo z > d/z; touch empty; "
         "ln -s new link; ln -s sub linkdir; echo .h > .hidden",
         {"a.txt": "a\n", "d/e": "e\n", "same": "x"}),
    Case("output folders", outputs("sub, deep/er/f.txt, sl/, top.txt"),
         "mkdir -p sub/in deep/er sl/k; echo 1 > sub/in/a; ln -s a sub/in/ln; ln -s nope sub/dangling; "
         "echo 2 > deep/er/f.txt; echo 3 > sl/k/b; echo 5 > sl/c; echo 4 > top.txt; mkfifo sub/pipe"),
    Case("an output folder with a link to a folder", outputs("sub"),
         "mkdir -p sub/in; ln -s in sub/link; echo 1 > sub/f", debris=True),
    Case("outputs are no patterns", outputs("*.txt"), "touch a.txt b.txt"),
    Case("no output at all", outputs('""'), "echo 1 > new"),
    Case("remaps", outputs("a, b, sub, deep/c", 'transfer_output_remaps = "a = out/a2; b=b2;sub=sub2;deep/c=no"'),
         "mkdir -p sub deep; echo 1 > a; echo 2 > b; echo 3 > sub/s; echo 4 > deep/c", {"out/keep": ""}),
    Case("remaps inside and in a chain", outputs("sub, a", 'transfer_output_remaps = "sub/s=s2;a=b;b=new folder/c d"'),
         "mkdir -p sub; echo 3 > sub/s; echo 4 > sub/t; echo 1 > a"),
    Case("an absolute remap into a new folder", outputs("a", 'transfer_output_remaps = "a=$(folder)/new/at/all"'),
         "echo 1 > a"),
    Case("input folders", "transfer_input_files = d, e/, f/g, h/i.txt, j/k/", PROBE,
         {"d/1": "", "d/x/2": "", "e/3": "", "e/y/4": "", "f/g/5": "", "h/i.txt": "", "j/k/6": ""}),
    Case("relative paths", outputs("p/q/r", "preserve_relative_paths = true\ntransfer_input_files = f/g, h/i.txt, e/"),
         PROBE + "mkdir -p p/q; echo 1 > p/q/r", {"f/g/5": "", "h/i.txt": "", "e/3": ""}),
    Case("spaces in names", outputs("o p.txt", "transfer_input_files = a b.txt, c d"),
         LS + "cat 'a b.txt' 'c d/e f'; echo 1 > 'o p.txt'", {"a b.txt": "ab", "c d/e f": "ef"}),
    Case("two inputs of one name", "transfer_input_files = d1/a, d2/a", "cat a", {"d1/a": "1", "d2/a": "2"}),
    Case("absolute inputs", "transfer_input_files = $(folder)/abs.txt, /etc/hostname", LS, {"abs.txt": "x"}),
    Case("links among inputs", "transfer_input_files = lf, dd, ld/",
         "find . -printf '%y %P\\n' | grep -v condor_std | sort",
         {"t": "t\n", "td/u": "u\n", "lf": "->t", "ld": "->td", "dd/x": "x", "dd/lf": "->../t", "dd/no": "->nope"}),
    Case("a link to a folder", "transfer_input_files = ld", LS, {"td/u": "u\n", "ld": "->td"}),
    Case("a link to a folder inside", "transfer_input_files = dd", LS, {"td/u": "u\n", "dd/ld": "->../td"}),
    Case("a link to nothing", "transfer_input_files = lf", LS, {"lf": "->nope"}),
    Case("arguments, new syntax", """arguments = "one 'two three' ""four"" 'it''s' -x=$(Process) ''" """, PROBE),
    Case("arguments, old syntax", r"arguments = one two\"three 'four five' -p$(Process)", PROBE),
    Case("environment, new syntax",
         """environment = "A=1 B='two words' C=""q"" D='it''s' TMPDIR=/elsewhere OMP_NUM_THREADS=7 EMPTY=" """, PROBE),
    Case("environment, old syntax", "environment = A=1;B=two words;C='x'", PROBE),
    Case("environment, the scratch folder",
         'environment = "S=$$(CondorScratchDir)/x A=$_CONDOR_SCRATCH_DIR"', PROBE),
    Case("environment from here", 'getenv = FOO*\nenvironment = "A=1"', PROBE),
    Case("environment of the submitter", "environment = A=$ENV(FOO)", PROBE),
    Case("executable that is there already",
         "executable = /bin/sh\narguments = \"-c 'echo $0; ls -A; exit 5'\"\ntransfer_executable = false"),
    Case("executable in a folder", "executable = bin/run.sh", files={"bin/run.sh": "#!/bin/sh\nbasename $0; ls\n"}),
    Case("executable without x", "", "echo ran", mode=0o644),
    Case("executable without a first line", "executable = e", files={"e": "echo hi\n"}),
    Case("executable with a wrong first line", "", "#!/nope/python\nprint()"),
    Case("executable is a folder", "executable = d", files={"d/x": ""}),
    Case("initialdir", outputs("res", "initialdir = run1\ntransfer_input_files = in.txt"), LS + "echo r > res",
         {"run1/in.txt": "i"}),
    Case("stdin", "input = in.txt", PROBE, {"in.txt": "from stdin\n"}),
    Case("stdin missing", "input = nope", "cat"),
    Case("stdin that keeps its folder", "input = f/g\npreserve_relative_paths = true", "cat", {"f/g": "g\n"}),
    Case("common input and a macro of the machine", 'transfer_common_input = i\n+X = "$$(Memory)"', "cat i", {"i": ""}),
    Case("common input and a macro with a default", 'transfer_common_input = i\n+X = "$$(Nope:3)"', "cat i", {"i": ""}),
    Case("common input that comes again", "transfer_common_input = i\ntransfer_input_files = f/i", "cat i",
         {"i": "", "f/i": ""}),
    Case("common input that is the executable", "transfer_common_input = job.sh", "true"),
    Case("common input keeps no folder", "transfer_common_input = f/g, f/e\npreserve_relative_paths = true", LS,
         {"f/g": "", "f/e/x": ""}),
    Case("output in a folder that is not there", "output = no/dir/$(Process).out", "echo hi"),
    Case("output is a folder", "output = d", "echo hi", {"d/x": ""}),
    Case("stdout and stderr in one", "error = o.out", "echo 1; echo 2 >&2; echo 3"),
    Case("no stdout", "output =\nerror =", "ls -A; echo 1 > new"),
    Case("a daemon is left behind", outputs("f"),
         "(setsid bash -c 'trap \"\" TERM HUP; sleep 30 && echo late >> f; sleep 100' >/dev/null 2>&1 &); echo 1 > f"),
    Case("three checkpoints", outputs("c, done", CHECKPOINT + "transfer_checkpoint_files = c"),
         "n=$(cat c 2>/dev/null || echo 0); n=$((n+1)); echo $n > c; echo run $n\n" + LS +
         "touch f$n; [ $n -ge 3 ] || exit 85; echo d > done"),
    Case("checkpoints of the outputs", outputs("c", CHECKPOINT),
         "n=$(cat c 2>/dev/null || echo 0); n=$((n+1)); echo $n > c; echo run $n; [ $n -ge 3 ] || exit 85"),
    Case("a checkpoint that misses a file", CHECKPOINT + "transfer_checkpoint_files = c, nope", "echo 1 > c; exit 85"),
    Case("85 without checkpoint_exit_code", "", "exit 85"),
    Case("failure by success_exit_code", outputs("a", "success_exit_code = 0\nmax_retries = 0\n"
         "when_to_transfer_output = ON_SUCCESS"), "echo 1; echo 2 > a; exit 3"),
    Case("evicted, ON_EXIT", outputs("c"),
         LS + AGAIN.format("echo c > c; exit 0") + 'trap "echo term >> c; exit 9" TERM; echo first > c; ' + WAIT,
         evict="vacate"),
    Case("evicted, ON_EXIT_OR_EVICT", outputs("c", OR_EVICT),
         LS + AGAIN.format("cat c; exit 0") + 'trap "echo term >> c; exit 9" TERM; echo first > c; touch other; ' + WAIT,
         evict="vacate"),
    Case("evicted, exits with 0", outputs("c", OR_EVICT),
         AGAIN.format("cat c; exit 6") + 'trap "echo term >> c; exit 0" TERM; echo first > c; ' + WAIT, evict="vacate"),
    Case("evicted, nested output", outputs("deep/c", OR_EVICT),
         LS + AGAIN.format("mkdir -p deep; echo 2 > deep/c; exit 0") + 'trap "exit 9" TERM; mkdir deep; echo 1 > deep/c; ' + WAIT,
         evict="vacate"),
    Case("evicted, an output is missing", outputs("c, nope", OR_EVICT),
         LS + AGAIN.format("exit 0") + 'trap "exit 85" TERM; echo first > c; ' + WAIT, evict="vacate"),
    Case("evicted, no output named", OR_EVICT + "transfer_input_files = i",
         LS + AGAIN.format("cat c i; exit 0") + 'trap "exit 1" TERM; echo first > c; mkdir sub; touch sub/s; echo more >> i; ' + WAIT,
         {"i": "in\n"}, evict="vacate"),
    Case("evicted, does not go", outputs("c", OR_EVICT + "job_max_vacate_time = 2"),
         LS + AGAIN.format("echo x > c; exit 0") + 'trap "echo term >> c" TERM; echo first > c; ' + WAIT, evict="vacate"),
    Case("evicted with SIGUSR1", outputs("c", OR_EVICT + "kill_sig = SIGUSR1"),
         AGAIN.format("cat c; exit 0") + 'trap "echo usr1 >> c; exit 0" USR1; echo first > c; ' + WAIT, evict="vacate"),
    Case("evicted, stdout goes on", outputs("c", OR_EVICT + "erase_output_and_error_on_restart = false"),
         "echo hello\n" + AGAIN.format("exit 0") + 'trap "exit 1" TERM; touch c; ' + WAIT, evict="vacate"),
    Case("evicted after a checkpoint", outputs("c", OR_EVICT + CHECKPOINT + "transfer_checkpoint_files = c, e"),
         LS + 'echo start $(cat c)\ntrap "echo term >> c; exit 9" TERM\ncase "$(cat c)" in '
         '"") echo one > c; echo e1 > e; exit 85;; '
         "one) echo two > c; echo e2 > e; touch other; " + WAIT + ";; *) cat e;; esac", evict="vacate"),
    Case("evicted hard after a checkpoint", outputs("c", OR_EVICT + CHECKPOINT + "transfer_checkpoint_files = c"),
         LS + 'echo start $(cat c)\ntrap "echo term >> c; exit 9" TERM\n' + AGAIN.format("echo again >> c; exit 0") +
         '[ -e c ] || { echo one > c; exit 85; }; echo two > c; ' + WAIT, evict="vacate -fast"),
    Case("evicted after a checkpoint, ON_EXIT", outputs("c", CHECKPOINT + "transfer_checkpoint_files = c"),
         LS + 'echo start $(cat c)\ntrap "echo term >> c; exit 85" TERM\n' + AGAIN.format("echo again >> c; exit 0") +
         '[ -e c ] || { echo one > c; exit 85; }; echo two > c; ' + WAIT, evict="vacate"),
    Case("evicted hard, nested checkpoint", outputs("deep/c", OR_EVICT + CHECKPOINT + "transfer_checkpoint_files = deep/c"),
         LS + AGAIN.format("mkdir -p deep; echo 2 > deep/c; exit 0") +
         '[ -e deep ] || { mkdir deep; echo 1 > deep/c; exit 85; }; ' + WAIT, evict="vacate -fast"),
    Case("evicted, a kept folder is replaced", outputs("r", OR_EVICT + CHECKPOINT + "transfer_checkpoint_files = r"),
         'find . -type f | grep -v condor | sort; trap "exit 0" TERM; [ -e r ] || { mkdir r; touch r/old; exit 85; }\n' +
         AGAIN.format("exit 0") + "rm r/old; touch r/new; " + WAIT, evict="vacate"),
    Case("a remap into a folder", outputs("f", 'transfer_output_remaps = "f=res/"'), "echo 1 > f", {"res/keep": ""}),
    Case("a remap into a new folder", outputs("f", 'transfer_output_remaps = "f=new/"'), "echo 1 > f"),
    Case("a remap onto a folder", outputs("f", 'transfer_output_remaps = "f=res"'), "echo 1 > f", {"res/keep": ""}),
    Case("an output onto a folder", outputs("res"), "echo 1 > res", {"res/keep": ""}),
    Case("a folder onto a file", outputs("d", 'transfer_output_remaps = "d=res"'), "mkdir d; echo 1 > d/x",
         {"res": "file"}),
    Case("a remap below a file", outputs("f", 'transfer_output_remaps = "f=res/x"'), "echo 1 > f", {"res": "file"}),
    Case("an output folder that cannot be written", outputs("d"), "mkdir d; echo 1 > d/x; chmod 555 d"),
    Case("an empty one of that kind", outputs("d, e"), "mkdir d e; chmod 555 d; echo 1 > e/y"),
    Case("an output folder that cannot be read", outputs("d"), "mkdir d; echo 1 > d/x; chmod 333 d"),
    Case("an output that cannot be read", outputs("f"), "echo 1 > f; chmod 000 f", debris=True),
    Case("an output inside that cannot be read", outputs("d"), "mkdir d; echo 1 > d/x; chmod 000 d/x", debris=True),
    Case("an input folder that cannot be written", "transfer_input_files = d", "ls", {"d/x": "1"}, modes={"d": 0o555}),
    Case("an input that cannot be read", "transfer_input_files = u", "ls", {"u": "1"}, modes={"u": 0}),
    Case("modes of folders", "transfer_input_files = d, e/", "find . -type d -printf '%m %P\n' | sort",
         {"d/x": "1", "e/f/y": "2"}, modes={"d": 0o710, "e/f": 0o750}),
    Case("an executable beside one in initialdir", "initialdir = run", "echo top", {"run/job.sh": "#!/bin/sh\necho in\n"}),
    Case("success is another code", outputs("a", "success_exit_code = 3\nmax_retries = 1"), "echo 2 > a; exit 3"),
    Case("too long a run", "allowed_execute_duration = 2", "trap 'exit 9' TERM; for i in $(seq 300); do sleep 0.1; done"),
    Case("too long a job", "allowed_job_duration = 2", "trap 'exit 9' TERM; for i in $(seq 300); do sleep 0.1; done"),
    Case("too long a run that does not go", "allowed_execute_duration = 2\njob_max_vacate_time = 1",
         "trap 'echo t' TERM; for i in $(seq 300); do sleep 0.1; done"),
    Case("a shell command", "executable =\nshell = echo \"a 'b'\" $# $0; grep -E '^(Arguments|Cmd) ' .job.ad; exit 4"),
    Case("numbers with formats",
         "n = 12\narguments = $INT(Process,%03d) $INT(1.7) $REAL(0.5) $REAL(1.5,%.2f) $INT(n) $INT(2*3)", 'echo "$@"'),
    Case("output_destination is a plain path",
         outputs("f", 'output_destination = $(folder)/dest/\ntransfer_output_remaps = "f=g"'), "echo 1 > f; echo hi",
         {"dest/keep": ""}),
    Case("output_destination is a folder",
         outputs("f", 'output_destination = file://$(folder)/dest/\ntransfer_output_remaps = "f=g"'),
         "echo 1 > f; echo hi", {"dest/keep": ""}),
    Case("memory by arithmetic", "request_memory = 32 * 2", "grep -E '^RequestMemory ' .job.ad; grep -E '^Memory ' .machine.ad"),
    Case("a FIFO among the outputs", outputs("p, f"), "mkfifo p; echo 1 > f"),
    Case("a FIFO and no output named", "", "mkfifo p; echo 1 > f"),
    Case("an output folder of 129 names", outputs("r"), NESTED.format(127)),
    Case("an output folder of 130 names", outputs("r"), NESTED.format(128)),
    Case("an output folder of 300 names", outputs("r"), NESTED.format(300)),
    Case("300 folders and no output named", "", NESTED.format(300)),
    Case("an input folder of 130 names", "transfer_input_files = r", "ls", {"r/" + "d/" * 128 + "x": ""}),
    Case("a new link to nothing, named", outputs("l"), "ln -s /nowhere/x l"),
    Case("a new link to nothing, not named", "", "ln -s /nowhere/x l; echo 1 > f"),
    Case("a link where the log was", "", "rm -f _condor_stderr; ln -s /nowhere/x _condor_stderr; exit 7"),
    Case("the log is gone", "", "rm -f _condor_stderr; exit 7"),
    Case("a name that is no UTF-8", outputs("d"), "mkdir d; touch d/$'bad\\xff'; echo 1 > d/f"),
    Case("an output in /tmp", outputs("/tmp/rehearsed-output, f"), "echo 1 > f; echo 2 > /tmp/rehearsed-output"),
    Case("tried again to the end", "max_retries = 2", "echo x; exit 3"),
    Case("tried again with success", "max_retries = 2", "echo x; " + SECOND),
    Case("tried again until a code", "max_retries = 2\nretry_until = 3", "exit 3"),
    Case("tried again until it is true", "max_retries = 2\nretry_until = ExitCode == 3", "exit 3"),
    Case("tried again until something else", "max_retries = 1\nretry_until = ExitCode == 4", "exit 3"),
    Case("success is what it says, not tried again", "max_retries = 2\nsuccess_exit_code = 3", "exit 3"),
    Case("tried again by default", "success_exit_code = 3", "exit 1"),
    Case("tried again after a signal", "max_retries = 1", "kill -SEGV $$"),
    Case("outputs of both tries", outputs("a", "max_retries = 1"),
         "grep -q '^NumJobStarts = 0' .job.ad && { echo 1 > a; exit 3; }; ls; echo 2 > a"),
    Case("on_exit_remove", "on_exit_remove = ExitCode == 0", SECOND),
    Case("on_exit_remove and retries", "max_retries = 3\non_exit_remove = ExitCode == 3", "exit 3"),
    Case("on_exit_hold", 'on_exit_hold = ExitCode != 0\non_exit_hold_reason = "bad"\non_exit_hold_subcode = 42', "exit 3"),
    Case("on_exit_hold and retries", "max_retries = 3\non_exit_hold = ExitCode == 3", "exit 3"),
    Case("on_exit_hold and checkpoints", CHECKPOINT + "on_exit_hold = ExitCode != 0", "[ -e c ] && exit 0; touch c; exit 85"),
    Case("on_exit_hold and a missing output", outputs("nope", "on_exit_hold = ExitCode == 3"), "exit 3"),
    Case("on_exit_hold of a signal", "on_exit_hold = ExitBySignal && ExitSignal == 11", "kill -SEGV $$"),
    Case("on_exit_hold of an attribute that is not there", "on_exit_hold = Foo > 3", "exit 3"),
    Case("periodic_hold before it starts", "periodic_hold = true\nperiodic_hold_subcode = 4", "exit 3"),
    Case("periodic_hold", "periodic_hold = JobStatus == 2 && time() - EnteredCurrentStatus > 2", "echo hi; " + LONG),
    Case("periodic_hold by starts", "on_exit_remove = false\nperiodic_hold = NumJobStarts > 1",
         'grep -q "^NumJobStarts = 0" .job.ad && exit 3; ' + LONG),
    Case("periodic_hold of an attribute that is not there", "periodic_hold = Foo > 3", "exit 3"),
    Case("periodic_remove", "periodic_remove = JobStatus == 2 && time() - EnteredCurrentStatus > 2", "echo hi; " + LONG),
    Case("no retries beside on_exit_remove", "max_retries = 0\nsuccess_exit_code = 0\non_exit_remove = ExitCode == 0", "exit 3"),
    Case("periodic_remove before it starts", "periodic_remove = true", "echo hi"),
    Case("submitted on hold", "hold = true", "exit 3"),
    Case("more input than allowed", "transfer_input_files = a\nmax_transfer_input_mb = 1", "ls", {"a": "x" * 2_000_000}),
    Case("more output than allowed", outputs("a", "max_transfer_output_mb = 1"), "head -c 2000000 /dev/zero > a", debris=True),
    Case("a file URL", "transfer_input_files = file:///etc/hostname", "ls | grep -v condor; cat hostname"),
    Case("a file URL of nothing", "transfer_input_files = file:///nope/x", "ls"),
    Case("stdout with a new name", 'transfer_output_remaps = "o.out=logs/$(Process).out"', "echo hi"),
    Case("no success, nothing comes back", "success_exit_code = 3\nmax_retries = 0", "echo 1 > f; exit 1"),
    Case("no success by a signal", "success_exit_code = 3\nmax_retries = 0", "echo 1 > f; kill -SEGV $$"),
    Case("no success of a job with checkpoints", CHECKPOINT + "success_exit_code = 0\nmax_retries = 0", "touch f; exit 1"),
    Case("no success and a missing output", outputs("nope", "success_exit_code = 3\nmax_retries = 0"), "exit 1"),
    Case("file URLs by their names", "transfer_input_files = file://$(folder)/y/f#x, file://$(folder)/d, file://$(folder)/a%20b, "
         "file://$(folder)/x/g, g", LS + "cat d g; stat -c %a g", {"y/f": "", "y/f#x": "", "d/x": "1", "d/.y": "", "a b": "", "x/g": "far\n", "g": "near\n"}),
    Case("a file URL has the mode of a new file", "transfer_input_files = file://$(folder)/x", "stat -c %a x", {"x": ""}, modes={"x": 0o750}),
    Case("what comes from a URL is no input that is limited", "transfer_input_files = file://$(folder)/a\nmax_transfer_input_mb = 1",
         "stat -c %s a", {"a": "x" * 2_000_000}),
    Case("the contents of a folder by a dot", "transfer_input_files = d/.\n" + outputs("e/."), LS + "mkdir e; echo 1 > e/y", {"d/x": "1"}),
    Case("the folder itself by a dot", "transfer_input_files = .", LS, {"d/x": "1"}),
    Case("shared inputs are read-only", "transfer_common_input = a, d/\ntransfer_input_files = b",
         "stat -c '%a %n' a b x; echo more >> a", {"a": "1", "b": "2", "d/x": "3"}),
    Case("the first remap of a name counts", outputs("a", 'transfer_output_remaps = "a=b;a=c; ;=d"'), "echo 1 > a"),
    Case("a semicolon always parts remaps", outputs("a;b", 'transfer_output_remaps = "a\\;b=c"'), "echo 1 > 'a;b'"),
    Case("stdout by the name that it has while it runs", 'transfer_output_remaps = "_condor_stdout=x;o.out=y"', "echo hi"),
    Case("periodic_hold by CurrentTime", "periodic_hold = JobStatus == 2 && CurrentTime - JobCurrentStartDate > 2", LONG),
    Case("on_exit_hold by what condor_submit wrote", 'arguments = x\non_exit_hold = Args == "x" && Owner =!= undefined', "exit 3"),
    Case("released", "on_exit_hold = ExitCode == 3\non_exit_hold_subcode = 7\nperiodic_release = HoldReasonSubCode == 7 && NumJobStarts < 2", SECOND),
    Case("released and held again", "on_exit_hold = ExitCode == 3\nperiodic_release = NumHolds < 2", "exit 3"),
    Case("released later", "on_exit_hold = ExitCode == 3\nperiodic_release = NumHolds < 2 && time() - EnteredCurrentStatus > 2", SECOND),
    Case("released after a missing output", outputs("o", "periodic_release = HoldReasonCode == 12 && NumJobStarts < 2"),
         "grep -q '^NumJobStarts = 0' .job.ad || touch o"),
    Case("released after it was submitted on hold", "hold = true\nperiodic_release = true", "exit 3"),
    Case("released after too long a run", "allowed_execute_duration = 2\nperiodic_release = NumJobStarts < 2",
         "grep -q '^NumJobStarts = 0' .job.ad || exit 0; " + LONG),
    Case("released with its checkpoint", outputs("c", CHECKPOINT + "transfer_checkpoint_files = c\non_exit_hold = ExitCode == 3\n"
         "periodic_release = NumJobStarts < 3"), "n=$(cat c 2>/dev/null || echo 0); n=$((n+1)); echo $n > c; [ $n = 1 ] && exit 85; [ $n -lt 4 ] && exit 3; exit 0"),
    Case("never released", "on_exit_hold = ExitCode == 3\nperiodic_release = HoldReasonCode == 13", "exit 3"),
    Case("removed while it is held", "on_exit_hold = true\nperiodic_remove = JobStatus == 5 && time() - EnteredCurrentStatus > 1", "exit 3"),
    Case("periodic_vacate", OR_EVICT + outputs("c", "periodic_vacate = NumJobStarts < 2 && time() - JobCurrentStartDate > 2"),
         "trap 'echo t >> c; exit 0' TERM; [ -e c ] && { cat c; exit 0; }; echo 1 > c; " + WAIT),
    Case("leave_in_queue", "leave_in_queue = JobStatus == 4", "exit 3"),
    Case("an executable that cannot be read", "", "echo hi", mode=0o111),
    Case("a chain of links, named", outputs("l2"), "echo 1 > c; ln -s c l1; ln -s l1 l2"),
    Case("a link in a folder to a file beside it", outputs("d"), "mkdir d; echo 1 > f; ln -s ../f d/l"),
    Case("an executable behind a link", "executable = l", "basename $0", {"l": "->job.sh"}),
    Case("both logs are gone", "", "rm -f _condor_std*; exit 4"),
    Case("a folder where the log was", "", "rm -f _condor_stdout; mkdir _condor_stdout"),
    Case("the time of a job by its own words", "allowed_job_duration = 1 + 1", LONG),
    # last: a slot of two cores may be used again for a job that asked for one
    Case("two cores and a GPU", "request_cpus = 2\nrequest_gpus = 1\n+Mine = 7", PROBE),
]  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What became of a job: the same words for a pool and for a rehearsal."""

    state: str
    code: int | None
    signal: int | None
    hold: tuple[int, int] | None
    starts: int
    files: Mapping[str, str]


_SCRATCH = re.compile(r"/[^\s:'\"]*/(?:dir_\d+|rehearsal-[^/]+/sandbox-\d+)/scratch")


def words(text: str) -> str:
    """What a job printed, without what is another on every machine and at every time."""
    text = _SCRATCH.sub("SCRATCH", text)
    text = re.sub(
        r"(?m)^name _CONDOR_ANCESTOR_\d+\n(?:name _CONDOR_ANCESTOR_\d+\n)*",
        "name _CONDOR_ANCESTOR_N\n",
        text,
    )
    return text


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its name there."""
    return {
        str(p.relative_to(folder)): words(p.read_text())
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.is_symlink() and p.name != "o.log"
    }


def pool_says(factory: pytest.TempPathFactory, name: str, cases: Sequence[Case]) -> dict[str, Said]:
    """What a real pool says of cases; one process of a test run asks it for all."""

    def ask(folder: Path) -> None:
        folder.mkdir()
        said = on_a_pool(condor_prefix(), folder, cases)
        (folder / "said").write_bytes(pickle.dumps(said))

    said = (shared(factory, name, ask) / "said").read_bytes()
    return pickle.loads(said)  # type: ignore[no-any-return]


def on_a_pool(prefix: Path, folder: Path, cases: Sequence[Case] = CASES) -> dict[str, Said]:
    """Submit every case to one real pool, evict those that want it, and wait for all of them."""
    said: dict[str, Said] = {}
    with Pool(prefix, folder / "pool", gpus=[T4] * 2, cpus=128) as pool:
        clusters: dict[int, Case] = {}
        before: dict[str, dict[str, str]] = {}
        for number, case in enumerate(cases):
            own = folder / f"{number}"
            path = case.lay_out(own)
            before[case.name] = contents(own)
            clusters[pool.submit(path.name, own)] = case
        evicted: set[int] = set()
        held: dict[tuple[object, ...], float] = {}
        end = time.monotonic() + 1200
        while len(said) < len(clusters):
            assert time.monotonic() < end, {c.name for c in clusters.values()} - set(said)
            for cluster in _ready(folder / "pool") & (set(clusters) - evicted):
                pool.run("condor_vacate_job", *clusters[cluster].evict.split()[1:], str(cluster))
                evicted.add(cluster)
            for cluster, row in _ended(pool).items():
                case = clusters[cluster]
                since = held.setdefault((cluster, row), time.monotonic())
                if (
                    "periodic_re" in case.lines
                    and row[0] == "held"
                    and time.monotonic() < since + 15
                ):
                    continue  # it may be released yet, or removed
                own = folder / f"{cases.index(case)}"
                if case.name not in said and not (case.evict and cluster not in evicted):
                    files = contents(own)
                    old = before[case.name]
                    new = {n: t for n, t in files.items() if old.get(n) != t}
                    said[case.name] = Said(*row, new)  # type: ignore[arg-type]
            time.sleep(0.3)
    return said


def _ready(pool: Path) -> set[int]:
    """The clusters whose jobs made a file `ready` in their scratch folder."""
    found = set()
    for path in glob.glob(f"{pool}/execute/dir_*/scratch/ready"):
        try:
            ad = Path(path).with_name(".job.ad").read_text()
        except OSError:
            continue
        found.add(int(re.findall(r"(?m)^ClusterId = (\d+)$", ad)[0]))
    return found


def _ended(pool: Pool) -> dict[int, tuple[object, ...]]:
    names = ["ClusterId", "JobStatus", "ExitCode", "ExitBySignal", "ExitSignal", "HoldReasonCode",
             "HoldReasonSubCode", "NumJobStarts"]  # fmt: skip
    rows = pool.run("condor_q", "-af:t", *names) + pool.run("condor_history", "-af:t", *names)
    found: dict[int, tuple[object, ...]] = {}
    for line in rows.splitlines():
        cluster, status, code, by_signal, signal, hold, subcode, starts = line.split("\t")
        if status not in "345":
            continue
        found[int(cluster)] = (
            {"3": "removed", "4": "completed", "5": "held"}[status],
            None if by_signal == "true" or code == "undefined" else int(code),
            int(signal) if by_signal == "true" else None,
            (int(hold), int(subcode) if subcode != "undefined" else 0) if status == "5" else None,
            int(starts),
        )
    return found
