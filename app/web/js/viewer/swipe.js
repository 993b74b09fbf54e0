/** Swipes of a finger: sideways to the next picture, down to close. */

import { style } from "../parts/dom.js";

const FAR_ENOUGH = 56;

export function onSwipe(element, { onStep, onDown }) {
  let start = null;
  const fingers = new Set();
  const move = (x, y) => style(element, { translate: `${x}px ${y}px` });

  const end = (event) => {
    fingers.delete(event.pointerId);
    if (!start) return;
    const { x, y } = travelled(start, event);
    start = null;
    element.classList.remove("dragged");
    move(0, 0);
    if (Math.abs(x) > FAR_ENOUGH && Math.abs(x) > Math.abs(y)) onStep(x < 0 ? 1 : -1);
    else if (y > FAR_ENOUGH * 1.5) onDown();
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") return;
    fingers.add(event.pointerId);
    // A second finger means zooming, which is the browser's; so is moving about in what was zoomed.
    start = fingers.size === 1 && (visualViewport?.scale ?? 1) <= 1.01 ? event : null;
    element.classList.toggle("dragged", Boolean(start));
  });
  element.addEventListener("pointermove", (event) => {
    if (!start) return;
    const { x, y } = travelled(start, event);
    move(x, Math.max(0, Math.abs(y) > Math.abs(x) ? y : 0));
  });
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", (event) => (fingers.delete(event.pointerId), (start = null), move(0, 0)));
}

const travelled = (from, to) => ({ x: to.clientX - from.clientX, y: to.clientY - from.clientY });
