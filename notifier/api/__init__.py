"""The HTTP door: FastAPI as a thin skin, guarded by pure ASGI middleware."""
