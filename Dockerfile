# Built in one image, run in another that has neither pip's leftovers nor the sources.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements/base.txt requirements/build.txt requirements/
RUN python -m venv /opt/qlop \
    && /opt/qlop/bin/pip install --no-cache-dir -r requirements/base.txt \
    && python -m venv /tmp/build \
    && /tmp/build/bin/pip install --no-cache-dir -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY qlop qlop
RUN /tmp/build/bin/python -m hatchling build -t wheel -d /tmp/wheels \
    && /opt/qlop/bin/pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
    && /opt/qlop/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10650 --home-dir /var/lib/qlop --shell /usr/sbin/nologin qlop \
    && install -d -o qlop -g qlop -m 700 /var/lib/qlop \
    && install -d -m 755 /etc/qlop
COPY --from=build /opt/qlop /opt/qlop
ENV PATH=/opt/qlop/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    QLOP_LOG_FORMAT=json \
    QLOP_WEB_LISTEN=0.0.0.0:9650
USER 10650:10650
WORKDIR /var/lib/qlop
VOLUME /var/lib/qlop
EXPOSE 9650
# Alive, not ready: a cluster that can't be reached is no reason for a restart.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9650/healthz', timeout=4)"]
ENTRYPOINT ["qlop"]
CMD ["run"]
