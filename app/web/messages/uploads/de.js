/** German messages of the uploads. */

export default {
  "upload.title": "Hochladen",
  "upload.files": "Dateien",
  "upload.all": "Alle Dateien",
  "upload.details": "Einzelheiten zum Hochladen",
  "upload.progress": { one: "{done} von {count} hochgeladen", other: "{done} von {count} hochgeladen" },
  "upload.allDone": { one: "{count} Bild hochgeladen", other: "{count} Bilder hochgeladen" },
  "upload.someFailed": {
    one: "{count} Datei wurde nicht hochgeladen",
    other: "{count} Dateien wurden nicht hochgeladen",
  },
  "upload.sentBytes": "{sent} von {total}",
  "upload.offline": "Warten auf das Netz",
  "upload.offlineDetail": "Es geht von selbst weiter, sobald du wieder online bist.",
  "upload.waiting": "Wartet",
  "upload.waitingForNetwork": "Wartet auf das Netz",
  "upload.processing": "Wird geprüft und vorbereitet",
  "upload.canceled": "Abgebrochen",
  "upload.cancelOne": "{name} abbrechen",
  "upload.retryOne": "{name} noch einmal hochladen",
  "upload.cancelAll": "Alle abbrechen",
  "upload.retryAll": "Alle noch einmal versuchen",
  "upload.more": { one: "und {count} weitere", other: "und {count} weitere" },
  "rejected.empty": "Die Datei ist leer.",
  "rejected.type": "Kein Bild, das hier verwahrt werden kann. Möglich sind {types}.",
  "rejected.size": "{size} sind zu viel: Bis {limit} geht es.",
};
