"""The page, in a real browser without a screen: opened, stepped by keyboard and slider, and read as a person would."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sample

from protocheck.cli import main
from protocheck.reports.document import document_of, runs
from protocheck.reports.html import render

selenium = pytest.importorskip("selenium", reason="the page is tested with selenium, which is not installed")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="the page is tested in Chromium, which is not installed"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with the page of two runs: a deadlock, and an assertion that fails in a library."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1200"):
        options.add_argument(word)
    options.binary_location = str(BROWSER)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    document = document_of([sample.good(), sample.bad()], (), 1, "0.1.0")
    page = tmp_path_factory.mktemp("page") / "run.html"
    page.write_text(render(document, runs(document)), encoding="utf-8")
    try:
        found.get(page.as_uri())
        yield found
    finally:
        found.quit()


@pytest.fixture(autouse=True)
def at_the_beginning(browser: Any) -> None:
    """Each test begins with the first run, before its first step."""
    browser.execute_script("location.hash = '#1.0'; location.reload();")
    assert text(browser, "where") == "beginning"


def text(browser: Any, name: str) -> str:
    """What a person reads in the element ``name``."""
    found: str = browser.find_element("id", name).text
    return found


def press(browser: Any, *keys: str) -> None:
    """Press keys as a person does, wherever the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    for key in keys:
        ActionChains(browser).send_keys(getattr(Keys, key, key)).perform()


def rows(browser: Any, table: str) -> list[list[str]]:
    """The cells of a table."""
    return [
        [cell.text for cell in row.find_elements("tag name", "td")]
        for row in browser.find_elements("css selector", f"#{table} tbody tr")
    ]


def test_the_page_opens_without_a_word_in_the_console(browser: Any) -> None:
    """No error, nothing refused by the policy, and no request for anything but the page."""
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_columns_are_threads(browser: Any) -> None:
    """The head names the threads, and each step stands in the column of its thread."""
    heads = [h.text for h in browser.find_elements("css selector", "#run th")]
    assert heads == ["#", "kvm.one", "kvm.two"]
    assert [[bool(c) for c in row] for row in rows(browser, "run")] == [
        [True, True, False], [True, False, True], [True, True, False], [True, False, True],
    ]  # fmt: skip


def test_arrows_step_and_home_and_end_jump(browser: Any) -> None:
    """Forward, back, to the end and to the beginning, and never past either."""
    seen = []
    for key in ("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_LEFT", "END", "ARROW_RIGHT", "HOME", "ARROW_LEFT"):
        press(browser, key)
        seen.append(browser.find_element("id", "slider").get_attribute("value"))
    assert seen == ["1", "2", "1", "4", "4", "0", "0"]


def test_the_slider_steps(browser: Any) -> None:
    """Moving the slider shows the step that it stands at."""
    move = "const s = document.getElementById('slider'); s.value = 3; s.dispatchEvent(new Event('input'));"
    browser.execute_script(move)
    assert text(browser, "where") == "after step 3 of 4"
    assert text(browser, "what") == "kvm.one: acquire b write"


def test_a_step_shows_its_line_of_the_source(browser: Any) -> None:
    """The current line is marked, and it is the line of the statement."""
    press(browser, "ARROW_RIGHT")
    now = browser.find_element("css selector", "#source .row.now").text
    assert re.fullmatch(r"5\s*thread one { acquire a; acquire b write; }.*", now, re.DOTALL)
    assert text(browser, "file") == "Source: models/abba.pchk"
    press(browser, "ARROW_RIGHT")
    assert "thread two" in browser.find_element("css selector", "#source .row.now").text


def test_locks_are_shown_at_each_step(browser: Any) -> None:
    """Who holds what, before and after each step."""
    assert rows(browser, "locks") == [["a", "free"], ["b", "free"]]
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT")
    assert rows(browser, "locks") == [["a", "kvm.one"], ["b", "free kvm.two (read)"]]
    press(browser, "END")
    assert rows(browser, "locks")[0][1].endswith("kvm.one")


def test_the_others_say_why_they_cannot_move(browser: Any) -> None:
    """After step 3 one waits for the other; at the end both do."""
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    assert [row[2] for row in rows(browser, "stands")] == [
        "waits for b (write)\n\u21b3 kvm.two holds b (read)",
        "next: acquire a",
    ]
    press(browser, "END")
    assert rows(browser, "stands")[1][2] == "waits for a\n\u21b3 kvm.one holds a"


def test_another_run_is_chosen_by_key(browser: Any) -> None:
    """The next run has its own threads, state and sources, and the state follows the steps."""
    press(browser, "n")
    assert text(browser, "title").startswith("pages: racing: double_populate: violated in 4 steps")
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    assert ["spte[gfn1]", "none private"] in rows(browser, "state")
    assert text(browser, "file") == "Source: models/lib/content.pchk"
    press(browser, "END")
    assert ["spte[gfn1]", "private shared"] in rows(browser, "state")
    press(browser, "p")
    assert text(browser, "title").startswith("abba: before: deadlock")


def test_an_address_leads_to_a_step(browser: Any) -> None:
    """What the address bar says after stepping leads back to the same step of the same run."""
    press(browser, "n", "ARROW_RIGHT", "ARROW_RIGHT")
    assert browser.current_url.endswith("#2.2")
    browser.execute_script("location.reload();")
    assert text(browser, "where") == "after step 2 of 4"


def test_the_current_step_and_line_can_be_seen(browser: Any) -> None:
    """In a window too small for the run, the boxes scroll to the current row and line at every step, both ways."""
    inside = """
        const box = document.getElementById(arguments[0]).getBoundingClientRect();
        const row = document.querySelector(arguments[1]).getBoundingClientRect();
        return row.top >= box.top - 1 && row.bottom <= box.bottom + 1;
    """
    size = browser.get_window_size()
    browser.set_window_size(1400, 520)
    try:
        rows_box = "const r = document.getElementById('rows'); return r.scrollHeight > r.clientHeight"
        assert browser.execute_script(rows_box)
        for key in (*["ARROW_RIGHT"] * 4, *["ARROW_LEFT"] * 3):
            press(browser, key)
            assert browser.execute_script(inside, "rows", "#run tr.now"), text(browser, "where")
            assert browser.execute_script(inside, "text", "#source .row.now"), text(browser, "where")
    finally:
        browser.set_window_size(size["width"], size["height"])


def test_a_screenshot_can_be_taken(browser: Any) -> None:
    """The page has something on it; with PROTOCHECK_SCREENSHOT set to a file, a person can look at it."""
    press(browser, "END")
    shot = browser.get_screenshot_as_png()
    assert len(shot) > 20_000
    if where := os.environ.get("PROTOCHECK_SCREENSHOT"):
        Path(where).write_bytes(shot)


DOOMED = """\
protocol doomed
hypervisor an_owner_with_a_long_name {
    state x : 0..3 = 0;
    thread up[with_an_index : 0..1] { x = 2; }
    thread other { x = 2; }
    thread a_third_one_with_a_long_name_too { x = 2; }
}
final low: an_owner_with_a_long_name.x < 2;
scenario now { expect low violated; }
"""
ENDLESS = """\
protocol endless
hypervisor h {
    state x : bool = false;
    environment flip { loop { x = !x; } }
}
progress stays: h.x leads_to !h.x && h.x;
scenario now { expect stays violated; }
"""


def test_doomed_runs_and_loops_are_marked_and_fit(browser: Any, tmp_path: Path) -> None:
    """What is inevitable from the beginning is said first, a loop around its steps; nothing sticks out."""
    (tmp_path / "a.pchk").write_text(DOOMED)
    (tmp_path / "b.pchk").write_text(ENDLESS)
    assert main(["check", str(tmp_path), "--format", "html", "-o", str(tmp_path / "x.html")]) == 0
    home, size = browser.current_url, browser.get_window_size()
    try:
        for width in (1280, 900):
            browser.set_window_size(width, 900)
            browser.get("about:blank")  # else only the place in the page would change
            browser.get((tmp_path / "x.html").as_uri() + "#1.0")
            marks = [m.text for m in browser.find_elements("css selector", "#run tr.mark")]
            assert marks == ["whatever happens, the violation is inevitable"]
            press(browser, "END")
            assert "low is false after step" in text(browser, "what")
            press(browser, "n")
            marks = [m.text for m in browser.find_elements("css selector", "#run tr.mark")]
            assert marks[0].startswith("\u21bb ")
            assert marks[1].startswith("\u21b6 ")
            assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.get_log("browser") == []
    finally:
        browser.set_window_size(size["width"], size["height"])
        browser.get(home)
