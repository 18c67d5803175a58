"""Tests of main.py; `pixi run test` runs them. Add yours: a function whose name starts test_."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import main


def run_main(folder: Path, *more: str) -> int:
    return main.main(["--runs-dir", str(folder), "--name", "test", *more])


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Training takes over Ctrl-C and SIGTERM; the next test, and you, get them back."""
    before = {number: signal.getsignal(number) for number in main.STOPPING}
    yield
    main.SIGNALS.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def epochs(folder: Path) -> list[int]:
    text = (folder / "test" / "metrics.jsonl").read_text()
    return [json.loads(line)["epoch"] for line in text.splitlines()]


def test_a_run_leaves_its_results_and_can_be_trained_further(tmp_path: Path) -> None:
    assert run_main(tmp_path, "--epochs", "1") == 0
    assert run_main(tmp_path, "--epochs", "3") == 0
    assert epochs(tmp_path) == [1, 2, 3]


def test_a_run_that_trains_nothing_changes_nothing(tmp_path: Path) -> None:
    assert run_main(tmp_path, "--epochs", "2") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "test").iterdir()}
    assert run_main(tmp_path, "--epochs", "1", "--lr", "0.1") == 0
    assert {path: path.read_bytes() for path in (tmp_path / "test").iterdir()} == before


def test_a_checkpoint_of_another_program_is_left_alone(tmp_path: Path) -> None:
    checkpoint = tmp_path / "test" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"something else")
    assert run_main(tmp_path, "--epochs", "2") == 2
    assert checkpoint.read_bytes() == b"something else"


def test_eviction_saves_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch = main.Training.train_epoch

    def evicted(training: main.Training) -> dict[str, float]:
        signal.raise_signal(signal.SIGTERM)
        return train_epoch(training)

    with monkeypatch.context() as patch:
        patch.setattr(main.Training, "train_epoch", evicted)
        assert run_main(tmp_path, "--epochs", "3") == main.EVICTED
    main.SIGNALS.clear()
    assert run_main(tmp_path, "--epochs", "3") == 0
    assert epochs(tmp_path) == [1, 2, 3]
