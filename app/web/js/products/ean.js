/** Product codes: EAN-8, UPC-A, UPC-E, EAN-13 and GTIN-14, whose last digit checks the others (GS1 General Specifications 7.9). */

export const LENGTHS = [8, 12, 13, 14];

/** Only the digits and what separates them in print goes; anything else stays, and is a fault. */
export const normalise = (text) => text.replaceAll(/[\s-]/g, "");

export function checkDigit(digitsBefore) {
  const sum = [...digitsBefore].reverse().reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 1 : 3), 0);
  return (10 - (sum % 10)) % 10;
}

/** A UPC-E is a UPC-A without some of its zeros; the last digit but one says where they were. */
function isShortUpc(code) {
  const kind = Number(code[6]);
  const zeros = kind < 3 ? `${kind}0000` : kind < 5 ? "00000" : `0000${kind}`;
  const at = Math.min(Math.max(kind, 2), 5) + 1;
  const full = code.slice(0, at) + zeros + code.slice(at, 6);
  return /^[01]\d{7}$/.test(code) && checkDigit(full) === Number(code[7]);
}

/** Returns {isGood, fault, expected}: a fault that more digits may still mend is `short`. */
export function check(text) {
  const code = normalise(text);
  if (/\D/.test(code)) return { isGood: false, fault: "letters" };
  if (code.length > Math.max(...LENGTHS)) return { isGood: false, fault: "long" };
  if (!LENGTHS.includes(code.length)) return { isGood: false, fault: "short" };
  const expected = checkDigit(code.slice(0, -1));
  if (expected !== Number(code.at(-1)) && !isShortUpc(code)) return { isGood: false, fault: "digit", expected };
  return { isGood: true, code };
}
