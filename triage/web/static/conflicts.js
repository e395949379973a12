// Conflicts are settled one by one.

import { api, count } from "./common.js";

const said = document.getElementById("said");

for (const form of document.querySelectorAll("form.settle")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const label = form.elements.label.value;
    const reason = label === "exclude" ? form.elements.reason?.value ?? "" : "";
    try {
      const body = { stage: form.dataset.stage, record_id: Number(form.dataset.record), label, reason, note: form.elements.note.value.trim() };
      const found = await api("/api/settlements", { body });
      said.textContent = `Settled: ${label}. ${count(found.conflicts.length)} open, ${count(found.settled.length)} settled.`;
      const next = document.querySelectorAll("form.settle select")[1];
      form.closest("section").remove();
      next?.focus();
    } catch (problem) {
      said.textContent = `Not kept: ${problem.status ? problem.message : "no connection"}`;
    }
  });
}
