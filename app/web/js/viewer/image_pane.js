/** Shows one image as large as it fits: first the placeholder, then a thumbnail, then the original if it is sharper. */

import { displayName, srcsetOf } from "../gallery/tile.js";
import { drawPlaceholder } from "../thumbhash.js";
import { el, setStyle } from "../ui/dom.js";

const MAX_ORIGINAL_BYTES = 24_000_000;
const ANIMATED_TYPES = ["image/gif", "image/webp"];

export class ImagePane {
  #view = null;

  constructor() {
    this.frame = el("div", { class: "frame" });
    this.element = el("div", { class: "image-pane", tabindex: "-1" }, this.frame);
  }

  clear() {
    this.#view = null;
    this.frame.replaceChildren();
  }

  show(view) {
    const isShown = this.#view?.id === view.id && this.#view.thumbnail_url;
    this.#view = view;
    if (isShown) return this.frame.querySelector("img")?.setAttribute("alt", displayName(view));
    setStyle(this.frame, { "--ratio": view.width / view.height, "--natural": `${view.width}px` });
    const placeholder = view.placeholder && drawPlaceholder(view.placeholder);
    this.frame.replaceChildren(...[placeholder, this.#createThumbnail(view)].filter(Boolean));
    this.#showOriginal(view);
  }

  /** Loads the thumbnails of images that are likely to be shown next. */
  preload(views) {
    for (const view of views) Object.assign(new Image(), { sizes: "100vmin", srcset: srcsetOf(view) });
  }

  #createThumbnail(view) {
    if (!view.thumbnail_url) return null;
    const srcset = srcsetOf(view);
    const image = el("img", { alt: displayName(view), draggable: "false", sizes: "100vmin", srcset });
    image.addEventListener("load", () => image.classList.add("loaded"));
    return image;
  }

  async #showOriginal(view) {
    if (!view.original_url || !this.#needsOriginal(view)) return;
    const image = el("img", { alt: "", draggable: "false", class: "original" });
    image.src = view.original_url;
    try {
      await image.decode();
    } catch {
      return; // The browser does not support the format, for example HEIC. The thumbnail remains.
    }
    if (this.#view?.id !== view.id) return;
    this.frame.append(image);
    requestAnimationFrame(() => image.classList.add("loaded"));
  }

  #needsOriginal(view) {
    if (view.size > MAX_ORIGINAL_BYTES || navigator.connection?.saveData) return false;
    const thumbnailWidth = Math.max(0, ...view.thumbnails.map(({ width }) => width ?? 0));
    const isThumbnailTooSmall = this.frame.clientWidth * devicePixelRatio > thumbnailWidth * 1.1;
    return ANIMATED_TYPES.includes(view.content_type) || (isThumbnailTooSmall && view.width > thumbnailWidth);
  }
}
