// Renders the thumbnails of one file at a time with sharp. The arguments are their sizes. It reads lines
// "<file> <format> <times>", separated by tabs, and prints for each line the processor time of one rendering in
// microseconds, or why the file could not be rendered. It stores the thumbnails as "<file>-sharp-<size>".
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import sharp from "sharp";

const SIZES = process.argv.slice(2).map(Number);

sharp.cache(false);

function shrink(image, size) {
  return image.resize(size, size, { fit: "inside", withoutEnlargement: true });
}

/** Decode the file once, and make all thumbnails from the largest one. */
async function render(file, format) {
  const { data, info } = await shrink(sharp(file).rotate(), Math.max(...SIZES)).raw().toBuffer({ resolveWithObject: true });
  const thumbnails = [];
  for (const size of SIZES)
    thumbnails.push(await shrink(sharp(data, { raw: info }), size).toFormat(format, { quality: 80 }).toBuffer());
  return thumbnails;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [file, format, times] = line.split("\t");
  try {
    const before = process.cpuUsage();
    let thumbnails = [];
    for (let n = 0; n < Number(times); n++) thumbnails = await render(file, format);
    const { user, system } = process.cpuUsage(before);
    for (const [n, size] of SIZES.entries()) await writeFile(`${file}-sharp-${size}`, thumbnails[n]);
    console.log(String(Math.round((user + system) / Number(times))));
  } catch (error) {
    console.log(`failed: ${error.message.split("\n")[0]}`);
  }
}
