/** One picture in the gallery. */

import { h, style } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { paint } from "../thumbhash.js";
import { failure, isPending } from "./library.js";

/** A list item that `show(view)` fills and `place(box, index, count)` puts where it belongs. */
export function makeTile(id, { onOpen, onSelect, onBroken, onRetry }) {
  const picture = h("span", { class: "picture" });
  const link = h("a", { class: "tile-link", href: `#${id}` }, picture);
  const mark = h(
    "button",
    { type: "button", class: "tile-mark", role: "checkbox", "aria-checked": "false" },
    icon("check"),
  );
  const retry = h("button", { type: "button", class: "tile-retry", hidden: true, onclick: () => onRetry(id) });
  const element = h("li", { class: "tile" }, link, mark, retry);
  element.dataset.id = id;
  link.addEventListener("click", (event) => onOpen(event, id));
  mark.addEventListener("click", (event) => onSelect(event, id));
  let shown = null;
  let width = 0;
  let top = null;
  const tile = { id, element, link };

  tile.show = (view) => {
    if (view === shown) return;
    const isNew = !shown || signature(view) !== signature(shown);
    shown = view;
    mark.setAttribute("aria-label", t("select.one", { name: nameOf(view) }));
    if (isNew) fill(picture, view, { width, onBroken });
    else picture.querySelector("img")?.setAttribute("alt", nameOf(view));
    retry.hidden = !failure(view) || Boolean(sources(view));
    retry.replaceChildren(icon("redo"), t("retry"));
  };
  tile.place = (box, index, count) => {
    // Within its row a picture glides; into another row it would cross all the others.
    if (top !== null && Math.abs(top - box.top) > box.height / 2) reappear(element);
    top = box.top;
    tile.index = index;
    width = Math.ceil(box.width);
    style(element, {
      transform: `translate(${box.left}px, ${box.top}px)`,
      width: `${box.width}px`,
      height: `${box.height}px`,
    });
    element.setAttribute("aria-posinset", index + 1);
    element.setAttribute("aria-setsize", count);
    const image = picture.querySelector("img");
    if (image) image.sizes = `${width}px`;
  };
  tile.mark = (isSelected) => {
    element.classList.toggle("selected", isSelected);
    mark.setAttribute("aria-checked", String(isSelected));
  };
  return tile;
}

function reappear(element) {
  element.classList.add("elsewhere");
  requestAnimationFrame(() => requestAnimationFrame(() => element.classList.remove("elsewhere")));
}

export const nameOf = (view) => view.description || view.filename;

/** What has to change for the picture to be drawn anew. */
const signature = (view) => JSON.stringify([view.placeholder, view.thumbnails.map(({ url, status }) => [url, status])]);

/** `srcset` of the thumbnails that are ready. */
export const sources = (view) =>
  view.thumbnails
    .filter(({ status, url }) => status === "ready" && url)
    .map(({ url, width }) => `${url} ${width}w`)
    .join();

function fill(picture, view, { width, onBroken }) {
  const wasThere = picture.querySelector("img.there");
  const srcset = sources(view);
  const parts = [view.placeholder && paint(view.placeholder)];
  if (srcset) parts.push(thumbnail(view, { srcset, width, onBroken, isAtOnce: Boolean(wasThere) }));
  else parts.push(h("span", { class: "spoken" }, nameOf(view)));
  if (!srcset) parts.push(isPending(view) ? pendingNote() : failureNote(failure(view)));
  picture.replaceChildren(...parts.filter(Boolean));
}

function thumbnail(view, { srcset, width, onBroken, isAtOnce }) {
  const image = h("img", { alt: nameOf(view), decoding: "async", draggable: "false", class: isAtOnce ? "there" : "" });
  image.addEventListener("load", () => image.classList.add("there"));
  image.addEventListener("error", () => onBroken(view.id), { once: true });
  Object.assign(image, { sizes: `${width || 200}px`, srcset, src: view.thumbnail_url });
  return image;
}

const pendingNote = () => h("span", { class: "tile-note" }, h("span", { class: "spinner" }), t("tile.pending"));

const failureNote = (fault) =>
  h("span", { class: "tile-note", title: fault?.reason ?? "" }, icon("alert"), t("tile.failed"));
