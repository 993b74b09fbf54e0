/** Photos, and what the service has of them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { PYTHON, ROOT } from "../web/service.mjs";

const MAKE = "import sys; from tests.pictures import jpeg; sys.stdout.buffer.write(jpeg(640, 480))";
export const PHOTO = execFileSync(PYTHON, ["-c", MAKE], { cwd: ROOT });

/** Returns a JPEG file of this size: the photo, followed by noise, which decoders ignore. */
export function largePhoto(bytes) {
  const noise = createHash("shake256", { outputLength: bytes - PHOTO.length }).update("noise").digest();
  return Buffer.concat([PHOTO, noise]);
}

/** Asserts that the user has exactly this image, and that its original is this file. */
export async function assertOnlyImage(client, image, content) {
  const images = [];
  for await (const item of client.list()) images.push(item);
  assert.deepEqual(
    images.map(({ id }) => id),
    [image.id],
  );
  const original = Buffer.from(await (await fetch(image.original_url)).arrayBuffer());
  assert.ok(original.equals(content), "the original differs from the file");
  const { usage } = await client.account();
  assert.equal(usage.reserved_bytes, 0);
}
