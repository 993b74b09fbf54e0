/**
 * Compares thumbnails with what Chromium shows for the same files: size, orientation, colors and transparency.
 *
 * Each image is divided into 6 x 6 cells, and the mean colors of the cells are compared on white and on black.
 * Differences remain because thumbnails are compressed with a quality of 80 and Chromium scales with another filter.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launch, noChromium } from "./browser.mjs";
import { CORPUS, noCorpus, startService } from "./service.mjs";

const MAX_MEAN_DIFFERENCE = 4;
const MAX_CELL_DIFFERENCE = 12;
/** Chromium halves the luminance of HDR images, so the colors of their cells are compared after scaling. */
const MAX_HDR_MEAN_DIFFERENCE = 12;

// The formats that Chromium decodes. The unit tests compare HEIC images with the same images in AVIF.
const TYPES = {
  apng: "image/png",
  avif: "image/avif",
  avifs: "image/avif",
  gif: "image/gif",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  mpo: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
};
/** Chromium applies no clean aperture whose origin is not zero: left, top, width and height of these files. */
const CROPS = {
  "field/avif_clap_crop_180x100_of_320x240.avif": [40, 80, 180, 100],
  "field/libavif_blue-and-magenta-crop.avif": [40, 80, 180, 100],
  "field/link-u_kimono.crop.avif": [272, 39, 385, 330],
};
/** Browsers ignore the color space in EXIF data. This is the same picture in sRGB. */
const REFERENCES = { "field/jpeg_adobergb_by_exif_R03.jpg": "field/reference_srgb.png" };
const HDR = new Set([
  "field/avif_nclx_pq.avif",
  "field/libavif_seine_hdr_rec2020.avif",
  "field/png_cICP_bt2020_pq16.png",
  "good/libavif__colors_hdr_rec2020.avif",
]);
/** Files for which Chromium is not a reference, and why. Only their upload is tested. */
const NOT_COMPARED = {
  "good/Pillow__1_trns.png": "Chromium ignores a transparent color with more bits than the image",
  "good/Pillow__hopper_orientation_3.webp": "Chromium ignores the EXIF orientation of WebP images",
  "good/Pillow__hopper_orientation_6.webp": "Chromium ignores the EXIF orientation of WebP images",
  "good/Pillow__hopper_orientation_8.webp": "Chromium ignores the EXIF orientation of WebP images",
  "good/Pillow__star.avifs": "Chromium decodes the alpha channel of this sequence in another range",
  "good/Pillow__xmp_tags_orientation_exiftool.png": "10 x 10 single pixels are changed by the compression",
  "good/gen__gif_500_frames.gif": "the thumbnail has the background color where the first frame has no pixels",
  "good/gen__gps_private.webp": "Chromium ignores the EXIF orientation of WebP images",
  "good/libavif__poc_b_506387278.avif": "the still image and the first frame of this sequence differ",
  "good/sharp__Channel_digital_image_CMYK_color.jpg": "Chromium converts CMYK with another rendering intent",
};
const REJECTED = new Set(["field/webp_second_half_zeroed.webp"]);

const typeOf = (name) => TYPES[name.split(".").at(-1)];
const filesIn = (folder) =>
  readdirSync(join(CORPUS, folder))
    .filter(typeOf)
    .map((name) => `${folder}/${name}`);

describe("thumbnails compared with Chromium", { skip: noChromium || noCorpus, timeout: 600_000 }, () => {
  let service;
  let browser;
  let page;
  let headers;

  before(async () => {
    service = await startService("embedded", { environment: { MAX_FILE_SIZE: 20 << 20 } });
    browser = await launch();
    page = await browser.newPage();
    const account = { email: `pictures-${process.pid}@example.com`, password: "a long enough passphrase" };
    const response = await fetch(`${service.url}api/v1/auth/register`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(account),
    });
    headers = { Authorization: `Bearer ${(await response.json()).access_token}` };
  });

  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  async function upload(data) {
    const form = new FormData();
    form.append("file", new Blob([data]), "image");
    const response = await fetch(`${service.url}api/v1/images/upload`, { method: "POST", headers, body: form });
    return { code: response.status, view: await response.json() };
  }

  for (const name of noCorpus ? [] : ["good", "field"].flatMap(filesIn)) {
    test(name, async (context) => {
      const data = readFileSync(join(CORPUS, name));
      const { code, view } = await upload(data);
      if (REJECTED.has(name)) return assert.equal(code, 422);
      assert.equal(code, 201, view.detail);
      if (NOT_COMPARED[name]) return context.diagnostic(NOT_COMPARED[name]);
      const reference = REFERENCES[name] ?? name;
      const shown = await measure(page, readFileSync(join(CORPUS, reference)), typeOf(reference), CROPS[name]);
      if (shown === null) return context.diagnostic("Chromium does not decode this file");
      const thumbnail = view.thumbnails.at(-1);
      const response = await fetch(thumbnail.url);
      const type = response.headers.get("content-type");
      const rendered = await measure(page, Buffer.from(await response.arrayBuffer()), type);
      assert.deepEqual([view.width, view.height], shown.size);
      assert.deepEqual([thumbnail.width, thumbnail.height], rendered.size);
      compare(rendered.cells, shown.cells, HDR.has(name));
    });
  }
});

/** Returns the size of an image and the mean colors of its cells, or null if it cannot be decoded. */
function measure(page, data, type, crop) {
  return page.evaluate(measureInPage, [`data:${type};base64,${data.toString("base64")}`, crop]);
}

async function measureInPage([url, crop]) {
  const CELLS = 6;
  const SIDE = 600;
  let image;
  try {
    // Of an animation, this decodes the first frame, whereas an image element would draw the current one.
    image = await createImageBitmap(await (await fetch(url)).blob());
  } catch {
    return null;
  }
  const [left, top, width, height] = crop ?? [0, 0, image.width, image.height];
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const cells = [];
  for (const background of ["white", "black"]) {
    context.fillStyle = background;
    context.fillRect(0, 0, SIDE, SIDE);
    context.drawImage(image, left, top, width, height, 0, 0, SIDE, SIDE);
    for (let cell = 0; cell < CELLS * CELLS; cell++) {
      const step = SIDE / CELLS;
      const { data } = context.getImageData((cell % CELLS) * step, Math.floor(cell / CELLS) * step, step, step);
      const sums = [0, 0, 0];
      for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] += data[i];
      cells.push(sums.map((sum) => sum / (step * step)));
    }
  }
  return { size: [width, height], cells };
}

function compare(actual, expected, isHdr) {
  const pairs = actual.flat().map((value, i) => [value, expected.flat()[i]]);
  if (isHdr) {
    const sum = (values) => values.reduce((total, value) => total + value, 0);
    const gain = sum(pairs.map(([a]) => toLinear(a))) / sum(pairs.map(([, b]) => toLinear(b)));
    const differences = pairs.map(([a, b]) => Math.abs(a - toSrgb(toLinear(b) * gain)));
    const mean = sum(differences) / differences.length;
    assert.ok(mean <= MAX_HDR_MEAN_DIFFERENCE, `mean difference ${mean.toFixed(1)} after a gain of ${gain.toFixed(2)}`);
    return;
  }
  const differences = pairs.map(([a, b]) => Math.abs(a - b));
  const mean = differences.reduce((total, value) => total + value, 0) / differences.length;
  const largest = Math.max(...differences);
  const message = `mean difference ${mean.toFixed(1)}, largest ${largest.toFixed(1)}`;
  assert.ok(mean <= MAX_MEAN_DIFFERENCE && largest <= MAX_CELL_DIFFERENCE, message);
}

function toLinear(value) {
  const sample = value / 255;
  return sample <= 0.04045 ? sample / 12.92 : ((sample + 0.055) / 1.055) ** 2.4;
}

function toSrgb(linear) {
  return 255 * Math.min(1, linear <= 0.0031308 ? linear * 12.92 : 1.055 * linear ** (1 / 2.4) - 0.055);
}
