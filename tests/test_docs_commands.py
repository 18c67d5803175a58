"""Each command that the documentation shows is run by a test, or named as one that cannot be run here."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.paths import REPOSITORY
from tests.test_walkthrough import commands

PAGES = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *REPOSITORY.glob("docs/**/*.md")]
)
NOT_HERE = {
    "uv tool install git+": "from a wheel instead: test_install.py",
    "pipx install git+": "from a wheel instead: test_install.py",
    "pip install git+": "from a wheel instead: test_install.py",
    "condor_status ": "HTCondor's own; test_site.py reads what it writes",
    "export PIXI_SCAFFOLD_TEMPLATE": "a server; the variable: test_settings.py",
    "pixi-scaffold new myproject --template https": "a server; a folder: test_new.py",
    "pixi workspace platform add": "Pixi itself",
    "pixi add ": "Pixi itself",
    "pixi run train": "the tutorial, done word for word: test_walkthrough.py",
    "git ": "git itself",
    "cd ": "of the shell",
    "make ": "what continuous integration runs",
    "python bench/on_gpu.py": "an NVIDIA GPU",
}
"""What no test runs as it stands: the beginning of the command, and why or what stands for it."""
TESTS = {
    "pixi-scaffold lock": "test_lock_merge.py::test_a_lock_with_conflict_markers_is_solved",
    "pixi-scaffold lock --diff": "test_lock_diff.py::test_the_command_compares_with_a_commit",
    "git config merge.pixi-lock.driver": "test_lock_merge.py::test_the_driver_merges_during_the_merge",
    "pixi-scaffold adopt": "test_adopt.py::test_adopt_puts_the_scaffold_on_a_branch_and_changes_no_file",
    "pixi-scaffold check": "test_check.py::test_a_good_project_passes_every_stage",
    "pixi-scaffold check YOUR.sub": "test_check.py::test_submit_files_alone",
    "pixi-scaffold check YOUR.sub -a": "test_dag.py::test_append_is_read_before_the_queue_statement",
    "pixi-scaffold check YOUR-FOLDER": "test_check.py::test_a_folder_without_a_workspace",
    "pixi-scaffold check YOUR.dag": "test_dag.py::test_each_node_is_looked_at_with_its_own_variables",
    "pixi-scaffold check --slots": "test_check.py::test_slots_say_which_clause_refuses",
    "pixi-scaffold check --slots slots.ad": "test_check.py::test_slots_of_ones_own_bring_their_attributes",
    "pixi-scaffold site capture": "test_site.py::test_a_pool_is_written_down_and_check_knows_it",
    "pixi-scaffold check --site": "test_site.py::test_a_pool_is_written_down_and_check_knows_it",
    "pixi-scaffold channel build": "test_channel.py::test_a_copy_for_another_folder",
    "pixi-scaffold new": "test_new.py::test_from_nothing_to_a_trained_project_without_conda_forge",
    "pixi-scaffold new myproject --channel": "test_new.py::test_a_folder_is_a_channel_too",
    "pixi-scaffold new myproject --data-file": "test_new.py::test_answers_from_the_command_line_and_a_file",
    "pixi-scaffold submit": "test_pool.py::test_submit_sends_the_job_and_writes_down_what_was_sent",
    "pixi-scaffold submit --continue": "test_pool.py::test_a_stopped_job_saves_comes_back_and_is_trained_further",
    "pixi-scaffold watch": "test_pool.py::test_a_watch_tells_a_job_from_its_start_to_its_end",
    "pixi-scaffold fetch": "test_pool.py::test_a_running_job_s_last_checkpoint_is_fetched",
    "pixi-scaffold stop": "test_pool.py::test_a_stopped_job_saves_comes_back_and_is_trained_further",
    "pixi-scaffold rehearse": "test_rehearse.py::test_a_job_that_passes",
    "pixi-scaffold rehearse --evict-after": "test_rehearse.py::test_random_is_within_the_run",
    "pixi-scaffold report": "test_page.py::test_the_command_writes_one_file_that_loads_nothing",
    "pixi-scaffold run": "test_tasks.py::test_a_task_runs_in_the_environment_that_has_it",
    "pixi-scaffold run train --epochs": "test_tasks.py::test_options_stand_before_the_task",
    "pixi-scaffold run --list": "test_tasks.py::test_what_is_listed_says_what_it_is_for",
    "pixi-scaffold status": "test_status.py::test_how_far_behind",
    "pixi-scaffold status --heal": "test_status.py::test_one_file_goes_back_and_nothing_is_lost",
    "pixi-scaffold update": "test_update.py::test_the_command",
    "pixi-scaffold update --continue": "test_update.py::test_an_update_goes_on_when_the_conflicts_are_edited",
    "pixi-scaffold update --abort": "test_update.py::test_abort_undoes_a_finished_update_but_no_work_of_yours",
}
"""What is run: the beginning of the command (the longest counts), and the test that runs it."""
SHOWN = {
    (page.relative_to(REPOSITORY).as_posix(), command.strip())
    for page in PAGES
    for line, _ in commands(page.read_text(encoding="utf-8"))
    for command in line.split(" && ")
}


def classified(command: str) -> str | None:
    """The entry that is about this command: the longest beginning of it."""
    known = [start for start in {**NOT_HERE, **TESTS} if command.startswith(start)]
    return max(known, key=len, default=None)


@cache
def source(test: str) -> str:
    """The text of a test, and of the helpers in its file that it may use; empty where it is not."""
    file, _, name = test.partition("::")
    text = (REPOSITORY / "tests" / file).read_text(encoding="utf-8")
    defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    return text if name in defined else ""


@pytest.mark.parametrize(("page", "command"), sorted(SHOWN))
def test_a_command_of_the_documentation_is_run_or_named(page: str, command: str) -> None:
    entry = classified(command)
    assert entry, f"{page} shows `{command}`: name the test that runs it here, or why none can"
    if entry in TESTS:
        text = source(TESTS[entry])
        assert text, f"there is no test {TESTS[entry]}"
        options, _, _ = command.partition("run train ")  # what follows is the task's
        for word in re.findall(r"(?<= )--[a-z-]+", options):
            assert word in text, f"{TESTS[entry]} does not run {word} of `{command}` on {page}"


def test_what_is_no_longer_shown_is_not_listed() -> None:
    assert {classified(command) for _, command in SHOWN} == {*NOT_HERE, *TESTS}
