// Makes the thumbnails of one file at a time and tells its processor time, in one of two ways: the way sharp's own
// documentation does it, a pipeline a size; or decoding once, with all sizes made from the largest.
// Reads lines "<file> <format> <way>", tab-separated; answers each with the microseconds it took, or what went wrong.
import { createInterface } from "node:readline";
import sharp from "sharp";

const SIZES = [800, 500, 200];

sharp.cache(false);

function shrink(image, size) {
  return image.resize(size, size, { fit: "inside", withoutEnlargement: true });
}

const WAYS = {
  async each(file, format) {
    for (const size of SIZES) await shrink(sharp(file).rotate(), size).toFormat(format, { quality: 80 }).toBuffer();
  },
  async once(file, format) {
    const { data, info } = await shrink(sharp(file).rotate(), SIZES[0]).raw().toBuffer({ resolveWithObject: true });
    for (const size of SIZES) await shrink(sharp(data, { raw: info }), size).toFormat(format, { quality: 80 }).toBuffer();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [file, format, way] = line.split("\t");
  const before = process.cpuUsage();
  try {
    await WAYS[way](file, format);
    const { user, system } = process.cpuUsage(before);
    console.log(String(user + system));
  } catch (error) {
    console.log(`failed: ${error.message.split("\n")[0]}`);
  }
}
