"""Verdicts as JUnit XML: a suite per model and scenario, a test case per property.

A case fails if the verdict is not the expected one, is skipped if only a limit stood in the way, and is an error if the
fault is our own or the model could not be checked. There are no times in it: the same input gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from protocheck.reports.document import Document, Fault, Model, Run, Scenario, Verdict
from protocheck.reports.style import Style
from protocheck.reports.table import layout_trace

_WIDTH = 100

# Characters that no XML 1.0 document may hold, not even as an entity.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Document, runs: Sequence[Run]) -> str:
    """The whole as one ``testsuites`` element; where nothing was checked, with one case that says so."""
    root = ElementTree.Element("testsuites", {"name": "protocheck"})
    for model in document.models:
        for scenario in model.scenarios:
            _scenario(root, model, scenario)
    if document.faults or document.message:
        suite = ElementTree.SubElement(root, "testsuite", {"name": "faults"})
        for fault in document.faults:
            case = _case(suite, "protocheck.faults", f"{fault.rule}: {fault.headline}")
            _outcome(case, "error", fault.rule, fault.headline, "\n".join(_fault(fault)))
        if document.message:
            case = _case(suite, "protocheck.faults", "command")
            _outcome(case, "error", "message", document.message.split("\n", 1)[0], document.message)
    if len(root) == 0:
        # Some readers refuse a file without cases.
        suite = ElementTree.SubElement(root, "testsuite", {"name": "protocheck"})
        _case(suite, "protocheck", "nothing to check")
    for suite in root:
        _count(suite, suite)
    _count(root, root)
    del root.attrib["skipped"]
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)


def _case(suite: ElementTree.Element, classname: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": _clean(classname), "name": _clean(name)})


def _outcome(case: ElementTree.Element, tag: str, kind: str, message: str, body: str) -> None:
    ElementTree.SubElement(case, tag, {"type": _clean(kind), "message": _clean(message)}).text = _clean(body)


def _scenario(root: ElementTree.Element, model: Model, scenario: Scenario) -> None:
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": _clean(f"{model.name}.{scenario.name}"), "file": _clean(model.file)}
    )
    about = (
        ("instance", scenario.instance),
        ("variants", ", ".join(scenario.variants)),
        *scenario.settings,
        ("assumptions", "; ".join(scenario.assumptions)),
    )
    told = [(name, value) for name, value in about if value]
    if told:
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in told:
            ElementTree.SubElement(properties, "property", {"name": _clean(name), "value": _clean(value)})
    for verdict in scenario.verdicts:
        case = _case(suite, f"{model.name}.{scenario.name}", verdict.prop)
        body = "\n".join(_body(model, verdict))
        if verdict.outcome == "broken":
            _outcome(case, "error", "broken", verdict.sentence, body)
        elif not verdict.as_expected:
            tag = "skipped" if verdict.open else "failure"
            _outcome(case, tag, verdict.word, f"{verdict.sentence}; expected: {verdict.expected}", body)
        else:
            ElementTree.SubElement(case, "system-out").text = _clean(verdict.sentence)
    for mismatch in scenario.mismatches:
        case = _case(suite, f"{model.name}.{scenario.name}", f"expect {mismatch.expected}")
        body = "\n".join([mismatch.message, *(str(p) for p in mismatch.places)])
        _outcome(case, "skipped" if mismatch.open else "failure", "expectation", mismatch.message, body)


def _body(model: Model, verdict: Verdict) -> Iterator[str]:
    """The text of a failure: claim, what was expected, and the run as a table."""
    if verdict.claim:
        yield f"claim: {verdict.claim}"
    yield f"found: {verdict.sentence}"
    yield f"expected: {verdict.expected}"
    if verdict.message:
        yield verdict.message
    for place in verdict.places:
        yield f"at {place}"
    if verdict.graph is not None:
        for found in verdict.graph.findings:
            yield f"{found.headline}: {found.explanation}"
    if verdict.run is not None:
        yield ""
        yield layout_trace(verdict.run.trace, model.file, Style(width=_WIDTH))


def _fault(fault: Fault) -> Iterator[str]:
    yield f"{fault.severity}[{fault.rule}]: {fault.headline}"
    for region, text in fault.regions:
        yield f"{region.file}:{region.line}:{region.column}" + (f": {text}" if text else "")
    if fault.help:
        yield f"help: {fault.help}"


def _count(at: ElementTree.Element, of: ElementTree.Element) -> None:
    cases = list(of.iter("testcase"))
    at.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        at.set(name, str(sum(case.find(tag) is not None for case in cases)))
