// A range and a number that show the same value. While the range is dragged it reports at most every INTERVAL ms.
const INTERVAL = 90;
const known = new WeakMap();

function digits(step) {
  return Math.min(8, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
}

function text(value) {
  return value === null ? "" : String(Number(value.toPrecision(10)));
}

function fill(range) {
  const share = (range.value - range.min) / (range.max - range.min || 1);
  range.style.setProperty("--at", `${100 * share}%`);
}

function show({ range, number, data }, value) {
  range.value = value ?? data.start;
  fill(range);
  if (number.getRootNode().activeElement !== number) number.value = text(value);
}

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".live-number");
  const range = root.querySelector("[type=range]");
  const number = root.querySelector("[type=number]");
  const own = known.get(root) ?? { sent: undefined, dragging: false, timer: null, last: 0 };
  known.set(root, own);
  Object.assign(own, { range, number, data });

  root.querySelector(".title").textContent = data.label;
  root.querySelector("label").title = data.help;
  root.classList.toggle("marked", data.marked);
  for (const input of [range, number]) input.setAttribute("aria-label", data.label);
  Object.assign(range, { min: data.low, max: data.high, step: data.step });
  number.placeholder = data.placeholder;
  if (!own.dragging) show(own, data.value);

  const send = (value) => {
    clearTimeout(own.timer);
    own.last = performance.now();
    own.sent = value;
    setStateValue("value", value);
  };
  const soon = (value) => {
    clearTimeout(own.timer);
    own.timer = setTimeout(() => send(value), Math.max(0, own.last + INTERVAL - performance.now()));
  };
  const slid = () => Number(Number(range.value).toFixed(digits(data.step)));
  range.oninput = () => {
    own.dragging = true;
    number.value = text(slid());
    fill(range);
    soon(slid());
  };
  range.onchange = () => {
    own.dragging = false;
    if (own.sent !== slid() || own.timer) send(slid());
  };
  number.onchange = () => send(number.value === "" ? null : Number(number.value));
}
