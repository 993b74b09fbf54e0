/** Zooms and moves the image in its pane: with the wheel, two fingers, double clicks and taps, by dragging, and by methods. */

import { setStyle } from "../ui/dom.js";

const STEP = 1.5;
const MIN_LARGEST_SCALE = 3;
const PIXELS_OF_LARGEST_SCALE = 2;
const PAN_FRACTION = 0.15;
const DOUBLE_TAP_MS = 350;
const DOUBLE_TAP_DISTANCE = 30;
const WHEEL_LINE_PIXELS = 30;

/** Dispatches `changed`. `scale` is 1 when the image fits the pane. */
export class Zoom extends EventTarget {
  scale = 1;
  #x = 0;
  #y = 0;
  #imageWidth = 0;
  /** The position of each finger or pressed button in the pane, by pointer id. */
  #pointers = new Map();
  #lastTap = null;
  #movedDistance = 0;

  constructor(pane, frame) {
    super();
    Object.assign(this, { pane, frame });
    pane.addEventListener("wheel", (event) => this.#handleWheel(event), { passive: false });
    pane.addEventListener("pointerdown", (event) => this.#press(event));
    pane.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, (event) => this.#release(event));
    new ResizeObserver(() => this.isZoomed && this.#apply({})).observe(pane);
  }

  get isZoomed() {
    return this.scale > 1;
  }

  /** At the largest scale, a pixel of the image covers two pixels of the screen. Small images are enlarged further. */
  get largestScale() {
    const scaleOfPixels = this.#imageWidth / (this.frame.clientWidth * devicePixelRatio || 1);
    return Math.max(MIN_LARGEST_SCALE, PIXELS_OF_LARGEST_SCALE * scaleOfPixels);
  }

  /** Shows another image, which is `imageWidth` pixels wide, as a whole. */
  start(imageWidth) {
    this.#imageWidth = imageWidth;
    this.#set({ scale: 1, x: 0, y: 0 });
  }

  reset() {
    this.#set({ scale: 1, x: 0, y: 0 }, { isAnimated: true });
  }

  in() {
    this.#scaleAt({ x: 0, y: 0 }, this.scale * STEP, { isAnimated: true });
  }

  out() {
    this.#scaleAt({ x: 0, y: 0 }, this.scale / STEP, { isAnimated: true });
  }

  /** Shows another part of the image: `x` and `y` are -1, 0 or 1. */
  pan(x, y) {
    const [width, height] = [this.pane.clientWidth, this.pane.clientHeight];
    this.#apply({ x: this.#x - x * width * PAN_FRACTION, y: this.#y - y * height * PAN_FRACTION, isAnimated: true });
  }

  /** Changes the scale so that `point` of the pane, measured from its center, keeps showing the same part of the image. */
  #scaleAt(point, scale, options) {
    const limited = Math.min(this.largestScale, Math.max(1, scale));
    const factor = limited / this.scale;
    const x = point.x - factor * (point.x - this.#x);
    const y = point.y - factor * (point.y - this.#y);
    this.#set({ scale: limited < 1.01 ? 1 : limited, x, y }, options);
  }

  #set({ scale, x, y }, { isAnimated = false } = {}) {
    const hasChanged = scale !== this.scale;
    this.scale = scale;
    this.#apply({ x, y, isAnimated });
    if (hasChanged) this.dispatchEvent(new Event("changed"));
  }

  /** Moves the image, but not further than to its edges. */
  #apply({ x = this.#x, y = this.#y, isAnimated = false }) {
    const limit = (value, image, pane) => {
      const most = Math.max(0, (image * this.scale - pane) / 2);
      return Math.min(most, Math.max(-most, value));
    };
    this.#x = limit(x, this.frame.clientWidth, this.pane.clientWidth);
    this.#y = limit(y, this.frame.clientHeight, this.pane.clientHeight);
    this.frame.classList.toggle("animated", isAnimated);
    this.pane.classList.toggle("zoomed", this.isZoomed);
    setStyle(this.frame, { "--zoom": this.scale, "--x": `${this.#x}px`, "--y": `${this.#y}px` });
  }

  #handleWheel(event) {
    event.preventDefault(); // With the control key, which touchpads report for two fingers, the browser would zoom the page.
    const pixels = event.deltaY * (event.deltaMode ? WHEEL_LINE_PIXELS : 1);
    const speed = event.ctrlKey ? 0.01 : 0.002;
    this.#scaleAt(this.#pointOf(event), this.scale * Math.exp(-Math.max(-300, Math.min(300, pixels)) * speed));
  }

  #press(event) {
    if (event.button > 0) return;
    if (!this.#pointers.size) this.#movedDistance = 0;
    this.#pointers.set(event.pointerId, this.#pointOf(event));
    if (this.isZoomed || this.#pointers.size > 1) this.pane.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const point = this.#pointOf(event);
    this.#pointers.set(event.pointerId, point);
    this.#movedDistance += Math.hypot(point.x - before.x, point.y - before.y);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) this.#pinch(before, point, other);
    else if (this.isZoomed) this.#apply({ x: this.#x + point.x - before.x, y: this.#y + point.y - before.y });
  }

  /** One finger has moved from `before` to `point`, while the other is at `other`. */
  #pinch(before, point, other) {
    const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) || 1;
    const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    const [from, to] = [middle(before, other), middle(point, other)];
    this.#scaleAt(from, this.scale * (distance(point, other) / distance(before, other)));
    this.#apply({ x: this.#x + to.x - from.x, y: this.#y + to.y - from.y });
  }

  #release(event) {
    const wasOnly = this.#pointers.size === 1;
    if (!this.#pointers.delete(event.pointerId) || !wasOnly || event.type === "pointercancel") return;
    if (this.#movedDistance < DOUBLE_TAP_DISTANCE) this.#handleTap(this.#pointOf(event), event.timeStamp);
  }

  #handleTap(point, time) {
    const last = this.#lastTap;
    const isDouble =
      last &&
      time - last.time < DOUBLE_TAP_MS &&
      Math.hypot(point.x - last.point.x, point.y - last.point.y) < DOUBLE_TAP_DISTANCE;
    this.#lastTap = isDouble ? null : { point, time };
    if (!isDouble) return;
    if (this.isZoomed) this.reset();
    else this.#scaleAt(point, Math.max(2, this.largestScale / PIXELS_OF_LARGEST_SCALE), { isAnimated: true });
  }

  #pointOf(event) {
    const { left, top, width, height } = this.pane.getBoundingClientRect();
    return { x: event.clientX - left - width / 2, y: event.clientY - top - height / 2 };
  }
}
