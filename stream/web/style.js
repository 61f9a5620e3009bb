// @ts-check
/**
 * How `<sign-avatar>` looks. Colours, corners and type are custom properties, so that a page can make it its own
 * without reaching inside; docs/embedding.md lists them.
 *
 * The label's `!important` is on purpose: inside a shadow tree it wins over `::part(label)` of the page. The label
 * may be moved, coloured and translated, and not be made to vanish by accident.
 */

const CSS = `
:host {
  --_ink: var(--sign-avatar-ink, #16202a);
  --_quiet: var(--sign-avatar-quiet, #4b5a68);
  --_surface: var(--sign-avatar-surface, #ffffff);
  --_line: var(--sign-avatar-line, #d5dce2);
  --_stage: var(--sign-avatar-stage, #e3e8ec);
  --_mark: var(--sign-avatar-mark, #ffd54a);
  --_mark-ink: var(--sign-avatar-mark-ink, #16202a);
  --_accent: var(--sign-avatar-accent, #0a6a70);
  --_radius: var(--sign-avatar-radius, 14px);
  --_focus: var(--sign-avatar-focus, #0a5fd0);
  display: block;
  container-type: inline-size;
  color: var(--_ink);
  font: 400 1rem/1.4 var(--sign-avatar-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);
}
:host([hidden]) { display: none; }
@media (prefers-color-scheme: dark) {
  :host(:not([theme="light"])) {
    --_ink: var(--sign-avatar-ink, #eef3f7);
    --_quiet: var(--sign-avatar-quiet, #b3c0cb);
    --_surface: var(--sign-avatar-surface, #18212b);
    --_line: var(--sign-avatar-line, #33414e);
    --_stage: var(--sign-avatar-stage, #222d38);
    --_accent: var(--sign-avatar-accent, #6fd8cf);
    --_focus: var(--sign-avatar-focus, #8ab8ff);
  }
}
:host([theme="dark"]) {
  --_ink: var(--sign-avatar-ink, #eef3f7);
  --_quiet: var(--sign-avatar-quiet, #b3c0cb);
  --_surface: var(--sign-avatar-surface, #18212b);
  --_line: var(--sign-avatar-line, #33414e);
  --_stage: var(--sign-avatar-stage, #222d38);
  --_accent: var(--sign-avatar-accent, #6fd8cf);
  --_focus: var(--sign-avatar-focus, #8ab8ff);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.frame {
  display: flex;
  flex-direction: column;
  height: 100%;
  overflow: hidden;
  background: var(--_surface);
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
}
.stage {
  position: relative;
  flex: 1 1 auto;
  min-height: 0;
  aspect-ratio: var(--_aspect, 1);
  max-height: var(--sign-avatar-max-height, none);
  background: var(--_stage);
  overflow: hidden;
}
video, canvas {
  position: absolute;
  inset: 0;
  width: 100%;
  height: 100%;
  object-fit: contain;
}
/* Not display: none. Some browsers stop decoding a video that is not laid out. */
.composited video { opacity: 0; pointer-events: none; }
:host([background="green"]) .composited { background: #00b140; }
:host([background="transparent"]) .frame,
:host([background="transparent"]) .composited { background: none; }
:host([background="transparent"]) .frame { border-color: transparent; }
:host([background="transparent"]) .caption,
:host([background="transparent"]) .bar { background: var(--_surface); }
.veil {
  position: absolute;
  inset: 0;
  display: flex;
  flex-direction: column;
  gap: 0.75rem;
  align-items: center;
  justify-content: center;
  padding: 1rem;
  text-align: center;
  color: var(--_ink);
  background: color-mix(in srgb, var(--_stage) 88%, transparent);
}
.veil.quiet { inset: auto 0 0 0; padding: 0.5rem 1rem; }
.spinner {
  width: 2rem;
  height: 2rem;
  border: 3px solid var(--_line);
  border-top-color: var(--_accent);
  border-radius: 50%;
}
.quiet .spinner { display: none; }
@media (prefers-reduced-motion: no-preference) {
  .spinner { animation: turn 1s linear infinite; }
  .word, .letter { transition: background-color 90ms ease-out; }
}
@keyframes turn { to { transform: rotate(1turn); } }
.caption {
  display: flex;
  gap: 0.75rem;
  align-items: center;
  min-height: 4.4em;
  padding: 0.6rem 1rem;
  border-top: 1px solid var(--_line);
  font-size: var(--sign-avatar-caption-size, clamp(1.05rem, 4.4cqi, 1.4rem));
  line-height: 1.5;
}
.caption .text { flex: 1 1 auto; min-width: 0; margin: 0; overflow-wrap: anywhere; }
.over .caption {
  position: absolute;
  inset: auto 0 0 0;
  min-height: 0;
  border: 0;
  color: #fff;
  background: rgb(10 16 22 / 0.82);
}
.over .caption.empty { display: none; }
.over .word.omitted, .over .word.unspellable { color: #d7dee4; }
.word { padding: 0.05em 0.12em; margin: 0 -0.12em; border-radius: 0.25em; }
.word.omitted { color: var(--_quiet); }
.word.unspellable { color: var(--_quiet); text-decoration: underline wavy; text-decoration-thickness: 1px; text-underline-offset: 0.25em; }
.word.now { color: var(--_mark-ink); background: var(--_mark); text-decoration: none; }
.letter { padding: 0.05em 0; border-radius: 0.15em; color: var(--_mark); background: var(--_mark-ink); }
.tile {
  flex: none;
  min-width: 2.1em;
  padding: 0 0.3em;
  border-radius: 0.35em;
  font-size: 1.45em;
  font-weight: 650;
  line-height: 1.55;
  text-align: center;
  color: var(--_mark-ink);
  background: var(--_mark);
}
.spoken {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
.bar {
  display: flex;
  gap: 0.25rem 0.75rem;
  align-items: center;
  min-height: 2.75rem;
  padding: 0.25rem 0.5rem 0.25rem 1rem;
  border-top: 1px solid var(--_line);
  font-size: 0.875rem;
}
.label {
  display: inline-flex !important;
  visibility: visible !important;
  opacity: 1 !important;
  clip-path: none !important;
  flex: 1 1 9rem;
  gap: 0.45em;
  align-items: center;
  min-width: 0;
  min-height: 1.5em !important;
  font-size: max(0.8125rem, 12px) !important;
  font-weight: 600;
  line-height: 1.25;
  color: var(--_ink);
}
.label svg { flex: none; color: var(--_accent); }
.controls { display: flex; gap: 0.125rem; }
button {
  display: inline-grid;
  place-items: center;
  min-width: 2.5rem;
  min-height: 2.5rem;
  padding: 0;
  border: 0;
  border-radius: 8px;
  font: inherit;
  color: var(--_ink);
  background: transparent;
  cursor: pointer;
}
button:hover { background: color-mix(in srgb, var(--_ink) 10%, transparent); }
button:focus-visible { outline: 3px solid var(--_focus); outline-offset: -1px; }
button.tap { padding: 0.6rem 1.1rem; font-weight: 600; color: var(--_surface); background: var(--_accent); }
@container (max-width: 26rem) {
  .bar { padding-left: 0.75rem; }
  button[data-do="float"] { display: none; }
  button { min-width: 2.25rem; }
}
@container (max-width: 19rem) {
  .bar { flex-wrap: wrap; }
  .label { flex-basis: 100% !important; }
}
svg { width: 1.25rem; height: 1.25rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
:host(:fullscreen) { background: #000; }
:host(:fullscreen) .stage { aspect-ratio: auto; }
@media (prefers-contrast: more) {
  :host { --_line: currentColor; --_quiet: var(--_ink); }
  .word.now { outline: 2px solid var(--_ink); }
}
@media (forced-colors: active) {
  .word.now, .letter, .tile { forced-color-adjust: none; color: HighlightText; background: Highlight; }
  button:focus-visible { outline-color: Highlight; }
}
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/** One sheet serves every element of the page. */
export function styleSheet() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
