// One record: its decision is made or changed by a form, and its PDFs are attached and shown.

import { api, makeKey } from "./common.js";
import { Beside, manage } from "./fulltext.js";

const form = document.getElementById("change");
const said = document.getElementById("said");
let key = makeKey();

form?.addEventListener("change", () => { key = makeKey(); });
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const label = form.elements.label.value;
  const reason = label === "exclude" ? form.elements.reason?.value ?? "" : "";
  const boxes = [...form.querySelectorAll("[name=tags]")];
  const tags = boxes.length ? boxes.filter((box) => box.checked).map((box) => box.value) : null;
  const body = { key, stage: form.dataset.stage, record_id: Number(form.dataset.record), label, reason, note: form.elements.note.value.trim(), tags };
  said.textContent = "Saving …";
  try {
    await api("/api/decisions", { body });
    said.textContent = `Kept: ${label}${reason ? ` (${reason})` : ""}`;
    key = makeKey();
  } catch (problem) {
    said.textContent = problem.code === "opening" ? "The review is being opened; save again in a moment."
      : `Not kept: ${problem.status ? problem.message : "no connection; save again"}`;
  }
});

const files = document.getElementById("files");
const beside = new Beside(document.getElementById("fulltext"), () => document.getElementById("main").focus({ preventScroll: true }));
const attached = JSON.parse(files.dataset.files);
manage(files, Number(files.dataset.record), attached, (now) => beside.show(now));
beside.show(attached);
