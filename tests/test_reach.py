from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock import unreachable
from pixi_scaffold.lock.channels import mirrored
from pixi_scaffold.system import opener, unanswered
from tests.support.server import answering, closed, serve, swallow

CHANNEL = "https://conda.anaconda.org/conda-forge/"


def test_a_server_that_says_404_answers(tmp_path: Path) -> None:
    with serve(tmp_path) as url:
        assert unreachable([url + "/channel/"]) is None


def test_a_closed_port_does_not_answer() -> None:
    why = unreachable([closed() + "/"])
    assert why is not None
    assert "refused" in why


def test_a_network_that_swallows_packets_is_given_up() -> None:
    with swallow() as url:
        why = unreachable([url + "/"], timeout=0.3)
        assert why is not None
        assert "no answer within 0.3 s" in why


def test_a_look_up_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of a name obeys no timeout; one that hangs stands in for a dead resolver."""
    release = threading.Event()

    def look_up_stand_in(*_args: object, **_kwargs: object) -> list[object]:
        release.wait(600)
        raise OSError("nobody knows that name")

    monkeypatch.setattr("socket.getaddrinfo", look_up_stand_in)
    try:
        why = unreachable(["https://channel.invalid/"], timeout=0.3)
        assert why is not None
        assert "no answer within 0.3 s" in why
        assert not release.is_set()
    finally:
        release.set()


def test_the_mirror_of_pixis_configuration_is_asked(
    tmp_path: Path, mirror: Callable[[str], None]
) -> None:
    with serve(tmp_path) as url:
        mirror(url)
        assert unreachable([CHANNEL]) is None
    mirror(closed())
    assert unreachable([CHANNEL]) is not None


def test_a_broken_configuration_is_named(user: Path) -> None:
    (user / "config.toml").write_text("[mirrors\n")
    with pytest.raises(LockError, match="Pixi configuration"):
        unreachable([CHANNEL])


def test_folders(tmp_path: Path) -> None:
    assert unreachable([tmp_path.as_uri() + "/"]) is None
    assert unreachable([(tmp_path / "no").as_uri() + "/"]) is not None


@pytest.mark.parametrize(("code", "reachable"), [(404, True), (401, True), (503, False)])
def test_a_server_that_is_down_is_not_there(
    code: int, reachable: bool, mirror: Callable[[str], None]
) -> None:
    with answering(code) as url:
        mirror(url)
        why = unreachable([CHANNEL])
    assert (why is None) == reachable
    if why is not None:
        assert "503" in why


def test_one_healthy_mirror_is_enough(tmp_path: Path, user: Path) -> None:
    with swallow() as silent, serve(tmp_path) as url:
        text = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{silent}", "{url}"]\n'
        (user / "config.toml").write_text(text)
        assert unreachable([CHANNEL], timeout=3.0) is None


def test_hosts_that_need_no_proxy(tmp_path: Path, user: Path) -> None:
    with serve(tmp_path) as url:
        proxy = f'[proxy-config]\nhttp = "{closed()}"\n'
        (user / "config.toml").write_text(proxy)
        assert unreachable([url + "/"]) is not None
        (user / "config.toml").write_text(proxy + 'non-proxy-hosts = ["127.0.0.1"]\n')
        assert unreachable([url + "/"]) is None


def test_a_proxy_that_does_not_answer_is_named(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the channel would be looked for; what logs in to the proxy is not said."""
    place = closed().rpartition("/")[2]
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://me:secret@{place}")
    assert unreachable([CHANNEL], 60) == f"{CHANNEL}: through the proxy {place}: Connection refused"
    with swallow() as silent:
        (user / "config.toml").write_text(f'[proxy-config]\nhttps = "{silent}"\n')
        why = unreachable([CHANNEL], timeout=0.3)
    place = silent.rpartition("/")[2]
    assert why == f"{CHANNEL}: through the proxy {place}: no answer within 0.3 s"


def test_the_longest_prefix_wins() -> None:
    mirrors = {"https://a.b": ["https://m1"], "https://a.b/c/": ["https://m2/x", "https://m3"]}
    assert mirrored("https://a.b/c/d/", mirrors) == ["https://m2/x/d/", "https://m3/d/"]
    assert mirrored("https://a.b/e/", mirrors) == ["https://m1/e/"]
    assert mirrored("https://other/", mirrors) == ["https://other/"]


def test_whoever_answers_is_asked_once_and_nobody_is_told() -> None:
    with serve(Path(__file__).parent) as url:
        here, missing, nobody = url, f"{url}/missing", closed()
        whys = unanswered([here, missing, nobody], 3.0, lambda _: opener())
    assert (whys[here], whys[missing]) == (None, None)
    assert "refused" in (whys[nobody] or "")
