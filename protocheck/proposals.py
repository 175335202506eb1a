"""What ``compare`` is given: files, scenarios of them, parameter settings, and revisions that git keeps."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from protocheck.check import DEFAULT_SCENARIO, scenario_names
from protocheck.compare import Proposal
from protocheck.resources import models_path
from protocheck.source import SourceFile
from protocheck.syntax import nodes
from protocheck.syntax.parse import load_source, parse
from protocheck.types.check import check, library_loader, load
from protocheck.types.tree import CheckedModule
from protocheck.usage import BAD_USAGE, BAD_VALUE, NO_REVISION, UsageError, find_models, parse_settings


@dataclass(frozen=True)
class Spec:
    """One argument, taken apart; ``revision`` is empty for a file as it is now, ``scenario`` for all of them."""

    text: str
    revision: str
    file: str
    scenario: str
    settings: tuple[str, ...]

    @property
    def rest(self) -> str:
        """What is asked for of the file."""
        return ":".join(part for part in (self.scenario, ",".join(self.settings)) if part)


def parse_spec(text: str) -> Spec:
    """``[REV:]FILE[:SCENARIO[:NAME=VALUE,...]]`` taken apart. Raises :class:`UsageError`.

    What comes first is a file if there is one of that name or it ends in ``.pchk``, and a revision otherwise.
    """
    parts = text.split(":")
    revision = ""
    if len(parts) > 1 and not parts[0].endswith(".pchk") and not Path(parts[0]).is_file():
        revision, *parts = parts
        if not revision or revision.startswith("-"):
            raise UsageError(BAD_USAGE, f"`{text}`: `{revision}` is no revision", _FORM)
    file, *rest = parts
    if not file or len(rest) > 2:
        raise UsageError(BAD_USAGE, f"`{text}` cannot be read", _FORM)
    scenario, settings = (*rest, "", "")[:2]
    return Spec(text, revision, file, scenario, tuple(s for s in settings.split(",") if s))


_FORM = "write [REV:]FILE[:SCENARIO[:NAME=VALUE,...]]"


def find_proposals(texts: Sequence[str]) -> list[Proposal]:
    """The proposals that ``texts`` mean: a file alone, if it is the only one, stands for each of its scenarios.

    Raises :class:`UsageError` where there is nothing to compare, and :class:`ModelError` for faults of the models.
    """
    specs = [parse_spec(text) for text in texts]
    modules: dict[tuple[str, str], CheckedModule] = {}
    for spec in specs:
        if (spec.revision, spec.file) not in modules:
            modules[spec.revision, spec.file] = _load(spec)
    if len(specs) == 1:
        (spec,) = specs
        names = scenario_names(modules[spec.revision, spec.file])
        if spec.scenario or len(names) < 2:
            raise UsageError(BAD_USAGE, f"`{spec.text}` is one proposal; there is nothing to compare it with", _FORM)
        specs = [replace(spec, text=name or DEFAULT_SCENARIO, scenario=name or "") for name in names]
    found = []
    labels = _labels(specs)
    for spec, label in zip(specs, labels, strict=True):
        module = modules[spec.revision, spec.file]
        scenario: str | None = spec.scenario or None
        if scenario is not None:
            (scenario,) = scenario_names(module, (scenario,))
        found.append(Proposal(label, module, scenario, parse_settings(spec.settings)))
    _agree(found)
    return found


def _agree(found: Sequence[Proposal]) -> None:
    """A single scenario can only be compared with a single one."""
    counts = [1 if p.scenario is not None else len(scenario_names(p.module)) for p in found]
    for proposal, count in zip(found, counts, strict=True):
        if count > 1 and min(counts) == 1:
            names = ", ".join(proposal.module.scenarios)
            headline = f"`{proposal.label}` has {count} scenarios and would be compared with a single one"
            raise UsageError(BAD_USAGE, headline, f"choose one of {names}: {_FORM}")


def _labels(specs: Sequence[Spec]) -> list[str]:
    """How the proposals are called: without the name of the file, if it is the same for all and the rest tells."""
    if len({(s.revision, s.file) for s in specs}) == 1 and all(s.rest for s in specs):
        labels = [s.rest for s in specs]
    else:
        labels = [s.text for s in specs]
    if len(set(labels)) < len(labels):
        twice = next(x for x in labels if labels.count(x) > 1)
        raise UsageError(BAD_USAGE, f"`{twice}` is given twice", "compare it with something else")
    return labels


def _load(spec: Spec) -> CheckedModule:
    if spec.revision:
        return _Revision(spec.revision).load(spec.file)
    models = find_models([spec.file])
    if len(models) > 1:
        raise UsageError(BAD_VALUE, f"`{spec.file}` holds {len(models)} models; a proposal is one", "name the file")
    return load(models[0].path, models[0].shown)


class _Revision:
    """The files of one revision."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        git = shutil.which("git")
        if git is None:
            raise UsageError(NO_REVISION, f"`{revision}:...` needs git, which is not there", "save the old file")
        self.git = git

    def load(self, file: str) -> CheckedModule:
        """The model in ``file`` as it was, with the library modules beside it as they were."""
        path = Path(file)
        data = self._show(path)
        if isinstance(data, str):
            raise UsageError(NO_REVISION, f"git cannot show `{self.revision}:{file}`: {data}", _hint(path))
        now = library_loader(path.parent)

        def find(dotted: str) -> nodes.Module:
            relative = Path(*dotted.split(".")).with_suffix(".pchk")
            if dotted.startswith("lib.") and (models_path() / relative).is_file():
                return now(dotted)
            text = self._show(path.parent / relative)
            if isinstance(text, str):
                raise LookupError(dotted)
            return parse(self._source(path.parent / relative, text))

        return check(parse(self._source(path, data)), find)

    def _source(self, path: Path, data: bytes) -> SourceFile:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "text"
            copy.write_bytes(data)
            return load_source(copy, f"{self.revision}:{path.as_posix()}")

    def _show(self, path: Path) -> bytes | str:
        """The bytes of a file as it was, or why there are none."""
        folder, name = (path.parent, path.name) if path.is_absolute() else (Path(), path.as_posix())
        try:
            done = subprocess.run(
                [self.git, "show", "--no-textconv", f"{self.revision}:./{name}"],
                cwd=folder,
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            return error.strerror or str(error)
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        return said.removeprefix("fatal: ") or f"it ended with code {done.returncode}"


def _hint(path: Path) -> str:
    return "is the revision right?" if path.exists() else f"there is no file `{path.as_posix()}` now either"
