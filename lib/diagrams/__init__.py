"""Floor 4: pictures of structures, each drawn from the object that runs.

`architecture(config)` draws any model, `architecture(a, b)` two side by side.
"""

from lib.diagrams.architecture import architecture
from lib.diagrams.diagram import Diagram

__all__ = ["Diagram", "architecture"]
