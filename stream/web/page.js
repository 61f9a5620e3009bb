// @ts-check
/**
 * The demo page: everything around the element.
 *
 * Enters: what a person types and chooses. Leaves: text and settings for the server, and what became of them in
 * plain words. Uses only what any page may use: the element's attributes, methods and events, and the HTTP API.
 */

import "./sign-avatar.js";

/** @typedef {import("./sign-avatar.js").SignAvatar} SignAvatar */

/** @template {HTMLElement} [E=HTMLElement] @param {string} id @returns {E} */
const byId = (id) => /** @type {E} */ (document.getElementById(id));

const avatar = /** @type {SignAvatar} */ (byId("avatar"));
const text = /** @type {HTMLTextAreaElement} */ (byId("text"));
const live = /** @type {HTMLInputElement} */ (byId("live"));
const rate = /** @type {HTMLInputElement} */ (byId("rate"));
const language = /** @type {HTMLSelectElement} */ (byId("language"));
const look = /** @type {HTMLSelectElement} */ (byId("look"));
const signerPicker = /** @type {HTMLSelectElement} */ (byId("signer"));

/** Examples to click, by spoken language. */
const EXAMPLES = {
  en: ["Hello world", "My name is Ada", "Welcome to Paris"],
  de: ["Kleine Kinder essen Pizza", "Guten Tag", "Ich wohne in Zürich"],
  fr: ["Bonjour", "Bienvenue à Paris"],
  it: ["Buongiorno", "Benvenuti a Roma"],
  es: ["Hola", "Bienvenidos a Madrid"],
};
const LISTS_EVERY_MS = 15000;

/** @typedef {{name: string, language: string, avatar: string, rate: number, left_handed: boolean, background: string, whep: string}} SignerRow */
/** @type {{code: string, name: string, spoken: string}[]} */
let languages = [];
/** @type {{name: string, description: string}[]} */
let looks = [];

/** @param {string} path @param {RequestInit} [options] */
async function fetchJson(path, options) {
  const response = await fetch(path, options);
  const body = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.error ?? `the server answered ${response.status}`), { remedy: body.remedy });
  return body;
}

// ---- what cannot be signed, and what went wrong, in plain words

/** @type {Map<string, {kind: string, lead: string, rest: string}>} */
const notices = new Map();

/** @param {string} name @param {string} lead @param {string} rest @param {string} [kind] */
function notice(name, lead, rest, kind = "") {
  if (lead) notices.set(name, { kind, lead, rest });
  else notices.delete(name);
  byId("notices").replaceChildren(
    ...[...notices.values()].map((item) => {
      const line = document.createElement("p");
      line.className = item.kind;
      const bold = document.createElement("b");
      bold.textContent = item.lead;
      line.append(bold, " ", item.rest);
      return line;
    }),
  );
}

/** @param {unknown} error */
function complain(error) {
  const { message, remedy } = /** @type {Error & {remedy?: string}} */ (error);
  const reachable = message !== "Failed to fetch" && !(error instanceof TypeError);
  notice("error", "That did not work:", reachable ? [message, remedy].filter(Boolean).join("; ") : "the server cannot be reached. Once it is back, this page goes on by itself.", "warn");
}

/** “the”, “a” (American Sign Language has no articles). @param {any[] | undefined} list @param {string} otherwise */
function explained(list, otherwise) {
  /** @type {Map<string, Set<string>>} */
  const byReason = new Map();
  for (const item of list ?? []) {
    const reason = item.reason || otherwise;
    byReason.set(reason, (byReason.get(reason) ?? new Set()).add(`“${item.text ?? item}”`));
  }
  return [...byReason].map(([reason, texts]) => `${[...texts].slice(0, 12).join(", ")} (${reason})`).join("; ");
}

/** @param {{unspellable?: any[], omitted?: any[]}} caption */
function gapsOf({ unspellable, omitted }) {
  const missing = explained(unspellable, "no sign and no letters for it");
  const left = explained(omitted?.filter(({ reason }) => !KEPT_UP.test(reason ?? "")), "not needed in this language");
  notice("unspellable", missing && "Not signed:", `${missing}.`, "warn");
  notice("omitted", left && "Left out on purpose:", `${left}.`);
}

// ---- text

/** @param {string} words @param {boolean} final */
async function say(words, final) {
  try {
    notice("error", "", "");
    const said = await avatar.say(words, { final });
    // The caption event tells the same of the whole caption; without events, the answer must do.
    if (avatar.state !== "live") gapsOf(said);
    if (said?.note) notice("error", "Nothing to sign:", `${said.note}.`, "warn");
  } catch (error) {
    complain(error);
    // What could not be sent is not lost.
    if (words.trim() && !text.value) text.value = words;
  }
}

/** Pieces go out one after another, or a slow request would be overtaken by the next. */
let sending = Promise.resolve();
let open = false;

/** @param {string} words @param {boolean} final */
function queue(words, final) {
  open = !final;
  sending = sending.then(() => say(words, final));
}

function submit() {
  const words = text.value;
  if (!words.trim() && !open) {
    notice("error", "", "");
    return text.focus();
  }
  text.value = "";
  // A caption begun word by word is closed even when nothing is left in the box.
  queue(words.trim() ? words : " ", true);
  text.focus();
}

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
text.addEventListener("keydown", (event) => {
  // Enter that confirms an input method's suggestion is not ours.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
text.addEventListener("input", (event) => {
  if (!live.checked || /** @type {InputEvent} */ (event).isComposing) return;
  // A word is certain once a space follows it: it leaves the box for the caption, and is signed.
  const certain = /^[\s\S]*\s/u.exec(text.value)?.[0] ?? "";
  if (!certain.trim()) return;
  text.value = text.value.slice(certain.length);
  queue(certain, false);
});
live.addEventListener("change", () => {
  byId("text-hint").textContent = live.checked ? "Every word is signed as soon as you press space." : "Press Enter to sign it.";
  if (!live.checked && open) queue(" ", true);
});
byId("stop").addEventListener("click", async () => {
  try {
    open = false;
    await avatar.interrupt();
  } catch (error) {
    complain(error);
  }
});

// ---- settings

/**
 * Settings this person has just changed, and how many of those changes are under way. Until the last has settled,
 * the server's echoes of earlier ones are old news: shown, they would flip a control under the person's fingers.
 * @type {Map<string, number>}
 */
const changing = new Map();
const SETTLED_MS = 500; // an echo may still be on its way when the answer is here

/** @param {Record<string, unknown>} change */
async function set(change) {
  for (const name of Object.keys(change)) changing.set(name, (changing.get(name) ?? 0) + 1);
  try {
    notice("error", "", "");
    const headers = { "Content-Type": "application/json" };
    await fetchJson(avatar.api, { method: "PATCH", headers, body: JSON.stringify(change) });
  } catch (error) {
    complain(error);
  }
  setTimeout(() => {
    for (const name of Object.keys(change)) changing.set(name, (changing.get(name) ?? 0) - 1);
    refresh(); // what was held back meanwhile, or, where the change was refused, what is so instead
  }, SETTLED_MS);
}

/** @param {string} name @returns {HTMLInputElement[]} */
const radios = (name) => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll(`input[name="${name}"]`)]);

rate.addEventListener("input", () => showRate(Number(rate.value)));
rate.addEventListener("change", () => set({ rate: Number(rate.value) }));
language.addEventListener("change", () => {
  set({ language: language.value });
  showExamples();
});
look.addEventListener("change", () => {
  set({ avatar: look.value });
  showLook();
});
for (const radio of radios("hand")) radio.addEventListener("change", () => set({ left_handed: radio.value === "left" }));
for (const radio of radios("background")) radio.addEventListener("change", () => set({ background: radio.value }));

/** @param {number} value */
function showRate(value) {
  byId("rate-value").textContent = `${Number(value.toFixed(2))}×`;
  rate.setAttribute("aria-valuetext", `${Number(value.toFixed(2))} times`);
}

function showLook() {
  byId("look-help").textContent = looks.find(({ name }) => name === look.value)?.description ?? "";
}

function showExamples() {
  const spoken = languages.find(({ code }) => code === language.value)?.spoken ?? "en";
  const list = EXAMPLES[/** @type {keyof typeof EXAMPLES} */ (spoken.split("-")[0])] ?? EXAMPLES.en;
  byId("try").replaceChildren(
    byId("try").children[0],
    ...list.map((example) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = example;
      button.addEventListener("click", () => queue(example, true));
      return button;
    }),
  );
  text.placeholder = list[0];
  text.lang = spoken;
}

/** Show what the server says; a control the person is just using is left alone. @param {Partial<SignerRow>} told */
function showSettings(told) {
  const busy = document.activeElement;
  const settings = /** @type {Partial<SignerRow>} */ (Object.fromEntries(Object.entries(told).filter(([name]) => !changing.get(name))));
  if (settings.rate !== undefined && busy !== rate) {
    rate.value = String(settings.rate);
    showRate(settings.rate);
  }
  if (settings.language && busy !== language && language.value !== settings.language) {
    language.value = settings.language;
    showExamples();
  }
  if (settings.avatar && busy !== look) look.value = settings.avatar;
  showLook();
  for (const radio of radios("hand")) {
    if (settings.left_handed !== undefined) radio.checked = (radio.value === "left") === settings.left_handed;
  }
  for (const radio of radios("background")) if (settings.background) radio.checked = radio.value === settings.background;
  if (settings.background) avatar.setAttribute("background", settings.background);
}

// ---- what the element reports

const ms = (/** @type {number | null | undefined} */ value) =>
  value === null || value === undefined ? "–" : `${value < 9.5 ? Number(value.toFixed(1)) : Math.round(value)} ms`;

avatar.addEventListener("statechange", (event) => {
  const { detail } = /** @type {CustomEvent} */ (event);
  if (detail.state === "live") notice("error", "", "");
  if (detail.state === "failed") refresh(); // this signer may have gone off air
});
avatar.addEventListener("gloss", (event) => showBehind(/** @type {CustomEvent} */ (event).detail.lag_ms));
avatar.addEventListener("gloss", (event) => tellRecorded(/** @type {CustomEvent} */ (event).detail));
avatar.addEventListener("idle", () => showBehind(undefined));
avatar.addEventListener("skipped", (event) => hurry(/** @type {CustomEvent} */ (event).detail));
for (const name of ["statechange", "gloss", "idle"]) avatar.addEventListener(name, showState);
avatar.addEventListener("settings", (event) => showSettings(/** @type {CustomEvent} */ (event).detail));
avatar.addEventListener("caption", (event) => gapsOf(/** @type {CustomEvent} */ (event).detail));
avatar.addEventListener("latency", (event) => {
  const reading = /** @type {CustomEvent} */ (event).detail;
  byId("glass").textContent = ms(reading.glass_ms);
  byId("picture").textContent = ms(reading.picture_ms);
  byId("rtt").textContent = ms(reading.rtt_ms);
  byId("fps").textContent = reading.pictures_per_s ? reading.pictures_per_s.toFixed(1) : "–";
  const stages = Object.entries(reading.server).filter(([name]) => name.endsWith("_ms"));
  if (!stages.length) return;
  byId("stages").replaceChildren(
    ...stages.map(([name, value]) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const figure = document.createElement("dd");
      term.textContent = stageName(name);
      figure.textContent = ms(/** @type {number} */ (value));
      row.append(term, figure);
      return row;
    }),
  );
});

/** @param {string} field */
function stageName(field) {
  const name = field.replace(/_ms$/, "").replaceAll("_", " ");
  const known = { glossing: "Text to signs", choreography: "Signs to motion", render: "Motion to picture", encode: "Picture to video", total: "Together" };
  return known[/** @type {keyof typeof known} */ (name)] ?? name.charAt(0).toUpperCase() + name.slice(1);
}

/** Seconds between a word and its sign; shown beside "Live" once it can be felt. */
let behind = 0;

/** @param {number | undefined} lag */
function showBehind(lag) {
  behind = (lag ?? 0) / 1000;
  byId("behind").textContent = lag === undefined ? "–" : `${behind.toFixed(1)} s`;
}

/** Words of a live caption that the signer had no time for, the newest last. @type {{text: string, reason: string, at: number}[]} */
let hurried = [];
const HURRIED_SHOWN = 12;
const HURRIED_MS = 30_000;
/** How reasons begin that have to do with keeping up. */
const KEPT_UP = /^[^:]* to keep up[^:]*: /u;

/** @param {import("./transcript.js").Skipped} skipped */
function hurry({ label, reason, kind }) {
  if (kind) hurried = [...hurried, { text: label, reason: reason.replace(KEPT_UP, ""), at: performance.now() }].slice(-HURRIED_SHOWN);
  showHurried();
}

/** Not a live region: two words a second would never let a screen reader finish, and the caption has them all. */
function showHurried() {
  hurried = hurried.filter(({ at }) => performance.now() - at < HURRIED_MS);
  const line = byId("hurried");
  line.hidden = !hurried.length;
  const words = hurried.length ? `Not signed, to keep up: ${explained(hurried, "")}.` : "";
  if (line.textContent !== words) line.textContent = words;
}

/** Signs that the model does not know: their motion comes from recordings. The latest last. @type {string[]} */
let recorded = [];
const RECORDED_SHOWN = 8;

/** @param {import("./transcript.js").Current & {recorded?: boolean}} gloss */
function tellRecorded(gloss) {
  if (!gloss.recorded) return;
  recorded = [...recorded.filter((label) => label !== gloss.label), gloss.label].slice(-RECORDED_SHOWN);
  const line = byId("recorded");
  line.hidden = false;
  line.textContent = `From recordings, as the model does not know them: ${recorded.join(", ")}.`;
}

function showState() {
  showHurried();
  byId("state").dataset.state = avatar.state;
  const { waiting } = avatar.transcript;
  const toGo = avatar.state === "live" && waiting ? ` · ${waiting} ${waiting === 1 ? "sign" : "signs"} to go` : "";
  const late = avatar.state === "live" && behind >= 1 ? ` · ${behind.toFixed(1)} s behind` : "";
  const words = avatar.statusText + toGo + late;
  if (byId("state-words").textContent !== words) byId("state-words").textContent = words;
}
setInterval(showState, 1000);

// ---- lists

/** @param {HTMLSelectElement} select @param {{value: string, text: string}[]} options @param {string} chosen */
function fillSelect(select, options, chosen) {
  const same = options.length === select.options.length && options.every((option, i) => option.value === select.options[i].value);
  if (!same) select.replaceChildren(...options.map(({ value, text: shown }) => new Option(shown, value)));
  if (document.activeElement !== select && options.some(({ value }) => value === chosen)) select.value = chosen;
}

/** @param {SignerRow} row */
function watch(row) {
  const src = row.whep ?? `/whep/${encodeURIComponent(row.name)}`;
  if (avatar.getAttribute("src") !== src) {
    avatar.setAttribute("src", src);
    notices.clear();
    notice("error", "", "");
  }
  showSettings(row);
  const { origin } = location;
  byId("snippet").textContent =
    `<script type="module"\n  src="${origin}/sign-avatar.js"></script>\n` +
    `<sign-avatar\n  src="${origin}${src}"\n  captions controls></sign-avatar>`;
}

async function refresh() {
  try {
    if (!languages.length) {
      [languages, looks] = await Promise.all([fetchJson("/languages"), fetchJson("/avatars")]);
      fillSelect(language, languages.map(({ code, name }) => ({ value: code, text: name })), "");
      fillSelect(look, looks.map(({ name }) => ({ value: name, text: name.charAt(0).toUpperCase() + name.slice(1) })), "");
      showExamples();
    }
    /** @type {SignerRow[]} */
    const signers = await fetchJson("/signers");
    byId("signer-field").hidden = signers.length < 2;
    const wanted = signerPicker.value || new URLSearchParams(location.search).get("signer");
    const row = signers.find(({ name }) => name === wanted) ?? signers[0];
    fillSelect(signerPicker, signers.map(({ name }) => ({ value: name, text: name })), row?.name ?? "");
    if (row) watch(row);
    else notice("error", "There is no signer yet.", "Start one with POST /signers, or restart the server.", "warn");
  } catch (error) {
    if (!avatar.getAttribute("src")) complain(error);
  }
}

signerPicker.addEventListener("change", refresh);
byId("copy").addEventListener("click", async () => {
  const code = byId("snippet");
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    byId("copied").textContent = "Copied.";
  } catch {
    // No permission, or not a secure page: select it, so that one key press copies it.
    getSelection()?.selectAllChildren(code);
    byId("copied").textContent = "Selected: press Ctrl+C to copy.";
  }
});

await refresh();
setInterval(refresh, LISTS_EVERY_MS);
