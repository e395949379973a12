// The screening page: one record, one key. Decisions are kept in this browser until the server has answered
// that they are on its disk, are sent in their order, and carry a key by which none is made twice.

import { agree, api, count, el, makeKey, outside, parted, pause, pieces, plainText, plural } from "./common.js";
import { Beside, links as pdfLinks, manage, takeDrops } from "./fulltext.js";

const byId = (id) => document.getElementById(id);
const root = byId("screening");
const { stage, review, reviewer } = root.dataset;
const place = `triage:${review}:${reviewer}:${stage}`;
const past = { include: "Included", exclude: "Excluded", maybe: "Maybe" };

const narrow = matchMedia("(max-width: 40rem), (max-height: 30rem) and (pointer: coarse)");  // as in the style sheet
let facts = null;          // what the protocol asks at this stage
let ahead = [];            // records before the reviewer, the present one first
let current = null;
let shownAt = 0;
let sending = null;        // the key of the change that is under way
let undoing = false;
const notes = new Map();   // by record; kept past a decision, for an undo
const tagged = new Map();  // of records whose tags were looked at
const beside = new Beside(byId("fulltext"), () => byId("title")?.focus({ preventScroll: true }));

// -- what is kept in this browser ----------------------------------------------------------------

function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`${place}:${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(name, value) {
  localStorage.setItem(`${place}:${name}`, JSON.stringify(value));
}

const waiting = () => kept("queue", []);

function enqueue(what, body, record = null) {
  keep("queue", [...waiting(), { key: makeKey(), what, body, record }]);
  showState();
  send();
}

function dequeue(key) {
  keep("queue", waiting().filter((entry) => entry.key !== key));
  showState();
}

// -- sending -------------------------------------------------------------------------------------

let active = false;
let nudge = () => {};

async function send() {
  if (active) return nudge();
  active = true;
  try {
    if (navigator.locks) await navigator.locks.request(place, drain);
    else await drain();
  } finally {
    active = false;
    if (waiting().length) setTimeout(send, 0);
  }
}

async function drain() {
  let failures = 0;
  for (;;) {
    const [entry] = waiting();
    if (!entry) return;
    sending = entry.key;
    try {
      const answer = await api(`/api/${entry.what}`, { body: { key: entry.key, stage, ...entry.body } });
      if (entry.what === "decisions") tellSuggested(entry.record, answer.done.suggestions);
      if (answer.counts) keep("counted", { counts: answer.counts, recall: answer.recall });
      dequeue(entry.key);
      failures = 0;
      tellConnection("");
      take(answer, entry);
    } catch (problem) {
      const status = problem.status ?? 0;
      if (status === 401) {
        tellConnection("You are logged out. What you decided waits in this browser: log in again, and it is sent.", "/login");
      } else if (status >= 400 && status < 500 && ![408, 409, 425, 429].includes(status)) {
        dequeue(entry.key);
        refused(entry, problem);
        continue;
      } else if (status === 409) {
        tellConnection("The review is being opened again; what you decided waits in this browser.");
      } else {
        tellConnection(`No connection: ${plural(waiting().length, "change")} ${agree(waiting().length, "waits", "wait")} in this browser, to be sent when it is back.`);
      }
      failures += 1;
      sending = null;
      await Promise.race([pause(Math.min(15, 2 ** failures / 2)), new Promise((wake) => { nudge = wake; })]);
    } finally {
      sending = null;
    }
  }
}

function tellConnection(text, href = "") {
  const line = byId("connection");
  line.hidden = !text;
  line.replaceChildren(text, ...(href ? [" ", el("a", { href: `${href}?then=${encodeURIComponent(location.pathname + location.search)}` }, "Log in")] : []));
}

function refused(entry, problem) {
  undoing = false;
  const title = entry.record ? `: ${plainText(entry.record.title)}` : "";
  say(`Not kept (${problem.message})${title}`);
  current = null;
  refresh();
}

/** Ask anew what the protocol asks, where it was changed, by whomever. */
async function follow(version) {
  if (version === facts.protocol_version) return;
  try {
    facts = await api(`/api/session?stage=${encodeURIComponent(stage)}`);
    showCriteria();
  } catch { /* the next answer says it again */ }
}

/** Take in what the server says comes next; the record that is being read stays. */
function take(answer, entry = null) {
  follow(answer.protocol_version);
  if (answer.preparing) return prepare(answer.preparing);
  tellImproving(answer.improving);
  // While something waits the server may have counted it already, and its answer be lost.
  if (!entry && !waiting().length) keep("counted", { counts: answer.counts, recall: answer.recall });
  showState();
  const gone = new Set(waiting().filter((one) => one.what !== "undo").map((one) => one.body.record_id));
  let next = answer.records.filter((record) => !gone.has(record.record_id));
  if (entry?.what === "undo") {
    undoing = false;
    const back = answer.done.record_id;
    byId("suggested").hidden = true;
    current = null;
    if (back === null) say("You have no decision to take back.");
    else {
      notes.set(back, answer.done.note);
      const record = next.find((one) => one.record_id === back);
      say(`Taken back: ${record ? plainText(record.title) : "your last decision"}`);
    }
  }
  if (current) next = [current, ...next.filter((record) => record.record_id !== current.record_id)];
  ahead = next;
  if (!current && !undoing) show();
  else if (ahead[0] && current && ahead[0].record_id === current.record_id) ahead[0] = current;
}

async function refresh() {
  for (let failures = 0; ; failures += 1) {
    try {
      const answer = await api(`/api/queue?stage=${encodeURIComponent(stage)}`);
      tellConnection(waiting().length ? byId("connection").textContent : "");
      return take(answer);
    } catch (problem) {
      if (problem.status === 401) return tellConnection("You are logged out.", "/login");
      if (problem.status && problem.status < 500 && problem.status !== 429) {
        const files = document.querySelector('nav a[href^="/files"]');
        byId("record").replaceChildren(el("p", { class: "notice", role: "alert" }, problem.message),
          ...(files ? [el("p", {}, el("a", { href: "/files" }, "Import files"))] : []));
        return;
      }
      tellConnection("No connection to the server; trying again.");
      await pause(Math.min(15, 2 ** failures / 2));
    }
  }
}

let asking = 0;

/** Say how far what ranks better is, while words alone rank; ask again now and then, until it is there. */
function tellImproving(improving) {
  byId("improving").hidden = !improving;
  clearTimeout(asking);
  if (!improving) return;
  const far = progressOf(improving);
  byId("improving").textContent = `Ranked by words until the meaning of the abstracts is computed${far && `: ${far}`}.`;
  asking = setTimeout(refresh, 3000);
}

/** How far long work is, in words. */
function progressOf({ done, total, left }) {
  return total ? [`${count(done)} of ${count(total)}`, left && `about ${left} left`].filter(Boolean).join(", ") : "";
}

function prepare({ what, done, total, left }) {
  if (current) return setTimeout(refresh, 400);  // it stays, and what is decided on it waits
  const bar = el("progress", { "aria-label": what, ...(total ? { max: total, value: done } : {}) });
  byId("controls").hidden = true;
  byId("record").replaceChildren(el("p", { id: "waiting" }, `${what} …`), bar,
    el("p", { class: "soft" }, progressOf({ done, total, left })));
  setTimeout(refresh, 400);
}

// -- showing -------------------------------------------------------------------------------------

function say(text) {
  byId("last").textContent = text;
}

/** Say what machines suggest for a record that is decided on now; of others it may stay hidden. */
function tellSuggested(record, suggestions) {
  const line = byId("suggested");
  line.hidden = !suggestions.length;
  line.replaceChildren(...(suggestions.length ? [`On “${plainText(record.title)}”: ${suggestions.map((one) => one.text).join(" | ")}`] : []));
}

/** Say how far the reviewer is: what the server counted, and what waits in this browser since. */
function showState() {
  const { counts, recall } = kept("counted", {});
  if (!counts) return;
  const since = waiting().filter((one) => one.what === "decisions");
  let { screened, relevant } = counts;
  for (const { body, record } of since) {
    const before = record.decision?.label;  // an earlier one, which an undo has brought back, is counted already
    screened += before ? 0 : 1;
    relevant += (body.label === "exclude" ? 0 : 1) - (before && before !== "exclude" ? 1 : 0);
  }
  const age = recall.decisions_ago + since.length;
  byId("counts").textContent = [`${count(screened)} of ${count(counts.records)} screened`,
    `${count(relevant)} relevant found`, `${count(counts.records - screened - (counts.unread || 0))} left`].join(" | ");
  byId("recall").textContent = recall.text + (recall.text && age ? ` (${plural(age, "decision")} ago)` : "");
}

function show() {
  const record = ahead[0];
  const article = byId("record");
  beside.show(record?.files ?? []);
  if (!record) {
    const left = waiting().length;
    byId("controls").hidden = !left && !kept("done", []).length;
    article.replaceChildren(el("h2", { id: "title", tabindex: "-1" },
      left ? "The next record is on its way …" : "Nothing is left for you to judge at this stage."));
    // Others may hold the last records, or bring new ones.
    if (!left) setTimeout(() => { if (!current && !waiting().length) refresh(); }, 15_000);
    return;
  }
  current = record;
  article.replaceChildren(...asRead(record));
  byId("controls").hidden = false;
  shownAt = performance.now();
  if (!document.querySelector("dialog[open]")) byId("title").focus({ preventScroll: true });
  // On a phone the record needs the room.
  scrollTo({ top: narrow.matches ? byId("main").offsetTop : 0, behavior: "instant" });
}

function asRead(record) {
  const origin = [record.authors, record.journal, record.year].filter(Boolean).join(" · ");
  const links = [record.doi_link && outside(record.doi_link, `doi ${record.doi}`),
    record.pmid_link && outside(record.pmid_link, `PMID ${record.pmid}`),
    ...record.links.map((link) => outside(link.href, link.text))].filter(Boolean);
  const kind = [record.source && `source ${record.source}`, record.language && `language ${record.language}`,
    record.type && `type ${record.type}`].filter(Boolean).join(" · ");
  const note = notes.get(record.record_id);
  const tags = tagged.get(record.record_id) ?? record.tags;
  return [
    el("h2", { id: "title", tabindex: "-1", dir: "auto", "data-record": record.record_id }, pieces(record.title)),
    origin && el("p", { class: "soft", dir: "auto" }, origin),
    links.length ? el("p", { class: "links" }, parted(links, " · ")) : null,
    fullText(record),
    ...(record.suggestions ?? []).map((one) => el("p", { class: "note suggestion", dir: "auto" }, one.text)),
    ...(record.same_study ?? []).map((one) => el("p", { class: "note" }, `${one.text}: `, parted(one.record_ids.map((id) => elsewhere(id, String(id))), ", "))),
    note ? el("p", { class: "note", dir: "auto" }, el("strong", {}, "Note "), note) : null,
    tags?.length ? el("p", { class: "note", dir: "auto" }, el("strong", {}, "Tags "), tags.join("; ")) : null,
    ...(record.abstract.length ? record.abstract.map((part) => el("p", { dir: "auto" }, pieces(part)))
      : [el("p", {}, el("em", {}, "No abstract."))]),
    record.keywords.length ? el("p", { class: "soft", dir: "auto" }, "Keywords: ", pieces(record.keywords)) : null,
    el("p", { class: "soft", dir: "auto" }, kind && `${kind} · `, elsewhere(record.record_id, "correct this record", "#correcting")),
  ].filter(Boolean);
}

/** A link to a record's own page, opened beside this one, so that the record in view stays. */
function elsewhere(id, text, part = "") {
  return el("a", { href: `/records/${id}?stage=${encodeURIComponent(stage)}${part}`, target: "_blank", rel: "noopener" }, text);
}

function fullText(record) {
  const files = record.files ?? [];
  if (files.length) return el("p", { class: "links" }, "Full text: ", parted(pdfLinks(files), " · "));
  if (!byId("do-pdf")) return null;
  const how = el("span", { class: "by-keys" }, ": ", el("kbd", {}, "p"), " attaches one, or drop it here");
  return el("p", { class: "soft" }, "No PDF yet", how, ".");
}

// -- deciding ------------------------------------------------------------------------------------

function decide(label, reason = "") {
  const record = current;
  if (!record) return;
  const id = record.record_id;
  const tags = tagged.get(id) ?? null;
  keep("done", [...kept("done", []), id].slice(-500));
  ahead = ahead.filter((one) => one.record_id !== id);
  current = null;
  enqueue("decisions", { record_id: id, label, reason, note: notes.get(id) ?? "", tags }, record);
  say(`${past[label]}${reason ? ` (${reason})` : ""}: ${plainText(record.title)}`);
  show();
}

function skip() {
  const record = current;
  if (!record) return;
  ahead = ahead.filter((one) => one.record_id !== record.record_id);
  current = null;
  enqueue("skips", { record_id: record.record_id }, record);
  say(`Skipped, to come back later: ${plainText(record.title)}`);
  show();
}

function undo() {
  if (undoing) return;
  const queue = waiting();
  const last = queue.at(-1);
  const done = kept("done", []);
  if (last?.what === "decisions" && last.key !== sending) {  // it has not left this browser
    dequeue(last.key);
    keep("done", done.slice(0, -1));
    ahead = [last.record, ...ahead];
    current = null;
    say(`Taken back: ${plainText(last.record.title)}`);
    return show();
  }
  undoing = true;
  keep("done", done.slice(0, -1));
  say("Taking back …");
  enqueue("undo", { record_id: done.at(-1) ?? null });
}

// -- dialogs -------------------------------------------------------------------------------------

/**
 * Let the reviewer pick by number, by name, or by a click; a name counts as soon as no longer one begins so.
 * `make`, where the reviewer may, turns what is typed into another name.
 */
function pick(dialog, names, render, done, make) {
  const list = dialog.querySelector(".options");
  const typed = dialog.querySelector(".typed");
  const letters = (text) => text.toLocaleLowerCase().replace(/\s+/g, "");
  let options;
  const know = () => {
    options = new Map(names.map((name) => [letters(name), name]));
    names.forEach((name, i) => options.set(String(i + 1), name));
  };
  know();
  let text = "";
  const draw = () => {
    list.replaceChildren(...names.map((name, i) => {
      const button = el("button", { type: "button", ...render(name).attributes }, el("kbd", {}, String(i + 1)), " ", render(name).text);
      button.addEventListener("click", () => chosen(name));
      return el("li", {}, button);
    }));
  };
  const chosen = (name) => {
    text = typed.textContent = "";
    if (done(name)) dialog.close();
    else draw();
  };
  const another = dialog.querySelector(".another");
  const typeAnother = () => {
    another.reset();
    another.querySelector(".refused").textContent = "";
    another.hidden = false;
    another.querySelector("input").focus();
  };
  if (another) {
    another.hidden = true;
    dialog.querySelector(".make").onclick = typeAnother;
    another.onsubmit = async (event) => {
      event.preventDefault();
      const button = another.querySelector("button");
      if (button.disabled) return;
      button.disabled = true;
      try {
        const name = await make(another.querySelector("input").value);
        if (!dialog.open) return;  // left meanwhile: it is made, and picked by nobody
        if (!names.includes(name)) names.push(name);
        know();
        another.hidden = true;
        dialog.focus();
        chosen(name);
      } catch (problem) {
        another.querySelector(".refused").textContent = problem.status ? problem.message : "No connection; try again.";
      } finally {
        button.disabled = false;
      }
    };
  }
  dialog.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest(".another") && event.key !== "Escape") return;  // letters of what is typed there
    if (event.key === "+" && another) {
      event.preventDefault();
      return typeAnother();
    }
    if (event.key === "Escape") {  // at once: the browser's own closing may come after the next key
      event.preventDefault();
      dialog.close();
    } else if (event.key === "Backspace") {
      event.preventDefault();
      if (!text) return dialog.close();
      text = typed.textContent = text.slice(0, -1);
    } else if (event.key === "Enter") {
      if (!text && event.target.closest("button")) return;  // it has the focus, and is pressed by this
      event.preventDefault();
      const matching = new Set([...options].filter(([option]) => option.startsWith(letters(text))).map(([, name]) => name));
      if (!text) { dialog.close(); done(""); }
      else if (options.has(letters(text))) chosen(options.get(letters(text)));
      else if (matching.size === 1) chosen([...matching][0]);
    } else if (event.key.length === 1 && !(event.key === " " && !text)) {
      event.preventDefault();
      const wanted = letters(text + event.key);
      const matching = [...options.keys()].filter((option) => option.startsWith(wanted));
      if (matching.length === 1 && options.has(wanted)) chosen(options.get(wanted));
      else if (matching.length) text = typed.textContent = text + event.key;
      else typed.textContent = `${text} (nothing begins with ${text + event.key})`;
    }
  };
  const none = dialog.querySelector(".none");
  if (none) none.onclick = () => { dialog.close(); done(""); };
  typed.textContent = "";
  draw();
  dialog.showModal();
  dialog.focus();  // none of the buttons: just Enter means no reason
}

function exclude() {
  if (!current) return;
  if (!facts.reasons.length) return decide("exclude");
  const texts = new Map(facts.reasons.map((reason) => [reason.code, reason.text]));
  pick(byId("reasons"), [...texts.keys()], (code) => ({
    text: texts.get(code) === code ? code : `${code}: ${texts.get(code)}`, attributes: {},
  }), (code) => {
    decide("exclude", code);
    return true;
  }, async (text) => {
    await change("reasons", { stage, text });
    facts.reasons.forEach((reason) => texts.set(reason.code, reason.text));
    return facts.made;
  });
}

/** Have the protocol changed, and go by it. */
async function change(what, body) {
  facts = await api(`/api/${what}`, { body });
  showCriteria();
}

function openTags() {
  if (!current || !byId("do-tags")) return;
  const record = current;
  const given = new Set(tagged.get(record.record_id) ?? record.tags);
  pick(byId("tags"), [...facts.tags], (tag) => ({ text: tag, attributes: { "aria-pressed": String(given.has(tag)) } }), (tag) => {
    if (!tag) return true;
    if (!given.delete(tag)) given.add(tag);
    tagged.set(record.record_id, [...given]);
    return false;
  }, async (tag) => {
    await change("tags", { tag });
    given.delete(facts.made);  // picked next, which gives it
    return facts.made;
  });
  byId("tags").onclose = redraw;
}

function redraw() {
  if (!current) return;
  byId("record").replaceChildren(...asRead(current));
  if (!document.querySelector("dialog[open]")) byId("title").focus({ preventScroll: true });
}

function openNote() {
  if (!current) return;
  const record = current;
  const dialog = byId("note");
  const text = byId("note-text");
  text.value = notes.get(record.record_id) ?? "";
  // Not when the dialog reports that it closed: the next key may decide before that.
  const keepNote = () => notes.set(record.record_id, text.value.trim());
  dialog.querySelector("form").onsubmit = keepNote;
  dialog.querySelector(".back").onclick = () => dialog.close();
  dialog.onclose = redraw;
  text.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      keepNote();
      dialog.close();
    } else if (event.key === "Escape" && !event.isComposing) {
      event.preventDefault();
      dialog.close();
    }
  };
  dialog.showModal();
  text.focus();
}

/** The PDFs of the record in view: `files` to attach at once, where some were dropped. */
function openFiles(files = null) {
  if (!current) return;
  const record = current;
  const box = byId("files-text");
  manage(box, record.record_id, record.files ?? [], (now) => {
    record.files = now;
    if (current !== record) return;
    redraw();
    beside.show(now);
  });
  if (!byId("files").open) byId("files").showModal();
  if (files) {
    box.querySelector("input[type=file]").files = files;
    box.querySelector("form").requestSubmit();
  }
}

async function openWhy() {
  if (!current) return;
  const text = byId("why-text");
  text.replaceChildren(el("p", {}, "Looking …"));
  byId("why").showModal();
  try {
    const why = await api(`/api/why/${current.record_id}?stage=${encodeURIComponent(stage)}`);
    text.replaceChildren(...explained(why));
  } catch (problem) {
    text.replaceChildren(el("p", {}, problem.status ? problem.message : "No connection."));
  }
}

function explained(why) {
  if (!why.ranked) return [el("p", {}, "Nothing ranks this record yet: the protocol has no criteria, and there are no labels.")];
  const terms = (wanted) => why.terms.filter((one) => one.for === wanted).map((one) => el("li", { dir: "auto" }, one.term));
  const list = (heading, items, kind = "") => (items.length ? [el("h3", {}, heading), el("ul", { class: kind }, items)] : []);
  return [
    ...list("Words that speak for it", terms(true), "terms"),
    ...list("Words that speak against it", terms(false), "terms"),
    ...list("Near the criteria", why.criteria.map((one) => el("li", { dir: "auto" },
      `nearer than ${Math.round(100 * one.nearer_than)} % of the records: `,
      el("mark", { class: one.kind === "exclude" ? "exclude" : "include" }, one.text)))),
    ...list("Records judged before, and key papers", why.known.map((one) => el("li", { dir: "auto" },
      `${one.for ? "for" : "against"}: `, el("em", {}, one.title),
      one.key_paper ? " (a key paper)" : one.relevant ? " (relevant)" : " (not relevant)"))),
    ...(why.known.length ? [] : [el("p", { class: "soft" }, "No record judged before speaks yet.")]),
  ];
}

const kinds = { blue: "include", orange: "exclude" };  // the colours of the criteria

function criteria() {
  const list = (heading, kind, texts) => (texts.length
    ? [el("h3", {}, heading), el("ul", {}, texts.map((text) => el("li", { dir: "auto" }, el("span", { class: kind }, text))))] : []);
  const all = [
    ...(facts.question ? [el("p", { dir: "auto" }, facts.question)] : []),
    ...list("Include", "include", facts.include), ...list("Exclude", "exclude", facts.exclude),
  ];
  if (!all.length) all.push(el("p", {}, "The protocol names no criteria."));
  for (const words of [...facts.own_highlights, ...facts.highlights]) {
    all.push(el("h3", { dir: "auto" }, words.name), el("p", { dir: "auto" }, el("mark", { class: kinds[words.colour] ?? words.colour }, words.words.join(", "))));
  }
  const common = facts.too_common;
  return common.length ? [...all, el("p", { class: "soft", dir: "auto" },
    `Not marked, as more than a third of the records have ${agree(common.length, "it", "them")}: ${common.join(", ")}.`)] : all;
}

/** Put the criteria beside the record, for where there is room (the style sheet knows); folded as they were left. */
function showCriteria() {
  const panel = byId("criteria-beside");
  const fold = panel.querySelector("details");
  fold.querySelector("div").replaceChildren(...criteria());
  fold.open = localStorage.getItem("triage:criteria") !== "folded";
  fold.ontoggle = () => localStorage.setItem("triage:criteria", fold.open ? "open" : "folded");
  panel.hidden = false;
}

function openCriteria() {
  const panel = byId("criteria-beside");
  if (panel.checkVisibility()) {
    const fold = panel.querySelector("details");
    fold.open = !fold.open;
    return;
  }
  byId("criteria-text").replaceChildren(...criteria());
  byId("criteria").showModal();
}

/** Change the lists of words that are marked; those for everybody only where the reviewer may. */
function openWords() {
  const dialog = byId("words");
  const form = dialog.querySelector("form");
  const rows = dialog.querySelector(".rows");
  const said = dialog.querySelector(".refused");
  const owner = facts.role === "owner";
  const row = (list, shared) => {
    const locked = shared && !owner;
    const made = el("fieldset", { class: "row", disabled: locked },
      el("label", {}, "Name", el("input", { name: "name", maxlength: 100, dir: "auto", value: list.name })),
      el("label", {}, "Colour", el("select", { name: "colour" }, facts.colours.map((colour) => el("option", { selected: colour === list.colour }, colour)))),
      el("label", { class: "wide" }, "Words", el("textarea", { name: "words", rows: Math.min(8, Math.max(2, list.words.length + 1)), dir: "auto" })),
      owner ? el("label", { class: "check wide" }, el("input", { type: "checkbox", name: "shared", checked: shared }), " For everybody who screens")
        : shared ? el("p", { class: "soft wide" }, "For everybody who screens.") : null);
    made.querySelector("textarea").value = list.words.join("\n");
    made.dataset.locked = locked;
    return made;
  };
  const own = facts.own_highlights.length || facts.highlights.length ? facts.own_highlights
    : [{ name: "include", colour: "blue", words: [] }, { name: "exclude", colour: "orange", words: [] }];
  rows.replaceChildren(...own.map((list) => row(list, false)), ...facts.highlights.map((list) => row(list, true)));
  said.textContent = "";
  dialog.querySelector(".add").onclick = () => {
    const made = row({ name: "", colour: "violet", words: [] }, false);
    rows.append(made);
    made.querySelector("input").focus();
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    const lists = [...rows.children].filter((one) => one.dataset.locked === "false").map((one) => ({
      name: one.querySelector("[name=name]").value.trim(),
      colour: one.querySelector("[name=colour]").value,
      words: one.querySelector("[name=words]").value.split("\n").map((word) => word.trim()).filter(Boolean),
      shared: one.querySelector("[name=shared]")?.checked ?? false,
    })).filter((list) => list.words.length);
    const some = (shared) => lists.filter((list) => list.shared === shared)
      .map(({ name, colour, words }) => ({ name: name || colour, colour, words }));
    try {
      await change("highlights", { stage, own: some(false), shared: owner ? some(true) : null });
      dialog.close();
      await markAnew();
    } catch (problem) {
      said.textContent = problem.status ? problem.message : "No connection; try again.";
    }
  };
  dialog.showModal();
}

/** Mark the record in view, and the next, by the words as they are now. */
async function markAnew() {
  await Promise.all(ahead.map(async (record) => {
    try {
      const { title, abstract, keywords } = await api(`/api/records/${record.record_id}?stage=${encodeURIComponent(stage)}`);
      Object.assign(record, { title, abstract, keywords });
    } catch { /* marked as before */ }
  }));
  redraw();
}

function openHelp() {
  byId("help").showModal();
  byId("help").focus();  // not what can be set at its end,
  byId("help").scrollTop = 0;  // which is scrolled to by being opened
}

function setMarks(on) {
  localStorage.setItem("triage:marks", on ? "on" : "off");
  document.documentElement.classList.toggle("unmarked", !on);
  byId("do-marks").setAttribute("aria-pressed", String(on));
}

// -- keys ----------------------------------------------------------------------------------------

const actions = {
  include: () => decide("include"),
  exclude,
  maybe: () => decide("maybe"),
  undo,
  skip,
  note: openNote,
  tags: openTags,
  why: openWhy,
  pdf: () => openFiles(),
  criteria: openCriteria,
  words: openWords,
  marks: () => setMarks(document.documentElement.classList.contains("unmarked")),
  help: openHelp,
  search: () => location.assign(`/search?stage=${encodeURIComponent(stage)}`),
  overview: () => location.assign(`/overview?stage=${encodeURIComponent(stage)}`),
};
const usual = {
  include: "i", exclude: "e", maybe: "m", undo: "u", skip: "s", note: "n", tags: "t", why: "w", pdf: "p",
  criteria: "c", words: "l", marks: "h", help: "?", search: "/", overview: "q",
};
const chosen = ["include", "exclude", "maybe", "undo", "skip", "note", "tags", "why", "pdf"];  // those that a reviewer may choose
const keyIn = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);

/** The key of each action: the reviewer's own, unless what this browser holds is no such thing. */
function readKeys() {
  let own = {};
  try {
    own = JSON.parse(localStorage.getItem("triage:own-keys")) ?? {};
  } catch { /* the usual ones */ }
  const found = { ...usual };
  for (const name of chosen) {
    if (typeof own[name] === "string" && own[name].length === 1 && own[name] !== " ") found[name] = own[name];
  }
  return new Set(Object.values(found)).size === Object.keys(found).length ? found : { ...usual };
}

let keys = readKeys();

function showKeys() {
  for (const [name, key] of Object.entries(keys)) {
    const button = byId(`do-${name}`);
    if (button) {
      button.querySelector("kbd").textContent = key;
      button.setAttribute("aria-keyshortcuts", key);
    }
    const told = document.querySelector(`#help [data-key=${name}] kbd`);
    if (told) told.textContent = key;
  }
  byId("help").querySelector(".own-keys").replaceChildren(...chosen.map((name) => {
    const field = el("input", { value: keys[name], maxlength: 1, autocomplete: "off", autocapitalize: "none", "data-action": name });
    field.addEventListener("beforeinput", (event) => {
      if (event.data === null) return;
      event.preventDefault();
      chooseKey(name, event.data.slice(-1).toLowerCase());
    });
    field.addEventListener("blur", () => { field.value = keys[name]; });
    field.addEventListener("focus", () => field.select());
    return el("label", {}, name, field);
  }));
}

function chooseKey(name, key) {
  const said = byId("help").querySelector(".refused");
  const taken = Object.keys(keys).find((other) => other !== name && keys[other] === key);
  if (taken || !key.trim()) {
    said.textContent = taken ? `${key} is the key of “${taken}”; choose another.` : "The space bar turns a long record's pages; choose another.";
    return;
  }
  said.textContent = "";
  keepKeys({ ...keys, [name]: key });
  byId("help").querySelector(`[data-action=${name}]`).focus();
}

function keepKeys(wanted) {
  keys = wanted;
  localStorage.setItem("triage:own-keys", JSON.stringify(Object.fromEntries(chosen.map((name) => [name, keys[name]]))));
  showKeys();
}

byId("usual-keys").addEventListener("click", () => {
  byId("help").querySelector(".refused").textContent = "";
  keepKeys({ ...usual });
});
showKeys();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || !facts) return;
  if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea, select")) return;
  const name = Object.keys(keys).find((one) => keys[one] === keyIn(event));
  if (!name || (!byId("single-keys").checked && name !== "help")) return;
  if (event.timeStamp < shownAt) return;  // typed before the record was on the screen: it decides nothing
  event.preventDefault();
  actions[name]();
});

for (const name of Object.keys(actions)) byId(`do-${name}`)?.addEventListener("click", () => actions[name]());
takeDrops(byId("reading"), openFiles);
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();  // closed at once: the browser's own closing may come after the next key
    dialog.close();
    // What opened it may be gone; then the field that had the focus keeps it for a moment, and would take the next key.
    if (dialog.contains(document.activeElement)) byId("title")?.focus({ preventScroll: true });
  });
  // A press beside the dialog is one on the button that leaves it and loses nothing: Back, Done, Keep or Close.
  const leave = dialog.querySelector(".outside");
  if (leave.type === "button") leave.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    // The second of a double click on what opened it was not meant for what has come up under the pointer.
    if (event.detail > 1 && event.target.closest("button")) event.stopPropagation();
  }, { capture: true });
  let began = false;  // whether the press began beside it: who marks words in a note may let go there
  dialog.addEventListener("pointerdown", (event) => { began = isBeside(dialog, event); });
  dialog.addEventListener("click", (event) => { if (began && isBeside(dialog, event)) leave.click(); });
}

function isBeside(dialog, { target, clientX: x, clientY: y }) {
  const box = dialog.getBoundingClientRect();
  return target === dialog && (x < box.left || x > box.right || y < box.top || y > box.bottom);
}

byId("files").addEventListener("close", () => byId("title")?.focus({ preventScroll: true }));

// For who dictates, or whose hand slips: without them the buttons decide.
byId("single-keys").checked = localStorage.getItem("triage:keys") !== "off";
byId("single-keys").addEventListener("change", (event) => {
  localStorage.setItem("triage:keys", event.target.checked ? "on" : "off");
});

addEventListener("online", () => nudge());

// -- begin ---------------------------------------------------------------------------------------

async function begin() {
  setMarks(localStorage.getItem("triage:marks") !== "off");
  for (;;) {
    try {
      facts = await api(`/api/session?stage=${encodeURIComponent(stage)}`);
      break;
    } catch (problem) {
      if (problem.status === 401) return tellConnection("You are logged out.", "/login");
      tellConnection("No connection to the server; trying again.");
      await pause(2);
    }
  }
  tellConnection("");
  showCriteria();
  if (waiting().length) send();  // decided before the page was loaded again
  await refresh();
}

begin();
