"""What `--help` shows at its end: commands to copy, and where the documentation is."""

from __future__ import annotations

DOCUMENTATION = "https://github.com/pixi-scaffold/pixi-scaffold/tree/main/docs"

_EXAMPLES = {
    "": (
        ("new myproject", "make a project and prove it"),
        ("new myproject --defaults", "the same, without a question"),
        ("check", "what is wrong with it?"),
        ("rehearse", "run its cluster job here"),
        ("doctor", "what this machine lacks"),
    ),
    "new": (
        ("new myproject", "asks first, then makes it"),
        ("new .", "into a fresh clone"),
        ("new mine -d example=none", "without the example network"),
        ("new mine -d layout=package", "code in src/, as a package"),
        ("new mine -d site=chtc --defaults", "for CHTC, no questions"),
    ),
    "lock": (
        ("lock", "write pixi.lock for all platforms"),
        ("lock --check", "does it still serve pixi.toml?"),
    ),
    "pack": (("pack", "write env.tar.gz from pixi.lock"),),
    "rehearse": (
        ("rehearse", "the job of htcondor/train.sub"),
        ("rehearse --evict-after random", "throw it off once"),
        ("rehearse --all --jobs 4", "a sweep, four jobs at a time"),
        ("rehearse other.sub lr=0.1", "what condor_submit takes, too"),
    ),
    "check": (
        ("check", "the workspace and its jobs"),
        ("check job.sub", "one submit description"),
        ("check --train", "also install here, and train for seconds"),
        ("check --fix", "correct what can be corrected safely"),
    ),
    "update": (
        ("update --dry-run", "what would change?"),
        ("update", "shows it, asks, then does it"),
        ("update -d site=chtc", "another answer to a question"),
        ("update --abort", "undo the last update"),
    ),
    "run": (("run train --epochs 20", "as pixi run does, without Pixi"),),
    "status": (
        ("status", "this project"),
        ("status ~/projects", "each project in a folder"),
    ),
}


def epilog(command: str = "") -> str:
    """Return the end of the help of a command; of the program where none is named."""
    rows = _EXAMPLES.get(command, ())
    width = max((len(words) for words, _ in rows), default=0)
    lines = [f"  pixi-scaffold {words:<{width}}  {why}" for words, why in rows]
    examples = "\n".join(("\b", "Examples:", *lines)) if lines else ""
    where = f"\b\nDocumentation: {DOCUMENTATION}"
    return "\n\n".join(filter(None, (examples, where)))
