/** Shows an image as large as it fits: first its blur, then a thumbnail, then the original where that is worth it. */

import { h, style } from "../parts/dom.js";
import { nameOf, sources } from "../gallery/tile.js";
import { paint } from "../thumbhash.js";

const MOST_BYTES = 24_000_000;
const MAY_MOVE = ["image/gif", "image/webp"];

export class Stage {
  #shown = null;

  constructor() {
    this.frame = h("div", { class: "frame" });
    this.element = h("div", { class: "stage", tabindex: "-1" }, this.frame);
  }

  clear() {
    this.#shown = null;
    this.frame.replaceChildren();
  }

  show(view) {
    const isSame = this.#shown?.id === view.id;
    const hadPicture = isSame && this.#shown.thumbnail_url;
    this.#shown = view;
    if (hadPicture) return this.frame.querySelector("img")?.setAttribute("alt", nameOf(view));
    style(this.frame, { "--ratio": view.width / view.height, "--natural": `${view.width}px` });
    this.frame.replaceChildren(...[view.placeholder && paint(view.placeholder), this.#thumbnail(view)].filter(Boolean));
    this.#showOriginal(view);
  }

  /** Fetches what is likely to be shown next. */
  prepare(views) {
    for (const view of views) Object.assign(new Image(), { sizes: "100vmin", srcset: sources(view) });
  }

  #thumbnail(view) {
    if (!view.thumbnail_url) return null;
    const image = h("img", { alt: nameOf(view), draggable: "false", sizes: "100vmin", srcset: sources(view) });
    image.addEventListener("load", () => image.classList.add("there"));
    return image;
  }

  async #showOriginal(view) {
    if (!this.#isWorthIt(view)) return;
    const image = h("img", { alt: "", draggable: "false", class: "original" });
    image.src = view.original_url;
    try {
      await image.decode();
    } catch {
      return; // this browser does not know the format, HEIC for instance: the thumbnail stays
    }
    if (this.#shown?.id !== view.id) return;
    this.frame.append(image);
    requestAnimationFrame(() => image.classList.add("there"));
  }

  #isWorthIt(view) {
    if (view.size > MOST_BYTES || navigator.connection?.saveData) return false;
    const largest = Math.max(0, ...view.thumbnails.map(({ width }) => width ?? 0));
    const isTooSmall = this.frame.clientWidth * devicePixelRatio > largest * 1.1;
    return MAY_MOVE.includes(view.content_type) || (isTooSmall && view.width > largest);
  }
}
