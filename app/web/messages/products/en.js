/** English messages of the barcode dialog. */

export default {
  "ean.text": "Enter the number below a product's barcode to add the product's picture to your gallery.",
  "ean.code": "Product code",
  "ean.hint": "EAN or UPC: 8, 12, 13 or 14 digits.",
  "ean.valid": "This is a valid code.",
  "ean.error.letters": "A product code contains only digits.",
  "ean.error.long": "Too long: a product code has at most 14 digits.",
  "ean.error.short": {
    one: "{count} digit entered. A product code has 8, 12, 13 or 14.",
    other: "{count} digits entered. A product code has 8, 12, 13 or 14.",
  },
  "ean.error.digit": "Check the code for typing errors: its last digit should be {expected}.",
  "ean.fetch": "Get picture",
  "ean.recent": "Recent codes",
  "ean.progress": "Progress of {code}",
  "ean.open": "Show",
  "ean.deleted": "The picture has been deleted.",
};
