import type { Image } from "./types.js";

/**
 * Return the `srcset` of the thumbnails that are ready, for an `<img>` with `sizes`. It is empty while none is.
 *
 * Thumbnails are never enlarged, so that those of a small image can have the same width. Only one of them is listed.
 */
export function thumbnailSrcset(image: Pick<Image, "thumbnails">): string {
  const urls = new Map<number, string>();
  for (const { url, width } of image.thumbnails) if (url && width) urls.set(width, url);
  return [...urls]
    .sort(([one], [other]) => one - other)
    .map(([width, url]) => `${url} ${width}w`)
    .join(", ");
}
