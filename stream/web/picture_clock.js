// @ts-check
/**
 * Lets an event take effect together with the picture it belongs to.
 *
 * Enters: callbacks, each with the RTP timestamp of a picture; then every presented picture. Leaves: the callbacks,
 * called in order when their picture is on the screen. Does not know what they do.
 *
 * Events travel faster than pictures: without this, the caption would mark a word before its sign begins.
 */

/** A picture that has not come by then is not waited for (hidden page, packet loss, no timestamps). */
const PATIENCE_MS = 400;
/** Waiting callbacks; beyond it the oldest are called at once. */
const MOST_WAITING = 64;
const WRAP = 2 ** 32;

/** @typedef {(picture: VideoFrameCallbackMetadata | null) => void} Callback null: the picture was not waited for */

/** Whether RTP time `now` has reached `due`; 32-bit times wrap every 13 hours. @param {number} now @param {number} due */
export function reached(now, due) {
  return (((now - due) % WRAP) + WRAP) % WRAP < WRAP / 2;
}

export class PictureClock {
  /** @type {{rtp: number, callback: Callback, until: number}[]} */
  #waiting = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {number | undefined} rtp timestamp of the picture; undefined: at once (but never before earlier events)
   * @param {Callback} callback
   */
  at(rtp, callback) {
    if (rtp === undefined && !this.#waiting.length) return callback(null);
    this.#waiting.push({ rtp: rtp ?? this.#waiting[this.#waiting.length - 1].rtp, callback, until: performance.now() + PATIENCE_MS });
    while (this.#waiting.length > MOST_WAITING) this.#waiting.shift()?.callback(null);
    this.#timer ??= setTimeout(() => this.#late(), PATIENCE_MS);
  }

  /** @param {VideoFrameCallbackMetadata} picture now on the screen */
  picture(picture) {
    const { rtpTimestamp } = picture;
    while (this.#waiting.length && (rtpTimestamp === undefined || reached(rtpTimestamp, this.#waiting[0].rtp))) {
      this.#waiting.shift()?.callback(picture);
    }
  }

  reset() {
    this.#waiting = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #late() {
    this.#timer = undefined;
    const now = performance.now();
    while (this.#waiting.length && this.#waiting[0].until <= now) this.#waiting.shift()?.callback(null);
    if (this.#waiting.length) this.#timer = setTimeout(() => this.#late(), Math.max(1, this.#waiting[0].until - now));
  }
}
