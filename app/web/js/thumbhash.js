/** Decodes a ThumbHash (https://evanw.github.io/thumbhash/) into a small blurred image. */

const LONGEST_SIDE = 32;
// Quantization weakens the color frequencies. The format's description compensates with this factor.
const COLOR_GAIN = 1.25;

/** Returns {width, height, pixels} for `hash` (bytes). The pixels are RGBA; the aspect ratio is that in the hash. */
export function decode(hash) {
  const { width, height, light, yellowBlue, redGreen, opacity } = readChannels(hash);
  const pixels = new Uint8ClampedArray(width * height * 4);
  const planes = [light, yellowBlue, redGreen, opacity].map((channel) => channel && plane(channel, width, height));
  for (let i = 0; i < width * height; i++) {
    const [l, p, q, a] = planes.map((values) => (values ? values[i] : 1));
    const blue = l - (2 / 3) * p;
    const red = (3 * l - blue + q) / 2;
    pixels.set([red * 255, (red - q) * 255, blue * 255, a * 255], i * 4);
  }
  return { width, height, pixels };
}

const hasOpacity = (hash) => Boolean(hash[2] >> 7);

function readChannels(hash) {
  const averages = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const shape = hash[3] | (hash[4] << 8);
  const hasAlpha = hasOpacity(hash);
  const isLandscape = Boolean(shape >> 15);
  const longCount = hasAlpha ? 5 : 7;
  const shortCount = shape & 7;
  const [countX, countY] = isLandscape ? [longCount, shortCount] : [shortCount, longCount];
  const nextNibble = nibbleReader(hash, hasAlpha ? 6 : 5);
  const channel = (mean, scale, x, y) => ({ mean, frequencies: readFrequencies(nextNibble, scale, x, y) });
  return {
    width: Math.round(countX > countY ? LONGEST_SIDE : (LONGEST_SIDE * countX) / countY),
    height: Math.round(countX > countY ? (LONGEST_SIDE * countY) / countX : LONGEST_SIDE),
    // The order matters: all channels read their frequencies from one sequence of nibbles.
    light: channel((averages & 63) / 63, ((averages >> 18) & 31) / 31, Math.max(3, countX), Math.max(3, countY)),
    yellowBlue: channel(((averages >> 6) & 63) / 31.5 - 1, (((shape >> 3) & 63) / 63) * COLOR_GAIN, 3, 3),
    redGreen: channel(((averages >> 12) & 63) / 31.5 - 1, (((shape >> 9) & 63) / 63) * COLOR_GAIN, 3, 3),
    opacity: hasAlpha ? channel((hash[5] & 15) / 15, (hash[5] >> 4) / 15, 5, 5) : null,
  };
}

function nibbleReader(hash, start) {
  let position = start * 2;
  return () => {
    const byte = hash[position >> 1];
    return position++ & 1 ? byte >> 4 : byte & 15;
  };
}

function readFrequencies(nextNibble, scale, countX, countY) {
  const frequencies = [];
  for (let y = 0; y < countY; y++) {
    for (let x = y ? 0 : 1; x * countY < countX * (countY - y); x++) {
      frequencies.push({ x, y, factor: (nextNibble() / 7.5 - 1) * scale * 2 });
    }
  }
  return frequencies;
}

function plane({ mean, frequencies }, width, height) {
  const values = new Float32Array(width * height).fill(mean);
  for (const { x, y, factor } of frequencies) {
    const horizontal = cosines(x, width);
    const vertical = cosines(y, height);
    for (let j = 0, i = 0; j < height; j++) {
      const weight = factor * vertical[j];
      for (let k = 0; k < width; k++, i++) values[i] += weight * horizontal[k];
    }
  }
  return values;
}

const tables = new Map();
function cosines(frequency, length) {
  const key = frequency * 64 + length;
  if (!tables.has(key)) {
    tables.set(
      key,
      Float32Array.from({ length }, (_, i) => Math.cos((Math.PI / length) * frequency * (i + 0.5))),
    );
  }
  return tables.get(key);
}

/** Returns a canvas that shows `placeholder` (base64). It has the class `transparent` if the image is. */
export function drawPlaceholder(placeholder) {
  const hash = Uint8Array.from(atob(placeholder), (character) => character.charCodeAt(0));
  const { width, height, pixels } = decode(hash);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height, className: hasOpacity(hash) ? "transparent" : "" });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}
