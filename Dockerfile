FROM python:3.13-slim AS build
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt .
RUN pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check -r requirements.txt

# docker build --target lambda: the image of the functions of infra/serverless.yaml.
FROM build AS build-lambda
COPY infra/requirements-lambda.txt .
RUN pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check -r requirements-lambda.txt

FROM python:3.13-slim AS lambda
COPY --from=build-lambda /opt/venv /opt/venv
WORKDIR /service
COPY app app
# Lambda runs the image as a user of its own, with a file system that is read-only except for /tmp. The template names the
# handler.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["app.aws_lambda.handle_request"]

# The last target is the default one: the service in a container.
FROM python:3.13-slim
# The folder must exist with its owner before the volume: a named volume copies both from the image.
RUN groupadd --gid 10001 service \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin service \
 && install --directory --owner 10001 --group 10001 --mode 700 /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /service
COPY infra/deploy.py infra/template.yaml infra/serverless.yaml infra/containers.yaml infra/
COPY main.py .
COPY app app
# Otherwise each start would compile all modules, because the service cannot write to these folders.
RUN python -m compileall -q main.py app
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    REGISTRATION=invite \
    PORT=8000 \
    DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health/live', timeout=9)"]
CMD ["python", "-m", "app", "serve"]
