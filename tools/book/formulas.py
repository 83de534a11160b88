"""Formulas as MathML, which browsers set themselves: no script, no font to load, no network.

docutils converts TeX; what it does not know of the course's few commands is written in ones that it
does know. A formula that it cannot convert fails the build.
"""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# Sizes of brackets are the browser's choice; an exponent of nothing stands on an empty group.
KNOWN = (
    (re.compile(r"\\[bB]ig{1,2}[lrm]?(?![a-zA-Z])"), ""),
    (re.compile(r"\\dots(?![a-zA-Z])"), r"\\ldots"),
    (re.compile(r"^(?=[\^_])"), "{}"),
)


def mathml(tex: str, block: bool) -> str:
    """Return a formula as a MathML element; raises docutils' MathError for an unknown command."""
    for pattern, known in KNOWN:
        tex = pattern.sub(known, tex.strip())
    return tex2mathml(tex, as_block=block)


def visit_math(self: Any, node: Any) -> None:
    """Write a formula within a line; called by Sphinx's HTML writer."""
    self.body.append(f'<span class="math">{mathml(node.astext(), block=False)}</span>')
    raise nodes.SkipNode


def visit_block(self: Any, node: Any) -> None:
    """Write a formula on lines of its own, which scrolls where the window is narrow."""
    box = '<div class="math" tabindex="0" role="group" aria-label="formula">'
    self.body.append(f"{box}{mathml(node.astext(), block=True)}</div>")
    raise nodes.SkipNode
