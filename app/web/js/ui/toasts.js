/** Shows short messages at the bottom of the page, with at most one action each. Screen readers announce them. */

import { byId, el } from "./dom.js";
import { icon } from "./icons.js";
import { translate } from "./i18n.js";

const SECONDS = 6;
const MIN_SECONDS_AFTER_PAUSE = 2;

/**
 * Shows `message`. `onDismiss` is called once, when the time is up or the user closes the message, but not if the user
 * chooses its action. Returns {runAction, dismiss}.
 */
export function showToast(message, { action, onDismiss, kind = "plain", seconds = SECONDS } = {}) {
  const element = el("div", { class: `toast toast-${kind}` }, el("p", {}, message));
  const timer = startPausableTimer(() => remove(onDismiss), seconds * 1000);
  let previousFocus = null;
  const remove = (callback) => {
    timer.stop();
    const hadFocus = element.contains(document.activeElement);
    element.remove();
    callback?.();
    if (hadFocus) (previousFocus?.isConnected ? previousFocus : byId("main")).focus();
  };
  if (action) {
    const attributes = { type: "button", class: "text-button", onclick: () => remove(action.run) };
    element.append(el("button", attributes, action.label));
  }
  const attributes = { type: "button", class: "icon-button", "aria-label": translate("close") };
  element.append(el("button", { ...attributes, onclick: () => remove(onDismiss) }, icon("cross")));
  // The message must not disappear while a user points at it or focuses its button.
  for (const name of ["pointerenter", "focusin"]) element.addEventListener(name, timer.pause);
  for (const name of ["pointerleave", "focusout"]) element.addEventListener(name, timer.resume);
  element.addEventListener("focusin", ({ relatedTarget: from }) => {
    if (!element.contains(from)) previousFocus = from;
  });
  reachableRegion().append(element);
  return { runAction: () => remove(action?.run), dismiss: () => remove(onDismiss) };
}

// A modal dialog makes the rest of the page inert, so messages must be inside the dialog while it is open.
function reachableRegion() {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  const region = byId("toasts");
  const parent = dialog ?? document.body;
  if (region.parentElement !== parent) parent.append(region);
  dialog?.addEventListener("close", () => document.body.append(region), { once: true });
  return region;
}

function startPausableTimer(run, milliseconds) {
  let remaining = milliseconds;
  let startedAt;
  let timer;
  const resume = () => {
    clearTimeout(timer);
    startedAt = performance.now();
    timer = setTimeout(run, remaining);
  };
  const pause = () => {
    clearTimeout(timer);
    remaining = Math.max(MIN_SECONDS_AFTER_PAUSE * 1000, remaining - (performance.now() - startedAt));
  };
  resume();
  return { resume, pause, stop: () => clearTimeout(timer) };
}
