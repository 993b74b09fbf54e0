/** Chooses the file that shows an image sharply at a given width. */

const MIN_STEP = 1.4;
/** Larger renditions take seconds as AVIF, but all browsers can show WebP. */
const MAX_AUTO_SIZE = 2560;
const ANIMATED_TYPES = ["image/gif", "image/webp"];
const SUPPORTED_TYPES = ["image/jpeg", "image/png", "image/avif", ...ANIMATED_TYPES];
const MAX_UNREQUESTED_BYTES = 24_000_000;

/**
 * Returns the files to try, [{url, width, isAnimated}]: the original if it is animated or if no smaller file is wide enough, and a
 * rendition of at least `neededWidth` pixels, or else the largest one. `sizes` are the widths of renditions that the
 * service offers. Without `isZoomed`, the user did not ask for more pixels, so nothing very large is loaded.
 */
export function sourcesFor(view, neededWidth, { isZoomed, sizes }) {
  const rendition = view.rendition_url && sizes.length ? renditionOf(view, neededWidth, stepsOf(sizes)) : null;
  const isSmall = view.size <= MAX_UNREQUESTED_BYTES;
  const isAnimated = isSmall && ANIMATED_TYPES.includes(view.content_type);
  const isTooNarrow = !rendition || rendition.width === view.width || (isZoomed && rendition.width < neededWidth);
  const needsOriginal = isAnimated || (isTooNarrow && (isZoomed || isSmall));
  const isSupported = view.original_url && SUPPORTED_TYPES.includes(view.content_type);
  const original = needsOriginal && isSupported ? { url: view.original_url, width: view.width, isAnimated } : null;
  return [original, rendition].filter(Boolean);
}

/** Leaves out sizes that are close to each other, so that few files are rendered and loaded while the user zooms. */
const stepsOf = (sizes) =>
  sizes.reduceRight((steps, size) => (steps.length && size * MIN_STEP > steps[0] ? steps : [size, ...steps]), []);

/** No side of a rendition is longer than the largest size. */
function renditionOf(view, neededWidth, steps) {
  const step = steps.find((width) => width >= neededWidth) ?? steps.at(-1);
  const scale = Math.min(1, step / view.width, steps.at(-1) / view.height);
  const query = step > MAX_AUTO_SIZE ? `?w=${step}&format=webp` : `?w=${step}`;
  return { url: view.rendition_url.replace(/\{.*/, query), width: Math.floor(view.width * scale) };
}
