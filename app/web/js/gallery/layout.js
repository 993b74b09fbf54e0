/** Justified layout: arranges images in rows of equal width without cropping them. */

const MIN_RATIO = 0.5;
const MAX_RATIO = 3;

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
