// @ts-check
/**
 * Keeps one signer on the air: opens a WHEP session, and another one whenever it is lost.
 *
 * Enters: an address, start and stop. Leaves: `session` events (a fresh WhepSession) and `statechange` events
 * that say in one word how things stand. Does not know what is shown.
 *
 * States: `idle` not started; `connecting` first attempt; `live` pictures are coming; `reconnecting` they were,
 * and will again; `full` the server asked us to come back later; `offline` this device has no network;
 * `failed` the server said no (unknown signer, say); tried again, but slowly.
 */

import { WhepError, WhepSession } from "./whep.js";

/** First pause after a loss, doubled every time up to the longest. */
export const FIRST_PAUSE_MS = 400;
export const LONGEST_PAUSE_MS = 15000;

/**
 * How long to wait before attempt number `attempt` (1, 2, ...). Jitter keeps a thousand viewers of a restarted
 * server from coming back in the same instant; a time the server asked for is never undercut.
 * @param {number} attempt
 * @param {number | null} askedMs
 * @param {() => number} [random]
 */
export function pauseMs(attempt, askedMs, random = Math.random) {
  if (askedMs !== null) return askedMs * (1 + 0.25 * random());
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  return pause * (0.5 + 0.5 * random());
}

/**
 * @typedef {"idle" | "connecting" | "live" | "reconnecting" | "full" | "offline" | "failed"} State
 * @typedef {{state: State, reason: string, remedy: string, attempt: number, retryAt: number | null}} Standing
 *   retryAt: when the next attempt begins, on `performance.now()`'s clock; null while none is planned.
 */

export class Connection extends EventTarget {
  /** @type {Standing} */
  standing = { state: "idle", reason: "", remedy: "", attempt: 0, retryAt: null };
  /** @type {WhepSession | null} */
  session = null;

  #attempt = 0;
  #wasLive = false;
  /** @type {AbortController | null} */
  #running = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {URL} url
   * @param {{motion?: string | null, iceServers?: RTCIceServer[]}} options
   */
  constructor(url, options) {
    super();
    this.url = url;
    this.options = options;
  }

  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    const { signal } = this.#running;
    addEventListener("online", () => this.#now(), { signal });
    addEventListener("offline", () => this.#offline(), { signal });
    addEventListener("pagehide", () => this.session?.closeNow(), { signal });
    // Back from the back/forward cache: the session was closed on leaving.
    addEventListener("pageshow", (event) => event.persisted && this.#now(), { signal });
    document.addEventListener("visibilitychange", () => !document.hidden && this.#now(), { signal });
    this.#become("connecting");
    this.#try();
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    clearTimeout(this.#timer);
    const session = this.session;
    this.session = null;
    session?.close();
    this.#attempt = 0;
    this.#wasLive = false;
    this.#become("idle");
  }

  /** The picture is on the screen: called by whoever shows it. */
  live() {
    if (!this.session || this.standing.state === "live") return;
    this.#attempt = 0;
    this.#wasLive = true;
    this.#become("live");
  }

  async #try() {
    const signal = this.#running?.signal;
    if (!signal || this.session) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#attempt += 1;
    try {
      const session = await this.#open(signal);
      if (!session) return;
      this.dispatchEvent(new CustomEvent("session", { detail: { session } }));
    } catch (error) {
      if (!signal.aborted) this.#again(error instanceof WhepError ? error : new WhepError(String(error)));
    }
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<WhepSession | null>}
   */
  async #open(signal) {
    this.#opening = true;
    try {
      const session = await WhepSession.open(this.url, { ...this.options, signal });
      if (signal.aborted) {
        session.close();
        return null;
      }
      this.session = session;
      session.addEventListener("lost", (event) => {
        if (this.session !== session) return;
        this.session = null;
        this.#again(new WhepError(/** @type {CustomEvent} */ (event).detail.reason));
      });
      return session;
    } finally {
      this.#opening = false;
    }
  }
  #opening = false;

  /** @param {WhepError} error */
  #again(error) {
    if (!this.#running) return;
    if (!navigator.onLine && !isLoopback(this.url)) return this.#offline();
    const full = error.status === 503 || error.status === 429;
    const refused = error.status >= 400 && error.status < 500 && !full;
    const wait = refused ? LONGEST_PAUSE_MS * (0.5 + 0.5 * Math.random()) : pauseMs(Math.max(1, this.#attempt), error.retryAfterMs);
    const state = full ? "full" : refused ? "failed" : this.#wasLive ? "reconnecting" : "connecting";
    this.#become(state, error.message, error.remedy, performance.now() + wait);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#try(), wait);
  }

  /** Something changed for the better (network back, page in view): no reason to sit out the pause. */
  #now() {
    // A time the server asked for is kept even so.
    if (!this.#running || this.session || this.#opening || this.standing.state === "full") return;
    this.#attempt = 0;
    this.#become(this.#wasLive ? "reconnecting" : "connecting");
    this.#try();
  }

  #offline() {
    // On this very machine a server can be reached without any network.
    if (isLoopback(this.url)) return;
    clearTimeout(this.#timer);
    this.#become("offline", "this device is offline");
  }

  /**
   * @param {State} state
   * @param {string} [reason]
   * @param {string} [remedy]
   * @param {number | null} [retryAt]
   */
  #become(state, reason = "", remedy = "", retryAt = null) {
    this.standing = { state, reason, remedy, attempt: this.#attempt, retryAt };
    this.dispatchEvent(new CustomEvent("statechange", { detail: this.standing }));
  }
}

/** @param {URL} url */
function isLoopback(url) {
  return url.hostname === "localhost" || url.hostname === "[::1]" || url.hostname.startsWith("127.");
}
