"""Forms behave: what is changed is kept, marked, checked at the field, and can be reset."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest


def one_form() -> None:
    """Show a form of the configuration and what it holds; run by AppTest, so it imports what it needs."""
    import streamlit as st

    from daisy_pdf import PDFConfig
    from daisy_pdf.composition import parse_composition
    from shared_ui.forms import Slide, param_form, set_values

    def composition(text: str) -> str:
        return ", ".join(str(atom) for atom in parse_composition(text)) if text else ""

    if st.button("fill"):
        set_values(
            "form", PDFConfig(composition="Ni", bgscale=(0.4,), qmax=25.0, terminationfunctions=("lorch",)).model_dump()
        )
    form = param_form(PDFConfig, {"rstep": 0.02}, key="form", checks={"composition": composition},
                      sliders={"rpoly": Slide(0, 3, 0.01)}, columns=2)  # fmt: skip
    st.session_state["seen"] = form
    if form.ok:
        PDFConfig(**form.values)


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(one_form, default_timeout=30).run()


def seen(app: AppTest) -> Any:
    assert not app.exception
    return app.session_state["seen"]


def labelled(items: Any, start: str) -> Any:
    return next(item for item in items if item.label.startswith(start))


def red(app: AppTest) -> list[str]:
    return [item.value for item in app.markdown if ":red[" in item.value]


def test_an_untouched_form_holds_the_declared_defaults(app: AppTest) -> None:
    from daisy_pdf import PDFConfig

    form = seen(app)
    assert PDFConfig(**{**form.values, "rstep": 0.01}) == PDFConfig()
    assert form.values["rstep"] == 0.02
    assert form.ok
    assert form.changed == ()
    assert not [button for button in app.button if "Reset" in button.label]


def test_a_change_is_kept_marked_and_can_be_reset(app: AppTest) -> None:
    labelled(app.number_input, "rmax").set_value(50.0).run()
    assert seen(app).values["rmax"] == 50.0
    assert seen(app).changed == ("rmax",)
    assert "●" in labelled(app.number_input, "rmax").label
    app.run()
    assert seen(app).values["rmax"] == 50.0
    labelled(app.button, "Reset").click().run()
    assert seen(app).changed == ()
    assert labelled(app.number_input, "rmax").value == 30.0


def test_an_unknown_element_is_said_at_the_field(app: AppTest) -> None:
    labelled(app.text_input, "Composition").set_value("NiXx").run()
    assert "unknown element" in seen(app).faults["composition"]
    assert "unknown element" in red(app)[0]
    labelled(app.text_input, "Composition").set_value("LaB6").run()
    assert seen(app).ok
    assert any("La, B" in item.value for item in app.caption)


def test_a_value_out_of_bounds_is_said_at_the_field(app: AppTest) -> None:
    labelled(app.number_input, "rstep").set_value(0.0).run()
    assert seen(app).faults == {"rstep": "should be greater than 0"}
    assert "greater than 0" in red(app)[0]


def test_an_optional_number_can_be_emptied(app: AppTest) -> None:
    labelled(app.number_input, "qmax (").set_value(24.0).run()
    assert seen(app).values["qmax"] == 24.0
    labelled(app.number_input, "qmax (").set_value(None).run()
    assert seen(app).values["qmax"] is None
    assert seen(app).changed == ()


def test_a_list_of_numbers_is_typed_with_blanks(app: AppTest) -> None:
    labelled(app.text_input, "Background scale").set_value("0.4, 1.5").run()
    assert seen(app).values["bgscale"] == (0.4, 1.5)
    labelled(app.text_input, "Background scale").set_value("0.4 x").run()
    assert "blanks" in seen(app).faults["bgscale"]
    assert labelled(app.text_input, "Background scale").value == "0.4 x"


def test_choices_come_from_the_declaration(app: AppTest) -> None:
    assert labelled(app.selectbox, "Data format").options == ["", "twotheta", "QA", "Qnm"]
    labelled(app.selectbox, "Data format").set_value("Qnm").run()
    labelled(app.multiselect, "Windows").set_value(["cosine", "lorch"]).run()
    assert seen(app).values["dataformat"] == "Qnm"
    assert seen(app).values["terminationfunctions"] == ("lorch", "cosine")


def test_a_file_can_fill_the_form(app: AppTest) -> None:
    labelled(app.button, "fill").click().run()
    form = seen(app)
    assert (form.values["composition"], form.values["bgscale"], form.values["qmax"]) == ("Ni", (0.4,), 25.0)
    assert labelled(app.text_input, "Composition").value == "Ni"
    assert labelled(app.multiselect, "Windows").value == ["lorch"]
    assert set(form.changed) == {"composition", "bgscale", "qmax", "terminationfunctions", "rstep"}


def test_every_label_of_a_quantity_has_its_unit(app: AppTest) -> None:
    labels = {item.label for item in app.number_input}
    assert {"Wavelength (Å)", "qmaxinst (Å⁻¹)", "2theta zero (°)"} <= labels
