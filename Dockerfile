# The images of Moorline: one static binary each, and nothing else. Any builder will do:
#
#   docker build --target moorline          -t moorline:dev .            the sidecar and command line
#   docker build --target moorline-operator -t moorline-operator:dev .   the operator
#   docker build --target orders            -t orders:dev .      the service of examples/orders
#
# `make images` makes the same images from binaries that this machine has built, by giving the builder a folder in place
# of the stage `build` (--build-context build=DIR); so the stages below say what an image is, and only they do.

# The version is a floor. A static glibc: this repository is tested with it, and it resolves names as other programs do.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The target is named, or the flag would be for build scripts and procedural macros too, which cannot be static.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --release --target "$target" \
      -p moorline-sidecar --bin moorline -p moorline-operator --bin moorline-operator -p orders --bin orders \
 && mkdir /out && cp "target/$target/release/moorline" "target/$target/release/moorline-operator" \
      "target/$target/release/orders" /out/

# What the images share. PATH is for `kubectl exec POD -c moorline -- moorline status`. `scratch` and not a distribution: no package of theirs ever needs an update of ours. The user
# is a number, because runAsNonRoot cannot check a name, and there is no /etc/passwd to look one up in.
FROM scratch AS base
ENV PATH=/
USER 65532:65532
LABEL org.opencontainers.image.source="https://github.com/moorline/moorline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="Moorline"

FROM base AS moorline
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="moorline" \
      org.opencontainers.image.description="Holds WebSocket connections beside a REST service, and the command line" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/moorline /moorline
EXPOSE 8800 8802
ENTRYPOINT ["/moorline"]

FROM base AS moorline-operator
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="moorline-operator" \
      org.opencontainers.image.description="Makes WebSocketRoutes work: configures, injects and watches the sidecars" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/moorline-operator /moorline-operator
EXPOSE 8080 9443
ENTRYPOINT ["/moorline-operator"]

FROM base AS orders
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="orders" \
      org.opencontainers.image.description="An ordinary REST service, for the examples and the chart's test" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/orders /orders
EXPOSE 3000
ENTRYPOINT ["/orders"]
