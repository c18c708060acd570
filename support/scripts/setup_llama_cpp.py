"""Fetch llama.cpp for GGUF: ``setup_llama_cpp.py FOLDER [prebuilt | source]``.

Run it with the interpreter that will convert, the trainer's.

Everything comes from the package registries through their own clients, is pinned by its hash and
stays in FOLDER; nothing of it is part of this project:

``convert/``   llama.cpp's converter and its ``gguf`` package, from llama-cpp-python's sdist
``lib/``       llama.cpp's library: as npm's @node-llama-cpp/linux-x64 has it, or built by cmake
``python/``    sentencepiece, which the converter imports and the trainer's environment lacks
``ready``      which route and which releases; written last

Both routes give llama.cpp 0.5.0 with the same interface (support/docs/GGUF.md). llama.cpp is MIT.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SDIST: Final = "llama-cpp-python==0.3.36"
SDIST_SHA256: Final = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
PREBUILT: Final = "@node-llama-cpp/linux-x64@3.22.1"
PREBUILT_SHA256: Final = "0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0"
SENTENCEPIECE: Final = "sentencepiece==0.2.3"
BUILD_TOOLS: Final = ("cmake>=3.28,<5", "ninja>=1.11,<2")
CMAKE_OPTIONS: Final = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_BUILD_COMMON=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF",
)
_CONVERTER: Final = ("conversion/", "gguf-py/gguf/", "LICENSE")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("route", choices=["prebuilt", "source"], nargs="?", default="prebuilt")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at a time")
    given = parser.parse_args()
    folder: Path = given.folder
    (folder / "ready").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="llama-cpp-") as scratch:
        work = Path(scratch)
        source = fetch_source(work)
        replace(folder / "convert", copy_converter(source, work / "convert"))
        if given.route == "prebuilt":
            library = fetch_prebuilt(work)
        else:
            library = build(source, work, jobs=given.jobs)
        replace(folder / "lib", only_library(library, work / "lib"))
        replace(folder / "python", fetch_sentencepiece(work / "python"))
    (folder / "ready").write_text(f"{given.route} {SDIST} {PREBUILT}\n", encoding="utf-8")
    return 0


def fetch_source(work: Path) -> Path:
    """Return llama.cpp's sources, from the sdist."""
    say(f"Fetching {SDIST}: the converter and the sources (77 MB) …")
    options = ["--no-deps", "--no-binary", ":all:", "--quiet", "--dest", str(work)]
    run([sys.executable, "-m", "pip", "download", *options, SDIST])
    (archive,) = work.glob("llama_cpp_python-*.tar.gz")
    check(archive, SDIST_SHA256)
    with tarfile.open(archive) as tar:
        tar.extractall(work / "sdist", filter="data")
    (root,) = (work / "sdist").iterdir()
    return root / "vendor" / "llama.cpp"


def copy_converter(source: Path, target: Path) -> Path:
    """Copy what converts; returns ``target``."""
    for name in _CONVERTER:
        if name.endswith("/"):
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy2(source / name, target / name)
    return target


def fetch_prebuilt(work: Path) -> Path:
    """Return a folder with the prebuilt library."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        stop(f"There is no pinned prebuilt llama.cpp for {machine}.")
    if shutil.which("npm") is None:
        stop("The prebuilt llama.cpp comes from npm, which is not installed.")
    say(f"Fetching {PREBUILT} (11 MB) …")
    run(["npm", "pack", "--silent", "--pack-destination", str(work), PREBUILT], quiet=True)
    (archive,) = work.glob("node-llama-cpp-*.tgz")
    check(archive, PREBUILT_SHA256)
    with tarfile.open(archive) as tar:
        tar.extractall(work / "npm", filter="data")
    return work / "npm" / "package" / "bins" / "linux-x64"


def build(source: Path, work: Path, *, jobs: int) -> Path:
    """Return a folder with the library, compiled for this machine; needs a C++ compiler."""
    say("Building llama.cpp (some minutes) …")
    tools = work / "tools"
    run([sys.executable, "-m", "venv", str(tools)])
    run([str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", *BUILD_TOOLS])
    programs = {"PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    target = work / "build"
    configure = ["cmake", "-S", str(source), "-B", str(target), "-G", "Ninja", *CMAKE_OPTIONS]
    compile_ = ["cmake", "--build", str(target), "--target", "llama", "--parallel", str(jobs)]
    for command in (configure, compile_):
        run(command, environment=programs, quiet=True)
    return target / "bin"


def only_library(source: Path, target: Path) -> Path:
    """Copy the library without the programs beside it; returns ``target``."""
    target.mkdir()
    for name in ("libggml*.so*", "libllama.*so*"):
        for path in source.glob(name):
            shutil.copy2(path, target / path.name, follow_symlinks=False)
    return target


def fetch_sentencepiece(target: Path) -> Path:
    """Install sentencepiece for this interpreter into a folder of its own; returns it."""
    options = ["--quiet", "--no-deps", "--target", str(target)]
    run([sys.executable, "-m", "pip", "install", *options, SENTENCEPIECE])
    return target


def check(path: Path, sha256: str) -> None:
    """Stop unless the file is the pinned one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        stop(f"{path.name} has the SHA-256 {found}, not the pinned {sha256}.")


def replace(old: Path, new: Path) -> None:
    """Put a folder where another may be."""
    shutil.rmtree(old, ignore_errors=True)
    old.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(new, old)


def run(
    command: Sequence[str], *, environment: dict[str, str] | None = None, quiet: bool = False
) -> None:
    """Run a program; stop with its output when it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        check=False,
    )
    if done.returncode:
        sys.stderr.write((done.stdout or b"").decode(errors="replace")[-4000:])
        stop(f"{command[0]} failed ({done.returncode}).")


def say(text: str) -> None:
    """Tell what takes a while."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def stop(why: str) -> None:
    """End with a reason."""
    raise SystemExit(f"{why}\nThe other route: `make setup-gguf LLAMA_CPP_FROM=source` builds it.")


if __name__ == "__main__":
    sys.exit(main())
