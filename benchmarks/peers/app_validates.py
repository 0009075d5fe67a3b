"""The bare minimum beside our accepting: the same models validate every field, then 202.

Nothing is rendered, nothing is stored. Run by the project's own environment.
"""

from typing import Any

from fastapi import FastAPI

from notifier.api.notification_models import NotificationBody

app = FastAPI()


@app.post("/v1/notifications", status_code=202)
async def create_notification(body: NotificationBody) -> dict[str, Any]:
    """Validate, and answer."""
    return {"object": "notification", "to": len(body.to_request().to)}
