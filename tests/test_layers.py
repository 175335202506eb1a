"""The shape of the program: which part may know which, and where foreign libraries and domain words may stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "protocheck"

# A module imports only from its own layer and those before it. A layer is a module, a package, or a part of one.
LAYERS = (
    "records",
    "source",
    "diagnostics",
    "resources",
    "usage",
    "progress",
    "syntax",
    "ir",
    "types",
    "lower",
    "engines.verdict",
    "traces.lasso",
    "traces.replay",
    "findings",
    "traces",
    "engines",
    "properties",
    "as_found",
    "any_size",
    "run_findings",
    "never_done",
    "counterexamples",
    "check",
    "info",
    "life_cycle",
    "library",
    "compare",
    "sweep",
    "interruption",
    "jobs",
    "widen",
    "mutate",
    "simulate",
    "explain_run",
    "state_graph",
    "reports",
    "describe",
    "terminal",
    "proposals",
    "catalogue",
    "commands",
    "cli",
    "__main__",
)

HOMES = {
    "lark": ("syntax/parse.py",),
    "z3": ("engines/",),
    "networkx": ("properties/",),
    "tabulate": ("reports/",),
}

DOMAIN_WORDS = re.compile(r"(?i)\b(rmp|s-?ept|sept|gmem|guest_memfd|snp|sev|tdx|psmash|rmpupdate|pvalidate)\b")


def modules() -> list[Path]:
    """All Python files of the package."""
    return sorted(p for p in PACKAGE.rglob("*.py") if "_data" not in p.parts)


def dotted(path: Path) -> str:
    """``engines.bmc`` for ``protocheck/engines/bmc.py``; the package itself is the empty string."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> int | None:
    """The position of the most specific layer that ``module`` is in."""
    best = max((name for name in LAYERS if module == name or module.startswith(f"{name}.")), key=len, default=None)
    return LAYERS.index(best) if best is not None else None


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file imports, wherever it does so, with the line; those of this package without its name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            for alias in node.names:
                below = PACKAGE.parent / Path(*node.module.split("."), alias.name)
                whole = below.is_dir() or below.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if whole else node.module, node.lineno


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_every_module_has_a_layer(path: Path) -> None:
    """A new module is given its place on purpose."""
    assert dotted(path) == "" or layer(dotted(path)) is not None


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_no_module_knows_a_later_layer(path: Path) -> None:
    """Imports point downwards, also those that only types need."""
    own = layer(dotted(path))
    if own is None:
        return
    upwards = []
    for name, line in imports(path):
        if name.startswith("protocheck."):
            other = layer(name.removeprefix("protocheck."))
            if other is None or other > own:
                upwards.append(f"{path.name}:{line} imports {name}")
    assert upwards == []


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_foreign_libraries_are_at_home(path: Path) -> None:
    """Each foreign library is imported in one place only."""
    at = path.relative_to(PACKAGE).as_posix()
    strangers = [
        f"{at}:{line} imports {name}"
        for name, line in imports(path)
        for library, homes in HOMES.items()
        if name.split(".")[0] == library and not at.startswith(homes)
    ]
    assert strangers == []


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_python_knows_no_domain(path: Path) -> None:
    """What the words of the domain mean is written in models, never in Python.

    Files of rules are pages of documentation; their examples are models, and models speak of the domain.
    """
    if path.name == "rules.py":
        return
    found = [
        f"{path.name}:{number}: {match.group()}"
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
        for match in DOMAIN_WORDS.finditer(line.replace("_", " "))
    ]
    assert found == []


def test_the_checks_can_fail() -> None:
    """A later layer is later, a part of a package can be earlier than the package, and a domain word is seen."""
    assert layer("cli") > layer("reports.text") > layer("ir.expr")  # type: ignore[operator]
    assert layer("engines.verdict") < layer("engines.bmc")  # type: ignore[operator]
    assert layer("nowhere") is None
    assert DOMAIN_WORDS.search("the RMP entry")
    assert not DOMAIN_WORDS.search("a concept of separate things")


def test_the_tables_are_current() -> None:
    """No layer is listed that does not exist."""
    for name in LAYERS:
        at = PACKAGE / Path(*name.split("."))
        assert at.is_dir() or at.with_suffix(".py").is_file(), name
