// @ts-check
/**
 * What was said, and which word of it is being signed right now.
 *
 * Enters: `caption`, `gloss` and `idle` messages of the events channel. Leaves: a `View`: the words to show, the
 * one being signed, the letter being spelled. Does not know the DOM (captions.js) or the network (whep.js).
 *
 * Offsets in messages count characters (code points); JavaScript counts UTF-16 units. Words are therefore cut
 * from an array of code points, so that an emoji early in a caption does not shift every highlight after it.
 */

/** Captions kept; older ones are forgotten, for a page may stay open for days. */
const KEPT_CAPTIONS = 16;
/** Characters shown at once; a longer caption is shown in parts, turned like pages. */
export const PAGE_CHARACTERS = 110;

/**
 * @typedef {{index: number, label: string, start: number, end: number, spelled: boolean}} GlossInfo
 * @typedef {{text: string, start: number, end: number, reason?: string}} Gap a part of the text that is not signed
 * @typedef {{text: string, start: number, end: number, part: "signed" | "omitted" | "unspellable", reason: string}} Word
 *   reason: why it is not signed, as the server says; "" where it does not.
 * @typedef {{index: number, last?: number, label: string, reason: string, kind?: string, caption?: number, start?: number, end?: number}} Skipped
 * @typedef {{seq: number, characters: string[], glosses: Map<number, GlossInfo>, omitted: Gap[], unspellable: Gap[]}} CaptionInfo
 * @typedef {{index: number, label: string, spelled: boolean, start: number, end: number, caption: number}} Current
 * @typedef {{key: string, words: Word[], active: number, letter: Letter | null, more: boolean}} View
 *   words: those of the page in view; active: which of them is being signed, -1 for none; more: pages follow.
 * @typedef {{label: string, at: number, letters: string[]}} Letter
 *   label: the letter being signed; letters: all of the spelled word; at: which of them.
 */

/**
 * Gaps as the server lists them, with offsets. Where it gives none, the n-th mention of a text is its n-th
 * occurrence, as a whole word if there is one, else within a word (a letter without a recording, say).
 * @param {unknown} list
 * @param {string} text
 * @returns {Gap[]}
 */
export function gaps(list, text) {
  if (!Array.isArray(list)) return [];
  /** @type {Map<string, number>} where to look on, in UTF-16 units */
  const from = new Map();
  return list.map((item) => {
    const gap = typeof item === "string" ? { text: item } : item;
    if (Number.isInteger(gap.start) && Number.isInteger(gap.end)) {
      return { ...gap, text: gap.text ?? Array.from(text).slice(gap.start, gap.end).join("") };
    }
    const wanted = String(gap.text);
    const at = find(text, wanted, from.get(wanted) ?? 0);
    if (at < 0) return { ...gap, text: wanted, start: 0, end: 0 };
    from.set(wanted, at + wanted.length);
    const start = Array.from(text.slice(0, at)).length;
    return { ...gap, text: wanted, start, end: start + Array.from(wanted).length };
  });
}

/** @param {string} text @param {string} wanted @param {number} from */
function find(text, wanted, from) {
  if (!wanted) return -1;
  const literal = wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  for (const pattern of [`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, literal]) {
    const matcher = new RegExp(pattern, "giu");
    matcher.lastIndex = from;
    const found = matcher.exec(text);
    if (found) return found.index;
  }
  return -1;
}

/**
 * The words between white space, with their offsets in code points.
 * @param {string[]} characters
 * @returns {{text: string, start: number, end: number}[]}
 */
export function words(characters) {
  const found = [];
  for (let i = 0; i < characters.length; ) {
    if (/\s/u.test(characters[i])) {
      i += 1;
      continue;
    }
    let end = i;
    while (end < characters.length && !/\s/u.test(characters[end])) end += 1;
    found.push({ text: characters.slice(i, end).join(""), start: i, end });
    i = end;
  }
  return found;
}

/**
 * Words gathered into pages of about PAGE_CHARACTERS, broken after a sentence where one ends in the second half.
 * @template {{text: string, start: number, end: number}} W
 * @param {W[]} all
 * @returns {W[][]}
 */
export function pages(all) {
  /** @type {W[][]} */
  const made = [[]];
  for (const word of all) {
    const page = made[made.length - 1];
    const length = page.length ? word.end - page[0].start : 0;
    const last = page[page.length - 1];
    const sentenceEnds = last && /[.!?…。？！]["'»”)]*$/u.test(last.text) && last.end - page[0].start > PAGE_CHARACTERS / 2;
    if (page.length && (length > PAGE_CHARACTERS || sentenceEnds)) made.push([word]);
    else page.push(word);
  }
  return made;
}

export class Transcript {
  /** @type {Map<number, CaptionInfo>} */
  #captions = new Map();
  /** @type {Current | null} */
  current = null;
  /** Caption in view: the one being signed, else the newest. */
  #shown = -1;
  /** Caption signed last; -1 before the first. */
  #signed = -1;
  #newest = -1;

  /** @param {{seq: number, text: string, glosses?: GlossInfo[], unspellable?: unknown, omitted?: unknown}} message */
  caption(message) {
    const text = String(message.text);
    let known = this.#captions.get(message.seq);
    // Captions only count up and only grow; otherwise another server is speaking, which knows nothing of ours.
    if ((!known && message.seq < this.#newest) || (known && !text.startsWith(known.characters.join("")))) {
      this.reset();
      known = undefined;
    }
    this.#newest = Math.max(this.#newest, message.seq);
    const glosses = message.glosses
      ? new Map(message.glosses.map((gloss) => [gloss.index, gloss]))
      : (known?.glosses ?? new Map());
    this.#captions.set(message.seq, {
      seq: message.seq,
      characters: Array.from(text),
      glosses,
      omitted: gaps(message.omitted, text),
      unspellable: gaps(message.unspellable, text),
    });
    while (this.#captions.size > KEPT_CAPTIONS) this.#captions.delete(this.#captions.keys().next().value ?? -1);
    // A viewer who came late may not know the caption that is being signed: then the newest is better than none.
    if (!this.current || !this.#captions.has(this.current.caption)) this.#shown = message.seq;
  }

  /** @param {Current} message */
  gloss(message) {
    const listed = this.#captions.get(message.caption)?.glosses.get(message.index);
    this.current = { ...message, spelled: message.spelled ?? listed?.spelled ?? false };
    this.#signed = message.caption;
    if (this.#captions.has(message.caption)) this.#shown = message.caption;
  }

  /**
   * Signs that were announced will not be performed: of a word (then it is left out), or of its end only.
   * @param {Skipped} message
   */
  skipped({ index, last = index, label, reason, kind, caption, start, end }) {
    for (const known of this.#captions.values()) {
      for (let i = index; i <= last; i += 1) known.glosses.delete(i);
    }
    const known = this.#captions.get(caption ?? -1);
    if (known && kind !== "abbreviated" && start !== undefined && end !== undefined) {
      known.omitted.push({ text: label, start, end, reason });
    }
  }

  idle() {
    this.current = null;
  }

  reset() {
    this.#captions.clear();
    this.current = null;
    this.#shown = -1;
    this.#signed = -1;
    this.#newest = -1;
  }

  /** Signs announced and not yet begun. */
  get waiting() {
    const done = this.current?.index ?? Infinity;
    let count = 0;
    for (const { glosses } of this.#captions.values()) {
      for (const index of glosses.keys()) if (index > done) count += 1;
    }
    return count;
  }

  /** @returns {View} */
  view() {
    const caption = this.#captions.get(this.#shown);
    if (!caption) return { key: "", words: [], active: -1, letter: null, more: false };
    const current = this.current?.caption === caption.seq ? this.current : null;
    const paged = pages(words(caption.characters));
    const last = paged.length - 1;
    let at = 0;
    if (current) at = paged.findIndex((page) => page.length > 0 && current.start < page[page.length - 1].end);
    else if (!this.current && caption.seq === this.#signed) at = last; // signed to its end: stay there
    if (at < 0) at = last;
    const shown = paged[at].map((word) => ({ ...word, part: part(word, caption), reason: reason(word, caption) }));
    const active = current ? shown.findIndex((word) => current.start < word.end && current.end > word.start) : -1;
    return {
      key: `${caption.seq}/${at}/${shown.map((word) => word.text + word.part[0]).join(" ")}`,
      words: shown,
      active,
      letter: current?.spelled ? spelledLetter(current, shown[active], caption) : null,
      more: at + 1 < paged.length,
    };
  }
}

/**
 * @param {{start: number, end: number}} word
 * @param {CaptionInfo} caption
 * @returns {Word["part"]}
 */
function part(word, caption) {
  const within = (/** @type {Gap} */ gap) => gap.start < word.end && gap.end > word.start;
  if (caption.unspellable.some(within)) return "unspellable";
  for (const gloss of caption.glosses.values()) if (gloss.start < word.end && gloss.end > word.start) return "signed";
  return caption.omitted.some(within) ? "omitted" : "signed";
}

/**
 * @param {{start: number, end: number}} word
 * @param {CaptionInfo} caption
 * @returns {string}
 */
function reason(word, caption) {
  const gap = [...caption.unspellable, ...caption.omitted].find(({ start, end }) => start < word.end && end > word.start);
  return gap?.reason ?? "";
}

/**
 * @param {Current} current
 * @param {{start: number, end: number} | undefined} word
 * @param {CaptionInfo} caption
 * @returns {Letter}
 */
function spelledLetter(current, word, caption) {
  const letters = [...caption.glosses.values()]
    .filter((gloss) => gloss.spelled && word && gloss.start < word.end && gloss.end > word.start)
    .sort((a, b) => a.index - b.index);
  const at = letters.findIndex((gloss) => gloss.index === current.index);
  return { label: current.label, at, letters: letters.map((gloss) => gloss.label) };
}
