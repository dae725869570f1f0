"""The page of total scattering, without a browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest
from ui.synthetic import write_pattern

from daisy_pdf import PDFConfig, pair_distribution, read_gr, read_pattern
from daisy_pdf.ui import export, figures
from daisy_pdf.workflows import reduce


def run_page() -> None:
    """Show the page; run by AppTest."""
    from daisy_pdf.ui.app import page

    page()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a sample, a background and a configuration."""
    root = (tmp_path / "root").resolve()
    root.mkdir()
    write_pattern(root / "Ni.chi")
    write_pattern(root / "empty.chi", 0.2, 0.0)
    PDFConfig(composition="Ni", qmin=0.6, qmax=22.0, bgscale=(0.5,), rpoly=1.1).to_cfg(root / "ni.cfg")
    monkeypatch.setenv("DAISY_UI_ROOTS", str(root))
    monkeypatch.setenv("DAISY_RUNS", str(tmp_path / "runs"))
    return root


@pytest.fixture
def app(data: Path) -> AppTest:
    return AppTest.from_function(run_page, default_timeout=60)


def ready(app: AppTest, **state: Any) -> AppTest:
    for name, value in state.items():
        app.session_state[name] = value
    app.run()
    assert not app.exception
    return app


def metrics(app: AppTest) -> dict[str, str]:
    return {item.label: item.value for item in app.metric}


def labelled(items: Any, start: str) -> Any:
    return next(item for item in items if item.label.startswith(start))


def test_a_first_visit_is_invited(app: AppTest) -> None:
    ready(app)
    assert "From I(Q) to G(r)" in [item.value for item in app.title]
    assert labelled(app.button, "Try it").key == "demo"
    assert not app.error


def test_a_pattern_alone_asks_for_its_composition(app: AppTest, data: Path) -> None:
    ready(app, sample=str(data / "Ni.chi"))
    assert any("composition" in item.value for item in app.info)
    assert not app.metric


def test_a_composition_is_all_that_is_needed(app: AppTest, data: Path) -> None:
    ready(app, sample=str(data / "Ni.chi"))
    labelled(app.text_input, "Composition").set_value("Ni").run()
    assert not app.exception
    expected = pair_distribution(read_pattern(data / "Ni.chi"), config=PDFConfig(composition="Ni"))
    assert metrics(app)["Scale"] == f"{expected.scale:.4g}"
    assert metrics(app)["Points in Q"] == str(expected.iq.q.size)
    assert metrics(app)["Warnings"] == str(len(expected.warnings))
    assert "server" in "".join(metrics(app)).lower()


def test_a_wrong_composition_is_said_at_its_field(app: AppTest, data: Path) -> None:
    ready(app, sample=str(data / "Ni.chi"))
    labelled(app.text_input, "Composition").set_value("Nx").run()
    assert any("unknown element" in item.value for item in app.markdown)
    assert not app.metric


def test_parameters_start_from_a_file_and_can_be_changed_after(app: AppTest, data: Path) -> None:
    ready(app, sample=str(data / "Ni.chi"), backgrounds=[str(data / "empty.chi")], start=str(data / "ni.cfg"))
    assert labelled(app.text_input, "Composition").value == "Ni"
    assert app.session_state["config:values"]["rpoly"] == 1.1
    expected = pair_distribution(
        read_pattern(data / "Ni.chi"), [read_pattern(data / "empty.chi")], config=PDFConfig.from_cfg(data / "ni.cfg")
    )
    assert metrics(app)["Scale"] == f"{expected.scale:.4g}"
    labelled(app.number_input, "rstep").set_value(0.02).run()
    assert app.session_state["config:values"]["rstep"] == 0.02
    assert app.session_state["config:values"]["rpoly"] == 1.1


def test_a_reset_returns_to_the_file_and_without_one_to_the_defaults(app: AppTest, data: Path) -> None:
    ready(app, sample=str(data / "Ni.chi"), start=str(data / "ni.cfg"))
    labelled(app.number_input, "rstep").set_value(0.02).run()
    app.button(key="reset").click().run()
    assert app.session_state["config:values"]["rstep"] == 0.01
    assert app.session_state["config:values"]["rpoly"] == 1.1
    labelled(app.selectbox, "Start from").set_value(None).run()
    app.button(key="reset").click().run()
    assert "rpoly" not in app.session_state["config:values"]
    assert labelled(app.text_input, "Composition").value == "Ni"
    assert "Scale" in metrics(app)


def test_files_outside_the_root_are_not_read(app: AppTest, data: Path) -> None:
    outside = write_pattern(data.parent / "secret.chi")
    ready(app, sample=str(outside))
    assert any("outside the folders" in item.value for item in app.markdown)
    assert not app.metric
    assert not any("secret" in item.value for item in app.markdown if item.value.startswith("####"))


def test_a_file_that_is_no_pattern_is_refused_in_words(app: AppTest, data: Path) -> None:
    (data / "note.txt").write_text("nothing here\n")
    ready(app, sample=str(data / "note.txt"))
    assert len(app.error) == 1
    assert "note" in app.error[0].value


def test_a_file_that_was_written_again_is_read_again(app: AppTest, data: Path) -> None:
    ready(app, sample=str(data / "Ni.chi"), **{"config:values": {"composition": "Ni"}})
    before = metrics(app)["Scale"]
    time.sleep(0.01)
    write_pattern(data / "Ni.chi", 2.0)
    app.run()
    assert float(metrics(app)["Scale"]) == pytest.approx(float(before) / 2, rel=1e-3)


def test_an_image_without_geometry_asks_for_it(app: AppTest, data: Path) -> None:
    np.save(data / "image.npy", np.ones((32, 32), np.uint16))
    ready(app, sample=str(data / "image.npy"))
    assert any("poni" in item.value for item in app.error)


def test_a_typed_geometry_is_checked_at_its_field(app: AppTest, data: Path) -> None:
    from daisy_pdf import simulate_exposure, write_poni

    exposure = simulate_exposure(rows=64, columns=64, pixel=0.0064, counts=1e6)
    np.save(data / "image.npy", exposure.image)
    write_poni(exposure.geometry, data / "image.poni")
    ready(
        app,
        sample=str(data / "image.npy"),
        poni=str(data / "image.poni"),
        **{"config:values": {"composition": "Ni", "qmin": 1.0}},
    )
    assert "Scale" in metrics(app)
    labelled(app.number_input, "wavelength").set_value(18.0).run()
    assert any("no wavelength of total scattering" in item.value for item in app.markdown)
    assert not app.metric
    labelled(app.number_input, "wavelength").set_value(0.2).run()
    assert "Scale" in metrics(app)
    assert any("λ = 0.2 Å" in item.value for item in app.caption)


def test_the_demonstration_is_near_the_truth_that_it_simulates(app: AppTest, data: Path) -> None:
    ready(app)
    labelled(app.button, "Try it").click().run()
    assert not app.exception
    assert {path.name for path in (data / "daisy-demo").iterdir()} == {
        "nickel.tif",
        "container.tif",
        "nickel.poni",
        "nickel-truth.gr",
    }
    assert float(metrics(app)["Rw"]) < 0.10


def test_run_and_keep_starts_a_run_of_what_is_shown(app: AppTest, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Folder:
        id = "20260131-120000-0a1b2c"

    def start(*what: Any, **more: Any) -> Folder:
        asked.append((what, more))
        return Folder()

    monkeypatch.setattr("daisy_pdf.ui.live.start_detached", start)
    ready(app, sample=str(data / "Ni.chi"), backgrounds=[str(data / "empty.chi")], start=str(data / "ni.cfg"))
    app.button(key="keep").click().run()
    ((workflow, inputs, params), more) = asked[0]
    assert workflow == "pdf.reduce"
    assert inputs == {"pattern": data / "Ni.chi", "backgrounds": [data / "empty.chi"]}
    assert params == {"config": PDFConfig.from_cfg(data / "ni.cfg")}
    assert more["root"] == data.parent / "runs"
    assert app.query_params["run"] == "20260131-120000-0a1b2c"


def test_a_run_id_from_the_address_is_not_trusted(app: AppTest) -> None:
    app.query_params["run"] = "../../etc"
    ready(app)
    assert any("is not a run id" in item.value.replace("\\", "") for item in app.error)


def test_the_downloads_are_what_is_shown(data: Path, tmp_path: Path) -> None:
    from daisy_core import nexus

    config = PDFConfig(composition="Ni", rpoly=1.3, qmin=0.6)
    result = pair_distribution(read_pattern(data / "Ni.chi"), config=config)
    (tmp_path / "x.gr").write_bytes(export.gr_bytes(result))
    np.testing.assert_allclose(read_gr(tmp_path / "x.gr").g, result.gr.g, rtol=1e-10, atol=1e-12)
    assert PDFConfig.from_cfg(tmp_path / "x.gr").rpoly == 1.3
    (tmp_path / "x.nxs").write_bytes(
        export.nexus_bytes(result, reduce, {"pattern": data / "Ni.chi"}, {"config": config})
    )
    np.testing.assert_array_equal(nexus.read(tmp_path / "x.nxs")["result"].gr.g, result.gr.g)
    record = nexus.read_provenance(tmp_path / "x.nxs")
    assert record["params"]["config"]["rpoly"] == 1.3
    assert record["inputs"]["pattern"]["path"] == str(data / "Ni.chi")


def test_a_move_of_a_slider_costs_less_than_50_ms(data: Path) -> None:
    """CPU time of reduction and plots, for values that no cache has seen; wall time is shown on the page."""
    import json

    pattern, background = read_pattern(data / "Ni.chi"), read_pattern(data / "empty.chi")
    times = []
    for rpoly in np.linspace(0.5, 2.5, 15):
        started = time.thread_time()
        result = pair_distribution(
            pattern, [background], config=PDFConfig(composition="Ni", rpoly=float(rpoly), qmin=0.6, rmax=60.0)
        )
        shown = [figures.distribution_figure(result), figures.structure_figure(result), figures.reduced_figure(result),
                 figures.intensity_figure(pattern, [background], (1.0,), result)]  # fmt: skip
        json.dumps(shown)
        times.append(time.thread_time() - started)
    assert np.median(times) < 0.050


def test_a_reference_on_another_scale_agrees_when_scaled(data: Path) -> None:
    from dataclasses import replace

    result = pair_distribution(read_pattern(data / "Ni.chi"), config=PDFConfig(composition="Ni", qmin=0.6))
    other: Any = replace(result.gr, g=3.0 * result.gr.g)
    assert figures.Reference("x", other).rw(result) == pytest.approx(2 / 3)
    assert figures.Reference("x", other, scaled=True).factor(result) == pytest.approx(1 / 3)
    assert figures.Reference("x", other, scaled=True).rw(result) == pytest.approx(0, abs=1e-12)


def test_the_beam_stop_does_not_blow_up_the_plot() -> None:
    x = np.linspace(0, 25, 500)
    y = np.sin(x)
    y[:3] = 1e6
    low, high = figures.steady_range(x, y)
    assert -1.5 < low < -1
    assert 1 < high < 1.5
