# The image runs the same command as `make run`: the gateway with Envoy in front.
#   docker build -t llmgateway .
#   docker run -p 8080:8080 -e ALLOWED_API_KEYS=sk-... -e OPENAI_API_KEY llmgateway
FROM python:3.11-slim

WORKDIR /app
COPY requirements/run.lock requirements/run.lock
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/run.lock
COPY LICENSE LICENSE
COPY generated generated
COPY gateway gateway
RUN useradd --system --uid 10001 --no-create-home gateway

ENV PYTHONPATH=/app:/app/generated \
    PYTHONUNBUFFERED=1 \
    SERVICE_HOST=0.0.0.0
USER 10001
EXPOSE 8080 50051 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
CMD ["python", "-m", "gateway", "run"]
