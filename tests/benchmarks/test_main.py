"""The page about speed says what was measured, and nothing else."""

from __future__ import annotations

import pytest

from benchmarks import flat
from benchmarks.__main__ import (
    LADDERS,
    MODELS,
    OURS,
    QUANTITIES,
    ROOT,
    WHAT,
    AnySize,
    Cell,
    Results,
    Start,
    _behind,
    _disagreements,
    _hopeless,
    _targets,
)
from benchmarks.measure import Measured
from benchmarks.peers import HOLDS, VIOLATED, Answer
from benchmarks.protocols import PROTOCOLS
from protocheck.lower import compile_system, instantiate
from protocheck.types import load


def cell(seconds: float, verdict: str = HOLDS, steps: int | None = None) -> Cell:
    return Cell((Measured(seconds, seconds, 50.0, 20.0, "", True),), Answer(verdict, steps))


def row(flat: float, model: float, abc: float) -> dict[str, Cell]:
    return {OURS[0]: cell(flat), OURS[1]: cell(model), "ABC": cell(abc)}


def test_every_protocol_has_its_ladder_and_its_model() -> None:
    """What is said of one protocol anywhere is said of each."""
    assert list(LADDERS) == list(PROTOCOLS) == list(MODELS) == list(WHAT)
    assert [p for names in QUANTITIES.values() for p in names] == list(LADDERS)


@pytest.mark.parametrize("protocol", LADDERS)
def test_the_model_takes_every_size(protocol: str) -> None:
    """The largest rung is within what the shipped model allows, and both scenarios have the claim."""
    m = MODELS[protocol]
    module = load(ROOT / m.path)
    settings = {name: size for name, size in zip(m.sizes, LADDERS[protocol][-1], strict=True) if name}
    for scenario in (m.repaired, m.broken):
        instantiate(module, scenario, settings)
        small = {name: size for name, size in zip(m.sizes, LADDERS[protocol][0], strict=True) if name}
        system = compile_system(module, instantiate(module, scenario, small))
        assert m.claim in {p.name for p in system.properties} | {"deadlock"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_proof_for_any_number(protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each repaired protocol holds for any number of members, and the command says so."""
    sizes = "2,2,2,2" if protocol == "populate_locking" else "2,2"
    assert flat.main([protocol, sizes, "repaired", "--any"]) == 0
    assert capsys.readouterr().out.startswith("holds for any number of ")


def test_targets_follow_from_the_figures() -> None:
    """A target is met by a ratio within it, and not by one beyond; what was not measured is not in the table."""
    results: Results = {("fault_vs_conversion", False): {(4, 3): row(1.0, 3.0, 1.0), (8, 4): row(0.6, 0.4, 1.0)}}
    sizeless = [AnySize("snp_remap", (0.5, 1.5), ("holds for any number of gfn", "holds for any number of gfn"))]
    figures = [("the slowest shipped scenario (x)", "1.90 s", "2 s"), ("check all", "21.0 s", "20 s"), ("n", "3 x", "")]
    text = "\n".join(_targets(results, figures, sizeless))
    assert "(4,3): at most 1 of ABC's time | 1.00 | yes | 3.00 | no |" in text
    assert "(8,4): at most 0.5 of ABC's time | 0.60 | no | 0.40 | yes |" in text
    assert "`snp_remap`: any number in under one second | 0.50 s | yes | 1.50 s | no |" in text
    assert "second rung on | 0 of 1 rungs behind | yes | 0 of 1 rungs behind | yes |" in text
    assert "scenario (x): 2 s | - | - | 1.90 s | yes |" in text
    assert "check all: 20 s | - | - | 21.0 s | no |" in text
    assert "(16,8)" not in text
    assert "shortest runs" not in text


def test_no_answer_is_no_proof_for_any_number() -> None:
    """A quick refusal does not meet the target."""
    sizeless = [AnySize("snp_remap", (0.1, 0.1), ("not for any size: x", "for these sizes only"))]
    assert "| 0.10 s | no | 0.10 s | no |" in "\n".join(_targets({}, [], sizeless))


def test_reasons_follow_from_the_figures() -> None:
    """A rung on which we are slower has the reason that its times tell; others are not listed."""
    results: Results = {
        ("snp_remap", False): {
            (2, 2): row(9.0, 9.0, 1.0),  # the first rung of proofs does not count
            (4, 4): row(0.5, 1.0, 0.4),
            (8, 8): row(0.6, 1.0, 0.35),
            (12, 12): row(5.0, 1.0, 1.0),
        },
        ("snp_remap", True): {(2, 2): row(0.2, 1.0, 0.1), (4, 4): row(0.2, 1.0, 0.3), (8, 8): {**row(1, 1, 2)}},
    }
    results["snp_remap", True][8, 8][OURS[0]] = Cell()
    text = "\n".join(_behind(results, Start(0.2, 0.3)))
    lines = [
        line.split(" | ")[1] + " " + line.split(" | ")[-1][:-2] for line in text.splitlines() if "snp_remap" in line
    ]
    assert lines == [
        "(4,4) start",
        "(8,8) start, with Z3",
        "(12,12) search: 4.70 s beside the start",
        "(2,2) start",
        "(8,8) search: not within the limit",
    ]
    assert "Nowhere" in "\n".join(_behind({("snp_remap", False): {(4, 4): row(1, 1, 2)}}, Start(0.2, 0.3)))


def test_disagreements_are_named() -> None:
    """Another verdict, or another length, is wrong; the model's own steps are not compared."""
    cells = {(2, 2): {OURS[0]: cell(1, VIOLATED, 9), OURS[1]: cell(1, VIOLATED, 7), "ABC": cell(1, VIOLATED, 8)}}
    (wrong,) = _disagreements("snp_remap", True, cells)
    assert "lengths differ" in wrong
    (wrong,) = _disagreements("snp_remap", False, {(2, 2): {"ABC": cell(1, VIOLATED, 8)}})
    assert "ABC says violated, expected holds" in wrong


@pytest.mark.parametrize(
    ("past", "hopeless"),
    [([], False), ([None], True), ([0.1, 0.9], False), ([1.0, 2.0], False), ([1.0, 4.0], True), ([4.0], False)],
)
def test_rungs_that_are_predicted_too_slow(past: list[float | None], hopeless: bool) -> None:
    """A rung is left out if the one before did not end, or the growth so far leads beyond the limit."""
    assert _hopeless(past, 10.0) == hopeless
