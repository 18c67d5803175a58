"""What severities say of a running job, against a real pool, and against a rehearsal of the same job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pixi_scaffold.check import review
from pixi_scaffold.errors import Skipped
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import Severity
from tests.support.jobs import Case, Said, pool_says
from tests.test_rehearsal_judge import rehearsed

pytestmark = pytest.mark.slow
ERROR, WARNING, NOTE = Severity
ARGPARSE = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--n')\np.parse_args()\n"
EIGHTY_FIVE = "import pathlib, sys\np = pathlib.Path('ck')\np.touch()\nsys.exit(85)\n"
NO_TRANSFER = "should_transfer_files = NO\nwhen_to_transfer_output =\n"


@dataclass(frozen=True)
class Judged:
    """A job, what check says of it, and what becomes of it: held with a code, or ended with one."""

    rule: str
    severity: Severity
    case: Case
    held: tuple[int, int] | None = None
    code: int | None = None


JUDGED = [
    Judged("PS202", ERROR, Case("not executable", NO_TRANSFER, "true", mode=0o644), held=(6, 13)),
    Judged("PS203", ERROR, Case("no interpreter", files={"job.sh": "echo\n"}, modes={"job.sh": 0o755}), held=(6, 8)),
    Judged("PS203", ERROR, Case("a byte order mark", files={"job.sh": "\ufeff#!/bin/sh\n"}, modes={"job.sh": 0o755}), held=(6, 8)),
    Judged("PS205", ERROR, Case("no input", "transfer_input_files = x.csv", "true"), held=(13, 2)),
    Judged("PS205", ERROR, Case("a pattern as input", "transfer_input_files = *.csv", "true", {"a.csv": ""}), held=(13, 2)),
    Judged("PS208", ERROR, Case("a stream into no folder", "output = out/o\nstream_output = true", "true"), held=(9, 0)),
    Judged("PS208", ERROR, Case("no transfer into no folder", f"{NO_TRANSFER}output = out/o", "true"), held=(7, 2)),
    Judged("PS208", NOTE, Case("a folder that is made", "output = out/o", "echo one"), code=0),
    Judged("PS209", ERROR, Case("a program that stays", "", "python3 main.py", {"main.py": "1\n"}), code=2),
    Judged("PS209", ERROR, Case("a module that stays", "transfer_input_files = main.py", "python3 main.py", {"main.py": "import other\n", "other.py": ""}), code=1),
    Judged("PS218", ERROR, Case("an unknown option", "arguments = --m 1\ntransfer_input_files = main.py", 'python3 main.py "$@"', {"main.py": ARGPARSE}), code=2),
    Judged("PS219", ERROR, Case("a program of another name", "", "python3 train.py"), code=2),
    Judged("PS302", ERROR, Case("a lost 85", "checkpoint_exit_code = 85\ntransfer_checkpoint_files = ck\ntransfer_input_files = main.py", "python3 main.py\necho 85", {"main.py": EIGHTY_FIVE}), code=0),
    Judged("PS305", ERROR, Case("half an if", "", "if true; then"), code=2),
    Judged("PS309", ERROR, Case("conflict markers", "transfer_input_files = main.py", "python3 main.py", {"main.py": "<<<<<<< HEAD\nA = 1\n=======\nA = 2\n>>>>>>> b\n"}), code=1),
    Judged("PS134", WARNING, Case("a shell's variable", 'environment = "X=a:$Y"', "test \"$X\" = 'a:$Y'"), code=0),
    Judged("PS201", WARNING, Case("an executable that stays", "executable = sim\ntransfer_executable = false"), held=(6, 2)),
    Judged("PS206", WARNING, Case("no output", "transfer_output_files = x.csv", "true"), held=(12, 2)),
    Judged("PS206", WARNING, Case("a pattern as output", "transfer_output_files = *.csv", "touch a.csv"), held=(12, 2)),
    Judged("PS311", WARNING, Case("somebody's home", "", "cat /home/nobody-of-that-name/x"), code=1),
    Judged("PS208", ERROR, Case("a folder as output", "output = logs/", "date", {"logs/x": ""}), held=(12, 21)),
    Judged("PS208", ERROR, Case("a folder as output that is not there", "output = gone/", "date"), held=(12, 21)),
    Judged("PS208", ERROR, Case("a folder as output, without transfer", f"{NO_TRANSFER}output = logs/", "date", {"logs/x": ""}), held=(7, 21)),
    Judged("PS221", WARNING, Case("a helper without x", "transfer_input_files = h.sh", "./h.sh", {"h.sh": "#!/bin/sh\ndate\n"}), code=126),
    Judged("PS223", NOTE, Case("a folder that stays there", "", "mkdir results; date > results/x"), code=0),
    Judged("PS224", WARNING, Case("an archive that stays here", "", "tar xzf data.tar.gz"), code=2),
    Judged("PS225", WARNING, Case("a folder that is not there", "", "date > results/x || exit 3", {"results/y": ""}), code=3),
    Judged("PS226", WARNING, Case("a machine's value beside common input", 'transfer_common_input = x\n+Mine = "$$(Name)"', "true", {"x": ""}), held=(0, 0)),
    Judged("PS146", WARNING, Case("commas between arguments", "arguments = 1, 2", 'test "$1" = "1,"'), code=0),
    Judged("PS148", WARNING, Case("a remap to itself", 'transfer_output_files = a\ntransfer_output_remaps = "a = a"', "touch a"), held=(12, 1)),
    Judged("PS210", WARNING, Case("a folder as its content", "transfer_input_files = data", "cat x.csv", {"data/x.csv": ""}), code=1),
    Judged("PS210", WARNING, Case("a content as its folder", "transfer_input_files = data/", "cat data/x.csv", {"data/x.csv": ""}), code=1),
    Judged("PS227", WARNING, Case("a folder to go into", "", "cd src || exit 1", {"src/x": ""}), code=1),
    Judged("PS227", WARNING, Case("a folder to pack", "", "tar cf /dev/null results"), code=2),
    Judged("PS206", WARNING, Case("an output that is removed", "transfer_output_files = a", "touch a\nrm -rf *"), held=(12, 2)),
    Judged("PS208", WARNING, Case("a URL into no folder", 'transfer_output_files = a\ntransfer_output_remaps = "a = file:///etc/ssl/no-such-folder/a"', "touch a"), held=(12, 256)),
    Judged("PS304", WARNING, Case("a home of one's own", "transfer_input_files = main.py", "python3 main.py", {"main.py": "import os\nopen(os.path.expanduser('~/data-of-mine'))\n"}), code=1),
    Judged("PS313", WARNING, Case("nobody at a terminal", "transfer_input_files = main.py", "python3 main.py", {"main.py": "import os\nos.getlogin()\n"}), code=1),
    Judged("PS144", WARNING, Case("a sum in the arguments", "arguments = $(Process)+1", 'test "$1" = 0+1'), code=0),
    Judged("PS145", WARNING, Case("quotes around an output", 'output = "j.out"', "true"), code=0),
    Judged("PS310", WARNING, Case("a variable of Slurm", "", 'test -n "$SLURM_ARRAY_TASK_ID"'), code=1),
    Judged("PS311", WARNING, Case("data above the folder", "", "cat ../data-of-mine.csv"), code=1),
    Judged("PS313", WARNING, Case("a question", "transfer_input_files = main.py", "python3 main.py", {"main.py": "input('go on? ')\n"}), code=1),
    Judged("PS313", WARNING, Case("a question of the shell", "", 'read -r answer; test -n "$answer"'), code=1),
    Judged("PS316", WARNING, Case("Python 2", "transfer_input_files = main.py", "python3 main.py", {"main.py": "print 'x'\n"}), code=1),
]  # fmt: skip


@pytest.fixture(scope="module")
def pool_said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    return pool_says(tmp_path_factory, "severities", [judged.case for judged in JUDGED])


@pytest.mark.parametrize(
    "judged",
    [pytest.param(j, marks=[] if n else [pytest.mark.long]) for n, j in enumerate(JUDGED)],
    ids=lambda j: f"{j.rule}: {j.case.name}",
)
def test_a_job_ends_as_its_finding_says(
    judged: Judged, pool_said: dict[str, Said], tmp_path: Path
) -> None:
    path = judged.case.lay_out(tmp_path / "checked" / "job")
    found = {(f.rule, f.severity) for f in review([path], Silent()).findings}
    assert (judged.rule, judged.severity) in found, found
    there = pool_said[judged.case.name]
    assert (there.hold, None if there.hold else there.code) == (judged.held, judged.code), there
    if judged.case.lines.startswith(NO_TRANSFER):
        with pytest.raises(Skipped, match="should_transfer_files = NO"):
            rehearsed(judged.case, tmp_path)
        return
    outcome = rehearsed(judged.case, tmp_path)
    hold = (outcome.hold.code, outcome.hold.subcode) if outcome.hold else None
    assert (hold, None if hold else outcome.code) == (judged.held, judged.code), "the rehearsal"
