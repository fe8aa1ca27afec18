/* One set of boxes for each axis; what is unticked is hidden in every plot and table. */
const filters = document.getElementById("filters");
const boxes = () => [...filters.querySelectorAll("input[type=checkbox]")];
const setOf = (kind) => (kind in hidden && kind !== "axes" ? hidden[kind] : hidden.axes[Number(kind)]);
const valueOf = (box) => (box.name in hidden && box.name !== "axes" ? box.value : Number(box.value));
const applyFilters = () => {
  for (const box of boxes()) setOf(box.name)[box.checked ? "delete" : "add"](valueOf(box));
  for (const table of document.querySelectorAll("table[data-sortable]")) hideRows(table);
  redraw();
  changed();
};
const addBoxes = (fieldset, kind, items) => {
  for (const [value, text] of items) {
    const label = element("label", ""), box = element("input", "", { type: "checkbox", name: kind, value });
    const sign = kind === "cell" ? swatch(kind, value) : null;
    box.checked = true;
    label.append(box, ...(sign ? [sign] : []), text);
    fieldset.append(label);
  }
  fieldset.hidden = items.length < 2;
};
const buildFilters = () => {
  addBoxes(filters.querySelector("[data-filter=cell]"), "cell", data.cells.map((cell) => [cell.name, cell.name]));
  data.axes.forEach((axis, index) => {
    const fieldset = element("fieldset", ""), title = axis.name[0].toUpperCase() + axis.name.slice(1);
    fieldset.append(element("legend", title));
    addBoxes(fieldset, String(index), axis.values.map((text, value) => [value, text]));
    filters.querySelector("[data-filter=place]").before(fieldset);
  });
  addBoxes(filters.querySelector("[data-filter=place]"), "place", data.places.map((place) => [place.key, place.name]));
  filters.addEventListener("change", applyFilters);
  filters.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("reset").addEventListener("click", showAll);
  document.getElementById("copy-link").addEventListener("click", async (event) => {
    await copyText(location.href);
    confirmOn(event.target, "Link copied");
  });
  filters.hidden = false;
};
const showAll = () => {
  for (const box of boxes()) box.checked = true;
  applyFilters();
};
const toggleCell = (name) => {
  const box = boxes().find((one) => one.name === "cell" && one.value === name);
  box.checked = !box.checked;
  applyFilters();
};
/* Only this one, in every plot and table; a second time shows all again. place: left as it is. */
const isolate = (item) => {
  const wanted = (box) => box.name === "place" || (box.name === "cell" ? box.value === item.cell : !item.axes || item.axes[Number(box.name)] === -1 || item.axes[Number(box.name)] === Number(box.value));
  if (boxes().every((box) => box.checked === (wanted(box) && box.checked)) && boxes().some((box) => !box.checked)) return showAll();
  for (const box of boxes()) box.checked = wanted(box);
  applyFilters();
};
const recolour = () => {
  for (const label of filters.querySelectorAll("fieldset[data-filter=cell] label")) label.querySelector("svg").replaceWith(swatch("cell", label.querySelector("input").value));
  redraw();
};
