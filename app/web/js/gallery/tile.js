/** One image in the gallery. */

import { drawPlaceholder } from "../thumbhash.js";
import { el, setStyle } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { failedThumbnail, isPending } from "./library.js";

/** Returns a tile with the methods `show(view)`, `moveTo(box, index, count)` and `setSelected(isSelected)`. */
export function createTile(id, { onOpen, onSelect, onLoadError, onRetry }) {
  const picture = el("span", { class: "tile-image" });
  const link = el("a", { class: "tile-link", href: `#${id}` }, picture);
  const checkbox = el(
    "button",
    { type: "button", class: "tile-checkbox", role: "checkbox", "aria-checked": "false" },
    icon("check"),
  );
  const retry = el("button", { type: "button", class: "tile-retry", hidden: true, onclick: () => onRetry(id) });
  const element = el("li", { class: "tile" }, link, checkbox, retry);
  element.dataset.id = id;
  link.addEventListener("click", (event) => onOpen(event, id));
  checkbox.addEventListener("click", (event) => onSelect(event, id));
  let shownView = null;
  let width = 0;
  let top = null;
  const tile = { id, element, link };

  tile.show = (view) => {
    if (view === shownView) return;
    const hasChanged = !shownView || appearance(view) !== appearance(shownView);
    shownView = view;
    checkbox.setAttribute("aria-label", translate("select.one", { name: displayName(view) }));
    if (hasChanged) drawPicture(picture, view, { width, onLoadError });
    else picture.querySelector("img")?.setAttribute("alt", displayName(view));
    retry.hidden = !failedThumbnail(view) || Boolean(srcsetOf(view));
    retry.replaceChildren(icon("retry"), translate("retry"));
  };
  tile.moveTo = (box, index, count) => {
    // A tile slides within its row. It fades into another row, because it would otherwise slide across other tiles.
    if (top !== null && Math.abs(top - box.top) > box.height / 2) fadeIn(element);
    top = box.top;
    tile.index = index;
    width = Math.ceil(box.width);
    setStyle(element, {
      transform: `translate(${box.left}px, ${box.top}px)`,
      width: `${box.width}px`,
      height: `${box.height}px`,
    });
    element.setAttribute("aria-posinset", index + 1);
    element.setAttribute("aria-setsize", count);
    const image = picture.querySelector("img");
    if (image) image.sizes = `${width}px`;
  };
  tile.setSelected = (isSelected) => {
    element.classList.toggle("selected", isSelected);
    checkbox.setAttribute("aria-checked", String(isSelected));
  };
  return tile;
}

function fadeIn(element) {
  element.classList.add("changing-row");
  requestAnimationFrame(() => requestAnimationFrame(() => element.classList.remove("changing-row")));
}

export const displayName = (view) => view.description || view.filename;

/** The values that determine how the picture of a tile is drawn. */
const appearance = (view) =>
  JSON.stringify([view.placeholder, view.thumbnails.map(({ url, status }) => [url, status])]);

/** Returns the `srcset` of the thumbnails that are ready. */
export const srcsetOf = (view) =>
  view.thumbnails
    .filter(({ status, url }) => status === "ready" && url)
    .map(({ url, width }) => `${url} ${width}w`)
    .join();

function drawPicture(picture, view, { width, onLoadError }) {
  const wasLoaded = Boolean(picture.querySelector("img.loaded"));
  const srcset = srcsetOf(view);
  const parts = [view.placeholder && drawPlaceholder(view.placeholder)];
  if (srcset) parts.push(createThumbnail(view, { srcset, width, onLoadError, wasLoaded }));
  else parts.push(el("span", { class: "visually-hidden" }, displayName(view)));
  if (!srcset) parts.push(isPending(view) ? pendingNote() : failureNote(failedThumbnail(view)));
  picture.replaceChildren(...parts.filter(Boolean));
}

/** With `wasLoaded`, the image replaces an earlier one and appears without a transition. */
function createThumbnail(view, { srcset, width, onLoadError, wasLoaded }) {
  const className = wasLoaded ? "loaded" : "";
  const image = el("img", { alt: displayName(view), decoding: "async", draggable: "false", class: className });
  image.addEventListener("load", () => image.classList.add("loaded"));
  image.addEventListener("error", () => onLoadError(view.id), { once: true });
  Object.assign(image, { sizes: `${width || 200}px`, srcset, src: view.thumbnail_url });
  return image;
}

const pendingNote = () =>
  el("span", { class: "tile-note" }, el("span", { class: "spinner" }), translate("tile.pending"));

const failureNote = (thumbnail) =>
  el("span", { class: "tile-note", title: thumbnail?.reason ?? "" }, icon("alert"), translate("tile.failed"));
