/** German messages of the barcode dialog. */

export default {
  "ean.text":
    "Tippe oder füge die Nummer unter dem Strichcode eines Produkts ein: Sein Bild wird gesucht und bei deinen verwahrt.",
  "ean.code": "Produktcode",
  "ean.hint": "EAN oder UPC: 8, 12, 13 oder 14 Ziffern.",
  "ean.valid": "Das ist ein gültiger Code.",
  "ean.error.letters": "Ein Produktcode hat nur Ziffern.",
  "ean.error.long": "Zu lang: Ein Produktcode hat höchstens 14 Ziffern.",
  "ean.error.short": {
    one: "Bisher {count} Ziffer: Es sind 8, 12, 13 oder 14.",
    other: "Bisher {count} Ziffern: Es sind 8, 12, 13 oder 14.",
  },
  "ean.error.digit": "Bitte auf Tippfehler prüfen: Mit diesen Ziffern wäre die letzte eine {expected}.",
  "ean.fetch": "Bild holen",
  "ean.recent": "Letzte Codes",
  "ean.progress": "Fortschritt von {code}",
  "ean.open": "Zeigen",
  "ean.deleted": "Sein Bild wurde inzwischen gelöscht.",
};
