// Renders the thumbnails of one file at a time with sharp. It reads lines "<file> <format> <method>", separated by tabs,
// and prints for each line the processor time in microseconds, or why the file could not be rendered. Methods:
// - each: one pipeline per thumbnail, as in sharp's documentation
// - once: decode the file once, and make all thumbnails from the largest one
import { createInterface } from "node:readline";
import sharp from "sharp";

const SIZES = [800, 500, 200];

sharp.cache(false);

function shrink(image, size) {
  return image.resize(size, size, { fit: "inside", withoutEnlargement: true });
}

const METHODS = {
  async each(file, format) {
    for (const size of SIZES) await shrink(sharp(file).rotate(), size).toFormat(format, { quality: 80 }).toBuffer();
  },
  async once(file, format) {
    const { data, info } = await shrink(sharp(file).rotate(), SIZES[0]).raw().toBuffer({ resolveWithObject: true });
    for (const size of SIZES) await shrink(sharp(data, { raw: info }), size).toFormat(format, { quality: 80 }).toBuffer();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [file, format, method] = line.split("\t");
  const before = process.cpuUsage();
  try {
    await METHODS[method](file, format);
    const { user, system } = process.cpuUsage(before);
    console.log(String(user + system));
  } catch (error) {
    console.log(`failed: ${error.message.split("\n")[0]}`);
  }
}
