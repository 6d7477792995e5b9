# syntax=docker/dockerfile:1
# Everything that installs is left behind in the first stage: no source tree, no caches, no build folder.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/nightread
WORKDIR /source
# What changes rarely comes first: torch is gigabytes.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/nightread/bin/pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY migrations migrations
COPY models models
COPY nightread nightread
COPY pipeline pipeline
COPY scheduler scheduler
COPY worker worker
RUN /opt/nightread/bin/pip install --no-deps .

FROM python:3.11-slim-bookworm
# A number, so that Kubernetes and a feed's permissions can name it; the folders give new volumes their owner.
RUN groupadd --gid 10001 nightread \
    && useradd --uid 10001 --gid nightread --home-dir /var/lib/nightread/home --shell /usr/sbin/nologin nightread \
    && install --directory --owner nightread --group nightread --mode 0750 /var/lib/nightread/home /var/lib/nightread/models
COPY --from=build /opt/nightread /opt/nightread
ENV PATH=/opt/nightread/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    HF_HOME=/tmp/huggingface \
    NIGHTREAD_HOME=/var/lib/nightread/home \
    NIGHTREAD_MODELS_DIR=/var/lib/nightread/models
USER nightread
# nightread.toml is read from here.
WORKDIR /etc/nightread
ENTRYPOINT ["nightread"]
CMD ["--help"]
