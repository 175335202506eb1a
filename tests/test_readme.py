"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from protocheck import cli

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def block(kind: str) -> re.Match[str]:
    """The only fenced block of ``kind``."""
    (found,) = re.finditer(rf"(?<=```{kind}\n)(.*?)(?=```)", README.read_text(encoding="utf-8"), re.S)
    return found


def test_the_first_model_gives_the_output_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model of the README, checked as the README says, prints what the README prints, and ends with code 1."""
    monkeypatch.chdir(tmp_path)
    Path("first.pchk").write_text(block("pchk").group(), encoding="utf-8")
    assert cli.main(["check", "first.pchk"]) == 1
    output = capsys.readouterr().out
    if os.environ.get("PROTOCHECK_ACCEPT"):
        text, place = README.read_text(encoding="utf-8"), block("text")
        README.write_text(text[: place.start()] + output + text[place.end() :], encoding="utf-8")
    assert block("text").group() == output


def test_the_expectation_that_is_proposed_is_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that the README offers, the broken scenario is as expected."""
    monkeypatch.chdir(tmp_path)
    (offered,) = re.findall(r"`(expect double_populate [^`]*;)`", README.read_text(encoding="utf-8"))
    text = block("pchk").group().replace("scenario proposed { expect all hold; }", f"scenario proposed {{ {offered} }}")
    Path("first.pchk").write_text(text, encoding="utf-8")
    assert cli.main(["check", "first.pchk"]) == 0


def test_links_lead_somewhere() -> None:
    """Every file that the README names exists."""
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (ROOT / link).exists(), link


def test_the_exit_codes_are_those_of_the_help() -> None:
    """README and ``--help`` list the same codes."""
    listed = re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.M)
    assert listed == re.findall(r"^  (\d+) ", cli.EXIT_CODES, re.M)
