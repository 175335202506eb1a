"""What the commands beside ``check`` print as JSON is as their schemas say, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from protocheck.cli import main
from protocheck.reports.schemas import SCHEMAS, schema_of

MODEL = """\
protocol counting
param most : 1..3 = 2;
hypervisor h {
    lock m : mutex;
    state x : 0..3 = 0;
    thread up { with m { if x < most { x = x + 1; } } }
    variant bare of thread up { x = 1; }
    thread down { x = 0; }
}
invariant low: h.x < 2;
reachable one: h.x == 1;
scenario now { expect all hold; }
scenario plain { with bare; expect all hold; }
"""
COMMANDS = {
    "info": ["info", "m.pchk"],
    "library": ["info", "lib.list"],
    "compare": ["compare", "m.pchk"],
    "sweep": ["sweep", "m.pchk", "-p", "most=1..3", "--variants", "--scenario", "now"],
    "mutate": ["mutate", "m.pchk"],
    "explain-run": ["explain-run", "run.json"],
}


@pytest.mark.parametrize("command", SCHEMAS)
def test_output_follows_its_schema(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schema that is printed accepts what is printed, and refuses a field more or one less."""
    (tmp_path / "m.pchk").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    main(["check", "m.pchk", "--format", "json", "-o", "run.json"])
    assert main(["schema", command]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == schema_of(command)
    jsonschema.Draft202012Validator.check_schema(schema)
    main([*COMMANDS[command], "--format", "json"])
    data = json.loads(capsys.readouterr().out)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(data)
    assert not validator.is_valid({**data, "surprise": 1})
    assert not validator.is_valid({k: v for k, v in data.items() if k != "file" and k != "guarantees"})
