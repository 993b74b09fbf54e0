import type { Image } from "./types.js";

export interface RenditionOptions {
  /** In pixels. The service rounds it up to one of its sizes. Either a width or a height is required. */
  width?: number;
  /** In pixels. */
  height?: number;
  /** `contain` (default): the whole image. `cover`: exactly that size, cropped around the focal point. */
  fit?: "contain" | "cover";
  /** By default AVIF or WebP if the browser accepts it, otherwise JPEG. */
  format?: "avif" | "webp" | "jpeg";
}

type Source = Pick<Image, "rendition_url">;

/** Return the URL of the image in another size or format. It is null while the image is `pending`. */
export function renditionUrl(image: Source, { width, height, fit, format }: RenditionOptions): string | null {
  if (image.rendition_url === null) return null;
  const parameters = Object.entries({ w: width, h: height, fit, format });
  const query = parameters.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  // The template ends with the expression of all parameters, of which RFC 6570 omits those that have no value.
  return image.rendition_url.replace(/\{\?[^}]*\}$/, `?${query.join("&")}`);
}

/** Return the `srcset` of the image in several widths, for an `<img>` with `sizes`. It is empty while it is `pending`. */
export function renditionSrcset(image: Source, widths: number[], options: { format?: RenditionOptions["format"] } = {}): string {
  const urls = widths.map((width) => [renditionUrl(image, { ...options, width }), width] as const);
  return urls.flatMap(([url, width]) => (url === null ? [] : [`${url} ${width}w`])).join(", ");
}
