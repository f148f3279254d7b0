# Coalesce in a container: for Macs, Windows and other places that are not Linux on x86-64.
# No GPU is needed or used.
#
#   docker build --platform linux/amd64 -t coalesce .
#   docker run --platform linux/amd64 --rm -it -p 127.0.0.1:8888:8888 \
#       -v "$PWD/notebooks:/course/notebooks" -v "$PWD/labs:/course/labs" coalesce
#
# Then open the address with the token that it prints. What you write in notebooks/ and labs/ stays
# on your disk.
FROM --platform=linux/amd64 python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home learner && mkdir /course && chown learner /course
USER learner
WORKDIR /course

# The packages are a layer of their own: a change to the course does not fetch them again.
COPY --chown=learner pyproject.toml constraints.txt Makefile README.md LICENSE ./
COPY --chown=learner tools tools
ENV PIP_NO_CACHE_DIR=1
RUN make setup

COPY --chown=learner . .
RUN make routines

EXPOSE 8888
CMD ["make", "start", "ARGS=--no-browser --ip=0.0.0.0 --port=8888"]
