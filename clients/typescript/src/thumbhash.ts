/** Decodes a ThumbHash (https://evanw.github.io/thumbhash/) into a small blurred image. */

import { pngDataUrl } from "./png.js";

const LONGEST_SIDE = 32;
/** Quantization weakens the color frequencies. The format's description compensates with this factor. */
const COLOR_GAIN = 1.25;

/** Return a PNG as a data URL, for the `placeholder` of an image. It is up to 32 pixels wide and high. */
export function placeholderDataUrl(placeholder: string): string {
  const { width, height, pixels } = decode(Uint8Array.from(atob(placeholder), (character) => character.charCodeAt(0)));
  return pngDataUrl(width, height, pixels);
}

interface Pixels {
  width: number;
  height: number;
  /** RGBA, row by row. */
  pixels: Uint8ClampedArray;
}

interface Channel {
  mean: number;
  frequencies: { x: number; y: number; factor: number }[];
}

export function decode(hash: Uint8Array): Pixels {
  const { width, height, light, yellowBlue, redGreen, opacity } = readChannels(hash);
  const [l, p, q] = [light, yellowBlue, redGreen].map((channel) => plane(channel, width, height)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const alpha = opacity && plane(opacity, width, height);
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const blue = at(l, i) - (2 / 3) * at(p, i);
    const red = (3 * at(l, i) - blue + at(q, i)) / 2;
    pixels.set([red * 255, (red - at(q, i)) * 255, blue * 255, (alpha ? at(alpha, i) : 1) * 255], i * 4);
  }
  return { width, height, pixels };
}

function at(values: Float32Array | Uint8Array, index: number): number {
  return values[index] ?? 0;
}

function readChannels(hash: Uint8Array) {
  const averages = at(hash, 0) | (at(hash, 1) << 8) | (at(hash, 2) << 16);
  const shape = at(hash, 3) | (at(hash, 4) << 8);
  const hasAlpha = Boolean(averages >> 23);
  const isLandscape = Boolean(shape >> 15);
  const longCount = hasAlpha ? 5 : 7;
  const shortCount = shape & 7;
  const [countX, countY] = isLandscape ? [longCount, shortCount] : [shortCount, longCount];
  const nextNibble = nibbleReader(hash, hasAlpha ? 6 : 5);
  const channel = (mean: number, scale: number, x: number, y: number): Channel => ({
    mean,
    frequencies: readFrequencies(nextNibble, scale, x, y),
  });
  return {
    width: Math.round(countX > countY ? LONGEST_SIDE : (LONGEST_SIDE * countX) / countY),
    height: Math.round(countX > countY ? (LONGEST_SIDE * countY) / countX : LONGEST_SIDE),
    // The order matters: all channels read their frequencies from one sequence of nibbles.
    light: channel((averages & 63) / 63, ((averages >> 18) & 31) / 31, Math.max(3, countX), Math.max(3, countY)),
    yellowBlue: channel(((averages >> 6) & 63) / 31.5 - 1, (((shape >> 3) & 63) / 63) * COLOR_GAIN, 3, 3),
    redGreen: channel(((averages >> 12) & 63) / 31.5 - 1, (((shape >> 9) & 63) / 63) * COLOR_GAIN, 3, 3),
    opacity: hasAlpha ? channel((at(hash, 5) & 15) / 15, (at(hash, 5) >> 4) / 15, 5, 5) : null,
  };
}

function nibbleReader(hash: Uint8Array, start: number): () => number {
  let position = start * 2;
  return () => {
    const byte = at(hash, position >> 1);
    return position++ & 1 ? byte >> 4 : byte & 15;
  };
}

function readFrequencies(nextNibble: () => number, scale: number, countX: number, countY: number) {
  const frequencies = [];
  for (let y = 0; y < countY; y++) {
    for (let x = y ? 0 : 1; x * countY < countX * (countY - y); x++) {
      frequencies.push({ x, y, factor: (nextNibble() / 7.5 - 1) * scale * 2 });
    }
  }
  return frequencies;
}

function plane({ mean, frequencies }: Channel, width: number, height: number): Float32Array {
  const values = new Float32Array(width * height).fill(mean);
  for (const { x, y, factor } of frequencies) {
    for (let j = 0, i = 0; j < height; j++) {
      const weight = factor * Math.cos((Math.PI / height) * y * (j + 0.5));
      for (let k = 0; k < width; k++, i++) {
        values[i] = at(values, i) + weight * Math.cos((Math.PI / width) * x * (k + 0.5));
      }
    }
  }
  return values;
}
