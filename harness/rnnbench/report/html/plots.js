/* Plots with plotly. What a plot shows is chosen by its controls: the quantity, what it is against, and the scales. */
const figures = new Map([...document.querySelectorAll("figure[data-plot]")].map((figure) => [figure, { drawn: false, dirty: false }]));

const controlsOf = (figure) => Object.fromEntries([...figure.querySelectorAll("[data-control]")].map((control) => [control.dataset.control, control]));
const viewIndex = (figure) => {
  const { name, against } = controlsOf(figure);
  return Number(against.options.length ? against.value : name.value);
};
/* The second list has what the chosen quantity can be against. */
const offer = (figure) => {
  const { name, against } = controlsOf(figure), choices = data.variants[figure.dataset.plot][name.value] ?? [];
  against.replaceChildren(...choices.map(([index, text]) => Object.assign(element("option", text), { value: index })));
  against.hidden = choices.length < 2;
};
const choose = (figure, view) => {
  const { name, against } = controlsOf(figure), variants = Object.entries(data.variants[figure.dataset.plot]);
  const [first] = variants.find(([, choices]) => choices.some(([index]) => index === view)) ?? [];
  if (first === undefined) return;
  name.value = first;
  offer(figure);
  against.value = view;
};
const buildControls = () => {
  for (const figure of figures.keys()) {
    const controls = controlsOf(figure);
    controls.name.addEventListener("change", () => offer(figure));
    for (const control of Object.values(controls)) control.addEventListener("change", () => { draw(figure); changed(); });
    offer(figure);
  }
};

const short = (value) => Number(value.toPrecision(4)).toString();
const BOUNDS = { lower: " or more", upper: " or less" };
const interval = (line, i) => (line.low[i] == null || line.high[i] == null || line.bound?.[i] ? "" : ` (${short(line.low[i])} to ${short(line.high[i])})`)
  + (BOUNDS[line.bound?.[i]] ?? "");
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const told = (line) => line.bound || line.low.some((low) => low != null);
const hover = (line, name, axis, x_title, named) => `${escaped(name)}${x_title ? `<br>${escaped(x_title)}: %{${named ? "text" : "x"}}` : ""}<br>%{${axis}:.4~g}`
  + (told(line) ? "%{customdata}" : "") + "<extra></extra>";

const errors = (line, thickness) => {
  if (!line.low.some((low, i) => low != null && line.high[i] != null && line.high[i] > low)) return undefined;
  const reach = (end, sign) => line.y.map((y, i) => (y == null || line[end][i] == null ? 0 : Math.max(0, sign * (line[end][i] - y))));
  return { type: "data", symmetric: false, array: reach("high", 1), arrayminus: reach("low", -1), thickness, width: 3 };
};

/* The name of a row of dots; on a phone its parts stand below each other, or no room is left for the dots. */
const row = (line) => escaped(line.label).replaceAll(", ", narrow.matches ? "<br>" : ", ");

/* A number that is only a bound is drawn hollow with a dot. */
const symbols = (line, program) => {
  const solid = (cells.get(line.tint) ?? settings.get(line.tint)).marker, usual = solid + (program.open ? "-open" : "");
  return line.bound ? line.bound.map((bound) => (bound ? `${solid}-open-dot` : usual)) : usual;
};

/* Each place has a picture of its own, and where settings are compared, each cell. */
const pictureOf = (view, line) => (view.studied ? `${line.place}|${line.cell}` : line.place);
const pictureTitle = (key) => {
  const [place, ...cell] = key.split("|");
  return [cell.join("|"), data.places.length > 1 ? places.get(place).name : ""].filter(Boolean).join(", ");
};

const traces = (view, lines, keys) => lines.flatMap((line) => {
  const axis = keys.indexOf(pictureOf(view, line)) + 1 || 1;
  const program = programs.get(line.program), tint = colour(line.tint);
  const name = [line.cell, view.studied ? line.tint : "", line.program].filter(Boolean).join(" ");
  const shared = {
    type: "scatter", name, showlegend: false, xaxis: `x${axis === 1 ? "" : axis}`, yaxis: `y${axis === 1 ? "" : axis}`,
    marker: { symbol: symbols(line, program), color: tint, size: 9 },
    hoverlabel: { namelength: -1 }, hovertemplate: hover(line, name, view.kind === "dots" ? "x" : "y", view.kind === "dots" ? "" : view.x_title, view.ticks),
    text: view.ticks ? line.x.map((x) => escaped(new Map(view.ticks).get(x) ?? String(x))) : undefined,
    meta: { cell: line.cell, axes: line.axes }, customdata: told(line) ? line.y.map((_, i) => interval(line, i)) : undefined,
  };
  if (view.kind === "dots") {
    const bars = errors(line, 1.2);
    return [{ ...shared, mode: "markers", x: line.y, y: line.y.map(() => row(line)), error_x: bars }];
  }
  const many = line.x.length > 12;
  const drawn = { ...shared, mode: "lines+markers", x: line.x, y: line.y, connectgaps: false,
    line: { color: tint, dash: program.dash, width: 2 }, error_y: many ? undefined : errors(line, 1) };
  drawn.marker.maxdisplayed = many ? 8 : 0; /* symbols only: the line has every point */
  return many && lines.length <= 8 ? [...band(line, shared, tint), drawn] : [drawn];
});

const band = (line, shared, tint) => {
  if (!line.low.length || line.low.some((low) => low == null) || line.high.some((high) => high == null)) return [];
  const edge = { ...shared, mode: "lines", x: line.x, line: { width: 0 }, hoverinfo: "skip", hovertemplate: undefined };
  return [{ ...edge, y: line.low }, { ...edge, y: line.high, fill: "tonexty", fillcolor: `${tint}26` }];
};

const layout = (view, lines, keys, width) => {
  const columns = narrow.matches ? 1 : Math.min(keys.length, 2), rows = Math.ceil(Math.max(1, keys.length) / columns);
  const dots = view.kind === "dots", labels = [...new Set(lines.map(row))];
  const each = dots ? Math.max(220, labels.reduce((sum, label) => sum + 7 + 17 * label.split("<br>").length, 110)) : narrow.matches ? 330 : 400;
  const made = {
    width, height: each * rows, margin: { l: 48, r: Object.keys(view.levels).length ? 48 : 14, t: 34, b: 56 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 13, color: ink() },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: rule(), activecolor: ink() }, hovermode: "closest", hoverlabel: { align: "left" }, dragmode: touch.matches ? false : "zoom", annotations: [], shapes: [],
  };
  const gapX = 90 / width, gapY = 100 / made.height;
  keys.forEach((key, index) => {
    const suffix = index ? index + 1 : "", column = index % columns, row = Math.floor(index / columns);
    const w = (1 - gapX * (columns - 1)) / columns, h = (1 - gapY * (rows - 1)) / rows;
    const x = [column * (w + gapX), column * (w + gapX) + w], top = 1 - row * (h + gapY);
    const base = { gridcolor: rule(), linecolor: rule(), zerolinecolor: rule(), automargin: true, exponentformat: "power", minexponent: 4 };
    const along = { ...base, domain: x, anchor: `y${suffix}`, ...horizontal(view, lines, dots) };
    const up = { ...base, domain: [Math.max(0, top - h), Math.min(1, top)], anchor: `x${suffix}`, ...vertical(view, dots) };
    if (index) Object.assign(up, { matches: "y" }), Object.assign(along, { matches: "x" });
    made[`xaxis${suffix}`] = along;
    made[`yaxis${suffix}`] = up;
    if (pictureTitle(key)) made.annotations.push({ text: escaped(pictureTitle(key)), x: x[narrow.matches ? 1 : 0], y: Math.min(1, top), xref: "paper", yref: "paper",
      xanchor: narrow.matches ? "right" : "left", yanchor: "bottom", showarrow: false, font: { size: 13, color: ink() } });
    if (!dots) for (const [name, y] of Object.entries(view.levels)) level(made, name, y, suffix, view);
    for (const [x, text] of view.marks ?? []) mark(made, x, text, suffix);
  });
  return made;
};

const mark = (made, x, text, suffix) => {
  const across = { xref: `x${suffix}`, yref: `y${suffix} domain` };
  made.shapes.push({ type: "line", x0: x, x1: x, y0: 0, y1: 1, ...across, line: { color: ink(), width: 1, dash: "dash" }, opacity: 0.6, layer: "below" });
  made.annotations.push({ text: escaped(text), x, y: 1, ...across, xanchor: "left", yanchor: "top", showarrow: false, font: { size: 11, color: ink() } });
};

const level = (made, name, y, suffix, view) => {
  const at = { xref: `x${suffix} domain`, yref: `y${suffix}` };
  made.shapes.push({ type: "line", x0: 0, x1: 1, y0: y, y1: y, ...at, line: { color: ink(), width: 1, dash: "dot" }, opacity: 0.6, layer: "below" });
  made.annotations.push({ text: name, x: 1, y: view.y_log ? Math.log10(y) : y, ...at, xanchor: "left", yanchor: "middle", showarrow: false,
    font: { size: 11, color: ink() } });
};

/* Names along x are written as far as there is room; the pointer tells all of each. */
const MOST_NAMES = 12;
const horizontal = (view, lines, dots) => {
  const title = { text: escaped(dots ? "" : view.x_title), standoff: 8 };
  if (dots) return { title, ...(view.y_log ? { type: "log", ...decades(view.lines.flatMap((line) => line.y)) } : { type: "linear", rangemode: "tozero" }) };
  const values = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  if (view.ticks) {
    const every = Math.ceil(view.ticks.length / MOST_NAMES), written = view.ticks.filter((_, index) => index % every === 0);
    return { title, type: "linear", tickmode: "array", tickvals: written.map(([x]) => x), ticktext: written.map(([, text]) => escaped(text.split(" ")[0])) };
  }
  const few = values.length <= 12 ? { tickmode: "array", tickvals: values, ticktext: values.map(String) } : {};
  return { title, type: view.x_log ? "log" : "linear", ...(view.x_log ? few : {}) };
};
const vertical = (view, dots) => dots
  ? { type: "category", autorange: "reversed", gridcolor: "rgba(0,0,0,0)" }
  : { type: view.y_log ? "log" : "linear", ...aboveFloor(view), ...(view.y_log ? decades(view.lines.flatMap((line) => line.y)) : {}) };
/* Where lines go far below what a picture is about, it begins at its floor; zooming out shows the rest. */
const aboveFloor = (view) => {
  if (view.floor == null || view.y_log) return {};
  const known = view.lines.flatMap((line) => line.y).filter((value) => value != null);
  const least = known.reduce((a, b) => Math.min(a, b), Infinity), most = known.reduce((a, b) => Math.max(a, b), -Infinity);
  return least < view.floor && most > view.floor ? { range: [view.floor - 3, most + 0.05 * (most - view.floor)] } : {};
};
/* Few decades have marks at 1, 2 and 5; all are written out, never as a bare digit. */
const decades = (values) => {
  const known = values.filter((value) => value != null && value > 0);
  const largest = known.reduce((a, b) => Math.max(a, b), 0), least = known.reduce((a, b) => Math.min(a, b), Infinity);
  return { tickformat: largest < 1e6 ? "~g" : "~s", dtick: largest < 1000 * least ? "D2" : undefined };
};

/* The library is compiled when the browser has nothing else to do. */
const idle = () => new Promise((go) => (window.requestIdleCallback ? requestIdleCallback(go, { timeout: 500 }) : setTimeout(go)));
let loading;
const plotly = () => (loading ??= unpack("plotly").text().then(async (text) => {
  await idle();
  const script = element("script", ""), limit = Error.stackTraceLimit;
  script.textContent = text;
  Error.stackTraceLimit = 0; /* it makes errors as it starts, and for each trace V8 would read all of it again: half a second */
  document.head.append(script);
  Error.stackTraceLimit = limit;
  await idle();
}));

const load = (figure) => {
  const state = figures.get(figure);
  return (state.loading ??= Promise.all([unpack(`numbers-${figure.dataset.plot}`).json(), plotly()]).then(([views]) => { state.views = views; }));
};

/* All that it takes is there, at once or later: many calls while it is awaited make one plot. */
const draw = async (figure) => {
  const state = figures.get(figure);
  if (state.views) return paint(figure);
  if (state.awaited) return;
  state.awaited = true;
  await load(figure);
  paint(figure);
};

/* Printing does not wait: what it takes to draw plots that nobody has scrolled to has to be there before. */
const loadAll = async () => {
  for (const figure of figures.keys()) {
    await idle();
    await load(figure);
  }
  document.documentElement.dataset.printable = "yes";
};

const withScales = (figure, view) => {
  const { x, y } = controlsOf(figure);
  return { ...view, x_log: x.value ? x.value === "log" : view.x_log, y_log: y.value ? y.value === "log" : view.y_log };
};

/* plotly tells clicks on a curve one by one, and double clicks only of the background. */
const isolateOnDoubleClick = (target) => {
  target.removeAllListeners?.("plotly_click");
  let last = { time: 0, curve: null };
  target.on("plotly_click", ({ points: [point] }) => {
    const now = performance.now();
    if (last.curve === point.curveNumber && now - last.time < 450) isolate(point.data.meta);
    last = { time: now, curve: point.curveNumber };
  });
};

/* What is drawn is not what is asked for any more. */
const outdate = (figure) => {
  figures.get(figure).dirty = true;
  figure.dataset.current = "no";
};

const paint = (figure) => {
  const state = figures.get(figure), target = figure.querySelector(".plot");
  const view = withScales(figure, state.views[viewIndex(figure)]);
  const lines = view.lines.filter(shown);
  const seen = new Set(lines.map((line) => pictureOf(view, line)));
  const keys = data.places.flatMap((place) => (view.studied ? data.cells.map((cell) => `${place.key}|${cell.name}`) : [place.key])).filter((key) => seen.has(key));
  const axes = keys.length ? keys : [data.places[0].key];
  const config = { displaylogo: false, displayModeBar: touch.matches || narrow.matches || printing ? false : "hover", responsive: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const width = printing ? 680 : target.clientWidth;
  if (width < 100) { /* no window to speak of yet; the ResizeObserver will come back to it */
    state.drawn = true;
    state.width = width;
    return outdate(figure);
  }
  figure.querySelector(".y-title").textContent = view.y_title;
  Plotly.react(target, traces(view, lines, axes), layout(view, lines, axes, width), config);
  target.setAttribute("role", "img");
  target.setAttribute("aria-label", `${view.label}: ${lines.length} lines. Its numbers are in the raw data, those by length also in the table below.`);
  explain(figure.querySelector(".key"), lines, view);
  isolateOnDoubleClick(target);
  target.style.minHeight = 0;
  Object.assign(state, { drawn: true, dirty: false, width });
  figure.dataset.current = "yes";
};

/* The rows of a plot of dots have their names beside them. */
const explain = (caption, lines, { kind, studied }) => {
  const items = (kind) => data[`${kind}s`].filter((item) => lines.some((line) => line[kind === "setting" ? "tint" : kind] === item.name)).map((item) => {
    const made = kind === "cell" ? element("button", "", { type: "button", title: "Double click shows only this one, in every plot and table" }) : element("span", "");
    made.append(swatch(kind, item.name), item.name);
    if (kind === "cell") made.addEventListener("dblclick", () => isolate({ cell: item.name }));
    return made;
  });
  caption.replaceChildren(...(kind === "dots" ? [] : [...items(studied ? "setting" : "cell"), element("span", "", { class: "break" }), ...items("program")]));
  if (lines.some((line) => line.bound)) caption.append(element("span", "⊙ only a bound: at least or at most that"));
  if (!lines.length) caption.textContent = "Everything is hidden by the filters.";
};

/* A plot is drawn when it comes near the window, and again when something changed while it was away. */
const near = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    near[entry.isIntersecting ? "add" : "delete"](entry.target);
    const state = figures.get(entry.target);
    if (entry.isIntersecting && (!state.drawn || state.dirty)) draw(entry.target);
  }
}, { rootMargin: "200px 0px" });
const redraw = () => {
  for (const figure of figures.keys()) {
    outdate(figure);
    if (near.has(figure)) draw(figure);
  }
};
