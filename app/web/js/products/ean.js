/**
 * Validates product codes (EAN-8, UPC-A, UPC-E, EAN-13 and GTIN-14). The last digit is a check digit (GS1 General
 * Specifications, section 7.9).
 */

const LENGTHS = [8, 12, 13, 14];

/** Removes spaces and hyphens, with which codes are printed. Other characters remain and make the code invalid. */
export const normalize = (text) => text.replaceAll(/[\s-]/g, "");

function checkDigit(otherDigits) {
  const sum = [...otherDigits].reverse().reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 1 : 3), 0);
  return (10 - (sum % 10)) % 10;
}

/** A UPC-E is a UPC-A without some of its zeros. The last digit but one states where the zeros belong. */
function isUpcE(code) {
  const kind = Number(code[6]);
  const zeros = kind < 3 ? `${kind}0000` : kind < 5 ? "00000" : `0000${kind}`;
  const position = Math.min(Math.max(kind, 2), 5) + 1;
  const upcA = code.slice(0, position) + zeros + code.slice(position, 6);
  return /^[01]\d{7}$/.test(code) && checkDigit(upcA) === Number(code[7]);
}

/** Returns {isValid, code} or {isValid, error, expected}. The error `short` means that more digits can follow. */
export function validate(text) {
  const code = normalize(text);
  if (/\D/.test(code)) return { isValid: false, error: "letters" };
  if (code.length > Math.max(...LENGTHS)) return { isValid: false, error: "long" };
  if (!LENGTHS.includes(code.length)) return { isValid: false, error: "short" };
  const expected = checkDigit(code.slice(0, -1));
  if (expected !== Number(code.at(-1)) && !isUpcE(code)) return { isValid: false, error: "digit", expected };
  return { isValid: true, code };
}
