"""A real HTCondor pool is the judge: what becomes of a job there, and in a rehearsal."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from pixi_scaffold.job import Submission, read_description
from pixi_scaffold.rehearsal import Setting, Walls, attempts, hidden, read_plan, rehearse_job
from pixi_scaffold.rehearsal.outcome import Outcome
from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.running import Clock, clock_for
from tests.support.jobs import CASES, Case, Said, contents, pool_says

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool_said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    os.environ["FOO"] = "from here"  # for getenv and $ENV(FOO)
    return pool_says(tmp_path_factory, "judge", CASES)


class WhenReady(Clock):
    """Evicts a job as the pool was asked to: once it says that it is ready, however long that takes."""

    @property
    def evict_at(self) -> float | None:
        ready = (self.setting.scratch or Path()).glob("rehearsal-*/sandbox-*/scratch/ready")
        return 0.0 if self.evict_after is not None and any(ready) else None


def when_ready(plan: JobRun, setting: Setting) -> Clock:
    clock = clock_for(plan, setting)
    return WhenReady(**{one.name: getattr(clock, one.name) for one in fields(clock)})


def rehearsed(case: Case, folder: Path) -> Outcome:
    path = case.lay_out(folder / "job")
    os.environ["FOO"] = "from here"
    plan = read_plan(read_description(path, path.parent, Submission(os.environ, seed=0)).jobs[0], 0)
    setting = Setting(
        folder / "results",
        scratch=folder,
        walls=Walls(hide=hidden([path.parent])),
        gpus=("GPU-1",) * plan.match.gpus,
        evict_after=0.0 if case.evict else None,
        evict_hard="fast" in case.evict,
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(attempts, "clock_for", when_ready)
        return rehearse_job(plan, setting)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if n else [pytest.mark.long]) for n, c in enumerate(CASES)],
    ids=lambda c: c.name,
)
def test_a_rehearsal_ends_as_on_the_pool(
    case: Case, pool_said: dict[str, Said], tmp_path: Path
) -> None:
    there = pool_said[case.name]
    outcome = rehearsed(case, tmp_path)
    starts = sum(1 for a in outcome.attempts if a.ended != "checkpoint")
    if outcome.hold and outcome.hold.code in (8, 13):
        starts = 0
    if outcome.hold and outcome.hold.code == 36:
        starts = there.starts  # one pool counted 1 and 2 for the same job: it may start once more
    here = Said(
        outcome.state,
        outcome.code,
        outcome.signal,
        (outcome.hold.code, outcome.hold.subcode) if outcome.hold else None,
        starts,
        contents(tmp_path / "results"),
    )
    # a held job's ExitCode is of its last run, where it had one: not what is judged
    if here.state == "held" and there.code is None:
        here = Said("held", None, here.signal, here.hold, here.starts, here.files)
    if case.debris:
        assert (here.state, here.hold, here.code) == (there.state, there.hold, there.code)
        return
    assert list(here.files) == list(there.files)
    for name, text in there.files.items():
        assert here.files[name].splitlines() == text.splitlines(), name
    assert here == there
    if "name _CONDOR_SLOT" in str(here.files):
        assert len(re.findall("name ", str(here.files))) > 30, "the probe ran"
