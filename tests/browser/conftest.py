"""A browser and a JupyterLab for the tests in this folder.

They take minutes and need a browser, so plain pytest and `make test` leave them out: only
`make test-browser`, which sets COURSE_BROWSER, collects them.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from lib.files import write_file
from tools.bench.measure import machine
from tools.book import WIDGETS as DATA
from tools.book.widgets import WIDGETS
from tools.browser import find_browser
from tools.course import ROOT
from tools.links import COURSE

if "COURSE_BROWSER" not in os.environ:
    collect_ignore_glob = ["test_*.py"]

SCREENSHOTS = ROOT / "build" / "browser"
WIDE, TABLET = {"width": 1280, "height": 900}, {"width": 820, "height": 1180}
PHONE = {"width": 390, "height": 844}
SUBSHELL = "Canceled future for create_subshell_request"
# Quiet: no question about news, no look for updates.
SETTINGS = {
    "apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # Chromium's sandbox needs rights that containers and root do not have.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page whose errors fail the test, but for the one that JupyterLab itself makes.

    It says so of its own question for a subshell when the kernel goes before the answer comes.
    """
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert [error for error in errors if SUBSHELL not in error] == [], "errors in the scripts"


@pytest.fixture(scope="session")
def record():
    """Keeps measured times by widget, and writes them to build/browser/latency.json at the end.

    `make test-browser RECORD=1` writes them to figures/browser.json too, for docs/evidence.md. With
    a time stands how many processes wanted each core, since a busy machine is slow.
    """
    measured = {}

    def keep(name, row):
        measured[name] = {**row, "load": round(os.getloadavg()[0] / os.cpu_count(), 1)}

    yield keep
    (SCREENSHOTS / "latency.json").write_text(as_text(measured))
    recorded = ROOT / "figures" / "browser.json"
    if os.environ.get("COURSE_RECORD"):
        write_file(recorded, as_text(earlier(recorded) | measured))


def as_text(rows):
    """The file of measured times, and of what the book loads for each widget."""
    paths = [DATA / f"{widget.name}.js" for widget in WIDGETS]
    megabytes = {p.stem: round(p.stat().st_size / 1e6, 2) for p in paths if p.exists()}
    result = {
        "machine": machine(), "widgets": dict(sorted(rows.items())), "megabytes": megabytes
    }  # fmt: skip
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def earlier(path):
    """What was measured before on the same machine, of widgets that are still there."""
    result = json.loads(path.read_text()) if path.exists() else {}
    if result.get("machine") != machine():
        return {}
    known = {*COURSE, *(f"book, {widget.name}" for widget in WIDGETS)}
    whose = re.compile(r"(book, \w+|\w+)")
    return {n: row for n, row in result["widgets"].items() if whose.match(n)[0] in known}


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Gives a chapter's address in a JupyterLab on a copy, since it saves by itself."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "figures", folder / "figures")
    shutil.copytree(
        ROOT / "notebooks",
        folder / "notebooks",
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    port, token = free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    command += ["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    environment = {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "TQDM_DISABLE": "1",
    }
    environment.pop("PYTEST_CURRENT_TEST", None)
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            wait_for(
                f"http://127.0.0.1:{port}/api/status?token={token}", server, folder / "lab.log"
            )
            # A workspace for each chapter: one would open the tabs of earlier chapters again.
            yield (
                lambda name: (
                    f"http://127.0.0.1:{port}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb"
                    f"?token={token}"
                )
            )
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, server: subprocess.Popen, log: Path, seconds: int = 120) -> None:
    """Returns once the server answers; RuntimeError with its log if it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab does not answer:\n{log.read_text()[-2000:]}")
