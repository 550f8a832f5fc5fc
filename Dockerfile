# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
# The caches keep the compiled dependencies between builds. The target folder is one of them, and no part of the
# image, so the binary is copied out of it; one build at a time has it, and other projects do not.
#
# `touch`, because Cargo compares times: files keep theirs when they are copied, and Cargo takes sources older than
# the cache (another clone's, an unpacked archive's) for those it has compiled already. The image would hold the
# binary of the build before.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=purser-target,sharing=locked,target=/src/target \
    touch src/lib.rs src/main.rs && \
    cargo build --release --locked --bin purser && \
    cp target/release/purser /usr/local/bin/purser

FROM debian:bookworm-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin purser
COPY --from=builder /usr/local/bin/purser /usr/local/bin/purser
# By number: Kubernetes does not take a name for "not root".
USER 10001:10001
# Loopback inside a container cannot be reached from outside. Whoever collects its output wants JSON and nothing else.
ENV PURSER_HTTP__LISTEN=0.0.0.0:8080 \
    PURSER_TELEMETRY__LOG_FORMAT=json
EXPOSE 8080
# Perl, because every Debian image has it; curl and wget are not in this one. Healthy means ready: both
# PostgreSQL and RabbitMQ are reachable.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["perl", "-MIO::Socket::INET", "-e", "my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:8080', Timeout => 2) or exit 1; print $s \"GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n\"; exit(<$s> =~ / 200 / ? 0 : 1)"]
# Any of its commands: `docker run --rm purser --help`.
ENTRYPOINT ["purser"]
CMD ["serve"]
