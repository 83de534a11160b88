"""What the tests know about the source of `lib`, read with ast and never imported."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name of each module of lib and its file; a package stands under its own name."""
    found = {}
    for path in sorted((root / "lib").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def public_definitions(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes at the top of a module whose names do not begin with an underscore."""
    return [
        node
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    ]


def imports(path: Path, name: str, known: set[str]) -> set[str]:
    """Modules of `known` that the module `name` imports, wherever in its file the import stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            targets = [
                f"{source}.{alias.name}" if f"{source}.{alias.name}" in known else source
                for alias in node.names
            ]
        else:
            continue
        found.update(target for target in targets if target in known)
        found.update(target for target in targets if target.split(".")[0] in ("tools", "tests"))
    return found - {name}
