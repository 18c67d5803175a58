"""Random jobs, built from commands that decide how a job ends: a real pool is the judge of each."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.jobs import Case, Said, contents, on_a_pool
from tests.support.pool import condor_prefix
from tests.test_rehearsal_judge import rehearsed

pytestmark = pytest.mark.slow
JOBS = 100
"""Of one pool; more would keep it busy for minutes."""

VALUES = {
    "transfer_output_files": ["a", "a, d", "d", "a, nope", '""', "d/x", "d/", "./a", "l", "a, a"],
    "transfer_output_remaps": [
        '"a=b"', '"a=out/b;d=e"', r'"a=x\=y"', '"o.out=l/o"', '"a=b;a=c"', '"a=b;b=c"', '"d/x=y"', '"_condor_stdout=s"',
    ],
    "preserve_relative_paths": ["true", "false"],
    "success_exit_code": ["0", "3", "85"],
    "max_retries": ["0", "1", "2", "1 + 1"],
    "retry_until": ["3", "ExitCode > 2", "NumJobStarts > 1", "-1", "Nothing"],
    "on_exit_hold": ["ExitCode == 3", "ExitBySignal", "false", "Nothing > 1", "ExitCode =!= 0", "1"],
    "on_exit_hold_subcode": ["7", "1 + 1", "ExitCode", "2.7"],
    "on_exit_remove": ["true", "ExitCode == 0 || NumJobStarts > 2", "NumJobCompletions > 1"],
    "periodic_hold": ["false", "NumJobStarts > 5", "true", "NumJobCompletions > 0", "RequestMemory > 10"],
    "periodic_hold_subcode": ["9"],
    "periodic_release": ["NumHolds < 2", "HoldReasonCode == 12 && NumHolds < 3", "HoldReasonSubCode == 7 && NumJobStarts < 2"],
    "periodic_remove": ["false", "JobStatus == 5", "NumJobCompletions > 2"],
    "leave_in_queue": ["true", "ExitCode == 3"],
    "hold": ["false", "true"],
    "checkpoint_exit_code": ["85", "3"],
    "transfer_checkpoint_files": ["a", "c", "c, a", "d"],
    "transfer_input_files": [
        "i", "i, f/", "f", "i, missing", "file:///etc/hostname", "file://$(folder)/i, f/.", "f/g, i", "./i, f//", "f/g/",
    ],
    "transfer_common_input": ["f", "i"],
    "input": ["i", "f/g", "missing", "/dev/null"],
    "when_to_transfer_output": ["ON_EXIT", "ON_EXIT_OR_EVICT", "ON_SUCCESS"],
    "arguments": ["\"one 'two three'\"", "$(Process) $(x:none)", '"a""b"', "$INT(3,%03d) $F(nothing) $ENV(FOO)"],
    "environment": ['"A=1 B=\'x y\'"', "A=1;B=2", '"A=$$(CondorScratchDir) B="'],
    "getenv": ["FOO", "fo*, !BAR"],
    "output": ["o.out", "logs/o", "/dev/null"],
    "error": ["o.out", "logs/e", "o.err"],
    "erase_output_and_error_on_restart": ["true", "false"],
    "initialdir": ["f"],
    "max_transfer_output_mb": ["1", "-1", "0"],
    "max_transfer_input_mb": ["1", "-1"],
    "allowed_execute_duration": ["60"],
    "+Mine": ['"x"', "3"],
}  # fmt: skip
"""Command -> what it may say; each is in data/commands.toml, or an attribute."""
LINES = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
)
SCRIPTS = st.lists(
    st.sampled_from(
        [
            "echo 1 > a", "mkdir -p d; echo 2 > d/x", "ln -s a l", "ln -s nowhere n", "mkfifo p",
            'printf "<%s>" "$@"', "ls | grep -v condor", "echo to stderr >&2", "cat i",
            "[ -e c ] || { touch c; exit 85; }", "grep -q '^NumJobStarts = 0' .job.ad && exit 3",
            "rm -f job.sh", "chmod 000 a", "echo more >> i", "cat", "echo $A $B $FOO", "ln -s d ld", "ln -s /etc/hostname h",
            "grep -c ^NumJobStarts .job.ad", "mkdir -p e/f", "chmod 600 a", "mv a b", "rm -f _condor_stderr", "echo 1 > 'x y'",
            "head -c 1500000 /dev/zero > big", "stat -c '%a %n' * | grep -v condor",
        ]
    ),
    max_size=6,
    unique=True,
)  # fmt: skip
ENDS = st.sampled_from(["exit 0", "exit 0", "exit 3", "exit 1", "kill -SEGV $$", "exit 85"])


@st.composite
def cases(draw: st.DrawFn) -> list[Case]:
    """Jobs of names that say their place."""
    found: list[Case] = []
    for number in range(draw(st.sampled_from([0, JOBS]))):
        lines = draw(LINES)
        script = [*draw(SCRIPTS), draw(ENDS)]
        endless = "on_exit_remove" in lines and "checkpoint_exit_code" in lines
        if endless or (lines.get("checkpoint_exit_code") and script[-1] == "exit 85"):
            script[-1] = "exit 0"  # a checkpoint without end
        text = "\n".join(f"{k} = {v}" for k, v in lines.items())
        files = {"i": "in\n", "f/g": "g\n"}
        found.append(
            Case(f"{number}", text, "\n".join(script), files, debris="chmod" in "".join(script))
        )
    return found


def drawn() -> list[Case]:
    """The same jobs each time."""
    found: list[list[Case]] = []

    @settings(
        max_examples=20,  # the first is always the simplest: no job at all
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def draw(chosen: list[Case]) -> None:
        found.append(chosen)

    draw()
    return max(found, key=len)


def test_random_jobs_end_as_on_the_pool(tmp_path_factory: pytest.TempPathFactory) -> None:
    chosen = drawn()
    assert len(chosen) == JOBS
    folder = tmp_path_factory.mktemp("random")
    there = on_a_pool(condor_prefix(), folder, chosen)
    different = {}
    for case in chosen:
        own = folder / "here" / case.name
        own.mkdir(parents=True)
        outcome = rehearsed(case, own)
        hold = (outcome.hold.code, outcome.hold.subcode) if outcome.hold else None
        said = there[case.name]
        here = Said(
            outcome.state,
            outcome.code,
            outcome.signal,
            hold,
            said.starts,
            contents(own / "results"),
        )
        if said.code is None:
            here = Said(here.state, None, here.signal, here.hold, here.starts, here.files)
        elif hold is not None and here.code is None:
            # The ad of a job that is held before it starts again keeps the code of its last exit.
            said = Said(said.state, None, said.signal, said.hold, said.starts, said.files)
        files = here.files == said.files or case.debris or hold is not None
        ends = (here.state, here.code, here.signal, here.hold)
        if ends != (said.state, said.code, said.signal, said.hold) or not files:
            different[case.lines + "\n--\n" + case.script] = (said, here)
    assert not different, "\n\n".join(f"{k}\n{a}\n{b}" for k, (a, b) in different.items())
