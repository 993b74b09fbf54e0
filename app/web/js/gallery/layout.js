/** Sets pictures in rows of equal width without cutting them, as a newspaper sets its columns. */

const NARROWEST = 0.5;
const WIDEST = 3;

/** Returns {tiles: [{left, top, width, height}], height} for pictures of `ratios` (width over height). */
export function justify(ratios, { width, rowHeight, gap }) {
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
    const ratio = Math.min(WIDEST, Math.max(NARROWEST, all[i]));
    ratios.push(ratio);
    sum += ratio;
    const height = (width - gap * (ratios.length - 1)) / sum;
    if (height <= rowHeight) return { ratios, height };
  }
  // What is left over does not fill a row: it keeps the usual height rather than growing to fill the page.
  return { ratios, height: Math.min(rowHeight, (width - gap * (ratios.length - 1)) / sum) };
}

/** A row's height that suits a page of `width`: two or three pictures across a phone, six or so across a desk. */
export const suitableRowHeight = (width) => Math.round(Math.min(420, Math.max(120, 90 + width / 9)));
