# Airflow with this provider: the image of docker-compose.yaml.
FROM python:3.12-slim-bookworm

# What agents need beside Python; add your own tools and coding agents here, or build FROM this image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*

# The same number as the owner of the repositories that agents work on, so that git trusts them.
ARG CIS_UID=1000
RUN useradd --uid "$CIS_UID" --create-home airflow \
    && install --directory --owner=airflow --mode=0700 \
        /opt/airflow /opt/airflow/auth /opt/airflow/logs /var/lib/cis /run/cis

COPY . /src
# --compile: without bytecode every process would compile Airflow again.
RUN pip install --no-cache-dir --compile --constraint /src/constraints.txt '/src[postgres]' \
    && rm -r /src

ENV AIRFLOW_HOME=/opt/airflow CIS_HOME=/var/lib/cis CIS_RUNTIME_DIR=/run/cis
USER airflow
WORKDIR /opt/airflow
