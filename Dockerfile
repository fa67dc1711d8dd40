# syntax=docker/dockerfile:1
# One static binary and nothing else. docs/operating.md tells how it is run.

FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base
WORKDIR /src
COPY . .
# The caches outlive the build and are no part of the image. Backtraces keep their names, and lose their line numbers,
# which are two thirds of the binary.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin longrun --config 'profile.release.strip="debuginfo"' \
 && install -D -m 755 target/release/longrun /image/usr/local/bin/longrun \
 && install -d -m 700 -o 65532 -g 65532 /image/data \
 && install -d -m 1777 /image/tmp \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=build /image /
# A number, since there is no /etc/passwd, and so that Kubernetes can see that it is not root.
USER 65532:65532
ENV LONGRUN_DATA=/data \
    LONGRUN_LISTEN=0.0.0.0:8470
VOLUME /data
EXPOSE 8470
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/longrun", "health", "--deadline", "3"]
ENTRYPOINT ["/usr/local/bin/longrun"]
CMD ["serve"]
