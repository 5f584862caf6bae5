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

# For what `start` leaves for `stop`: this user has no home.
ENV XDG_STATE_HOME=/tmp
RUN useradd --system clas_system
USER clas_system

EXPOSE 8866
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8866/health/ready', timeout=4)"]
ENTRYPOINT ["python", "-m", "clas.serving", "start", "-m", "clas_system", "--host", "0.0.0.0"]
