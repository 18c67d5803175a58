"""Random jobs, built from commands that decide how a job ends: a real pool is the judge of each."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.jobs import Case, Said, contents, on_a_pool
from tests.support.pool import condor_prefix
from tests.test_rehearsal_judge import rehearsed

pytestmark = pytest.mark.slow
JOBS = 60
"""Of one pool; more would keep it busy for minutes."""

LINES = st.fixed_dictionaries(
    {},
    optional={
        "transfer_output_files": st.sampled_from(["a", "a, d", "d", "a, nope", '""', "d/x"]),
        "transfer_output_remaps": st.sampled_from(
            ['"a=b"', '"a=out/b;d=e"', r'"a=x\=y"', '"o.out=l/o"']
        ),
        "preserve_relative_paths": st.sampled_from(["true", "false"]),
        "success_exit_code": st.sampled_from(["0", "3"]),
        "max_retries": st.sampled_from(["0", "1", "2"]),
        "retry_until": st.sampled_from(["3", "ExitCode > 2", "NumJobStarts > 1"]),
        "on_exit_hold": st.sampled_from(["ExitCode == 3", "ExitBySignal", "false", "Nothing > 1"]),
        "on_exit_hold_subcode": st.sampled_from(["7", "1 + 1"]),
        "on_exit_remove": st.sampled_from(["true", "ExitCode == 0 || NumJobStarts > 2"]),
        "periodic_hold": st.sampled_from(["false", "NumJobStarts > 5", "true"]),
        "checkpoint_exit_code": st.sampled_from(["85"]),
        "transfer_input_files": st.sampled_from(
            ["i", "i, f/", "f", "i, missing", "file:///etc/hostname"]
        ),
        "when_to_transfer_output": st.sampled_from(["ON_EXIT", "ON_EXIT_OR_EVICT", "ON_SUCCESS"]),
        "arguments": st.sampled_from(["\"one 'two three'\"", "$(Process) $(x:none)", '"a""b"']),
        "error": st.sampled_from(["o.out", "logs/e", "o.err"]),
        "max_transfer_output_mb": st.sampled_from(["1", "-1"]),
    },
)
"""Command -> what it may say."""
SCRIPTS = st.lists(
    st.sampled_from(
        [
            "echo 1 > a", "mkdir -p d; echo 2 > d/x", "ln -s a l", "ln -s nowhere n", "mkfifo p",
            'printf "<%s>" "$@"', "ls | grep -v condor", "echo to stderr >&2", "cat i",
            "[ -e c ] || { touch c; exit 85; }", "grep -q '^NumJobStarts = 0' .job.ad && exit 3",
            "rm -f job.sh", "chmod 000 a", "echo more >> i",
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


@settings(
    max_examples=2,  # the first is always the simplest: no job at all
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(chosen=cases())
def test_random_jobs_end_as_on_the_pool(
    chosen: list[Case], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not chosen:
        return
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
