// The PDFs of a record: shown beside it by the browser's own viewer, attached, replaced, taken off.

import { api, el } from "./common.js";

const wide = matchMedia("(min-width: 62rem)");   // narrower, only a link
const address = (file) => `/api/attachments/${file.event}`;

function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Links by which PDFs open in tabs of their own. */
export function links(files) {
  return files.map((file) => el("a", { href: address(file), target: "_blank", rel: "noopener noreferrer", dir: "auto" },
    `${file.name} (${size(file.bytes)})`));
}

/** Shows a record's PDF beside it, where there is room; the frame stays while the file does. */
export class Beside {
  constructor(section, back) {
    this.section = section;
    this.files = [];
    this.chosen = 0;
    this.frame = null;
    wide.addEventListener("change", () => this.draw());
    // Keys pressed in the viewer stay in it: say so, and take them back as soon as the pointer leaves it.
    const hint = el("p", { class: "notice", role: "status" }, "The PDF has the keyboard. ");
    const button = el("button", { type: "button" }, "Back to the record");
    button.addEventListener("click", back);
    hint.append(button);
    this.hint = hint;
    addEventListener("blur", () => setTimeout(() => { hint.hidden = !this.hasKeys(); }));
    addEventListener("focus", () => { hint.hidden = true; });
    document.addEventListener("pointermove", (event) => {
      if (this.hasKeys() && !section.contains(event.target)) back();
    });
  }

  hasKeys() {
    return this.frame !== null && document.activeElement === this.frame;
  }

  show(files) {
    const same = this.files[this.chosen]?.event;
    this.files = files;
    this.chosen = Math.max(0, files.findIndex((file) => file.event === same));
    this.draw();
  }

  draw() {
    const file = wide.matches ? this.files[this.chosen] : undefined;
    this.section.hidden = !file;
    document.getElementById("main").classList.toggle("two", Boolean(file));
    if (!file) {
      this.frame = null;
      this.section.replaceChildren();
      return;
    }
    const tabs = this.files.length > 1 ? el("div", { class: "buttons", role: "group", "aria-label": "PDFs" }, this.files.map((one, i) => {
      const button = el("button", { type: "button", "aria-pressed": String(i === this.chosen), dir: "auto" }, one.name);
      button.addEventListener("click", () => {
        this.chosen = i;
        this.draw();
        this.section.querySelectorAll(".buttons button")[i]?.focus();
      });
      return button;
    })) : null;
    if (this.frame?.dataset.event !== String(file.event)) {
      this.frame = el("iframe", { title: `PDF: ${file.name}`, "data-event": file.event, src: `${address(file)}#view=FitH&navpanes=0` });
      this.hint.hidden = true;
      this.section.replaceChildren(...[tabs, this.hint, this.frame].filter(Boolean));
    } else {
      this.section.querySelector(".buttons")?.remove();   // not the frame: it would be loaded anew
      if (tabs) this.section.prepend(tabs);
    }
  }
}

/** Attach a PDF; the record is given by its number, or else by the file's name. */
export function attach(file, recordId = null, replaces = []) {
  const form = new FormData();
  form.append("file", file);
  if (recordId !== null) form.append("record_id", recordId);
  for (const event of replaces) form.append("replaces", event);
  return api("/api/attachments", { form, seconds: 600 });
}

/** Fill a box with a record's PDFs and what can be done about them; `changed` is called with the new list. */
export function manage(box, recordId, files, changed) {
  const trying = async (change) => {
    const said = box.querySelector("[role=status]");
    for (const one of box.querySelectorAll("button, input")) one.disabled = true;
    said.textContent = "Sending …";
    try {
      const [now, ...what] = await change();
      draw(now, what);
      box.querySelector("input[type=file]").focus();
      changed(now);
    } catch (problem) {
      const what = `Not done: ${problem.status ? problem.message : "no connection; try again"}`;
      said.textContent = what;
      for (const one of box.querySelectorAll("button, input")) one.disabled = false;
      // Of several, the first may be there.
      const there = await api(`/api/attachments?record_id=${recordId}`).catch(() => null);
      if (there && there.files.length !== files.length) {
        draw(there.files, [what]);
        changed(there.files);
      }
    }
  };
  const attachAll = (chosen, replaces) => trying(async () => {
    let now = [];
    for (const [n, one] of [...chosen].entries()) now = (await attach(one, recordId, n ? [] : replaces)).files;
    return [now, `Attached: ${[...chosen].map((one) => one.name).join(", ")}`];
  });
  const takeOff = (file) => trying(async () => {
    const { files: now } = await api(address(file), { method: "DELETE" });
    const back = el("button", { type: "button" }, "Put it back");
    back.addEventListener("click", () => trying(async () => {
      const content = await (await fetch(address(file), { credentials: "same-origin" })).blob();
      const answer = await attach(new File([content], file.name, { type: "application/pdf" }), recordId);
      return [answer.files, `Put back: ${file.name}`];
    }));
    return [now, `Taken off: ${file.name}; the log keeps it. `, back];
  });
  const draw = (now, said = []) => {
    files = now;
    const input = el("input", { type: "file", name: "files", accept: "application/pdf,.pdf", multiple: true, required: true });
    const replace = el("input", { type: "checkbox" });
    const form = el("form", { class: "drop" },
      el("p", {}, el("label", {}, "PDFs of this record: drop them here, or choose them. ", input)),
      now.length ? el("p", {}, el("label", {}, replace, " in place of what is there")) : null,
      el("p", {}, el("button", {}, "Attach")));
    const send = (chosen) => attachAll(chosen, replace.checked ? now.map((file) => file.event) : []);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.files.length) send(input.files);
    });
    takeDrops(form, send);
    box.replaceChildren(
      now.length ? el("ul", { class: "records" }, now.map((file) => {
        const off = el("button", { type: "button", "aria-label": `Take off ${file.name}` }, "Take off");
        off.addEventListener("click", () => takeOff(file));
        return el("li", {}, links([file]), el("span", { class: "soft", dir: "auto" }, `${file.reviewer}, ${file.at.slice(0, 10)}`),
          el("a", { href: `${address(file)}?save=true`, class: "soft", "aria-label": `Save ${file.name}` }, "save"), off);
      })) : el("p", { class: "soft" }, "No PDF is attached yet."),
      form, el("p", { role: "status" }, said));
  };
  draw(files);
}

/** Let files be dropped on an element. */
export function takeDrops(element, take) {
  const has = (event) => event.dataTransfer?.types.includes("Files");
  for (const name of ["dragenter", "dragover"]) {
    element.addEventListener(name, (event) => {
      if (!has(event)) return;
      event.preventDefault();
      element.classList.add("over");
    });
  }
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    if (!has(event)) return;
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
  });
}
