# Two images from one checkout: `gateway` (web, licences, money; no model stack) and `worker` (engine and trainer).
#   docker build --target gateway --tag ownhand-gateway .
#   docker build --target worker --tag ownhand-worker --build-arg TORCH="torch==2.13.0" .
# Both need OWNHAND_DATABASE_URL and the same storage; configs/example.env names every setting, configs/compose runs a
# whole place on one machine, and configs/kubernetes on many.

FROM node:22-bookworm-slim AS browser-libraries
WORKDIR /app/service/static
COPY service/static/package.json service/static/package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM python:3.11-slim-bookworm AS thin
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
# What a container writes: its home, the keys of backups, backups. All else may be read-only (with a /tmp in memory).
RUN useradd --create-home --uid 10001 ownhand && mkdir /data /keys /backups && chown ownhand /data /keys /backups
WORKDIR /app
COPY pyproject.toml requirements.lock README.md LICENSE NOTICE ./
COPY service service
COPY training training
COPY inference inference
COPY licensing licensing
COPY configs configs
# What starts cannot write beside its sources: without this each start compiles them anew, for half a second.
RUN pip install --constraint requirements.lock --editable ".[s3,stripe,traces]" \
    && python -m compileall -q service training inference licensing
COPY --from=browser-libraries /app/service/static/node_modules service/static/node_modules
ENV OWNHAND_HOME=/data
VOLUME /data

FROM thin AS gateway
USER ownhand
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
CMD ["sh", "-c", "ownhand migrate && exec ownhand web --host 0.0.0.0"]

FROM thin AS worker
ARG TORCH="torch==2.13.0"
# With ray in it, an image also runs the nodes of a fleet (configs/kuberay).
ARG EXTRAS="gpu,s3,stripe,traces"
RUN pip install --constraint requirements.lock "$TORCH" --editable ".[$EXTRAS]"
USER ownhand
CMD ["ownhand", "worker"]
