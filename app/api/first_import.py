"""Makes the start cheaper. `main` imports this module before all others, because it affects how they are imported."""

from __future__ import annotations

import gc
import os

# Nearly all objects that are created during the start live as long as the process: collections would find no garbage.
gc.disable()
# Otherwise pydantic would read the metadata of all installed packages to find plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel

# FastAPI's models of the OpenAPI description are built when the description is first requested.
BaseModel.model_config["defer_build"] = True
import fastapi  # noqa: F401

BaseModel.model_config["defer_build"] = False


def resume_garbage_collection() -> None:
    """Start to collect garbage again. The objects that exist now are not visited."""
    gc.freeze()
    gc.enable()
