"""FastAPI with `BackgroundTasks` and `aiosmtplib.send`, the mail from Jinja. Not durable."""

from email.message import EmailMessage

import aiosmtplib
from fastapi import BackgroundTasks, FastAPI
from jinja2 import Environment, FileSystemLoader

from benchmarks.peers.templated import SENDER, SINK_PORT, TEMPLATES, Order

app = FastAPI()
environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
html = environment.get_template("notification.html")
text = environment.get_template("notification.txt")


async def send(order: Order) -> None:
    """Build and send one mail."""
    variables = order.variables()
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, order.to, order.title
    message.set_content(text.render(variables))
    message.add_alternative(html.render(variables), subtype="html")
    await aiosmtplib.send(message, hostname="127.0.0.1", port=SINK_PORT, start_tls=False)


@app.post("/v1/notifications", status_code=202)
async def create_notification(order: Order, background: BackgroundTasks) -> dict[str, str]:
    """Answer, then send."""
    background.add_task(send, order)
    return {"status": "queued"}
