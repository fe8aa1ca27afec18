/* What is seen, in the address: a link to it shows the same to everybody who has the page. */
const idOf = (figure) => figure.dataset.plot;
const collect = () => {
  const found = new URLSearchParams();
  const add = (key, value) => { if (value !== "" && value != null) found.set(key, value); };
  add("cell", [...hidden.cell].map((name) => data.cells.findIndex((cell) => cell.name === name)).join("."));
  add("place", [...hidden.place].map((key) => data.places.findIndex((place) => place.key === key)).join("."));
  hidden.axes.forEach((set, axis) => add(`axis${axis}`, [...set].join(".")));
  for (const figure of figures.keys()) {
    const controls = controlsOf(figure), first = controls.name.options[0];
    if (viewIndex(figure) !== Number(first?.value)) add(`${idOf(figure)}.view`, viewIndex(figure));
    add(`${idOf(figure)}.x`, controls.x.value);
    add(`${idOf(figure)}.y`, controls.y.value);
  }
  for (const table of tables()) {
    add(`${table.id}.without`, heads(table).filter((head) => head.hidden).map((head) => head.cellIndex).join("."));
    const sorted = heads(table).find((head) => head.ariaSort);
    if (sorted) add(`${table.id}.sort`, (sorted.ariaSort === "descending" ? "-" : "") + sorted.cellIndex);
    add(`${table.id}.find`, searchOf(table).value);
  }
  return found;
};
let at = "";
const writeState = () => {
  const found = collect();
  if (at) found.set("at", at);
  const hash = found.size ? `#${found}` : at ? `#${at}` : "";
  history.replaceState(null, "", hash || location.pathname + location.search);
};
const numbers = (text) => (text ? text.split(".").map(Number) : []);
const readState = () => {
  const text = location.hash.slice(1);
  if (!text.includes("=")) {
    at = text;
    return;
  }
  const found = new URLSearchParams(text);
  at = found.get("at") ?? "";
  const gone = { cell: numbers(found.get("cell")).map((index) => data.cells[index]?.name), place: numbers(found.get("place")).map((index) => data.places[index]?.key) };
  for (const box of boxes()) box.checked = !(box.name in gone ? gone[box.name] : numbers(found.get(`axis${box.name}`)).map(String)).includes(box.value);
  for (const figure of figures.keys()) {
    const controls = controlsOf(figure);
    const view = found.get(`${idOf(figure)}.view`);
    if (view != null) choose(figure, Number(view));
    controls.x.value = found.get(`${idOf(figure)}.x`) ?? "";
    controls.y.value = found.get(`${idOf(figure)}.y`) ?? "";
  }
  for (const table of tables()) {
    const without = numbers(found.get(`${table.id}.without`)), sort = found.get(`${table.id}.sort`);
    for (const box of searchOf(table).parentElement.querySelectorAll(".chooser input")) {
      box.checked = !without.includes(Number(box.value));
      hideColumn(table, Number(box.value), !box.checked);
    }
    if (sort && heads(table)[Math.abs(Number(sort))]) sortBy(table, heads(table)[Math.abs(Number(sort))], sort.startsWith("-"));
    searchOf(table).value = found.get(`${table.id}.find`) ?? "";
  }
  applyFilters();
  document.getElementById(at)?.scrollIntoView({ behavior: "instant" });
};
addEventListener("hashchange", () => {
  if (location.hash.includes("=")) readState();
  else {
    at = location.hash.slice(1);
    writeState();
  }
});
