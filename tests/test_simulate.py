"""``protocheck simulate``: a run taken by hand, over a terminal, a pipe and the command line."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from protocheck import cli
from protocheck.diagnostics import ModelError
from protocheck.lower import compile_system, instantiate
from protocheck.reports.document import load as load_report
from protocheck.reports.document import runs
from protocheck.reports.simulation import layout_position
from protocheck.reports.style import Style
from protocheck.simulate import Session
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader

MODEL = """\
protocol abba
hypervisor k {
    lock a : mutex;
    lock b : mutex;
    state n : 0..2 = 0;
    state ready : bool = false;
    thread one {
        with a { with b { n = n + 1; } }
    }
    thread two {
        with b { with a { n = n + 1; } }
        ready = true;
    }
    thread three {
        await ready;
        assert n < 2 as small;
    }
}
param begin_with : 0..1 = 0;
scenario as_is { expect deadlock violated, lock_order violated, small violated; }
scenario later { begin_with = 1; expect deadlock violated, lock_order violated, small violated; }
"""

DEADLOCK = """\
m.pchk, scenario as_is (begin_with = 0); `?` lists the commands
at the beginning:
  1  k.one line 8: with a
       takes a
  2  k.two line 11: with b
       takes b
  -  k.three line 15: waits for await ready; k.two may change k.ready
0> 1
after step 1:
  1  k.one line 8: with b
       takes b; n: 0 -> 1; releases b; releases a
  2  k.two line 11: with b
       takes b
  -  k.three line 15: waits for await ready; k.two may change k.ready
1> 2
after step 2:
  1  k.one line 8: with b
       waits for b: k.two holds b
  2  k.two line 11: with a
       waits for a: k.one holds a
  -  k.three line 15: waits for await ready; k.two may change k.ready
2> 1
after step 3:
  1  k.two line 11: with a
       waits for a: k.one holds a
  -  k.one line 8: waits for b; k.two holds b
  -  k.three line 15: waits for await ready; k.two may change k.ready
3> 1
after step 4:
no step is possible
  -  k.one line 8: waits for b; k.two holds b
  -  k.two line 11: waits for a; k.one holds a
  -  k.three line 15: waits for await ready; k.two may change k.ready
"""


def session(text: str = MODEL) -> Session:
    """A session of the model's first scenario."""
    module = check(parse(SourceFile("m.pchk", text)), library_loader(Path()))
    return Session(compile_system(module, instantiate(module, next(iter(module.scenarios), None))))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model in it."""
    monkeypatch.chdir(tmp_path)
    Path("m.pchk").write_text(MODEL, encoding="utf-8")
    return tmp_path


def test_undo_and_redo_are_exact() -> None:
    """Going back restores each state, forward again the same ones, and another step forgets what was undone."""
    s = session()
    states = [s.state]
    for _ in range(3):
        s.take(s.moves()[-1])
        states.append(s.state)
    assert len(set(states)) == 4
    for number in (0, 2, 1, 3):
        assert s.go(number)
        assert (s.length, s.undone, s.state) == (number, 3 - number, states[number])
    assert not s.go(4)
    assert not s.go(-1)
    s.go(1)
    s.take(s.moves()[0])
    assert (s.length, s.undone) == (2, 0)


def test_chance_is_seeded() -> None:
    """The same seed takes the same run, and some other seed another one."""

    def wander(seed: int) -> list[str]:
        s = session()
        s.wander(50, Random(seed))
        return [f"{x.thread} {x.text}" for x in s.trace().steps]

    assert wander(1) == wander(1)
    assert len({tuple(wander(seed)) for seed in range(10)}) > 1


def test_a_run_to_a_line_is_a_shortest_one() -> None:
    """Line 16 is reached by two steps of thread two and the await; after a deadlock it is not, which is certain."""
    s = session()
    assert s.run_to("m.pchk", 12) is True
    assert [x.thread for x in s.trace().steps] == ["k.two", "k.two"]
    assert s.run_to("m.pchk", 99) is False
    s.again(0)
    for key in (0, 1, 0, 0):
        s.take(s.moves()[key])
    assert s.moves() == ()
    assert s.run_to("m.pchk", 12) is False


def test_a_failed_assertion_is_told() -> None:
    """The step that breaks `small` says so before it is taken, and the state is there to be left again."""
    s = session()
    seen = []
    for _ in range(40):
        options = s.options(99)
        bad = [o for o in options if o.step.failures]
        if bad:
            seen = layout_position(s, "m.pchk", Style(), 99)
            s.take(bad[0].move)
            break
        s.take(options[0].move)
    assert any("!! " in line for line in seen)
    assert [f.prop for f in s.trace().steps[-1].failures] == ["small"]
    length = s.length
    assert s.go(length - 1)
    assert s.moves() != ()


def test_command_line_dialogue(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The deadlock of this model, step by step, to the letter."""
    assert cli.main(["simulate", "m.pchk", "--do", "1; 2; 1; 1"]) == 0
    assert capsys.readouterr().out == DEADLOCK


def test_a_pipe_gives_the_same(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of a pipe do what the command line does; the end of the pipe ends the run."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n2\n\n1\n1\n"))
    assert cli.main(["simulate", "m.pchk"]) == 0
    assert capsys.readouterr().out == DEADLOCK


def test_a_real_pipe(here: Path) -> None:
    """The same through a process of its own; `q` leaves, and what follows it is not read."""
    done = subprocess.run(
        [sys.executable, "-m", "protocheck", "simulate", "m.pchk"],
        input="1\n2\n1\n1\nq\nnonsense\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).resolve().parent.parent)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == DEADLOCK + "4> q\n"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("9", "there is no step 9; the keys are 1 to 2"),
        ("u", "the run is known from 0 to 0, so there is no step -1"),
        ("g x", "`x` is not a number"),
        ("l 99", "no thread can come to stand at line 99 from here"),
        ("b 2", "runs begin in 1 state, so there is no beginning 2"),
        ("dance", "`dance` is no command; `?` lists them"),
        ("s nowhere/run.json", "`nowhere/run.json` cannot be written: No such file or directory"),
    ],
)
def test_a_refused_command_ends_a_script(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, says: str
) -> None:
    """What cannot be followed is told, and nothing after it is done."""
    assert cli.main(["simulate", "m.pchk", "--do", f"{command}; h"]) == 2
    assert capsys.readouterr().out.endswith(f"0> {command}\n{says}\n")


def test_runs_are_stored_and_followed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A saved run can be shown, and simulating from it stands where it ended, in its scenario."""
    assert cli.main(["simulate", "m.pchk", "--scenario", "later", "--do", "1; 2; 1; s run.json; 1; p"]) == 0
    out = capsys.readouterr().out
    assert "saved 3 steps in run.json\n" in out
    assert out.endswith("  a = k.one, waits: k.two\n  b = k.two, waits: k.one\n")
    assert cli.main(["show", "run.json"]) == 0
    assert "later: simulated: found in 3 steps" in capsys.readouterr().out
    assert cli.main(["simulate", "m.pchk", "--from", "run.json", "--do", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("m.pchk, scenario later (begin_with = 1);")
    assert out.endswith(DEADLOCK.split("3> 1\n")[1])
    assert json.loads(Path("run.json").read_text(encoding="utf-8"))["format_version"] == 1


def test_runs_of_a_check_are_followed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run that a check has stored can be taken again by hand, also after a comment was added to the model."""
    assert cli.main(["check", "m.pchk", "--format", "json", "-o", "all.json", "-j", "1"]) == 0
    capsys.readouterr()
    stored = runs(load_report("all.json"), witnesses=True)
    assert len(stored) >= 4
    for text in (MODEL, "// a comment\n\n" + MODEL):
        for run in stored:
            s = session(text.replace("begin_with : 0..1 = 0", "begin_with : 0..1 = 1"))
            s.follow(run.trace)
            assert s.length == len(run.trace.steps)
            assert [x.thread for x in s.trace().steps] == [x.thread for x in run.trace.steps]
    other = session(MODEL.replace("with a { with b { n = n + 1; } }", "skip;"))
    with pytest.raises(ModelError, match=r"step 1, `with a` by k\.one, is not possible as it is told"):
        other.follow(next(r.trace for r in stored if r.trace.steps[0].thread == "k.one"))


def test_an_end_by_a_fatal_fault_can_be_stored(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a fault that ends the run nothing is possible but to go back, and the run can still be saved."""
    Path("f.pchk").write_text(
        "protocol f\nhypervisor k { state n : 0..1 = 1; thread t { n = n + 1; skip; } thread u { n = 1; } }\n",
        encoding="utf-8",
    )
    assert cli.main(["simulate", "f.pchk", "--do", "r 20; s f.json; 1"]) == 2
    out = capsys.readouterr().out
    assert "after step 4:\nthe run has ended with a fatal fault; only going back is possible\n" in out
    assert out.endswith("saved 4 steps in f.json\n4> 1\nthere is no step 1; none is possible\n")
    assert cli.main(["simulate", "f.pchk", "--from", "f.json", "--do", "u"]) == 0
    out = capsys.readouterr().out
    assert "after step 4:\nthe run has ended" in out
    assert "after step 3:\n  1  k.t line 2: n = n + 1\n       !! the value does not fit into `n`\n" in out
    assert "       the run ends here\n" in out


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal(here: Path) -> None:
    """At a terminal each command is asked for, a wrong one does not end the dialogue, and the end of input does."""
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "protocheck", "simulate", "m.pchk"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(Path(cli.__file__).resolve().parent.parent)},
    )
    os.close(slave)
    said = b""

    def until(mark: bytes) -> None:
        nonlocal said
        limit = time.monotonic() + 60
        said = b""
        while not said.endswith(mark):
            ready, _, _ = select.select([master], [], [], max(0.0, limit - time.monotonic()))
            assert ready, f"no {mark!r} after {said!r}"
            said += os.read(master, 4096)

    try:
        until(b"0> ")
        assert b"  1  k.one line 8: with a\r\n       takes a\r\n" in said
        os.write(master, b"dance\n")
        until(b"0> ")
        assert b"`dance` is no command; `?` lists them\r\n" in said
        os.write(master, b"1\n")
        until(b"1> ")
        assert b"after step 1:\r\n" in said
        os.write(master, b"u\n")
        until(b"0> ")
        assert b"at the beginning:\r\n" in said
        os.write(master, b"\x04")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
