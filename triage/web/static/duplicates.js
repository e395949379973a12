// Pairs that may be one record, side by side.

import { agree, api, count, el, plural } from "./common.js";

const said = document.getElementById("said");
const pairs = document.getElementById("pairs");
const look = document.getElementById("look");

function show(found) {
  if (!found.looked) return;
  said.textContent = `${plural(found.linked, "new duplicate")} linked, ${count(found.duplicates)} in all; ${plural(found.open, "pair")} ${agree(found.open, "is", "are")} open.`;
  pairs.replaceChildren(...found.pairs.map(asRead));
}

function asRead(pair) {
  const answer = (same) => async () => {
    try {
      show(await api("/api/duplicates/answers", { body: { kept_id: pair.kept_id, copy_id: pair.copy_id, same } }));
      pairs.querySelector("button")?.focus();
    } catch (problem) {
      said.textContent = `Not kept: ${problem.status ? problem.message : "no connection"}`;
    }
  };
  const one = el("button", {}, "One record");
  const two = el("button", {}, "Two records");
  one.addEventListener("click", answer(true));
  two.addEventListener("click", answer(false));
  return el("section", { class: "pair", "aria-label": pair.why },
    el("h2", {}, pair.why),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "The two records" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Field"), el("th", { scope: "col" }, "Kept"),
        el("th", { scope: "col" }, "Copy"), el("th", { scope: "col" }, "They are"))),
      el("tbody", {}, pair.fields.map((field) => el("tr", { class: field.agreement.replace(/\s/g, "-") },
        el("th", { scope: "row" }, field.name), el("td", { dir: "auto" }, field.kept), el("td", { dir: "auto" }, field.copy),
        el("td", {}, field.agreement)))))),
    el("p", {}, one, " ", two));
}

look.addEventListener("click", async () => {
  look.disabled = true;
  said.textContent = "Looking …";
  try {
    show(await api("/api/duplicates", { method: "POST", seconds: 1800 }));
  } catch (problem) {
    said.textContent = problem.status ? problem.message : "No connection.";
  } finally {
    look.disabled = false;
  }
});

show(await api("/api/duplicates"));
