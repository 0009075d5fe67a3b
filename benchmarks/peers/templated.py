"""What the two applications share: the body of a call, and where they send and find templates."""

import os

from pydantic import BaseModel, EmailStr

SINK_PORT = int(os.environ["BENCH_SINK_PORT"])
TEMPLATES = os.environ["BENCH_TEMPLATES"]
SENDER = "shop@example.org"


class Order(BaseModel):
    """A call, with the variables of `notification`."""

    to: EmailStr
    title: str
    name: str
    message: str

    def variables(self) -> dict[str, str]:
        """For the template."""
        return {"title": self.title, "name": self.name, "message": self.message}
