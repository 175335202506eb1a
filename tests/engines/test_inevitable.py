"""After which step a violation is inevitable, and which earlier steps made one possible: models with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from protocheck.check import check_file
from protocheck.cli import main
from protocheck.engines.inevitable import inevitable
from protocheck.engines.verdict import Budget
from protocheck.findings import Finding
from protocheck.reports.document import load, runs
from protocheck.reports.json import schema_path
from protocheck.traces.trace import Trace, trace_of_finding

ABBA = """\
protocol abba
hypervisor h {
    lock a : mutex;
    lock b : mutex;
    thread one { acquire a; acquire b; release b; release a; }
    thread two { acquire b; acquire a; release a; release b; }
}
"""
READ_READ = """\
protocol reading
hypervisor h {
    state sold : 0..3 = 0;
    thread one { let seen = sold; sold = seen + 1; }
    thread two { let seen = sold; sold = seen + 1; }
}
final both_count: h.sold == 2;
"""
CHOICE = """\
protocol choosing
hypervisor h {
    state x : 0..2 = 0;
    thread one { x = 1; either { x = 0; } or { x = 2; } assert x != 2 as never_two; }
    thread two { let y = x; }
}
"""
LATE = """\
protocol late
hypervisor h {
    state x : 0..2 = 0;
    thread one { x = 1; either { assert x == 0 as never_one; } or { x = 0; } }
    thread two { let y = x; x = y; }
}
"""
FLIPS = """\
protocol flips
hypervisor h {
    state x : bool = false;
    state seen : bool = false;
    %s flip { loop { x = !x; } }
    thread look { await x; seen = true; }
}
invariant never_seen: !h.seen;
"""


def found(tmp_path: Path, text: str, name: str) -> tuple[Finding, Trace]:
    path = tmp_path / "model.pchk"
    path.write_text(text)
    report = check_file(path, properties=[name], explain=True)
    (scenario,) = report.scenarios
    finding = next(f for f in scenario.findings if f.name == name)
    trace = trace_of_finding(scenario.system, finding)
    assert trace is not None
    return finding, trace


@pytest.mark.parametrize(
    ("text", "name", "after"),
    [
        (ABBA, "deadlock", 2),
        (READ_READ, "both_count", 2),
    ],
)
def test_both_have_taken_what_they_should_not(tmp_path: Path, text: str, name: str, after: int) -> None:
    """With one lock each, and with the same number read twice, nothing can help any more; before that it can."""
    _, trace = found(tmp_path, text, name)
    assert trace.inevitable == after < len(trace.steps)


def test_the_choice_decides(tmp_path: Path) -> None:
    """Once the wrong branch has stored its value the assertion fails, whatever the other thread does."""
    _, trace = found(tmp_path, CHOICE, "never_two")
    assert [s.text for s in trace.steps if s.number == trace.inevitable] == ["x = 2"]


def test_only_the_last_step_decides(tmp_path: Path) -> None:
    """Where the failing statement is one of two that can be taken, nothing before it is inevitable."""
    _, trace = found(tmp_path, LATE, "never_one")
    assert trace.inevitable == len(trace.steps)


@pytest.mark.parametrize(("kind", "earlier"), [("environment", False), ("thread", False)])
def test_whoever_flips_may_do_so_at_the_wrong_time(tmp_path: Path, kind: str, earlier: bool) -> None:
    """A thread that waits for what flips for ever is owed nothing: the violation can be avoided until it has looked."""
    _, trace = found(tmp_path, FLIPS % kind, "never_seen")
    assert trace.inevitable is not None
    looked = next(s.number for s in trace.steps if s.text.startswith("await"))
    assert (trace.inevitable < looked) is earlier


def test_nothing_is_claimed_beyond_the_limit(tmp_path: Path) -> None:
    """With too many states that can follow there is no answer instead of a wrong one."""
    finding, _ = found(tmp_path, READ_READ, "both_count")
    path = tmp_path / "model.pchk"
    (scenario,) = check_file(path).scenarios
    assert scenario.system is not None
    assert finding.evidence is not None
    states = finding.evidence.replayed.states
    target = finding.evidence.target
    assert inevitable(scenario.system, target, states, False, Budget()) == 2  # type: ignore[arg-type]
    assert inevitable(scenario.system, target, states, False, Budget(), limit=1) is None  # type: ignore[arg-type]


def test_causes_are_the_last_steps_that_turned_the_guard(tmp_path: Path) -> None:
    """An await is possible since the store that it waits for, a lock since its release, else since the step before."""
    text = """\
protocol passing
hypervisor h {
    lock m : mutex;
    state go : bool = false;
    state done : bool = false;
    thread one { acquire m; go = true; release m; }
    thread two { await go; acquire m; done = true; release m; }
}
invariant never_done: !h.done;
"""
    _, trace = found(tmp_path, text, "never_done")
    causes = {s.text: s.causes for s in trace.steps}
    number = {s.text: s.number for s in trace.steps}
    assert causes["await go"] == (number["go = true"],)
    assert causes["acquire m"] == (number["go = true"], number["await go"])  # the release is part of the first
    assert trace.steps[0].causes == ()


def test_json_carries_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stored report validates and gives causes and the mark back; the full text has them too, the short one not."""
    path = tmp_path / "abba.pchk"
    path.write_text(ABBA)
    stored = tmp_path / "abba.json"
    options = [str(path), "--property", "deadlock", "--no-any-size", "-j", "1"]
    assert main(["check", *options, "--format", "json", "-o", str(stored)]) == 1
    data = json.loads(stored.read_text())
    jsonschema.Draft202012Validator(json.loads(schema_path().read_text())).validate(data)
    (run,) = runs(load(str(stored)))
    assert run.trace.inevitable == 2
    assert any(s.causes for s in run.trace.steps)
    main(["check", *options])
    short = capsys.readouterr().out
    main(["check", *options, "--full"])
    full = capsys.readouterr().out
    words = "from here on the violation is inevitable"
    assert (words in short, words in full, "possible since step" in full) == (False, True, True)
