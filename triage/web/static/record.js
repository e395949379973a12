// One record: its decision is made or changed by a form, and its PDFs are attached and shown. After a second look
// the way to the next one has the focus.

import { api, el, makeKey, pause } from "./common.js";
import { Beside, manage } from "./fulltext.js";

const form = document.getElementById("change");
const said = document.getElementById("said");
let key = makeKey();
let saving = false;

form?.addEventListener("change", () => { key = makeKey(); });
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (saving) return;
  saving = true;
  try {
    said.textContent = `Kept: ${await save()}`;
    key = makeKey();
    document.querySelector(".looks a")?.focus();
  } catch (problem) {
    said.textContent = `Not kept: ${problem.status ? problem.message : "no connection; save again"}`;
  } finally {
    saving = false;
  }
});

/** Send what the form says, again and again while the review is being opened; return it in words. */
async function save() {
  said.textContent = "Saving …";
  for (;;) {
    const label = form.elements.label.value;
    const reason = label === "exclude" ? form.elements.reason?.value ?? "" : "";
    const boxes = [...form.querySelectorAll("[name=tags]")];
    const tags = boxes.length ? boxes.filter((box) => box.checked).map((box) => box.value) : null;
    const note = form.elements.note.value.trim();
    const body = { key, stage: form.dataset.stage, record_id: Number(form.dataset.record), label, reason, note, tags, next: false };
    try {
      const { done } = await api("/api/decisions", { body });
      document.getElementById("suggested").replaceChildren(...done.suggestions.map((one) => el("li", { dir: "auto" }, one.text)));
      return `${label}${reason ? ` (${reason})` : ""}`;
    } catch (problem) {
      if (problem.code !== "opening") throw problem;
      said.textContent = "Saving as soon as the review is open; leave this page open …";
      await pause(0.5);
    }
  }
}

const files = document.getElementById("files");
const beside = new Beside(document.getElementById("fulltext"), () => document.getElementById("main").focus({ preventScroll: true }));
const attached = JSON.parse(files.dataset.files);
manage(files, Number(files.dataset.record), attached, (now) => beside.show(now));
beside.show(attached);
