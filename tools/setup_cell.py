"""The set-up cell, the same in every notebook, made from `tool.course.repository`."""

from tools.course import Settings

TAG = "set-up"

_WITH_REPOSITORY = """\
# Set-up: on Google Colab this installs the course; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "{package} @ git+{repository}@v{version}"
"""

_WITHOUT_REPOSITORY = """\
# Set-up: on Google Colab this says how to install the course; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    print("First run: %pip install git+ADDRESS, with the address of this course's repository.")
"""


def setup_cell(settings: Settings) -> str:
    """Source of the cell. A Colab notebook gets the release that it belongs to, by its tag."""
    if not settings.repository:
        return _WITHOUT_REPOSITORY.rstrip()
    return _WITH_REPOSITORY.format(
        package=settings.package, repository=settings.repository, version=settings.version
    ).rstrip()
