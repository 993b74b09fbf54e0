/** Encodes pixels as an uncompressed PNG (https://www.w3.org/TR/png-3/): no canvas and no library is needed. */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const EIGHT_BIT_RGBA = [8, 6, 0, 0, 0];

/** Return a data URL. `pixels` are RGBA, row by row. There may be at most 65,535 bytes of rows. */
export function pngDataUrl(width: number, height: number, pixels: Uint8ClampedArray): string {
  const rows: number[] = [];
  for (let y = 0; y < height; y++) {
    const noFilter = 0;
    rows.push(noFilter, ...pixels.subarray(y * width * 4, (y + 1) * width * 4));
  }
  const bytes = [
    ...SIGNATURE,
    ...chunk("IHDR", [...uint32(width), ...uint32(height), ...EIGHT_BIT_RGBA]),
    ...chunk("IDAT", zlib(rows)),
    ...chunk("IEND", []),
  ];
  return `data:image/png;base64,${btoa(bytes.map((byte) => String.fromCharCode(byte)).join(""))}`;
}

function chunk(type: string, data: number[]): number[] {
  const content = [...type].map((character) => character.charCodeAt(0)).concat(data);
  return [...uint32(data.length), ...content, ...uint32(crc32(content))];
}

/** A zlib stream (RFC 1950) of one stored block (RFC 1951). */
function zlib(data: number[]): number[] {
  const { length } = data;
  const lengths = [length & 255, length >> 8, ~length & 255, (~length >> 8) & 255];
  return [0x78, 0x01, 0x01, ...lengths, ...data, ...uint32(adler32(data))];
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function crc32(bytes: number[]): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function adler32(bytes: number[]): number {
  let [low, high] = [1, 0];
  for (const byte of bytes) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return ((high << 16) | low) >>> 0;
}
