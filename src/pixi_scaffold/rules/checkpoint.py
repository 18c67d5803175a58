"""Rules on checkpoints, interruptions and container images."""

import re
from collections.abc import Iterator

from pixi_scaffold.rules.files import to_be_made
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject, is_url
from pixi_scaffold.rules.texts import read_bytes
from pixi_scaffold.rules.trouble import PLACEHOLDER, trouble


@rule("PS402", Severity.WARNING)
def interruptible_without_checkpoint(subject: Subject) -> Iterator[Found]:
    """A job that offers to be interrupted and saves no checkpoint."""
    evict = "EVICT" in subject.meaning.of("when_to_transfer_output").text.upper()
    saves = evict or subject.job.command("checkpoint_exit_code") is not None
    for command, text in subject.said("my.is_resumable", "my.wantflocking", "my.wantglidein"):
        if text.strip('"').lower() in ("true", "1") and not saves:
            message = f"{command.spelled} without checkpoints: fine for a job of a few hours"
            fix = "for longer ones add checkpoint_exit_code and transfer_checkpoint_files"
            yield at(command, message, fix)


@rule("PS403", Severity.WARNING)
def nobody_exits_so(subject: Subject) -> Iterator[Found]:
    """Nothing exits with the checkpoint exit code."""
    command = subject.job.command("checkpoint_exit_code")
    code = subject.meaning.of("checkpoint_exit_code").text
    unseen = subject.brings_unseen or not subject.transfers
    if command is None or not code.isdecimal() or unseen:
        return
    paths = [p for p in (subject.executable, *subject.input_files) if p is not None]
    texts = [read_bytes(p) or b"" for p in paths if p.suffix != ".lock"]
    texts.append(subject.meaning.of("arguments").text.encode())
    word = re.compile(rb"\b%s\b" % code.encode())
    if not any(b"\0" in text[:4096] or word.search(text) for text in texts):
        message = f"the number {code} is in none of the job's files: it can never report a "
        yield at(command, message + "checkpoint", "let the training exit with it after saving")


@rule("PS404", Severity.WARNING)
def checkpoint_cannot_be_kept(subject: Subject) -> Iterator[Found]:
    """Settings that defeat the checkpoints."""
    for command, code in subject.said("checkpoint_exit_code"):
        if not subject.transfers:
            fix = "should_transfer_files = YES"
            yield at(command, "checkpoints with should_transfer_files = NO", fix)
        if code == (subject.meaning.of("success_exit_code").text or "0"):
            message = f"exit code {code} also means that the job is done"
            yield at(command, message, "use another code: 85")
        for signal, name in subject.said("kill_sig"):
            if name.upper() in ("9", "SIGKILL", "KILL"):
                message = f"{signal.spelled} = {name.upper()} leaves no time to save"
                yield at(signal, message, "kill_sig = SIGTERM")


_CAPITAL = re.compile(r"(?>(?:[\w-]+[.:][\w.:-]*/)?)[^:@$<]*[A-Z][^:@$<]*(?:[:@]|$)")
"""A name that Docker refuses. Source: the grammar of distribution's reference package."""


@rule("PS406")
def universe_and_image(subject: Subject) -> Iterator[Found]:
    """A container universe without an image, or an image that is not there."""
    image, docker = subject.job.command("container_image"), subject.job.command("docker_image")
    for refusal in subject.refusals:
        if refusal.kind == "image" and refusal.command is not None:
            yield at(refusal.command, refusal.message, refusal.fix)
            return
    yield from trouble(subject, "PS406")
    for setting, text in subject.said("container_image", "docker_image"):
        named = text[9:] if text[:9] == "docker://" else text if setting == docker else ""
        capital = _CAPITAL.match(named) is not None
        if re.match(r"(?:https?:|docker:(?!//))", text) or capital:
            message = f"{setting.spelled} = {text} is no name of an image"
            message += ": those have small letters" if capital else ""
            fix = "write NAME:TAG as docker pull takes it; in container_image docker://NAME:TAG"
            yield at(setting, message, fix, severity=Severity.WARNING)
            return
        if not text.removeprefix("docker://").strip("/ "):
            yield at(setting, f"{setting.spelled} names no image", "write: docker://NAME:TAG")
            return
    name = subject.meaning.of("container_image").text
    vague = not name or "$" in name or PLACEHOLDER.search(name)
    if image is None or vague or is_url(name) or name.startswith("/"):
        return
    if not (subject.start / name).exists() and not to_be_made(subject, name):
        message = f"the image {name} is not in {subject.start}"
        yield at(image, message, "build it, or correct the name", severity=Severity.WARNING)
