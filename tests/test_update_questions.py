"""Whether an update has something to ask, beside Copier, which asks or refuses where nobody is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.template import Renderer, Template, read_project, render
from tests.conftest import git

COPIER = Path(sys.executable).with_name("copier")
ANSWERS = "{{ _copier_conf.answers_file }}.jinja"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "asked"),
    [
        pytest.param({"type": "str", "default": "b"}, True, id="plain"),
        pytest.param({"type": "str"}, True, id="without-a-default"),
        pytest.param({"type": "str", "default": "b", "when": False}, False, id="hidden"),
        pytest.param(
            {"type": "str", "default": "b", "ask": "{{ name == 'more' }}"}, False, id="behind-more"
        ),
        pytest.param(None, False, id="nothing-new"),
    ],
)
def test_what_copier_asks_is_asked(tmp_path: Path, question: object, asked: bool) -> None:
    template, project = tmp_path / "template", tmp_path / "project"
    template.mkdir()
    questions: dict[str, object] = {"name": {"type": "str", "default": "a"}}
    git(template, "init", "-q")
    (template / ANSWERS).write_text("{{ _copier_answers | to_nice_yaml }}")
    for tag in ("v1", "v2"):
        (template / "copier.yml").write_text(yaml.safe_dump(questions))
        (template / "version.txt").write_text(tag)
        git(template, "add", ".")
        git(template, "commit", "-qm", tag)
        git(template, "tag", tag)
        questions |= {} if question is None else {"extra": question}
    source = Template(str(template), "v1")
    render(source, project, {}, ask=False, git=True)
    with Renderer(Template(str(template))) as renderer:
        why = renderer.has_questions("v2", read_project(project), {})
    assert why == ("new in v2: extra" if asked else "")

    nobody = subprocess.run(
        [COPIER, "update", "--skip-answered", "--vcs-ref", "v2"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (nobody.returncode != 0) is asked, nobody.stderr
