// Import by drag and drop, with what became of each file.

import { api, el } from "./common.js";

const form = document.getElementById("import");
const chosen = document.getElementById("chosen");
const said = document.getElementById("said");
const report = document.getElementById("report");

for (const name of ["dragenter", "dragover"]) {
  form.addEventListener(name, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
form.addEventListener("dragleave", () => form.classList.remove("over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  if (event.dataTransfer.files.length) {
    chosen.files = event.dataTransfer.files;
    take();
  }
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  take();
});

async function take() {
  if (!chosen.files.length) {
    said.textContent = "Choose a file first.";
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  said.textContent = "Reading …";
  try {
    const data = new FormData();
    for (const file of chosen.files) data.append("files", file);
    data.append("source", form.elements.source.value);
    const answer = await api("/api/import", { form: data, seconds: 1800 });
    said.textContent = `The review holds ${answer.records} records. Look for duplicates next.`;
    report.replaceChildren(...answer.files.map(asRead));
    form.reset();
  } catch (problem) {
    said.textContent = `Nothing was taken: ${problem.status ? problem.message : "no connection"}`;
  } finally {
    button.disabled = false;
  }
}

function asRead(file) {
  const told = [...file.problems, ...file.warnings];
  return el("section", { "aria-label": file.file },
    el("h2", { dir: "auto" }, file.file),
    el("p", {}, `${file.format}: ${file.announced} announced = ${file.kept} kept + ${file.already_there} already there + `
      + `${file.problems.length} problems${file.decisions ? `; ${file.decisions} decisions taken` : ""}`),
    told.length ? el("ul", {}, told.map((one) => el("li", { dir: "auto" }, `line ${one.line}: ${one.message}`))) : null);
}
