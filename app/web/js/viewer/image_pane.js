/** Shows one image as large as it fits, or zoomed: first the placeholder, then a thumbnail, then files with more pixels. */

import { displayName, srcsetOf } from "../gallery/tile.js";
import { drawPlaceholder } from "../thumbhash.js";
import { el, setStyle } from "../ui/dom.js";
import { sourcesFor } from "./sources.js";
import { onSwipe } from "./swipe.js";
import { Zoom } from "./zoom.js";

const SHARPEN_AFTER_MS = 200;
const FADE_MS = 400;
/** A file with a few pixels less than the screen looks the same. */
const TOLERANCE = 1.1;

export class ImagePane {
  #view = null;
  #shownWidth = 0;
  #timer = 0;

  /** `sizes` are the widths of renditions in pixels, in ascending order. */
  constructor({ sizes, onStep, onDown }) {
    this.sizes = sizes;
    this.frame = el("div", { class: "frame" });
    this.element = el("div", { class: "image-pane", tabindex: "-1" }, this.frame);
    this.zoom = new Zoom(this.element, this.frame);
    this.zoom.addEventListener("changed", () => this.#sharpenSoon());
    new ResizeObserver(() => this.#sharpenSoon()).observe(this.element);
    onSwipe(this.element, { onStep, onDown, isEnabled: () => !this.zoom.isZoomed });
  }

  clear() {
    this.#view = null;
    this.frame.replaceChildren();
    this.zoom.start(0);
  }

  show(view) {
    const isShown = this.#view?.id === view.id && this.#view.thumbnail_url;
    this.#view = view;
    if (isShown) return this.frame.querySelector("img")?.setAttribute("alt", displayName(view));
    setStyle(this.frame, { "--ratio": view.width / view.height, "--natural": `${view.width}px` });
    this.zoom.start(view.width);
    const placeholder = view.placeholder && drawPlaceholder(view.placeholder);
    this.frame.replaceChildren(...[placeholder, this.#createThumbnail(view)].filter(Boolean));
    this.#shownWidth = Math.max(0, ...view.thumbnails.map(({ width }) => width ?? 0));
    this.#sharpen();
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

  #sharpenSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#view && this.#sharpen(), SHARPEN_AFTER_MS);
  }

  /** Loads a file with more pixels if the screen shows more than the current file has, or if the image is animated. */
  async #sharpen() {
    const view = this.#view;
    const { isZoomed, scale } = this.zoom;
    if (navigator.connection?.saveData && !isZoomed) return;
    const neededWidth = Math.min(view.width, (this.frame.clientWidth * scale * devicePixelRatio) / TOLERANCE);
    for (const { url, width, isAnimated } of sourcesFor(view, neededWidth, { isZoomed, sizes: this.sizes })) {
      const isSharper = () =>
        (isAnimated && !this.frame.querySelector(".sharp")) ||
        (neededWidth > this.#shownWidth && width > this.#shownWidth);
      if (!isSharper()) return;
      const image = el("img", { alt: "", draggable: "false", class: "sharp", src: url });
      const isDecoded = await image.decode().then(
        () => true,
        () => false, // What is shown already remains. The next change of the zoom tries again.
      );
      if (this.#view?.id !== view.id) return;
      if (isDecoded && isSharper()) return this.#show(image, width);
    }
  }

  #show(image, width) {
    this.#shownWidth = width;
    const replaced = [...this.frame.querySelectorAll(".sharp")];
    this.frame.append(image);
    requestAnimationFrame(() => image.classList.add("loaded"));
    setTimeout(() => replaced.forEach((old) => old.remove()), FADE_MS);
  }
}
