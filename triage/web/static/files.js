// Import by drag and drop, with what became of each file: exports are read, PDFs attached to the records of their names.

import { api, count, el, plural } from "./common.js";
import { attach, takeDrops } from "./fulltext.js";

const form = document.getElementById("import");
const chosen = document.getElementById("chosen");
const said = document.getElementById("said");
const report = document.getElementById("report");

takeDrops(form, take);
document.getElementById("folder").addEventListener("change", (event) => {
  const pdfs = [...event.target.files].filter(isPdf);
  if (pdfs.length) take(pdfs);
  else said.textContent = "There is no PDF in this folder.";
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (chosen.files.length) take(chosen.files);
  else said.textContent = "Choose a file first.";
});

function isPdf(file) {
  return /\.pdf$/i.test(file.name);
}

async function take(files) {
  const button = form.querySelector("button");
  button.disabled = true;
  report.replaceChildren();
  try {
    const exports = [...files].filter((file) => !isPdf(file));
    const pdfs = [...files].filter(isPdf);
    if (exports.length) await read(exports);
    if (pdfs.length) await attachAll(pdfs);
    form.reset();
  } finally {
    button.disabled = false;
  }
}

async function read(exports) {
  said.textContent = "Reading …";
  try {
    const data = new FormData();
    for (const file of exports) data.append("files", file);
    data.append("source", form.elements.source.value);
    data.append("machine", form.elements.machine.value);
    data.append("person", form.elements.person.checked);
    const answer = await api("/api/import", { form: data, seconds: 1800 });
    said.textContent = "";
    said.append(`The review holds ${plural(answer.records, "record")}. Next: `, el("a", { href: "/duplicates" }, "look for duplicates"), ".");
    report.append(...answer.files.map(asRead));
  } catch (problem) {
    said.textContent = `Nothing was taken: ${problem.status ? problem.message : "no connection"}`;
  }
}

/** Attach PDFs one by one; one that fails does not stop the others. */
async function attachAll(pdfs) {
  const done = [], left = [];
  for (const [n, file] of pdfs.entries()) {
    said.textContent = `Attaching ${count(n + 1)} of ${count(pdfs.length)} …`;
    try {
      const answer = await attach(file);
      if (answer.record_id === null) left.push(`${file.name}: ${answer.message}`);
      else done.push([file.name, answer]);
    } catch (problem) {
      left.push(`${file.name}: ${problem.status ? problem.message : "no connection"}`);
    }
  }
  said.textContent = `${count(done.length)} of ${plural(pdfs.length, "PDF")} attached${left.length ? `, ${count(left.length)} not` : ""}.`;
  if (left.length) {
    report.append(el("section", { "aria-label": "Not attached" }, el("h2", {}, "Not attached"),
      el("ul", {}, left.map((one) => el("li", { dir: "auto" }, one)))));
  }
  if (done.length) {
    report.append(el("section", { "aria-label": "Attached" }, el("h2", {}, "Attached"), el("ul", {}, done.map(([name, answer]) =>
      el("li", { dir: "auto" }, `${name}: `, el("a", { href: `/records/${answer.record_id}` }, `record ${answer.record_id}`),
        answer.message ? ` (${answer.message})` : "")))));
  }
}

function asRead(file) {
  const messages = [...file.problems, ...file.warnings];
  return el("section", { "aria-label": file.file },
    el("h2", { dir: "auto" }, file.file),
    el("p", {}, `${file.format}: ${count(file.announced)} announced = ${count(file.kept)} kept + ${count(file.already_there)} already there + `
      + `${plural(file.problems.length, "problem")}${file.decisions ? `; ${plural(file.decisions, "decision")} taken` : ""}`
      + (file.suggestions ? `; ${plural(file.suggestions, "suggestion")} taken, no decision` : "")),
    messages.length ? el("ul", {}, messages.map((one) => el("li", { dir: "auto" }, `line ${one.line}: ${one.message}`))) : null);
}
