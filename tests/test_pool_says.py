"""Several hundred small jobs end as a pool of HTCondor 25.14.1 said when they were submitted there.

data/pool-25.14.1.jsonl holds a job a line: what its description says, its script, files beside it, and
how each job of it ended (state, exit code, signal, hold code and subcode, starts) with the files that
then were new or changed. FOLDER stands for the folder of the job, and every cluster is number 1.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.job import htcondor
from pixi_scaffold.rehearsal import Request, Submission, rehearse_here

pytestmark = pytest.mark.slow
JOBS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "pool-25.14.1.jsonl").read_text().splitlines()
]
SETTINGS = {
    "executable": "job.sh", "output": "$(Process).out", "error": "$(Process).err", "log": "o.log",
    "should_transfer_files": "YES", "when_to_transfer_output": "ON_EXIT",
    "request_memory": "64MB", "request_disk": "50MB", "request_cpus": "1",
}  # fmt: skip
_SCRATCH = re.compile(r"/[^\s:'\"=]*/rehearsal-[^/]+/sandbox-\d+/scratch")


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def lay_out(job: dict[str, Any], folder: Path) -> None:
    for name, text in job.get("files", {}).items():
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if isinstance(text, dict):
            path.write_bytes(b"x" * text["bytes"])
        elif text.startswith("->"):
            path.symlink_to(text[2:])
        elif not name.endswith("/"):
            path.write_bytes(os.fsencode(text))
    for name, mode in job.get("modes", {}).items():
        (folder / name).chmod(mode)
    script = job.get("script", "exit 0")
    script = script if script.startswith("#!") else f"#!/bin/bash\n{script}\n"
    (folder / "job.sh").write_bytes(os.fsencode(script))
    (folder / "job.sh").chmod(0o755)
    lines = job.get("lines", "")
    given = {line.partition("=")[0].strip().lower() for line in lines.splitlines()}
    text = "".join(f"{k} = {v}\n" for k, v in SETTINGS.items() if k not in given)
    text += f"{lines}\n{job.get('queue', 'queue')}\n"
    (folder / "job.sub").write_bytes(os.fsencode(text.replace("FOLDER", str(folder))))


def submission(arguments: list[str]) -> Submission:
    append, before, queue = [], [], ""
    words = iter(arguments)
    for word in words:
        if word == "-append":
            append.append(next(words))
        elif word == "-queue":
            queue = next(words)
        else:
            before.append(word)
    return Submission(os.environ, seed=0, before=tuple(before), append=tuple(append), queue=queue)


def rehearsed(job: dict[str, Any], folder: Path) -> tuple[Any, dict[str, Any]]:
    """How it ends here, as the data has it, and the files that came back."""
    silent = SimpleNamespace(start=str, note=str, update=lambda *_: None)
    request = Request(
        folder, Path("job.sub"), every=True, at_once=2, submission=submission(job.get("args", []))
    )
    try:
        done = rehearse_here(request, silent)  # type: ignore[arg-type]
    except Skipped as skip:
        return skip.reason, {}
    except ScaffoldError as error:
        known = {"condor_submit refuses": "refused", "queues no job": "no job"}
        return next((v for k, v in known.items() if k in str(error)), str(error)), {}
    ends, files = [], {}
    for one in done.facts_by_key()["jobs"]:
        hold = one["hold"] and [one["hold"]["code"], one["hold"]["subcode"]]
        starts = len({a["sandbox"] for a in one["attempts"]})
        ends.append([one["state"], one["code"], one["signal"], hold, starts])
        if one["waits"]:  # it ran all the same
            ends[-1] = ["idle", None, None, None, 0]
            continue
        results = Path(one["results"])
        for path in results.rglob("*"):
            if path.is_file():
                text = path.read_bytes().decode(errors="surrogateescape")
                text = _SCRATCH.sub("SCRATCH", text.replace(str(folder), "FOLDER"))
                name = str(path.relative_to(results))
                short = text if len(text) < 400 else {"bytes": len(text)}
                files[name] = [path.stat().st_mode & 0o777, short]
    return ends, files


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["name"].replace(" ", "-"))
def test_a_job_ends_as_the_pool_said(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if job["name"].startswith("function") and not htcondor.available():
        pytest.skip("HTCondor's bindings, which evaluate these functions, are not installed")
    lay_out(job, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FOO", raising=False)  # which tests of other files set
    for name, value in job.get("env", {}).items():
        monkeypatch.setenv(name, value)
    ends, files = rehearsed(job, tmp_path)
    if "named" in job:  # what a pool has and this machine has not
        assert job["named"] in ends
        return
    if isinstance(ends, str):
        assert ends == job["ends"]
        return
    assert len(ends) == len(job["ends"])
    for here, there in zip(ends, job["ends"], strict=True):
        if there[0] == "completed":
            assert here == there
        else:  # a held job's ExitCode and starts are of an earlier run, where it had one
            assert (here[0], here[3]) == (there[0], there[3])
    if "files_back" in job:
        for name, (mode, text) in job["files_back"].items():
            assert files.pop(name, None) == [mode, text], name
        assert not files.keys() - {"job.sh", *job.get("files", {})}, "what lay there is not new"
