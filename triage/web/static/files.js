// Import by drag and drop, with what became of each file: exports are read, PDFs attached to the records that they are of.

import { api, count, el, pause, plural } from "./common.js";
import { attach, takeDrops } from "./fulltext.js";

const form = document.getElementById("import");
const chosen = document.getElementById("chosen");
const said = document.getElementById("said");
const report = document.getElementById("report");

const named = document.getElementById("named");
const far = document.getElementById("far");

takeDrops(form, list);
chosen.addEventListener("change", () => list(chosen.files));
let waiting = [];

/** Show the exports that were chosen, each with its source to be named; PDFs are attached at once. */
function list(files) {
  const pdfs = [...files].filter(isPdf);
  waiting = [...files].filter((file) => !isPdf(file));
  if (pdfs.length) take(pdfs);
  named.hidden = !waiting.length;
  named.replaceChildren(el("p", { class: "soft" }, "The source of each file, for the flow figure; two files of one source are counted together."),
    ...waiting.map((file) => el("div", { class: "row" }, el("label", {}, file.name,
      el("input", { name: "sources", list: "databases", maxlength: "200", value: guess(file.name), "aria-label": `Source of ${file.name}` })))));
}

/** The database that a file's name speaks of; else the name without its ending. */
function guess(file) {
  const plain = file.toLowerCase().replace(/[^a-z]/g, "");
  const options = [...document.getElementById("databases").options].map((option) => option.value);
  const known = options.find((one) => plain.includes(one.toLowerCase().replace(/\(.*/, "").replace(/[^a-z]/g, "")));
  return known ?? file.replace(/\.[^.]*$/, "");
}
document.getElementById("folder").addEventListener("change", (event) => {
  const pdfs = [...event.target.files].filter(isPdf);
  if (pdfs.length) take(pdfs);
  else said.textContent = "There is no PDF in this folder.";
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (waiting.length) take(waiting);
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
  } finally {
    button.disabled = false;
  }
}

async function read(exports, columns = null) {
  said.textContent = "Reading …";
  far.hidden = false;
  far.removeAttribute("value");
  const done = follow();
  try {
    const data = new FormData();
    for (const file of exports) data.append("files", file);
    for (const field of named.querySelectorAll("input")) data.append("sources", field.value);
    data.append("machine", form.elements.machine.value);
    data.append("person", form.elements.person.checked);
    data.append("encoding", form.elements.encoding.value);
    data.append("sheet", form.elements.sheet.value);
    if (columns) data.append("columns", JSON.stringify(columns));
    const answer = await api("/api/import", { form: data, seconds: 1800 });
    said.textContent = "";
    said.append(`The review holds ${plural(answer.records, "record")}. Next: `, el("a", { href: "/duplicates" }, "look for duplicates"), ".");
    report.append(...answer.files.map(asRead));
    waiting = [];
    named.replaceChildren();
    named.hidden = true;
    form.reset();
  } catch (problem) {
    said.textContent = `Nothing was taken: ${problem.status ? problem.message : "no connection"}`;
    if (problem.code === "columns") ask(exports, problem.answer);
  } finally {
    done();
    far.hidden = true;
  }
}

/** Show how far the server is, until it has answered. */
function follow() {
  const over = new AbortController();
  const look = async () => {
    await pause(1);
    if (over.signal.aborted) return;
    const { under_way: at } = await api("/api/import").catch(() => ({}));
    if (at && !over.signal.aborted) {
      said.textContent = at.total ? `${at.what}: ${count(at.done)} of ${count(at.total)}${at.left && `, about ${at.left} left`}` : `${at.what} …`;
      if (at.total) Object.assign(far, { max: at.total, value: at.done });
    }
    look();
  };
  look();
  return () => over.abort();
}

/** Ask which columns of a table hold what, with its first rows in view. */
function ask(exports, { header, rows, names, detail }) {
  const asked = document.getElementById("ask-columns").content.cloneNode(true).querySelector("form");
  asked.querySelector("p").textContent = detail.split(" Say which")[0];
  asked.querySelector("thead").append(el("tr", {}, header.map((one) => el("th", { scope: "col", dir: "auto" }, one))));
  asked.querySelector("tbody").append(...rows.map((row) => el("tr", {}, row.map((cell) => el("td", { dir: "auto" }, cell.slice(0, 80))))));
  for (const select of asked.querySelectorAll("select")) {
    select.append(...names.map((one, n) => (one ? el("option", { value: one }, header[n] || one) : null)).filter(Boolean));
  }
  asked.addEventListener("submit", (event) => {
    event.preventDefault();
    const columns = Object.fromEntries([...new FormData(asked)].filter(([, value]) => value));
    asked.remove();
    read(exports, columns);
  });
  report.replaceChildren(asked);
  asked.querySelector("select").focus();
}

for (const one of document.querySelectorAll("form.source")) {
  one.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api("/api/sources", { body: { file: Number(one.dataset.file), source: one.elements.source.value } });
      location.reload();
    } catch (problem) {
      said.textContent = `Not renamed: ${problem.status ? problem.message : "no connection"}`;
    }
  });
}

/** Attach PDFs one by one; one that fails does not stop the others. */
async function attachAll(pdfs) {
  const done = [], left = [];
  for (const [n, file] of pdfs.entries()) {
    said.textContent = `Attaching ${count(n + 1)} of ${count(pdfs.length)} …`;
    try {
      const answer = await attach(file);
      if (answer.record_id === null) left.push([file.name, answer.message, answer.candidates]);
      else done.push([file.name, answer]);
    } catch (problem) {
      left.push([file.name, problem.status ? problem.message : "no connection", []]);
    }
  }
  said.textContent = `${count(done.length)} of ${plural(pdfs.length, "PDF")} attached${left.length ? `, ${count(left.length)} not` : ""}.`;
  if (left.length) {
    report.append(el("section", { "aria-label": "Not attached" }, el("h2", {}, "Not attached"),
      el("ul", {}, left.map(([name, message, candidates]) => el("li", { dir: "auto" }, `${name}: ${message}`,
        candidates.slice(0, 5).flatMap((id) => [" ", el("a", { href: `/records/${id}` }, `record ${id}`)]))))));
  }
  if (done.length) {
    report.append(el("section", { "aria-label": "Attached" }, el("h2", {}, "Attached"), el("ul", {}, done.map(([name, answer]) =>
      el("li", { dir: "auto" }, `${name}: `, el("a", { href: `/records/${answer.record_id}` }, `record ${answer.record_id}`),
        `, by ${answer.by}${answer.unread ? `; its first page could not tell: ${answer.unread}` : ""}`,
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
