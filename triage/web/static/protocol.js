// The protocol's form: criteria taken from a document, another row, and no change lost by leaving.

import { api, plural } from "./common.js";

const form = document.getElementById("protocol");
const said = document.getElementById("split-said");

for (const button of form.querySelectorAll("[data-add-row]")) {
  button.addEventListener("click", () => {
    const rows = button.closest("fieldset").querySelector(".rows");
    const row = rows.lastElementChild.cloneNode(true);
    for (const field of row.querySelectorAll("input, textarea")) field.value = "";
    rows.append(row);
    row.querySelector("input").focus();
  });
}

document.getElementById("split").addEventListener("click", async () => {
  const data = new FormData();
  const file = document.getElementById("document").files[0];
  data.append("text", document.getElementById("pasted").value);
  if (file) data.append("file", file);
  said.textContent = "Reading …";
  try {
    const found = await api("/api/criteria", { form: data, seconds: 60 });
    add(form.elements.include, found.include);
    add(form.elements.exclude, found.exclude);
    said.textContent = `${plural(found.include.length, "inclusion criterion", "inclusion criteria")} and `
      + `${plural(found.exclude.length, "exclusion criterion", "exclusion criteria")} found; correct them above, then save.`;
  } catch (problem) {
    said.textContent = problem.status ? problem.message : "no connection";
  }
});

function add(field, lines) {
  const there = field.value.trim();
  field.value = [...(there ? [there] : []), ...lines].join("\n");
  field.rows = Math.min(20, Math.max(5, field.value.split("\n").length + 1));
}

let changed = false;
form.addEventListener("input", () => { changed = true; });
form.addEventListener("submit", () => { changed = false; });
window.addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
