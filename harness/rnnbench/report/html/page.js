"use strict";
/* Draws the plots with plotly, and makes the tables sortable and everything filterable. The page is complete without. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byName = (list) => new Map(list.map((item) => [item.name ?? item.key, item]));
  const cells = byName(data.cells), programs = byName(data.programs);
  const places = new Map(data.places.map((place) => [place.key, place]));
  const hidden = { cell: new Set(), program: new Set(), place: new Set() };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 47.99rem)");
  const roomy = matchMedia("(min-width: 64rem)");
  const touch = matchMedia("(pointer: coarse)");
  let printing = false;

  const isDark = () => dark.matches && !printing;
  /* Okabe and Ito's black is invisible on black, and their blue faint. */
  const colour = (name) => {
    const given = cells.get(name).colour;
    return isDark() ? { "#000000": "#ffffff", "#0072B2": "#3f9fdc" }[given] ?? given : given;
  };
  const ink = () => (isDark() ? "#e8ebee" : "#1b1f24");
  const rule = () => (isDark() ? "#333c46" : "#e1e4e9");
  const shown = (item) => !hidden.cell.has(item.cell) && !hidden.program.has(item.program) && !hidden.place.has(item.place);
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  /* ---- swatches: the marker of a cell, the dashes of an implementation ---- */
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
    if (kind === "cell") return svg(16, { d: SHAPES[cells.get(name).marker], fill: colour(name) });
    if (kind === "program") {
      const { dash } = programs.get(name);
      const array = DASHES[dash] ?? dash.replaceAll("px", "").replaceAll(",", " ");
      return svg(40, { d: "M0 8h40", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": array });
    }
    return null;
  };

  /* ---- plots ---- */
  const figures = new Map([...document.querySelectorAll("figure[data-plot]")].map((figure) => [figure, { drawn: false, dirty: false }]));

  const short = (value) => Number(value.toPrecision(4)).toString();
  const BOUNDS = { lower: " or more", upper: " or less" };
  const interval = (line, i) => (line.low[i] == null || line.high[i] == null || line.bound?.[i] ? "" : ` (${short(line.low[i])} to ${short(line.high[i])})`)
    + (BOUNDS[line.bound?.[i]] ?? "");
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  const told = (line) => line.bound || line.low.some((low) => low != null);
  const hover = (line, name, axis, x_title) => `${escaped(name)}${x_title ? `<br>${escaped(x_title)}: %{x}` : ""}<br>%{${axis}:.4~g}`
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
    const solid = cells.get(line.cell).marker, usual = solid + (program.open ? "-open" : "");
    return line.bound ? line.bound.map((bound) => (bound ? `${solid}-open-dot` : usual)) : usual;
  };

  const traces = (view, lines, keys) => lines.flatMap((line) => {
    const axis = keys.indexOf(line.place) + 1 || 1;
    const program = programs.get(line.program), tint = colour(line.cell);
    const name = `${line.cell} ${line.program}`;
    const shared = {
      type: "scatter", name, showlegend: false, xaxis: `x${axis === 1 ? "" : axis}`, yaxis: `y${axis === 1 ? "" : axis}`,
      marker: { symbol: symbols(line, program), color: tint, size: 9 },
      hoverlabel: { namelength: -1 }, hovertemplate: hover(line, name, view.kind === "dots" ? "x" : "y", view.kind === "dots" ? "" : view.x_title),
      customdata: told(line) ? line.y.map((_, i) => interval(line, i)) : undefined,
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
      width, height: each * rows, margin: { l: 48, r: 14, t: 34, b: 56 },
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
      if (data.places.length > 1) made.annotations.push({ text: escaped(places.get(key).name), x: x[narrow.matches ? 1 : 0], y: Math.min(1, top), xref: "paper", yref: "paper",
        xanchor: narrow.matches ? "right" : "left", yanchor: "bottom", showarrow: false, font: { size: 13, color: ink() } });
      if (!dots) for (const [name, y] of Object.entries(view.levels)) level(made, name, y, suffix, view);
    });
    return made;
  };

  const level = (made, name, y, suffix, view) => {
    const at = { xref: `x${suffix} domain`, yref: `y${suffix}` };
    made.shapes.push({ type: "line", x0: 0, x1: 1, y0: y, y1: y, ...at, line: { color: ink(), width: 1, dash: "dot" }, opacity: 0.6, layer: "below" });
    made.annotations.push({ text: name, x: 1, y: view.y_log ? Math.log10(y) : y, ...at, xanchor: "right", yanchor: "bottom", showarrow: false,
      font: { size: 11, color: ink() } });
  };

  const horizontal = (view, lines, dots) => {
    const title = { text: escaped(dots ? "" : view.x_title), standoff: 8 };
    if (dots) return { title, ...(view.y_log ? { type: "log", ...decades(view.lines.flatMap((line) => line.y)) } : { type: "linear", rangemode: "tozero" }) };
    const values = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const few = values.length <= 12 ? { tickmode: "array", tickvals: values, ticktext: values.map(String) } : {};
    return { title, type: view.x_log ? "log" : "linear", ...(view.x_log ? few : {}) };
  };
  const vertical = (view, dots) => dots
    ? { type: "category", autorange: "reversed", gridcolor: "rgba(0,0,0,0)" }
    : { type: view.y_log ? "log" : "linear", ...(view.y_log ? decades(view.lines.flatMap((line) => line.y)) : {}) };
  /* Few decades have marks at 1, 2 and 5; all are written out, never as a bare digit. */
  const decades = (values) => {
    const known = values.filter((value) => value != null && value > 0);
    const largest = known.reduce((a, b) => Math.max(a, b), 0), least = known.reduce((a, b) => Math.min(a, b), Infinity);
    return { tickformat: largest < 1e6 ? "~g" : "~s", dtick: largest < 1000 * least ? "D2" : undefined };
  };

  /* ---- what is packed: gzip in base64 ---- */
  const unpack = (id) => {
    const letters = atob(document.getElementById(id).textContent), bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
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

  const paint = (figure) => {
    const state = figures.get(figure), target = figure.querySelector(".plot"), select = figure.querySelector("select");
    const view = state.views[Number(select.value)];
    const lines = view.lines.filter(shown);
    const keys = data.places.map((place) => place.key).filter((key) => lines.some((line) => line.place === key));
    const axes = keys.length ? keys : [data.places[0].key];
    const config = { displaylogo: false, displayModeBar: touch.matches || narrow.matches || printing ? false : "hover", responsive: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
    const width = printing ? 680 : target.clientWidth;
    if (width < 100) { /* no window to speak of yet; the ResizeObserver will come back to it */
      Object.assign(state, { drawn: true, dirty: true, width });
      return;
    }
    figure.querySelector(".y-title").textContent = view.y_title;
    Plotly.react(target, traces(view, lines, axes), layout(view, lines, axes, width), config);
    target.setAttribute("role", "img");
    target.setAttribute("aria-label", `${select.selectedOptions[0].textContent}: ${lines.length} lines. Its numbers are in the raw data, those by length also in the table below.`);
    explain(figure.querySelector(".key"), lines, view.kind);
    target.style.minHeight = 0;
    Object.assign(state, { drawn: true, dirty: false, width });
  };

  /* The rows of a plot of dots have their names beside them. */
  const explain = (caption, lines, kind) => {
    const items = (kind) => data[`${kind}s`].filter((item) => lines.some((line) => line[kind] === item.name)).map((item) => {
      const made = element("span", "");
      made.append(swatch(kind, item.name), item.name);
      return made;
    });
    caption.replaceChildren(...(kind === "dots" ? [] : [...items("cell"), element("span", "", { class: "break" }), ...items("program")]));
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
    for (const [figure, state] of figures) {
      state.dirty = true;
      if (near.has(figure)) draw(figure);
    }
  };

  /* ---- filters ---- */
  const filters = document.getElementById("filters");
  const applyFilters = () => {
    for (const box of filters.querySelectorAll("input")) hidden[box.name][box.checked ? "delete" : "add"](box.value);
    for (const table of document.querySelectorAll("table[data-sortable]")) hideRows(table);
    redraw();
  };
  const buildFilters = () => {
    for (const fieldset of filters.querySelectorAll("fieldset")) {
      const kind = fieldset.dataset.filter;
      for (const item of data[`${kind}s`]) {
        const label = element("label", ""), box = element("input", "", { type: "checkbox", name: kind, value: item.key ?? item.name });
        const sign = swatch(kind, item.name);
        box.checked = true;
        label.append(box, ...(sign ? [sign] : []), item.name);
        fieldset.append(label);
      }
      fieldset.hidden = data[`${kind}s`].length < 2;
    }
    filters.addEventListener("change", applyFilters);
    filters.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("reset").addEventListener("click", () => {
      for (const box of filters.querySelectorAll("input")) box.checked = true;
      applyFilters();
    });
    filters.hidden = false;
  };
  const recolour = () => {
    for (const label of filters.querySelectorAll("fieldset[data-filter=cell] label")) label.querySelector("svg").replaceWith(swatch("cell", label.querySelector("input").value));
    redraw();
  };

  /* ---- tables ---- */
  const hideRows = (table) => {
    const search = document.querySelector(`[data-find="${table.id}"]`), words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of table.tBodies[0].rows) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      const values = words.length ? [...row.cells].map((cell) => cell.textContent.toLowerCase()) : [];
      const found = words.every((word) => (/^[\d.]+$/.test(word) ? values.includes(word) : text.includes(word)));
      row.hidden = !(found && (row.dataset.cell === undefined || shown(row.dataset)));
      if (!row.hidden) left += 1;
    }
    const total = table.tBodies[0].rows.length;
    search.parentElement.querySelector("output").textContent = left === total ? `${total} rows` : `${left} of ${total} rows`;
  };

  const sortBy = (table, head) => {
    const descending = head.getAttribute("aria-sort") === "ascending", column = head.cellIndex, body = table.tBodies[0];
    const numeric = head.classList.contains("n");
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[column], raw = cell.dataset.sort ?? (numeric ? "" : cell.textContent);
      return { row, missing: raw === "", key: numeric ? Number(raw) : raw };
    });
    keyed.sort((a, b) => a.missing - b.missing || (descending ? -1 : 1) * (numeric ? a.key - b.key : a.key.localeCompare(b.key)));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...keyed.map((item) => item.row));
  };
  const buildTables = () => {
    for (const table of document.querySelectorAll("table[data-sortable]")) {
      table.tHead.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) sortBy(table, button.parentElement);
      });
      document.querySelector(`[data-find="${table.id}"]`).addEventListener("input", () => hideRows(table));
      hideRows(table);
    }
  };

  /* ---- downloads ---- */
  const download = async (button) => {
    const blob = await unpack(button.dataset.download).blob();
    const link = element("a", "", { href: URL.createObjectURL(blob), download: button.dataset.name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };
  for (const button of document.querySelectorAll("[data-download]")) button.addEventListener("click", () => download(button));

  /* ---- start ---- */
  const panel = document.getElementById("panel");
  const fold = () => { panel.open = roomy.matches; };
  fold();
  roomy.addEventListener("change", fold);
  buildFilters();
  buildTables();
  for (const figure of figures.keys()) figure.querySelector("select").addEventListener("change", () => draw(figure));
  const afterPaint = (action) => requestAnimationFrame(() => setTimeout(action));
  afterPaint(() => {
    for (const figure of figures.keys()) watcher.observe(figure);
    loadAll();
  });
  dark.addEventListener("change", recolour);
  narrow.addEventListener("change", redraw);
  new ResizeObserver(() => {
    for (const [figure, state] of figures) if (state.drawn && !printing && figure.querySelector(".plot").clientWidth !== state.width) near.has(figure) ? draw(figure) : (state.dirty = true);
  }).observe(document.getElementById("main"));
  for (const event of ["beforeprint", "afterprint"]) addEventListener(event, () => {
    printing = event === "beforeprint";
    for (const figure of figures.keys()) draw(figure);
  });
})();
