/** Detects swipes with one finger: left and right for the next and previous image, down to close. */

import { setStyle } from "../ui/dom.js";

const MIN_DISTANCE = 56;

/** A swipe has no effect while `isEnabled()` is false. */
export function onSwipe(element, { onStep, onDown, isEnabled }) {
  let start = null;
  const fingers = new Set();
  const move = (x, y) => setStyle(element, { translate: `${x}px ${y}px` });
  const cancel = () => {
    start = null;
    element.classList.remove("dragged");
    move(0, 0);
  };

  const end = (event) => {
    fingers.delete(event.pointerId);
    if (!start) return;
    const { x, y } = distance(start, event);
    cancel();
    if (Math.abs(x) > MIN_DISTANCE && Math.abs(x) > Math.abs(y)) onStep(x < 0 ? 1 : -1);
    else if (y > MIN_DISTANCE * 1.5) onDown();
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") return;
    fingers.add(event.pointerId);
    cancel(); // Two fingers zoom.
    if (fingers.size > 1 || !isEnabled()) return;
    start = event;
    element.classList.add("dragged");
  });
  element.addEventListener("pointermove", (event) => {
    if (!start) return;
    const { x, y } = distance(start, event);
    move(x, Math.max(0, Math.abs(y) > Math.abs(x) ? y : 0));
  });
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", (event) => (fingers.delete(event.pointerId), cancel()));
}

const distance = (from, to) => ({ x: to.clientX - from.clientX, y: to.clientY - from.clientY });
