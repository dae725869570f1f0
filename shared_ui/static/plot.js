// Draws a figure with plotly and changes it in place. The library comes from the same server; see shared_ui/asgi.py.
let plotly;

function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = new URL("daisy/plotly.js", baseUrl()).href;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the plotting library did not load; start the page with: daisy ui"));
    document.head.append(script);
  });
  return plotly;
}

// Pages live at <base>/<page>; Streamlit's own scripts are at <base>/static, wherever a proxy puts the base.
function baseUrl() {
  const own = document.querySelector('script[src*="static/js/"]');
  return own ? own.src.replace(/static\/js\/.*$/, "") : document.baseURI;
}

const PALETTE = {
  light: { main: "#0b6e99", second: "#d9730d", third: "#448361", fourth: "#9065b0", muted: "#9aa4b1", text: "#31333f" },
  dark: { main: "#5cb8de", second: "#f2a65a", third: "#7cc79a", fourth: "#c3a2e0", muted: "#76808f", text: "#fafafa" },
};

function luminance(color) {
  const [r, g, b] = (color.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b;
}

function theme(element) {
  const style = getComputedStyle(element);
  const page = getComputedStyle(document.querySelector('[data-testid="stApp"]') ?? document.body);
  const dark = luminance(page.backgroundColor) < 128;
  return {
    colors: PALETTE[dark ? "dark" : "light"],
    text: style.color, font: style.fontFamily,
    grid: dark ? "rgba(250,250,250,0.10)" : "rgba(49,51,63,0.09)",
    axis: dark ? "rgba(250,250,250,0.35)" : "rgba(49,51,63,0.35)",
    hover: page.backgroundColor,
    veil: page.backgroundColor.replace(/^rgb\((.*)\)$/, "rgba($1, 0.7)"),
    invalid: dark ? "#4b5058" : "#c9ccd1",
  };
}

function painted(trace, look) {
  const line = trace.line && { ...trace.line, color: look.colors[trace.line.color] ?? trace.line.color };
  const fill = look.colors[trace.fillcolor];
  return { ...trace, ...(line && { line }), ...(fill && { fillcolor: fill + "40" }) };
}

function finished(layout, look, height) {
  const axis = { gridcolor: look.grid, linecolor: look.axis, tickcolor: look.axis, zerolinecolor: look.axis, showline: true,
    automargin: true, tickfont: { size: 11 }, showexponent: "last", exponentformat: "power" };
  const title = (given) => ({ ...given, font: { size: 12.5, color: look.text } });
  const axes = Object.fromEntries(["xaxis", "yaxis"].map((name) =>
    [name, { ...axis, ...layout[name], title: title(layout[name].title) }]));
  return {
    ...layout, ...axes, height, autosize: true,
    title: { ...layout.title, x: 0, xref: "paper", y: 1, yref: "paper", yanchor: "bottom", pad: { b: 6 },
      font: { size: 14, color: look.text } },
    font: { family: look.font, color: look.text },
    margin: { l: 48, r: 12, t: 28, b: 36, ...layout.margin },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: layout.invalid ? look.invalid : "rgba(0,0,0,0)",
    hovermode: layout.hovermode ?? "x unified",
    hoverlabel: { bgcolor: look.hover, font: { family: look.font, size: 12, color: look.text } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: look.axis, activecolor: look.colors.main },
    legend: { x: 1, xanchor: "right", y: 1, yanchor: "top", font: { size: 11 }, bgcolor: look.veil, itemwidth: 24, tracegroupgap: 0 },
  };
}

const CONFIG = {
  displaylogo: false, responsive: false, showSendToCloud: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"], toImageButtonOptions: { format: "svg" },
};

const watched = new WeakMap();

async function draw(element) {
  const state = watched.get(element);
  const look = theme(element);
  const { data, layout, height } = state.figure;
  try {
    const Plotly = await loadPlotly();
    await Plotly.react(element, data.map((trace) => painted(trace, look)), finished(layout, look, height), CONFIG);
    if (state.width !== element.clientWidth) {
      state.width = element.clientWidth;
      Plotly.Plots.resize(element);
    }
  } catch (error) {
    element.textContent = String(error.message ?? error);
  }
}

export default function ({ parentElement, data: bytes }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const element = parentElement.querySelector(".daisy-plot");
  element.style.height = `${data.height}px`;
  const { title, xaxis, yaxis } = data.layout;
  element.setAttribute("role", "figure");
  element.setAttribute("aria-label", title.text || `${yaxis.title.text} against ${xaxis.title.text}`);
  if (!watched.has(element)) {
    const state = { width: 0 };
    watched.set(element, state);
    const again = () => state.figure && draw(element);
    state.resize = new ResizeObserver(() => element.clientWidth && element.clientWidth !== state.width && again());
    state.resize.observe(element);
    const app = document.querySelector('[data-testid="stApp"]') ?? document.body;
    state.theme = new MutationObserver(again);
    state.theme.observe(app, { attributes: true, attributeFilter: ["class", "style"] });
  }
  watched.get(element).figure = data;
  draw(element);
  return () => {
    const state = watched.get(element);
    state?.resize.disconnect();
    state?.theme.disconnect();
    watched.delete(element);
    window.Plotly?.purge(element);
  };
}
