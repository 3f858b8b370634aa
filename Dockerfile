# The images only copy the environment in /venv: the wheel contains the console and all data files.
# Two images from one file: `--target gateway` (default, small: the gateway alone) and `--target services` (the embedded M2-M10).
# Not slim: it has a C compiler, for the hot path (server/hot_path.py). `--build-arg JARVIS_COMPILED=0` leaves it plain Python.
FROM python:3.11-bookworm AS build
ARG JARVIS_COMPILED=1
WORKDIR /build
COPY pyproject.toml setup.cfg setup.py README.md ./
COPY server server
COPY handlers handlers
COPY streaming streaming
COPY protos protos
COPY static static
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir .

FROM build AS build-services
COPY deploy/engines deploy/engines
RUN /venv/bin/pip install --no-cache-dir '.[embedded]' && sh deploy/engines/install.sh /venv/bin/python --strict

FROM python:3.11-slim-bookworm AS services
# Not pinned: the image should get Debian's security updates.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends chromium && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --uid 10001 jarvis
COPY --from=build-services /venv /venv
WORKDIR /home/jarvis
USER 10001
# Docker gives a new volume the owner of the folder that it covers; without the folder, root, and memory could not be kept.
RUN mkdir .jarvis
EXPOSE 50051-50059
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 CHROMIUM_SANDBOX=false
CMD ["python", "-m", "server.embedded", "stt=0.0.0.0:50051", "tts=0.0.0.0:50052", "intent=0.0.0.0:50053", "planner=0.0.0.0:50054", "safety=0.0.0.0:50055", "browser=0.0.0.0:50056", "os=0.0.0.0:50057", "search=0.0.0.0:50058", "memory=0.0.0.0:50059"]

FROM python:3.11-slim-bookworm AS gateway
RUN useradd --system --no-create-home --uid 10001 jarvis
COPY --from=build /venv /venv
WORKDIR /app
USER 10001
EXPOSE 8000
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 EMBEDDED=false
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/live', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "server"]
