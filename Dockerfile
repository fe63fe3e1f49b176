# The image runs the same command as `make run`: the gateway with Envoy in front.
#   docker build --build-arg GIT_COMMIT="$(git rev-parse HEAD)" -t llmgateway .
#   docker run -p 8080:8080 -v llmgateway:/data -e ALLOWED_API_KEYS=sk-... -e OPENAI_API_KEY llmgateway
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /app
COPY requirements/run.lock requirements/run.lock
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements/run.lock
COPY LICENSE LICENSE
COPY generated generated
COPY gateway gateway
RUN /venv/bin/python -m compileall -q gateway generated

FROM python:3.11.14-slim-bookworm
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
    && useradd --system --uid 10001 --no-create-home gateway \
    && install -d -o 10001 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=$GIT_COMMIT \
    PATH=/venv/bin:$PATH \
    PYTHONPATH=/app:/app/generated \
    PYTHONUNBUFFERED=1 \
    DATABASE_URL=sqlite:////data/gateway.db \
    SERVICE_HOST=0.0.0.0
WORKDIR /app
USER 10001
VOLUME /data
EXPOSE 8080 50051 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-m", "gateway", "health"]
CMD ["python", "-m", "gateway", "run"]
