# Zhibao: build with `docker build -t zhibao .`; run with the data folder mounted:
#   docker run --rm -v zhibao:/data zhibao init /data/hospital
#   docker run -d -v zhibao:/data -p 127.0.0.1:8750:8750 zhibao
# The configuration in the volume says where to listen: inside a container that is 0.0.0.0 with TLS (server.tls_certificate).
FROM python:3.11-slim-bookworm AS build
COPY requirements.lock /build/requirements.lock
RUN python3 -m venv /opt/zhibao && /opt/zhibao/bin/pip install --no-cache-dir --require-hashes -r /build/requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY adapters /build/adapters
COPY conformance /build/conformance
COPY gateway /build/gateway
COPY mappings /build/mappings
RUN /opt/zhibao/bin/pip install --no-cache-dir "setuptools>=75" && /opt/zhibao/bin/pip install --no-cache-dir --no-deps --no-build-isolation /build

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 zhibao && mkdir /data && chown zhibao:zhibao /data
COPY --from=build /opt/zhibao /opt/zhibao
ENV PATH=/opt/zhibao/bin:$PATH PYTHONUNBUFFERED=1
USER zhibao
WORKDIR /data
VOLUME /data
EXPOSE 8750
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["zhibao", "healthy", "--config", "/data/hospital"]
ENTRYPOINT ["zhibao"]
CMD ["serve", "--config", "/data/hospital"]
