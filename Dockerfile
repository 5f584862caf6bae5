# The standalone server on a CPU. The model is clas/inference, if it is there: `make onnx` exports the default one.
FROM python:3.11-slim

# The set under constraints/: `--build-arg SERVING_SET=serving-paddle` adds Paddle, for inference.json.
ARG SERVING_SET=serving

# OpenMP, which Paddle needs and this image doesn't have.
RUN if [ "$SERVING_SET" = serving-paddle ]; then \
    apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*; fi

WORKDIR /srv/clas_system
COPY constraints/${SERVING_SET}.txt constraints/
RUN pip install --no-cache-dir --no-deps -r constraints/${SERVING_SET}.txt
COPY clas/ clas/

# For what `start` leaves for `stop` and `health`: this user has no home. Kubernetes' runAsNonRoot takes a number.
ENV XDG_STATE_HOME=/tmp
RUN useradd --no-create-home --uid 10001 clas_system
USER 10001

EXPOSE 8866
# Asks /health/live, at whatever port the server was started at, and over TLS if it has that.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "clas.serving", "health"]
# All addresses of IPv6 and IPv4; of IPv4 alone where there is no IPv6.
ENTRYPOINT ["python", "-m", "clas.serving", "start", "--host", "::"]
