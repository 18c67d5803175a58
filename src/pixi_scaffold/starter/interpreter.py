"""Pack the running Python interpreter as the conda package `python`."""

import platform
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.starter.package import Entry, compiled, write_package
from pixi_scaffold.starter.wheel import PYTHON, SITE_PACKAGES
from pixi_scaffold.system import run

_LEFT_OUT = frozenset({
    "test", "tests", "site-packages", "dist-packages", "__pycache__", "idlelib", "turtledemo",
    "tkinter", "ensurepip", "EXTERNALLY-MANAGED",
})  # fmt: skip

_SITE_CUSTOMIZE = """\
# This interpreter's own site module looks into dist-packages only (as Debian builds it).
import os, site, sys
site.addsitedir(os.path.join(sys.prefix, "lib", "python{version}", "site-packages"))
"""


def pack_interpreter(folder: Path, subdir: str) -> Path:
    """Write the interpreter that runs this as `python-VERSION-...conda`; return its path.

    The binary, libpython where it is shared, and the standard library without its tests. Raises
    ScaffoldError for an interpreter that does not work from another folder.
    """
    if sysconfig.get_config_var("PYTHONFRAMEWORK"):
        raise ScaffoldError(
            f"the Python at {sys.base_prefix} is a macOS framework build, which works only there",
            "run pixi-scaffold with another Python, for example: uv tool install pixi-scaffold",
        )
    index = {
        "name": "python",
        "version": platform.python_version().replace("+", ""),
        "build": f"starter_cp{PYTHON.replace('.', '')}",
        "build_number": 0,
        "depends": [],
        "license": "PSF-2.0",
        "subdir": subdir,
        "timestamp": 0,
        "python_site_packages_path": SITE_PACKAGES,
    }
    return write_package(folder, index, _entries())


def base_executable() -> Path:
    """Return the real file of the interpreter, outside any virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _entries() -> Iterator[Entry]:
    base = Path(sys.base_prefix)
    name = f"bin/python{PYTHON}"
    yield Entry(name, _relocatable(base_executable().read_bytes(), base / "lib"), 0o755)
    yield Entry("bin/python3", link=f"python{PYTHON}")
    yield Entry("bin/python", link=f"python{PYTHON}")
    library = sysconfig.get_config_var("INSTSONAME")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and library:
        shared = Path(sysconfig.get_config_var("LIBDIR") or base / "lib") / library
        if shared.is_file():
            yield Entry(f"lib/{library}", shared.read_bytes(), 0o755)
    stdlib = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base)}))
    target = f"{sys.platlibdir}/python{PYTHON}"
    for path in sorted(stdlib.rglob("*")):
        parts = path.relative_to(stdlib).parts
        if not path.is_file() or _LEFT_OUT.intersection(parts) or parts[0].startswith("config-"):
            continue
        inside = f"{target}/{'/'.join(parts)}"
        content = path.read_bytes()
        yield Entry(inside, content)
        if path.suffix == ".py" and (byte_code := compiled(inside, content)):
            yield byte_code
    yield Entry(f"{SITE_PACKAGES}/README.txt", b"Packages of this environment.\n")
    # Where it looks for packages when it runs outside a virtual environment.
    question = "import site; print(*site.getsitepackages(), sep='\\n')"
    places = run([base_executable(), "-I", "-c", question], timeout=30).output.splitlines()
    if not any(place.endswith("site-packages") for place in places):
        custom = _SITE_CUSTOMIZE.format(version=PYTHON).encode()
        yield Entry(f"{target}/sitecustomize.py", custom)


def _relocatable(binary: bytes, library_folder: Path) -> bytes:
    """Return the ELF binary with an absolute RUNPATH to its own libpython made relative.

    The string is replaced in place, padded with NUL, so nothing in the file moves.
    """
    old = str(library_folder).encode() + b"\0"
    new = b"$ORIGIN/../lib\0"
    if not binary.startswith(b"\x7fELF") or old not in binary or len(new) > len(old):
        return binary
    return binary.replace(old, new.ljust(len(old), b"\0"))
