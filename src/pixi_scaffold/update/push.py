"""Push an update's branch and open the request to merge it, with gh or glab where they are."""

import re

from pixi_scaffold.report import Step
from pixi_scaffold.system import clean_env, run, which
from pixi_scaffold.update.note import Landing
from pixi_scaffold.update.repository import Repository

_WAITS = 120.0  # seconds; longer than a prompt for a password takes nobody


def push(repository: Repository, landing: Landing, step: Step) -> None:
    """Push the branch; open a request where the command for it is there.

    Fails the step, with the command to type, when there is no remote or the remote refuses.
    """
    onto = landing.from_branch
    remote = _remote(repository, onto)
    if not remote:
        step.failed("there is no remote to push to", (), "git remote add origin URL")
        return
    command = f"git push --set-upstream {remote} {landing.branch}"
    done = repository.ask("push", "--quiet", "--set-upstream", remote, landing.branch)
    if done.code:
        step.failed("git push failed", tuple(done.output.strip().splitlines()[-5:]), command)
        return
    url = repository.ask("remote", "get-url", remote).output.strip()
    request = _request(url, landing)
    if not request:
        step.passed(f"pushed to {remote}; open the request there: neither gh nor glab is here")
        return
    opened = run(
        request, cwd=repository.top, env=clean_env({"GH_PROMPT_DISABLED": "1"}), timeout=_WAITS
    )
    if opened.code:
        lines = tuple(opened.output.strip().splitlines()[-5:])
        step.failed(f"pushed to {remote}, but {request[0]} failed", lines, " ".join(request[:3]))
        return
    links = re.findall(r"https?://\S+", opened.output)
    step.passed(f"pushed to {remote}; {links[-1] if links else 'the request is open'}")


def _remote(repository: Repository, onto: str | None) -> str:
    """Return the remote of the branch that the update is to go into, or the only or usual one."""
    of_branch = repository.ask("config", f"branch.{onto}.remote").output.strip() if onto else ""
    names = repository.git("remote").split()
    usual = [name for name in (of_branch, "origin") if name in names]
    return (*usual, *names, "")[0]


def _request(url: str, landing: Landing) -> list[str]:
    """Return the command that opens the request; empty where there is none for this remote.

    A host that is neither GitHub nor GitLab by its name may run either.
    """
    names = ("glab",) if "gitlab" in url else ("gh",) if "github" in url else ("gh", "glab")
    title, _, body = landing.message.partition("\n\n")
    for name in filter(which, names):
        if name == "gh":
            words, base, text = ["pr", "create", "--head", landing.branch], "--base", "--body"
        else:
            words = ["mr", "create", "--yes", "--source-branch", landing.branch]
            base, text = "--target-branch", "--description"
        onto = [base, landing.from_branch] if landing.from_branch else []
        return [name, *words, *onto, "--title", title, text, body]
    return []
