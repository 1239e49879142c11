# One image with every binary; compose.yaml says which one a container runs.
FROM rust:1.95.0-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Linking a binary takes much memory, and as many are linked at once as there are cores; --build-arg CARGO_BUILD_JOBS=2 makes it two.
ARG CARGO_BUILD_JOBS
RUN make dist && mkdir /out \
    && for binary in onnx user-tower item-tower index-builder gateway twotower; do cp target/dist/$binary /out/; done \
    && cp .ort/libonnxruntime.so /out/

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libstdc++6 ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/twotower --create-home twotower
COPY --from=build /out/libonnxruntime.so /usr/local/lib/
COPY --from=build /out/onnx /out/user-tower /out/item-tower /out/index-builder /out/gateway /out/twotower /usr/local/bin/
COPY onnx/towers /etc/twotower/towers
COPY deploy/*.toml /etc/twotower/
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so TWOTOWER_CACHE=/var/lib/twotower/cache
USER twotower
WORKDIR /var/lib/twotower
VOLUME /var/lib/twotower
CMD ["twotower", "--help"]
