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
buildExplanations();
buildControls();
readState();
changed = writeState;
const afterPaint = (action) => requestAnimationFrame(() => setTimeout(action));
afterPaint(() => {
  for (const figure of figures.keys()) watcher.observe(figure);
  loadAll();
});
dark.addEventListener("change", recolour);
narrow.addEventListener("change", redraw);
new ResizeObserver(() => {
  for (const [figure, state] of figures) if (state.drawn && !printing && figure.querySelector(".plot").clientWidth !== state.width) near.has(figure) ? draw(figure) : outdate(figure);
}).observe(document.getElementById("main"));
for (const event of ["beforeprint", "afterprint"]) addEventListener(event, () => {
  printing = event === "beforeprint";
  for (const figure of figures.keys()) draw(figure);
});
