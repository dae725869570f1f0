"""The manifest of the app: light, imports nothing heavy."""

from daisy_core import App

app = App(
    name="pdf",
    title="Total scattering: from detector images to the pair distribution function",
    modules=("daisy_pdf",),
    extra="pdf",
    requires=("scipy", "pyFAI", "fabio", "periodictable"),
    ui="daisy_pdf.ui.app",
)
