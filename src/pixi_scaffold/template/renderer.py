"""Render any version of a template in memory, each of which is checked out once."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import Tree, git, read_tree, temporary_files_in, temporary_folder, try_git
from pixi_scaffold.template.answers import Project, public, recorded
from pixi_scaffold.template.checkout import check_out_for
from pixi_scaffold.template.copier import (
    PROJECT,
    RefusedAnswerError,
    git_env,
    in_our_words,
    no_git,
    refuse_changed,
    refuse_unknown,
    template_error,
)
from pixi_scaffold.template.source import Template, open_source
from pixi_scaffold.template.versions import changes_between, tags_in

if TYPE_CHECKING:
    from types import CodeType

    from copier._main import Worker
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Render:
    """What one version of a template makes of one set of answers."""

    commit: str
    """The version, as the project records it."""
    files: Tree
    answers_file: str
    """Its path; empty when the template writes none."""
    seeded: frozenset[str]
    """The files that are the user's from the first day on."""
    exclude: tuple[str, ...] = ()
    """The patterns of what the template does not make any more."""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """What the answers file records, without _..."""


class Renderer:
    """One template at any of its versions, each of which is checked out once.

    Two renders of a version differ only in the answers, so Copier's view of the template and the
    compiled Jinja are shared between them: a render takes hundredths of a second, not half a one.
    """

    def __init__(self, template: Template) -> None:
        self.template = template
        self._workers: dict[str, Worker] = {}
        self._stack = contextlib.ExitStack()
        self._tags: dict[str, str] | ScaffoldError | None = None
        self._code: dict[tuple[str, str | None, str], CodeType] = {}

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(temporary_folder())
        return self

    def __exit__(self, *_: object) -> None:
        with git_env(self.template.env):  # Copier removes its checkouts
            self._stack.close()

    def tags(self) -> tuple[str, ...]:
        """Return the template's tags; raises ScaffoldError when it cannot be reached.

        One that cannot is asked once.
        """
        if self._tags is None:
            try:
                self._tags = self._list_tags()
            except ScaffoldError as error:
                self._tags = error
        if isinstance(self._tags, ScaffoldError):
            raise self._tags
        return tuple(self._tags)

    def commit_of(self, version: str) -> str:
        """Return what git calls a version that a project records; empty when that can change."""
        if isinstance(self._tags, dict) and version in self._tags:
            return self._tags[version]
        return version if re.fullmatch(r"(.+-g)?[0-9a-f]{7,64}", version) else ""

    def _list_tags(self) -> dict[str, str]:
        if (repository := self.template.repository) is not None:
            columns = "--format=%(objectname)%09%(refname)"
            return tags_in(git(repository, "for-each-ref", columns, "refs/tags"))

        from copier._template import Template as CopierTemplate

        with in_our_words(self.template, self._folder, PROJECT):
            url = CopierTemplate(url=self.template.source).url_expanded
        env = self.template.env
        done = try_git(None, "ls-remote", "--tags", "--refs", "--", url, env=env, timeout=60)
        if done.code != 0:
            raise template_error(self.template, done.output, PROJECT)
        return tags_in(done.output)

    def render(
        self,
        ref: str,
        data: Mapping[str, Any],
        *,
        remembered: str | None = None,
        answers_file: str = "",
        ask: bool = False,
        exclude: tuple[str, ...] = (),
        refuse: bool = True,
    ) -> Render:
        """Render the template at `ref`.

        data: answers that count. remembered: the text of a project's answers file, whose answers
        count where they are still valid, as in `copier update`. ask: put the questions that have
        no answer yet on the terminal. exclude: patterns of what is not to be made. refuse: whether
        a remembered answer that is no longer valid is an error, and not just forgotten.
        Raises ScaffoldError for a version or an answer that cannot be used.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder)) / "project"
        if remembered is not None:
            (folder / answers_file).parent.mkdir(parents=True)
            (folder / answers_file).write_text(remembered, encoding="utf-8")
        template = replace(self.template, ref=ref)
        with in_our_words(template, folder, PROJECT), contextlib.redirect_stderr(io.StringIO()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shared = self._worker(ref)
                commit = str(shared.template.commit or "")
                worker = replace(
                    shared,
                    dst_path=folder,
                    data=dict(data),
                    answers_file=Path(answers_file) if answers_file else None,
                    defaults=not ask,
                    skip_answered=ask,
                    exclude=exclude,
                )
                worker.template, worker.jinja_env = shared.template, shared.jinja_env
                with no_git():
                    worker.run_copy()
            made = read_tree(folder)
            files = {path: file for path, file in made.items() if not path.startswith(".git/")}
            answers_path = worker.answers_relpath.as_posix()
            seeded = frozenset(path for path in files if worker.match_skip(Path(path)))
        shutil.rmtree(folder.parent, ignore_errors=True)
        if remembered is not None:
            refuse_unknown(data, shared.template.questions_data)
        answers = public(recorded(files[answers_path].content)) if answers_path in files else {}
        if remembered is not None and refuse and not ask:
            refuse_changed(worker, ref, public(recorded(remembered)), answers, data)
        path = answers_path if answers_path in files else ""
        return Render(commit, files, path, seeded, tuple(shared.template.exclude), answers)

    def render_recorded(self, project: Project, exclude: tuple[str, ...] = ()) -> Render:
        """Render what a project records: its version with its answers.

        An answer that this version does not take (somebody edited it) counts as its default.
        """
        where, ref = project.answers_file, project.commit
        try:
            return self.render(ref, project.answers, answers_file=where, exclude=exclude)
        except UsageError:
            return self.render(
                ref, {}, remembered=project.text, answers_file=where, exclude=exclude, refuse=False
            )

    def has_questions(self, ref: str, project: Project, data: Mapping[str, Any]) -> str:
        """Return why the template at `ref` has something to ask; empty when it has not."""
        with in_our_words(replace(self.template, ref=ref), self._folder, PROJECT):
            questions = self._worker(ref).template.questions_data
        # One with a condition (`ask`) of its own has a default that nobody needs to look at.
        asked = {
            n for n, q in questions.items() if q.get("when", True) and q.get("ask", True) is True
        }
        if new := sorted(asked - {*project.answers, *data}):
            return f"new in {ref}: {', '.join(new)}"
        try:
            self.render(ref, data, remembered=project.text, answers_file=project.answers_file)
        except RefusedAnswerError as error:
            return error.message
        return ""

    def news(self, current: str, target: str) -> str:
        """Return what the template says of the versions after `current` up to `target`.

        That is its CHANGELOG.md, or the titles of the commits where it keeps none.
        """
        with in_our_words(replace(self.template, ref=target), self._folder, PROJECT):
            place = Path(self._worker(target).template.local_abspath)
        log = place / "CHANGELOG.md"
        if log.is_file():
            text = log.read_text(encoding="utf-8", errors="replace")
            if changes := changes_between(text, current, target):
                return changes
        done = try_git(place, "log", "--format=- %s", "--max-count=50", f"{current}..HEAD")
        return done.output.strip() if done.code == 0 else ""

    def files_in(self, ref: str, folder: str) -> list[Path]:
        """Return the files in `folder` of the template's repository at `ref`."""
        with in_our_words(replace(self.template, ref=ref), self._folder, PROJECT):
            place = Path(self._worker(ref).template.local_abspath) / folder
        return sorted(place.iterdir()) if place.is_dir() else []

    def _worker(self, ref: str) -> Worker:
        """Return the worker whose checkout of one version all renders of it share."""
        from copier._main import Worker

        if ref not in self._workers:
            worker = Worker(
                src_path=self.template.source,
                vcs_ref=ref,
                defaults=True,
                quiet=True,
                overwrite=True,
            )
            self._stack.enter_context(worker)
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            check_out_for(worker, replace(self.template, ref=ref), folder)
            # Copier prints what it raises, too; its checkout goes with our folder, come what may.
            with contextlib.redirect_stderr(io.StringIO()), temporary_files_in(self._folder):
                environment = worker.jinja_env  # checks the version out, if that is not done
                _ = worker.template.git_index_modes  # while there is git to ask
            self._share_code(environment, repr(worker.template.envops))
            environment.__dict__["from_string"] = lru_cache(4096)(environment.from_string)
            self._workers[ref] = worker
        return self._workers[ref]

    def _share_code(self, environment: Environment, options: str) -> None:
        """Let versions share what Jinja compiles of a text that is the same in them."""
        compile_ = environment.compile

        def compiled(source: str, name: str | None = None, *_: Any, **__: Any) -> CodeType:
            key = (source, name, options)
            if key not in self._code:
                self._code[key] = compile_(source, name)
            return self._code[key]

        environment.__dict__["compile"] = compiled


class Renderers:
    """The renderers of several projects: each template is opened once."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._open: dict[str, Renderer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, source: str) -> Renderer:
        """Return the renderer of the template that a project names."""
        if source not in self._open:
            template = self._stack.enter_context(open_source(source))
            self._open[source] = self._stack.enter_context(Renderer(template))
        return self._open[source]
