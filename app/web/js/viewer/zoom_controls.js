/** Buttons and keys that zoom. Screen readers announce each new size. */

import { el } from "../ui/dom.js";
import { formatPercent } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";

const ANNOUNCE_AFTER_MS = 400;

/** Returns {element, handleKey}. `handleKey(event)` returns whether the key zooms or moves the image. */
export function createZoomControls(zoom) {
  const status = el("span", { class: "visually-hidden", role: "status" });
  const level = el("span", { class: "zoom-level", "aria-hidden": "true" });
  const button = (key, onclick, content) => {
    const label = { "aria-label": translate(key), title: translate(key) };
    return el("button", { type: "button", class: "icon-button", ...label, onclick }, content);
  };
  const zoomOut = button("viewer.zoomOut", () => zoom.out(), icon("minus"));
  const reset = button("viewer.zoomReset", () => zoom.reset(), icon("fit"));
  const zoomIn = button("viewer.zoomIn", () => zoom.in(), icon("plus"));
  const attributes = { class: "zoom-controls", role: "group", "aria-label": translate("viewer.zoom") };
  const element = el("div", attributes, zoomOut, level, zoomIn, reset, status);
  let timer = 0;

  const update = () => {
    const percent = formatPercent(zoom.scale);
    level.textContent = percent;
    clearTimeout(timer);
    timer = setTimeout(() => (status.textContent = translate("viewer.zoomLevel", { percent })), ANNOUNCE_AFTER_MS);
  };
  zoom.addEventListener("changed", update);
  level.textContent = formatPercent(1);

  const handleKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return false; // The browser zooms the page.
    const run = { "+": () => zoom.in(), "=": () => zoom.in(), "-": () => zoom.out(), 0: () => zoom.reset() }[event.key];
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (run) run();
    else if (direction && zoom.isZoomed) zoom.pan(...direction);
    else return false;
    event.preventDefault();
    return true;
  };
  return { element, handleKey };
}
