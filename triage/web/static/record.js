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

const correcting = document.getElementById("correcting");
correcting.open ||= location.hash === "#correcting";
const record = `/api/records/${correcting.querySelector("form").dataset.record}`;

/** Send a change of the record, and show the record as it is then. */
async function send(path, body) {
  const told = document.getElementById("corrected");
  try {
    await api(path, { body });
    location.reload();
  } catch (problem) {
    told.textContent = `Not kept: ${problem.status ? problem.message : "no connection; send it again"}`;
  }
}

correcting.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  // Only what was changed here: another may have corrected the rest meanwhile.
  const changed = [...event.target.elements].filter((one) => one.name && one.value !== one.defaultValue);
  if (!changed.length) {
    document.getElementById("corrected").textContent = "Nothing was changed.";
    return;
  }
  send(`${record}/corrections`, Object.fromEntries(changed.map(({ name, value }) =>
    [name, ["authors", "keywords"].includes(name) ? value.split("\n") : value])));
});
for (const button of correcting.querySelectorAll("[data-event]"))
  button.addEventListener("click", () => send(`${record}/corrections/take-back`, { event: Number(button.dataset.event) }));

const files = document.getElementById("files");
const beside = new Beside(document.getElementById("fulltext"), () => document.getElementById("main").focus({ preventScroll: true }));
const attached = JSON.parse(files.dataset.files);
manage(files, Number(files.dataset.record), attached, (now) => beside.show(now));
beside.show(attached);
