/** Decodes a ThumbHash, as described at https://evanw.github.io/thumbhash/, into a small blurred picture. */

const SIDE = 32;
// The quantised colour waves come out a little too weak; the format's description strengthens them by this.
const COLOUR_GAIN = 1.25;

/** Returns RGBA pixels for `hash` (bytes), of the shape that the hash says. */
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

function readChannels(hash) {
  const head = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const shape = hash[3] | (hash[4] << 8);
  const hasAlpha = Boolean(head >> 23);
  const isLandscape = Boolean(shape >> 15);
  const most = hasAlpha ? 5 : 7;
  const waves = shape & 7;
  const [wavesX, wavesY] = isLandscape ? [most, waves] : [waves, most];
  const nibble = nibbles(hash, hasAlpha ? 6 : 5);
  const channel = (mean, scale, x, y) => ({ mean, waves: readWaves(nibble, scale, x, y) });
  return {
    width: Math.round(wavesX > wavesY ? SIDE : (SIDE * wavesX) / wavesY),
    height: Math.round(wavesX > wavesY ? (SIDE * wavesY) / wavesX : SIDE),
    // The order is that of the bits: every channel takes its waves from the same run of nibbles.
    light: channel((head & 63) / 63, ((head >> 18) & 31) / 31, Math.max(3, wavesX), Math.max(3, wavesY)),
    yellowBlue: channel(((head >> 6) & 63) / 31.5 - 1, (((shape >> 3) & 63) / 63) * COLOUR_GAIN, 3, 3),
    redGreen: channel(((head >> 12) & 63) / 31.5 - 1, (((shape >> 9) & 63) / 63) * COLOUR_GAIN, 3, 3),
    opacity: hasAlpha ? channel((hash[5] & 15) / 15, (hash[5] >> 4) / 15, 5, 5) : null,
  };
}

function nibbles(hash, start) {
  let position = start * 2;
  return () => {
    const byte = hash[position >> 1];
    return position++ & 1 ? byte >> 4 : byte & 15;
  };
}

function readWaves(nibble, scale, countX, countY) {
  const waves = [];
  for (let y = 0; y < countY; y++) {
    for (let x = y ? 0 : 1; x * countY < countX * (countY - y); x++) {
      waves.push({ x, y, factor: (nibble() / 7.5 - 1) * scale * 2 });
    }
  }
  return waves;
}

function plane({ mean, waves }, width, height) {
  const values = new Float32Array(width * height).fill(mean);
  for (const { x, y, factor } of waves) {
    const across = cosines(x, width);
    const down = cosines(y, height);
    for (let j = 0, i = 0; j < height; j++) {
      const weight = factor * down[j];
      for (let k = 0; k < width; k++, i++) values[i] += weight * across[k];
    }
  }
  return values;
}

const tables = new Map();
function cosines(wave, length) {
  const key = wave * 64 + length;
  if (!tables.has(key)) {
    tables.set(
      key,
      Float32Array.from({ length }, (_, i) => Math.cos((Math.PI / length) * wave * (i + 0.5))),
    );
  }
  return tables.get(key);
}

/** A canvas with the picture that `placeholder` (base64) stands for. */
export function paint(placeholder) {
  const hash = Uint8Array.from(atob(placeholder), (letter) => letter.charCodeAt(0));
  const { width, height, pixels } = decode(hash);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}
