# The image of footage, for a CPU or a GPU:
#   docker build --tag footage .
#   docker build --tag footage:cuda --build-arg TORCH=cu130 .
#   docker run --rm --shm-size=1g --gpus all --volume "$PWD:/data" footage:cuda doctor
FROM python:3.12-slim AS build

# A backend of `uv pip install --torch-backend`: cpu, cu130, cu128, rocm6.4, ...
ARG TORCH=cpu
# Extras to install, such as [onnx,remote].
ARG EXTRAS=""
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1

RUN pip install --no-cache-dir uv==0.13.9 && uv venv /opt/footage
WORKDIR /source
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY footage footage
RUN uv pip install --no-cache --python /opt/footage/bin/python --torch-backend="${TORCH}" ".${EXTRAS}"

FROM python:3.12-slim
COPY --from=build /opt/footage /opt/footage
ENV PATH=/opt/footage/bin:$PATH
RUN useradd --create-home --uid 1000 footage
USER 1000
WORKDIR /data
ENTRYPOINT ["footage"]
CMD ["--help"]
