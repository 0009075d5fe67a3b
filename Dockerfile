# Built in two stages: the second holds the packages and Notifier, and no tool to make them.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build

# The pins come first: they change more seldom than the code, and this layer is kept until then.
COPY requirements/run.txt requirements/build.txt requirements/
RUN pip install --root-user-action ignore --require-hashes --only-binary :all: -r requirements/build.txt \
    && python -m venv --without-pip /opt/notifier \
    && pip --python /opt/notifier/bin/python install --require-hashes --only-binary :all: -r requirements/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY notifier notifier
COPY templates templates
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir wheels . \
    && pip --python /opt/notifier/bin/python install --no-deps --no-index wheels/*.whl


FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data notifier \
    && install -d -o notifier -g notifier -m 0700 /data
COPY --from=build /opt/notifier /opt/notifier
COPY deploy/healthcheck.py /opt/notifier/healthcheck.py

# Nothing is written outside /data, so that the root file system may be read-only.
ENV PATH=/opt/notifier/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NOTIFIER_DATA_DIR=/data \
    NOTIFIER_HTTP__HOST=0.0.0.0 \
    NOTIFIER_HTTP__PORT=8000
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "/opt/notifier/healthcheck.py"]
ENTRYPOINT ["notifier"]
CMD ["serve"]
