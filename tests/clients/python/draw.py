"""Uses the client that openapi-python-client makes of the OpenAPI document: draws a picture, waits, fetches it."""

import os
import sys
from pathlib import Path

from atelier.api.storage import get_image
from atelier.api.tasks import create_task, get_task
from atelier.client import AuthenticatedClient
from atelier.models import CreateGenerationTask, GenerationTaskPublic
from atelier.types import File
from httpx import Timeout

client = AuthenticatedClient(base_url=os.environ["ATELIER_URL"], token=os.environ["ATELIER_KEY"], timeout=Timeout(60))
wanted = CreateGenerationTask(
    task_type="GENERATION",
    origin_instance="openapi-python-client",
    prompt="a red mug on a white background",
    width=128,
    height=128,
    seed=7,
)
created = create_task.sync(client=client, body=wanted)
assert isinstance(created, GenerationTaskPublic), created
drawn = get_task.sync(created.id, client=client, prefer="wait=60")
assert isinstance(drawn, GenerationTaskPublic), drawn
assert drawn.status == "COMPLETED" and drawn.result_image_path is not None, drawn
fetched = get_image.sync(drawn.result_image_path, client=client)
assert isinstance(fetched, File), fetched
Path(sys.argv[1]).write_bytes(fetched.payload.read())
