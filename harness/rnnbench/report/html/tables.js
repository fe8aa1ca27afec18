/* Tables can be searched, sorted, cut to some columns, and copied. */
const tables = () => document.querySelectorAll("table[data-sortable]");
const searchOf = (table) => document.querySelector(`[data-find="${table.id}"]`);
const itemOf = (row) => ({ cell: row.dataset.cell, places: row.dataset.place.split("|"), axes: row.dataset.axes ? row.dataset.axes.split(",").map(Number) : [] });

const hideRows = (table) => {
  const search = searchOf(table), words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const row of table.tBodies[0].rows) {
    const text = words.length ? row.textContent.toLowerCase() : "";
    const values = words.length ? [...row.cells].map((cell) => cell.textContent.toLowerCase()) : [];
    const found = words.every((word) => (/^[\d.]+$/.test(word) ? values.includes(word) : text.includes(word)));
    row.hidden = !(found && (row.dataset.cell === undefined || shown(itemOf(row))));
    if (!row.hidden) left += 1;
  }
  const total = table.tBodies[0].rows.length;
  search.parentElement.querySelector("output").textContent = left === total ? `${total} rows` : `${left} of ${total} rows`;
};

const sortBy = (table, head, descending = head.getAttribute("aria-sort") === "ascending") => {
  const column = head.cellIndex, body = table.tBodies[0];
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

/* ---- columns ---- */
const MANY_COLUMNS = 4;
const heads = (table) => [...table.tHead.rows[0].cells];
const titleOf = (head) => head.querySelector("button").textContent;
const hideColumn = (table, column, away) => {
  for (const row of table.rows) row.cells[column].hidden = away;
};
const buildChooser = (table) => {
  if (heads(table).length <= MANY_COLUMNS) return;
  const chooser = element("details", "", { class: "chooser" });
  chooser.append(element("summary", "Columns"));
  for (const head of heads(table).slice(1)) {
    const label = element("label", ""), box = element("input", "", { type: "checkbox", value: head.cellIndex });
    box.checked = true;
    box.addEventListener("change", () => { hideColumn(table, Number(box.value), !box.checked); changed(); });
    label.append(box, titleOf(head));
    chooser.append(label);
  }
  searchOf(table).parentElement.append(chooser);
};

/* ---- copies: what is seen, as it is seen ---- */
const grid = (table) => {
  const columns = heads(table).filter((head) => !head.hidden).map((head) => head.cellIndex);
  const title = (head) => [titleOf(head), head.querySelector("small")?.textContent].filter(Boolean).join(", ");
  const body = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  return {
    head: columns.map((column) => title(heads(table)[column])),
    numeric: columns.map((column) => heads(table)[column].classList.contains("n")),
    rows: body.map((row) => columns.map((column) => ({ text: row.cells[column].textContent, best: row.cells[column].classList.contains("best") }))),
  };
};
const csvField = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const asCsv = (table) => {
  const { head, rows } = grid(table);
  return [head, ...rows.map((row) => row.map((cell) => cell.text))].map((row) => row.map(csvField).join(",")).join("\n") + "\n";
};
const LATEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$", "µ": "$\\mu$", "×": "$\\times$", "±": "$\\pm$", "–": "--", "−": "$-$", "²": "$^2$" };
const latexText = (text) => [...text].map((letter) => LATEX[letter] ?? ("&%$#_{}".includes(letter) ? `\\${letter}` : letter)).join("");
const asLatex = (table) => {
  const { head, numeric, rows } = grid(table);
  const line = (row) => `${row.join(" & ")} \\\\`;
  const cell = ({ text, best }) => (best ? `\\textbf{${latexText(text)}}` : latexText(text));
  return ["% needs \\usepackage{booktabs}", `\\begin{tabular}{${numeric.map((right) => (right ? "r" : "l")).join("")}}`, "\\toprule",
    line(head.map(latexText)), "\\midrule", ...rows.map((row) => line(row.map(cell))), "\\bottomrule", "\\end{tabular}", ""].join("\n");
};
const buildCopies = (table) => {
  for (const [name, text] of [["CSV", asCsv], ["LaTeX", asLatex]]) {
    const button = element("button", `Copy as ${name}`, { type: "button", class: "copy" });
    button.addEventListener("click", async () => { await copyText(text(table)); confirmOn(button, "Copied"); });
    searchOf(table).parentElement.append(button);
  }
};

const buildTables = () => {
  for (const table of tables()) {
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      sortBy(table, button.parentElement);
      changed();
    });
    searchOf(table).addEventListener("input", () => { hideRows(table); changed(); });
    buildCopies(table);
    buildChooser(table);
    hideRows(table);
  }
};
