// @ts-check
/**
 * Measures, in the browser, how late the picture is.
 *
 * Enters: presented pictures (`requestVideoFrameCallback`), pings and pongs, what was asked when, what began when,
 * and the server's own stage times. Leaves: a `Reading`. Does not know how any of it is shown.
 */

/** Pictures over which the median is taken: two seconds. */
const WINDOW_PICTURES = 50;
/** Questions remembered while waiting for their first sign. */
const KEPT_QUESTIONS = 16;
/**
 * @typedef {object} Reading
 * @property {number | null} rtt_ms data channel there and back, median
 * @property {number | null} picture_ms last packet of a picture received to its display, median
 * @property {number | null} capture_ms drawn at the server to displayed here, where the stream carries capture times, median
 * @property {number | null} glass_ms text asked here to the first picture of its first sign displayed here; the latest such
 * @property {number} pictures_per_s pictures displayed a second
 * @property {Record<string, number>} server the stages as the server last reported them
 */

/** @param {number[]} values */
export function median(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** @param {number[]} values @param {number} value */
function remember(values, value) {
  values.push(value);
  if (values.length > WINDOW_PICTURES) values.shift();
}

export class LatencyMeter {
  /** @type {number[]} */ #rtts = [];
  /** @type {number[]} */ #pictures = [];
  /** @type {number[]} */ #captures = [];
  /** @type {number[]} */ #shownAt = [];
  /** @type {Map<number, number>} when the text of a caption was asked */ #asked = new Map();
  /** @type {Map<number, number>} when the first sign of a caption was on the screen */ #begun = new Map();
  /** @type {number | null} */ #glass = null;
  /** @type {Record<string, number>} */ #server = {};

  /**
   * One picture went to the screen.
   * @param {VideoFrameCallbackMetadata} metadata
   */
  picture({ receiveTime, captureTime, expectedDisplayTime }) {
    remember(this.#shownAt, expectedDisplayTime);
    if (receiveTime) remember(this.#pictures, expectedDisplayTime - receiveTime);
    if (captureTime) remember(this.#captures, expectedDisplayTime - captureTime);
  }

  /** @param {number} sentAt `performance.now()` when the ping left */
  pong(sentAt) {
    const rtt = performance.now() - sentAt;
    if (rtt >= 0 && rtt < 60000) remember(this.#rtts, rtt);
  }

  /** @param {Record<string, unknown>} message the server's `latency` event */
  stages(message) {
    this.#server = Object.fromEntries(
      Object.entries(message).flatMap(([name, value]) => (typeof value === "number" ? [[name, value]] : [])),
    );
  }

  /**
   * Text was asked while the signer stood idle, so that nothing but latency lies before its first sign.
   * @param {number} caption
   * @param {number} at
   */
  asked(caption, at) {
    this.#asked.set(caption, at);
    trim(this.#asked);
    this.#settle(caption);
  }

  /**
   * A sign of a caption is on the screen; only the first one counts.
   * @param {number} caption
   * @param {number} shownAt
   */
  began(caption, shownAt) {
    if (this.#begun.has(caption)) return;
    this.#begun.set(caption, shownAt);
    trim(this.#begun);
    this.#settle(caption);
  }

  /** A new session: what the old one measured about the way is void. */
  reset() {
    this.#rtts = [];
    this.#pictures = [];
    this.#captures = [];
    this.#shownAt = [];
    this.#asked.clear();
    this.#begun.clear();
  }

  /** @returns {Reading} */
  reading() {
    const shown = this.#shownAt;
    const span = shown.length > 1 ? shown[shown.length - 1] - shown[0] : 0;
    return {
      rtt_ms: median(this.#rtts),
      picture_ms: median(this.#pictures),
      capture_ms: median(this.#captures),
      glass_ms: this.#glass,
      pictures_per_s: span ? ((shown.length - 1) * 1000) / span : 0,
      server: this.#server,
    };
  }

  /** The answer to the POST and the first sign may arrive in either order. @param {number} caption */
  #settle(caption) {
    const asked = this.#asked.get(caption);
    const begun = this.#begun.get(caption);
    if (asked === undefined || begun === undefined) return;
    this.#glass = begun - asked;
    this.#asked.delete(caption);
  }
}

/** @param {Map<number, number>} map */
function trim(map) {
  while (map.size > KEPT_QUESTIONS) map.delete(map.keys().next().value ?? 0);
}
