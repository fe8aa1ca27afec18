/* What all parts of the page share: the data, what is hidden, colours, and small pictures of markers and dashes. */
const data = JSON.parse(document.getElementById("data").textContent);
const byName = (list) => new Map(list.map((item) => [item.name ?? item.key, item]));
const cells = byName(data.cells), settings = byName(data.settings), programs = byName(data.programs);
const places = new Map(data.places.map((place) => [place.key, place]));
/* Per axis the values that are hidden, cells and places by name, those of the other axes by index. */
const hidden = { cell: new Set(), place: new Set(), axes: data.axes.map(() => new Set()) };
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 47.99rem)");
const roomy = matchMedia("(min-width: 64rem)");
const touch = matchMedia("(pointer: coarse)");
let printing = false;

const isDark = () => dark.matches && !printing;
/* Okabe and Ito's black is invisible on black, and their blue faint. */
const colour = (name) => {
  const given = (cells.get(name) ?? settings.get(name)).colour;
  return isDark() ? { "#000000": "#ffffff", "#0072B2": "#3f9fdc" }[given] ?? given : given;
};
const ink = () => (isDark() ? "#e8ebee" : "#1b1f24");
const rule = () => (isDark() ? "#333c46" : "#e1e4e9");
/* A row of a table may be of several places: it is there as long as one of them is. */
const shown = (item) => !hidden.cell.has(item.cell) && !(item.places ?? [item.place]).every((place) => hidden.place.has(place)) && !item.axes.some((value, axis) => hidden.axes[axis].has(value));
const element = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};

const SHAPES = {
  circle: "M8 3.5a4.5 4.5 0 1 0 .01 0Z", square: "M4 4h8v8H4Z", "triangle-up": "M8 3l5 9H3Z", "triangle-down": "M8 13l5-9H3Z",
  diamond: "M8 2.5 13.5 8 8 13.5 2.5 8Z", cross: "M6.3 3h3.4v3.3H13v3.4H9.7V13H6.3V9.7H3V6.3h3.3Z",
  x: "M5 3l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3Z", pentagon: "M8 2.5 13.3 6.4 11.3 12.6H4.7L2.7 6.4Z",
  "triangle-left": "M3 8l10-5v10Z", "triangle-right": "M13 8l-10-5v10Z",
  star: "M8 2l1.6 4.1 4.4.2-3.5 2.7 1.2 4.3L8 10.9l-3.7 2.4 1.2-4.3L2 6.3l4.4-.2Z",
  hexagram: "M8 2l1.7 3h3.5L11.5 8l1.7 3H9.7L8 14l-1.7-3H2.8l1.7-3-1.7-3h3.5Z",
};
const svg = (width, inner) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ width, height: 16, viewBox: `0 0 ${width} 16`, class: "swatch", "aria-hidden": "true" }))
    made.setAttribute(name, value);
  const path = document.createElementNS(made.namespaceURI, "path");
  for (const [name, value] of Object.entries(inner)) path.setAttribute(name, value);
  made.append(path);
  return made;
};
const DASHES = { solid: "none", dash: "8 5", dot: "2 4", dashdot: "8 4 2 4" };
const swatch = (kind, name) => {
  if (kind === "cell" || kind === "setting") return svg(16, { d: SHAPES[(cells.get(name) ?? settings.get(name)).marker], fill: colour(name) });
  if (kind === "program") {
    const { dash } = programs.get(name);
    const array = DASHES[dash] ?? dash.replaceAll("px", "").replaceAll(",", " ");
    return svg(40, { d: "M0 8h40", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": array });
  }
  return null;
};

/* What is packed: gzip in base64. */
const unpack = (id) => {
  const letters = atob(document.getElementById(id).textContent), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
};

/* Without a secure context (some browsers' file:) there is only the old way. */
const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", "", { "aria-hidden": "true", style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
};
/* Says what a button did, in its own place. */
const confirmOn = (button, text) => {
  button.dataset.label ??= button.textContent;
  button.textContent = text;
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
};
/* Whoever changes what is seen calls this; state.js writes it into the address. */
let changed = () => {};
