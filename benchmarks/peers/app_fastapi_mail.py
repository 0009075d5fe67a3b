"""FastAPI with `BackgroundTasks` and fastapi-mail, as both documentations have it. Not durable."""

from fastapi import BackgroundTasks, FastAPI
from fastapi_mail import (  # type: ignore[import-not-found]  # it is in the peers' own set
    MessageSchema,
    MessageType,
)

from benchmarks.peers.send_fastapi_mail import mailer
from benchmarks.peers.templated import SINK_PORT, TEMPLATES, Order

app = FastAPI()
fast_mail = mailer(SINK_PORT, TEMPLATE_FOLDER=TEMPLATES)


@app.post("/v1/notifications", status_code=202)
async def create_notification(order: Order, background: BackgroundTasks) -> dict[str, str]:
    """Answer, then send."""
    message = MessageSchema(
        subject=order.title,
        recipients=[order.to],
        template_body=order.variables(),
        subtype=MessageType.html,
    )
    background.add_task(
        fast_mail.send_message,
        message,
        html_template="notification.html",
        plain_template="notification.txt",
    )
    return {"status": "queued"}
