"""The page of total scattering in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("streamlit")
from e2e.browser import Visit, chromium, serving
from ui.synthetic import write_pattern

from daisy_core import nexus
from daisy_pdf import PDFConfig, pair_distribution, read_gr, read_pattern

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a sample and a background, beside a file that is nobody's business."""
    folder = tmp_path_factory.mktemp("page").resolve()
    (folder / "root").mkdir()
    write_pattern(folder / "root" / "Ni.chi")
    write_pattern(folder / "root" / "empty.chi", 0.2, 0.0)
    write_pattern(folder / "secret.chi")
    return folder


@pytest.fixture(scope="module")
def url(place: Path) -> Iterator[str]:
    with serving("pdf", place / "root", place / "runs") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Visit]:
    made = Visit(browser, url)
    made.settled()
    yield made
    made.page.close()
    assert made.strangers() == []
    assert made.complaints == []


def expected(place: Path, **changes: Any) -> Any:
    sample, empty = (read_pattern(place / "root" / name) for name in ("Ni.chi", "empty.chi"))
    return pair_distribution(sample, [empty], config=PDFConfig(composition="Ni", **changes))


def reduced(visit: Visit) -> None:
    """Choose sample, background and composition."""
    visit.choose("Sample", "Ni.chi")
    visit.choose("Backgrounds", "empty.chi")
    visit.page.keyboard.press("Escape")
    visit.write("Composition", "Ni")
    visit.drawn("plot-gr")


def until(visit: Visit, changed: Any, before: Any) -> Any:
    """Return what a question answers once the answer has changed."""
    for _ in range(100):
        now = changed()
        if now != before:
            return now
        visit.page.wait_for_timeout(50)
    raise AssertionError("the plot did not change")


def test_from_files_to_a_kept_run(visit: Visit, place: Path) -> None:
    page = visit.page
    page.get_by_role("button", name="Try it with a simulated exposure").wait_for()
    reduced(visit)

    def g() -> tuple[list[float], list[float]]:
        return visit.curve("plot-gr", "G")

    r, first = g()
    np.testing.assert_allclose(r, expected(place).gr.r, atol=1e-5)
    np.testing.assert_allclose(first, expected(place).gr.g, rtol=1e-5, atol=1e-5)

    # The slider changes the plot: at short distances a lot, at the first peak little, and to what the library says.
    page.evaluate("Plotly.relayout(document.querySelector('.st-key-plot-gr .js-plotly-plot'), {'xaxis.range': [0, 8]})")
    page.get_by_role("slider", name="rpoly (Å)").fill("2")
    until(visit, lambda: g()[1], first)
    visit.settled()
    changed = np.array(g()[1])
    np.testing.assert_allclose(changed, expected(place, rpoly=2.0).gr.g, rtol=1e-5, atol=1e-5)
    difference = np.abs(changed - first)
    assert difference[np.array(r) < 1.5].max() > 0.1
    assert difference[np.array(r) < 1.5].max() > 3 * difference[np.array(r) > 3].max()
    zoom = page.evaluate("document.querySelector('.st-key-plot-gr .js-plotly-plot')._fullLayout.xaxis.range")
    assert zoom == [0, 8], "a zoom is lost when the plot changes"

    # A number can be typed as well, and every other live parameter is followed.
    number = page.get_by_role("spinbutton", name="Background scale")
    number.fill("0.5")
    number.press("Enter")
    until(visit, lambda: g()[1], changed.tolist())
    visit.settled()
    result = expected(place, rpoly=2.0, bgscale=(0.5,))
    np.testing.assert_allclose(g()[1], result.gr.g, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(visit.curve("plot-fq", "polynomial")[1], result.fq.polynomial, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(visit.curve("plot-iq", "difference")[1], result.iq.i, rtol=1e-5)
    assert page.locator('[data-testid="stMetric"]', has_text="Server").inner_text().split()[-1] == "ms"

    # What is downloaded is what is shown.
    with page.expect_download() as download:
        page.get_by_role("button", name=".gr", exact=True).click()
    saved = place / "shown.gr"
    download.value.save_as(saved)
    np.testing.assert_allclose(read_gr(saved).g, result.gr.g, rtol=1e-10, atol=1e-12)
    assert PDFConfig.from_cfg(saved).rpoly == 2.0

    # A run is kept: the same numbers, in a folder of its own, still there after a reload.
    page.get_by_role("button", name="Run and keep").click()
    page.locator(".st-key-run-panel", has_text="succeeded").wait_for()
    (folder,) = (place / "runs").iterdir()
    kept = nexus.read(folder / "results.nxs")["result"]
    np.testing.assert_array_equal(kept.gr.g, result.gr.g)
    page.reload()
    page.locator(".st-key-run-panel", has_text=folder.name).wait_for()


def test_a_plot_follows_the_drag_of_a_slider(visit: Visit) -> None:
    reduced(visit)
    page = visit.page
    page.evaluate("""() => { window.plots = 0;
        document.querySelector('.st-key-plot-gr .js-plotly-plot').on('plotly_afterplot', () => { window.plots += 1; }); }""")
    box = page.get_by_role("slider", name="rpoly (Å)").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(30):
        page.mouse.move(box["x"] + (0.3 + 0.015 * step) * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(60)
    assert page.evaluate("window.plots") >= 3, "the plot waits for the mouse to be released"
    page.mouse.up()


@pytest.mark.parametrize("typed", ["../secret.chi", "/etc/passwd", "SECRET"])
def test_files_outside_the_root_cannot_be_opened(visit: Visit, place: Path, typed: str) -> None:
    visit.choose("Sample", typed.replace("SECRET", str(place / "secret.chi")))
    visit.page.get_by_text("is outside the folders that may be opened here").wait_for()
    assert visit.page.locator(".js-plotly-plot").count() == 0


def test_a_link_out_of_the_root_cannot_be_opened(visit: Visit, place: Path) -> None:
    link = place / "root" / "link.chi"
    link.symlink_to(place / "secret.chi")
    try:
        visit.choose("Sample", "link.chi")
        visit.page.get_by_text("is outside the folders that may be opened here").wait_for()
    finally:
        link.unlink()


def test_an_unknown_element_is_said_at_its_field(visit: Visit) -> None:
    visit.choose("Sample", "Ni.chi")
    visit.write("Composition", "NiXx")
    visit.page.get_by_text("unknown element 'Xx'").wait_for()


def test_a_visitor_without_data_is_shown_a_simulation(visit: Visit, place: Path) -> None:
    visit.page.get_by_role("button", name="Try it with a simulated exposure").click()
    visit.drawn("plot-gr")
    visit.settled()
    rw = visit.page.locator('[data-testid="stMetric"]', has_text="Rw").inner_text().split()[-1]
    assert float(rw) < 0.10
    assert (place / "root" / "daisy-demo" / "nickel.poni").is_file()
    visit.page.locator("summary", has_text="Detector image").click()
    visit.page.wait_for_selector(".heatmaplayer image")


def test_light_and_dark_follow_the_system(browser: Any, url: str) -> None:
    for scheme, bright in (("light", True), ("dark", False)):
        visit = Visit(browser, url, scheme)
        visit.settled()
        reduced(visit)
        color = "(e) => getComputedStyle(e)[%r].match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3"
        background = visit.page.locator('[data-testid="stApp"]').evaluate(color % "backgroundColor")
        text = visit.page.locator(".st-key-plot-gr .xtitle").evaluate(color % "fill")
        assert (background > 128) == bright
        assert (text < 128) == bright
        visit.page.close()
        assert visit.strangers() == []


def test_the_portal_lists_what_is_installed(browser: Any, place: Path) -> None:
    with serving(None, place / "root", place / "portal" / "runs") as address:
        visit = Visit(browser, address)
        visit.settled()
        visit.page.get_by_role("link", name="Open").first.click()
        visit.page.get_by_role("button", name="Try it with a simulated exposure").wait_for()
        visit.settled()
        reduced(visit)
        visit.page.close()
        assert visit.strangers() == []
        assert visit.complaints == []
