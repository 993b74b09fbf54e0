/** Justified layout: arranges images in rows of equal width without cropping them. */

const MIN_RATIO = 0.5;
const MAX_RATIO = 3;
/** The aspect ratio of most photos, and the height of most rows as a part of the highest one. */
const USUAL_RATIO = 4 / 3;
const USUAL_FILL = 0.9;

/** Returns {tiles: [{left, top, width, height}], height} for images with these aspect ratios (width / height). */
export function layOutRows(ratios, { width, rowHeight, gap }) {
  const tiles = [];
  let top = 0;
  for (let start = 0; start < ratios.length;) {
    const row = nextRow(ratios, start, { width, rowHeight, gap });
    let left = 0;
    for (const ratio of row.ratios) {
      tiles.push({ left, top, width: ratio * row.height, height: row.height });
      left += ratio * row.height + gap;
    }
    start += row.ratios.length;
    top += row.height + gap;
  }
  return { tiles, height: Math.max(0, top - gap) };
}

/**
 * Returns {sections: [{section, top, height, rest, restHeight}], boxes: [{image, section, left, top, width, height}],
 * height} for sections below each other. `rest` is where the images begin that are not loaded. The height that they
 * need is estimated. The boxes of all sections have positions within the whole.
 */
export function layOutSections(sections, { titleHeight, sectionGap, ...options }) {
  const layout = { sections: [], boxes: [], height: 0 };
  for (const section of sections) {
    const { images, count, hiddenCount, isComplete, month } = section;
    const start = layout.height + (layout.sections.length ? sectionGap : 0);
    const top = start + (month === null ? 0 : titleHeight);
    const { tiles, height } = layOutRows(images.map(ratioOf), options);
    const left = isComplete || month === null ? 0 : Math.max(0, count - hiddenCount - images.length);
    const restHeight = left && estimateHeight(left, options);
    if (!images.length && !left && month !== null) continue;
    tiles.forEach((tile, i) => layout.boxes.push({ ...tile, top: top + tile.top, image: images[i], position: i, section }));
    const rest = top + height + (height && left ? options.gap : 0);
    layout.height = rest + restHeight;
    layout.sections.push({ section, top: start, height: layout.height - start, rest, restHeight });
  }
  return layout;
}

const ratioOf = ({ width, height }) => (width || 1) / (height || 1);

function estimateHeight(count, { width, rowHeight, gap }) {
  const usualHeight = rowHeight * USUAL_FILL;
  const imagesPerRow = Math.max(1, (width + gap) / (USUAL_RATIO * usualHeight + gap));
  return Math.ceil(count / imagesPerRow) * (usualHeight + gap) - gap;
}

function nextRow(all, start, { width, rowHeight, gap }) {
  const ratios = [];
  let sum = 0;
  for (let i = start; i < all.length; i++) {
    const ratio = Math.min(MAX_RATIO, Math.max(MIN_RATIO, all[i]));
    ratios.push(ratio);
    sum += ratio;
    const height = (width - gap * (ratios.length - 1)) / sum;
    if (height <= rowHeight) return { ratios, height };
  }
  // The last images do not fill a row. They keep the usual height, because full-width images would be too large.
  return { ratios, height: Math.min(rowHeight, (width - gap * (ratios.length - 1)) / sum) };
}

/** Returns a row height that results in two or three images per row on a phone, and about six on a desktop. */
export const rowHeightFor = (width) => Math.round(Math.min(420, Math.max(120, 90 + width / 9)));
