/* A number of a table says how it came about when it is clicked, or when Enter is pressed on it; arrows go from number to number. */
const why = document.getElementById("why");
const coded = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", part) : part));
const explainCell = async (table, cell) => {
  const reasons = (table.reasons ??= await unpack(table.dataset.reasons).json());
  const row = cell.parentElement, facts = reasons[`${row.dataset.row}.${cell.cellIndex}`];
  if (!facts) return;
  const list = element("dl", "");
  const who = heads(table).filter((head) => head.cellIndex < Number(table.dataset.labels)).map((head) => [titleOf(head), row.cells[head.cellIndex].textContent]);
  for (const [name, text] of [...who, ...facts]) {
    const told = element("dd", "");
    told.append(...coded(text));
    list.append(element("dt", name), told);
  }
  why.querySelector(".facts-of-cell").replaceChildren(list);
  why.showModal();
};
const buildExplanations = () => {
  for (const table of document.querySelectorAll("table[data-reasons]")) {
    const body = table.tBodies[0];
    body.querySelector(".why")?.setAttribute("tabindex", "0");
    body.addEventListener("click", (event) => {
      const cell = event.target.closest(".why");
      if (cell) explainCell(table, cell);
    });
    body.addEventListener("keydown", (event) => {
      const cell = event.target.closest(".why");
      if (!cell) return;
      if (event.key === "Enter") {
        event.preventDefault(); /* or the same key would press the button of the dialog */
        explainCell(table, cell);
        return;
      }
      const next = neighbour(cell, event.key);
      if (!next) return;
      event.preventDefault();
      cell.removeAttribute("tabindex");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }
};
const neighbour = (cell, key) => {
  const along = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[key];
  const across = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[key];
  if (!along && !across) return null;
  let next = cell;
  do next = along ? next[along] : next.parentElement[across]?.cells[cell.cellIndex];
  while (next && (!next.classList.contains("why") || next.hidden || next.parentElement.hidden));
  return next;
};
