# lockstepd in a small image: built with the distribution's packages, run with the libraries that it links.

FROM debian:trixie-slim AS build
WORKDIR /lockstep
COPY tools/packages.sh tools/
RUN tools/packages.sh build
COPY CMakeLists.txt CMakePresets.json ./
COPY include include
COPY src src
COPY third_party third_party
# The daemon first: an edit in tools/ must not compile it again.
RUN touch tools/CMakeLists.txt && cmake --preset release && cmake --build --preset release
COPY tools/CMakeLists.txt tools/*.cpp tools/*.hpp tools/
RUN cmake --preset release && cmake --build --preset release && strip build/bin/*
# The packages of the linked libraries, asked from the system: nobody has to keep a list.
RUN ldd build/bin/* | awk '$3 ~ /^\// { print $3 }' | sort -u | xargs readlink -f | xargs dpkg-query -S \
        | cut -d : -f 1 | sort -u >packages

FROM debian:trixie-slim
COPY --from=build /lockstep/packages /tmp/
RUN apt-get update -qq \
    && xargs apt-get install -y -qq --no-install-recommends ca-certificates </tmp/packages \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /tmp/packages \
    && useradd --system --uid 500 --no-create-home --shell /usr/sbin/nologin lockstep \
    && install -d -o lockstep -g lockstep -m 700 /var/lib/lockstep
COPY --from=build /lockstep/build/bin/ /usr/local/bin/
COPY config/lockstep.yaml /etc/lockstep/
# For a volume, which outlives images: so the account has the same number in all of them.
ENV LOCKSTEP_CONFIG=/etc/lockstep/lockstep.yaml STATE_DIRECTORY=/var/lib/lockstep
USER lockstep
CMD ["lockstepd"]
