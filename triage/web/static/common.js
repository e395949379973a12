// What the pages' scripts share. Text from records becomes text nodes, never markup.

let csrf = document.querySelector("meta[name=csrf]").content;

export class Problem extends Error {
  constructor(status, message, code, answer = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.answer = answer;
  }
}

/** Ask the server; the token that a change carries is renewed when the server was restarted. */
export async function api(path, { body, form, method = body || form ? "POST" : "GET", seconds = 30 } = {}) {
  for (let renewed = false; ; renewed = true) {
    const headers = { "x-csrf-token": csrf };
    if (body) headers["content-type"] = "application/json";
    const response = await fetch(path, {
      method, headers, body: form ?? (body && JSON.stringify(body)), credentials: "same-origin",
      signal: AbortSignal.timeout(1000 * seconds),
    });
    if (response.ok) return response.json();
    const answer = await response.json().catch(() => ({}));
    if (response.status === 403 && answer.code === "csrf" && !renewed) {
      csrf = (await api("/api/session")).csrf;
      continue;
    }
    throw new Problem(response.status, answer.detail ?? `The server answered ${response.status}.`, answer.code, answer);
  }
}

/** A name for one change, by which the server knows it when it is sent again. */
export function makeKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** The pieces of a text, those that are words of the criteria marked. */
export function pieces(list) {
  return list.map(([text, kind]) => (kind ? el("mark", { class: kind }, text) : text));
}

/** Some texts and elements, with a mark between each two. */
export function parted(some, mark) {
  return some.flatMap((one, i) => (i ? [mark, one] : [one]));
}

export function plainText(list) {
  return list.map(([text]) => text).join("");
}

/** A link out of these pages; any other address than https is only text. */
export function outside(href, text) {
  if (!href.startsWith("https://")) return text;
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** A count as it is written everywhere: 12,000. */
export function count(n) {
  return n.toLocaleString("en");
}

/** A count and what is counted, in the number that it takes: 1 record, 12,000 records. */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${agree(n, one, many)}`;
}

/** The form that goes with a count: is or are. */
export function agree(n, one, many) {
  return n === 1 ? one : many;
}

export const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
