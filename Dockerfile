# syntax=docker/dockerfile:1
# One image for every role: `docker run IMAGE gateway` (or generator, stitcher, uploader, up, twins).
# `--target slim` leaves out everything that touches video; it serves the gateway and the uploader.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CACHE_DIR=/var/cache/pip
WORKDIR /src
RUN python -m venv /app
# The dependencies first: this layer changes only with the lock file. Every package is checked against its hash.
COPY requirements.lock ./
RUN --mount=type=cache,target=/var/cache/pip /app/bin/pip install --quiet --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY shared ./shared
COPY services ./services
COPY sandbox ./sandbox
COPY sora_stitcher ./sora_stitcher
RUN /app/bin/pip install --quiet --no-deps --no-build-isolation .

# Neither pip nor setuptools is needed any more: what cannot install cannot be made to install.
FROM build AS full
COPY scripts/sbom /usr/local/bin/sbom
RUN /app/bin/pip uninstall --quiet --yes setuptools pip && /app/bin/python /usr/local/bin/sbom > /app/sbom.cdx.json

FROM build AS light
COPY scripts/sbom /usr/local/bin/sbom
RUN /app/bin/pip uninstall --quiet --yes av ffmpeg-python imageio-ffmpeg numpy setuptools pip \
 && /app/bin/python /usr/local/bin/sbom > /app/sbom.cdx.json

FROM ${PYTHON_IMAGE} AS base
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 app \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app \
 && install -d -o 10001 -g 10001 /data
COPY --chmod=0755 deploy/image/start deploy/image/healthcheck /usr/local/bin/
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    DATA_DIR=/data \
    LOG_FORMAT=json
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Sora Video Stitcher" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
USER 10001:10001
WORKDIR /app
EXPOSE 3000 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=6 CMD ["healthcheck"]
# tini reaps what ffmpeg leaves behind; so no `init: true` beside it.
ENTRYPOINT ["tini", "--", "start"]
CMD ["up"]

FROM base AS slim
ENV IMAGE_TARGET=slim
COPY --from=light /app /app

FROM base AS runtime
COPY --from=full /app /app
