/** Short messages at the bottom of the page, read out by screen readers, with at most one action each. */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

const SECONDS = 6;

/** Shows `message`; `onGone` is called once when its time is over, unless its action was chosen before. */
export function toast(message, { action, onGone, kind = "plain", seconds = SECONDS } = {}) {
  const element = h("div", { class: `toast toast-${kind}` }, h("p", {}, message));
  const timer = pausableTimer(() => leave(onGone), seconds * 1000);
  let focusedBefore = null;
  const leave = (then) => {
    timer.stop();
    const hadFocus = element.contains(document.activeElement);
    element.remove();
    then?.();
    if (hadFocus) (focusedBefore?.isConnected ? focusedBefore : document.getElementById("main")).focus();
  };
  if (action) {
    element.append(h("button", { type: "button", class: "quiet", onclick: () => leave(action.run) }, action.label));
  }
  const close = h("button", { type: "button", class: "round", "aria-label": t("close"), onclick: () => leave(onGone) });
  close.append(icon("cross"));
  element.append(close);
  // Whoever is reading it, or on the way to its button, gets all the time they need.
  for (const name of ["pointerenter", "focusin"]) element.addEventListener(name, timer.pause);
  for (const name of ["pointerleave", "focusout"]) element.addEventListener(name, timer.go);
  element.addEventListener("focusin", ({ relatedTarget: from }) => {
    if (!element.contains(from)) focusedBefore = from;
  });
  home().append(element);
  return { act: () => leave(action?.run), leave: () => leave(onGone) };
}

// A modal dialog makes the rest of the page inert: while one is open, messages have to be inside of it.
function home() {
  const open = [...document.querySelectorAll("dialog[open]")].at(-1);
  const region = document.getElementById("toasts");
  const parent = open ?? document.body;
  if (region.parentElement !== parent) parent.append(region);
  open?.addEventListener("close", () => document.body.append(region), { once: true });
  return region;
}

function pausableTimer(run, milliseconds) {
  let left = milliseconds;
  let began;
  let timer;
  const go = () => {
    clearTimeout(timer);
    began = performance.now();
    timer = setTimeout(run, left);
  };
  const pause = () => {
    clearTimeout(timer);
    left = Math.max(2000, left - (performance.now() - began));
  };
  go();
  return { go, pause, stop: () => clearTimeout(timer) };
}
