// @ts-check
/**
 * Draws the transcript: the caption, the word being signed, the letter being spelled.
 *
 * Enters: a `View` of transcript.js. Leaves: DOM inside one caption block. Does not know the network.
 *
 * What is seen and what is read aloud are two elements: the seen one is marked letter by letter, and hidden from
 * screen readers; the read one is a polite live region that only ever grows by new words, so that every caption
 * is read once and no highlight interrupts.
 */

/** @typedef {import("./transcript.js").View} View */
/** @typedef {import("./transcript.js").Word} Word */

export class CaptionBlock {
  #key = "\u0000";
  /** @type {HTMLElement[]} */
  #words = [];
  /** @type {number} */
  #active = -1;
  #letterKey = "";

  /**
   * @param {HTMLElement} text the caption as it is seen
   * @param {HTMLElement} spoken the same as it is read aloud: a polite live region
   * @param {HTMLElement} tile shows the letter being spelled
   * @param {Record<string, string>} strings
   */
  constructor(text, spoken, tile, strings) {
    this.text = text;
    this.spoken = spoken;
    this.tile = tile;
    this.strings = strings;
  }

  /** @param {View} view */
  show(view) {
    if (view.key !== this.#key) this.#lay(view);
    if (view.active !== this.#active) {
      this.#unmark();
      this.#active = view.active;
      this.#words[view.active]?.classList.add("now");
      this.#words[view.active]?.setAttribute("part", "word current-word");
    }
    this.#spell(view);
  }

  /** @param {View} view */
  #lay(view) {
    this.#key = view.key;
    this.#active = -1;
    this.#letterKey = "";
    this.#words = view.words.map((word) => this.#word(word));
    const nodes = this.#words.flatMap((word, i) => (i ? [document.createTextNode(" "), word] : [word]));
    if (view.more) nodes.push(document.createTextNode(" …"));
    this.text.replaceChildren(...nodes);
    this.#read(view.words.map((word) => word.text).join(" "));
  }

  /** @param {string} text */
  #read(text) {
    const read = this.spoken.textContent ?? "";
    if (text === read) return;
    const grows = read !== "" && text.startsWith(read);
    const fresh = document.createElement("span");
    fresh.textContent = grows ? text.slice(read.length) : text;
    if (grows) this.spoken.append(fresh);
    else this.spoken.replaceChildren(fresh);
  }

  /** @param {Word} word */
  #word(word) {
    const span = document.createElement("span");
    span.className = `word ${word.part}`;
    span.setAttribute("part", "word");
    span.textContent = word.text;
    if (word.part !== "signed") span.title = word.reason || this.strings[word.part];
    return span;
  }

  #unmark() {
    const word = this.#words[this.#active];
    if (!word) return;
    word.classList.remove("now");
    word.setAttribute("part", "word");
    if (word.childElementCount) word.textContent = word.textContent;
  }

  /** @param {View} view */
  #spell({ letter, active, words }) {
    const key = letter ? `${active}/${letter.at}/${letter.label}` : "";
    if (key === this.#letterKey) return;
    this.#letterKey = key;
    this.tile.textContent = letter?.label ?? "";
    this.tile.hidden = !letter;
    const span = this.#words[active];
    if (!span) return;
    const range = letter && letterRange(words[active].text, letter.letters, letter.at);
    if (!range) {
      if (span.childElementCount) span.textContent = words[active].text;
      return;
    }
    const characters = Array.from(words[active].text);
    const mark = document.createElement("span");
    mark.className = "letter";
    mark.setAttribute("part", "current-letter");
    mark.textContent = characters.slice(...range).join("");
    span.replaceChildren(characters.slice(0, range[0]).join(""), mark, characters.slice(range[1]).join(""));
  }
}

/**
 * Where in the written word the `at`-th spelled letter stands; null where it cannot be told. Walks both in step,
 * since a letter may cover several characters (SCH) and a character may have none (an apostrophe).
 * @param {string} word
 * @param {string[]} letters
 * @param {number} at
 * @returns {[number, number] | null}
 */
export function letterRange(word, letters, at) {
  if (at < 0) return null;
  const characters = Array.from(word.toLocaleUpperCase()).length === Array.from(word).length
    ? Array.from(word.toLocaleUpperCase())
    : Array.from(word);
  let from = 0;
  for (let i = 0; i <= at; i += 1) {
    const letter = Array.from(letters[i].toLocaleUpperCase());
    let found = -1;
    for (let j = from; j + letter.length <= characters.length && found < 0; j += 1) {
      if (letter.every((character, k) => bare(character) === bare(characters[j + k]))) found = j;
    }
    if (found < 0) return null;
    if (i === at) return [found, found + letter.length];
    from = found + letter.length;
  }
  return null;
}

/** Without accents, so that an `E` that stands in for `É` is still found. @param {string} character */
function bare(character) {
  return character.normalize("NFD").replace(/\p{M}/gu, "");
}
