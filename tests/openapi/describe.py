"""Prints the OpenAPI description of the service with its default settings."""

import json
import sys

from main import app

json.dump(app.openapi(), sys.stdout)
