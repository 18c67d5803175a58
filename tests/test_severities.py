"""Severities against HTCondor itself: what is an error, condor_submit refuses, or a worker does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pixi_scaffold.check import review
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import Severity
from tests.dry_run import good_projects
from tests.support.paths import SHARED
from tests.support.pool import condor_prefix
from tests.test_rules import DEFECTS, GIVEN, Defect, look

ON_THE_WORKER = {
    "PS137": "DAGMan refuses the DAG, after condor_submit_dag took it",
    "PS202": "nothing is transferred, and the file may not be run: held, 6/13",
    "PS203": "the kernel cannot start it: held, 6/8",
    "PS204": "the kernel looks for `bash\\r`: held, 6",
    "PS205": "the input is missing: held, 13",
    "PS208": "the folder is missing: held, 7/2 or 9/0",
    "PS209": "the program or module is not there: it ends with 1 or 127",
    "PS218": "argparse ends it with 2",
    "PS219": "the interpreter cannot open it: it ends with 2",
    "PS302": "the checkpoint's exit code is lost: the job ends before it is done",
    "PS305": "the shell cannot read the script: it ends with 2",
    "PS309": "Python or the shell cannot read it",
    "PS405": "no registry takes the image's name",
    "PS406": "the image has no name",
    "PS506": "Pixi finds no manifest",
    "PS507": "Pixi refuses the lock or the manifest",
    "PS508": "Pixi refuses: no platform of the lock is Linux",
}
"""Rules whose errors condor_submit does not see, and how the job fails on every pool."""
OF_ONE_VERSION = {
    "PS107": "23.9 refuses the file",
    "PS112": "25.14 refuses the file",
    "PS501": "as PS112",
}
"""Warnings of what one of the versions refuses."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return good_projects(tmp_path_factory.mktemp("good"))


def refused(project: Path) -> bool:
    """Whether condor_submit refuses the description of a project."""
    name = "job.sub" if (project / "job.sub").is_file() else "htcondor/train.sub"
    done = subprocess.run(
        [condor_prefix() / "usr" / "bin" / "condor_submit", "-dry-run", project / "ads", name],
        cwd=project, env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done.returncode != 0


@pytest.mark.parametrize(
    "defect",
    [
        pytest.param(d, id=f"{d.rule}: {d.what}", marks=[pytest.mark.slow] if n % 4 else [])
        for n, d in enumerate(DEFECTS)
    ],
)
def test_an_error_is_what_condor_submit_refuses_or_no_worker_can_run(
    good: dict[str, Path], defect: Defect, tmp_path: Path
) -> None:
    project = shutil.copytree(good[defect.delivery], tmp_path / "example")
    defect.edit(project)
    errors = [f for f in look(project).findings if f.severity is Severity.ERROR]
    if refused(project):
        assert errors or defect.rule in OF_ONE_VERSION, "condor_submit refuses it"
    else:
        assert {f.rule for f in errors} <= ON_THE_WORKER.keys(), "condor_submit takes it"


@pytest.mark.parametrize("name", GIVEN)
def test_condor_submit_takes_what_is_still_to_be_given(
    good: dict[str, Path], name: str, tmp_path: Path
) -> None:
    """Where a queue statement has no items, it queues no job, and looks at nothing."""
    project = shutil.copytree(good["plain"], tmp_path / "example")
    GIVEN[name](project)
    assert not refused(project)


# --- the cases that were measured on real pools, where they lie beside the checkout -----------------

CASES: dict[str, tuple[set[tuple[str, str]], set[str]]] = {
    "fa_comma_at_the_end_of_a_list": (set(), {"PS120"}),
    "fa_command_of_a_site": (set(), {"PS102"}),
    "fa_empty_macro_named_as_missing_file": ({("PS108", "error")}, {"PS205", "PS207"}),
    "fa_home_that_is_passed_on": (set(), {"PS304"}),
    "fa_output_folder_is_made": ({("PS208", "note")}, set()),
    "fa_queue_from_program": ({("PS108", "note")}, set()),
    "fa_shared_file_system_default": ({("PS209", "warning")}, set()),
    "fa_short_resumable_job": ({("PS402", "warning")}, set()),
    "fa_training_inside_quotes": (set(), {"PS302"}),
    "field_notification_start": ({("PS114", "warning")}, set()),
    "field_want_ospool": (set(), {"PS102"}),
    "miss_conda_activate_without_its_hook": ({("PS308", "warning")}, set()),
    "miss_not_executable_where_nothing_is_transferred": ({("PS202", "warning")}, set()),
    "miss_old_gpu_attributes": ({("PS127", "warning")}, set()),
    "miss_placeholder_in_arguments": ({("PS405", "warning")}, set()),
    "miss_remap_that_matches_nothing": ({("PS214", "warning")}, set()),
    "wording_tilde": ({("PS207", "warning")}, set()),
}
"""Folder -> what has to be said, with its severity, and rules that must not speak.

The judge of each is in its EXPECT.md: real pools of HTCondor 23.9.6 and 25.14.1.
"""


@pytest.mark.parametrize("name", CASES)
def test_a_measured_case_is_judged_as_the_pool_did(name: str) -> None:
    folder = SHARED / "cases" / "check" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not beside this checkout")
    says, never = CASES[name]
    found = review([folder / "job.sub"], Silent()).findings
    said = {(f.rule, str(f.severity)) for f in found}
    assert says <= said, said
    assert not never & {rule for rule, _ in said}, said
    if not any(severity == "error" for _, severity in says):
        assert "error" not in {severity for _, severity in said}, said


def test_a_folder_is_read_from_where_the_inputs_are() -> None:
    folder = SHARED / "cases" / "check" / "fa_folder_check_looks_at_the_top"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not beside this checkout")
    found = review([folder / "ml" / "train.sub"], Silent(), checked=folder).findings
    assert "PS205" not in {f.rule for f in found}
