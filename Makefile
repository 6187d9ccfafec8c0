# make · make demo · make test · make bench · make lint · make fuzz-smoke · make install
#   make BUILD=build/asan SANITIZE=address,undefined test    the suite under sanitizers
#   make CC=clang BUILD=build/clang                           another compiler
#   make MPI=1                                                build/mpi/twinseg, for mpirun
MPI      ?=
BUILD    ?= build$(if $(MPI),/mpi)
SANITIZE ?=
CC       ?= cc
OPTIMIZE ?= -O2
PREFIX   ?= /usr/local

PACKAGES := libdeflate libpng jansson
ifneq ($(shell pkg-config --exists $(PACKAGES) && echo yes),yes)
ifeq ($(filter deps deps-web web-program test-web demo test lint fuzz fuzz-smoke format deb clean,$(MAKECMDGOALS)),)
$(error a library is missing ($(PACKAGES)): run 'make deps', or: apt-get install $(shell sed 's/#.*//' tools/packages.txt 2>/dev/null))
endif
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wvla -Werror
CFLAGS   ?= -g $(OPTIMIZE)
MACHINE  := $(shell $(CC) -dumpmachine)
HOST_FLAGS := -pthread -fPIC
HOST_LIBS  := -pthread
ifneq ($(filter wasm32%,$(MACHINE)),)
# WebAssembly (tools/web.mk): one thread, 128-bit vectors; one file for node, which sees the system's files.
HOST_FLAGS := -msimd128
HOST_LIBS  := -s SINGLE_FILE=1 -s NODERAWFS=1 -s ALLOW_MEMORY_GROWTH=1 -s MAXIMUM_MEMORY=4GB -s EXIT_RUNTIME=1 \
              --pre-js tools/web_node.js --extern-pre-js tools/web_first.js
endif
BASE_FLAGS := -std=c17 -D_GNU_SOURCE $(HOST_FLAGS) -fvisibility=hidden -fno-math-errno -fno-trapping-math \
            -Iinclude -Isrc $(shell pkg-config --cflags $(PACKAGES)) $(WARNINGS)
LIBS     := $(shell pkg-config --libs $(PACKAGES)) -lm $(HOST_LIBS)
ifneq ($(SANITIZE),)
BASE_FLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LIBS     += -fsanitize=$(SANITIZE)
endif

# Several processes for one run (docs/usage.md): Open MPI, with MPI=1, in a build of its own.
ifneq ($(MPI),)
ifneq ($(shell mpicc --showme:version >/dev/null 2>&1 && echo yes),yes)
$(error MPI=1 needs Open MPI: apt-get install $(shell sed 's/#.*//' tools/packages-mpi.txt))
endif
FLAGS_src/base/mpi/mpi := $(shell mpicc --showme:compile)
MPI_LIBS  := $(shell mpicc --showme:link)
MPI_OBJECTS := $(BUILD)/src/base/mpi/mpi.o # before the library, whose ranks.o it replaces
endif

# Flags of single files, by path: FLAGS_src/ROOM/FILE.
# Loops that pay for vectorising beyond -O2: augmentation takes half the time.
FLAGS_src/sample/augment := -O3
FLAGS_src/sample/patch   := -O3
# Reading and preprocessing a case, a third less.
FLAGS_src/dataset/load       := -O3
FLAGS_src/dataset/preprocess := -O3
FLAGS_src/volume/read        := -O3
# Scoring, a tenth less.
FLAGS_src/evaluate/distance  := -O3
FLAGS_src/evaluate/hausdorff := -O3
# Batches into tensors, by vectors: half the time in bf16.
FLAGS_src/engine/tensor := -O3

# The engine's kernels: one source, compiled once per target; the target is chosen at start, never by
# -march=native. Only they may contract a * b + c into one instruction.
KERNELS := -O3 -ffp-contract=fast
FLAGS_src/engine/kernel_portable      := $(KERNELS)
FLAGS_src/engine/kernel_portable_bf16 := $(KERNELS)
ifneq ($(filter aarch64%,$(MACHINE)),)
# gcc schedules the loads of correlate's step before its sums have registers, and spills four of them.
NEON := $(KERNELS) $(shell $(CC) -Werror -fno-schedule-insns -E -x c /dev/null >/dev/null 2>&1 && echo -fno-schedule-insns)
FLAGS_src/engine/kernel_neon      := $(NEON)
FLAGS_src/engine/kernel_neon_bf16 := $(NEON)
endif
ifneq ($(filter wasm32%,$(MACHINE)),)
FLAGS_src/engine/kernel_wasm      := $(KERNELS)
FLAGS_src/engine/kernel_wasm_bf16 := $(KERNELS)
endif
ifneq ($(filter x86_64%,$(MACHINE)),)
AVX2   := $(KERNELS) -mavx2 -mfma
AVX512 := $(AVX2) -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512
FLAGS_src/engine/kernel_avx2        := $(AVX2)
FLAGS_src/engine/kernel_avx2_bf16   := $(AVX2)
FLAGS_src/engine/kernel_avx512      := $(AVX512)
FLAGS_src/engine/kernel_avx512_bf16 := $(AVX512)
FLAGS_src/engine/kernel_avx512_dot  := $(AVX512) -mavx512bf16
endif

# Flags for a file that is not there: it was moved or renamed, and would lose them without a word.
FLAGGED := $(sort $(patsubst FLAGS_%,%,$(filter FLAGS_src/%,$(.VARIABLES))))
$(foreach file,$(FLAGGED),$(if $(wildcard $(file).c),,$(error Makefile: FLAGS_$(file), but there is no $(file).c)))

ROOM_SOURCES := $(filter-out src/cli/%,$(wildcard src/*/*.c))
CLI_SOURCES  := $(wildcard src/cli/*.c)
ROOM_OBJECTS := $(ROOM_SOURCES:%.c=$(BUILD)/%.o)
CLI_OBJECTS  := $(CLI_SOURCES:%.c=$(BUILD)/%.o)
BENCH_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard bench/*.c))
TESTS        := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))

.PHONY: all deps demo test lint format install clean
all: $(BUILD)/twinseg

$(BUILD)/libtwinseg.a: $(ROOM_OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/twinseg: $(CLI_OBJECTS) $(MPI_OBJECTS) $(BUILD)/libtwinseg.a
	@echo "  LINK $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LIBS) $(MPI_LIBS)
	@chmod +x $@

$(BUILD)/twinseg-bench: $(BENCH_OBJECTS) $(BUILD)/libtwinseg.a
	@echo "  LINK $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

# When flags change, of any file, everything is compiled again.
FLAGS_NOW := $(CC) $(BASE_FLAGS) $(CFLAGS) $(foreach file,$(FLAGGED),$(file): $(FLAGS_$(file)))
.PHONY: force
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' >$@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(BASE_FLAGS) $(CFLAGS) $(FLAGS_$*) -MMD -MP -c -o $@ $<

# What is embedded as it is in the source tree: the report's page, the letters of pictures, the mean brain.
$(BUILD)/src/report/report.o: $(addprefix src/report/page.,html css js)
$(BUILD)/src/picture/font.o: $(wildcard src/picture/*.pgm)
$(BUILD)/src/align/upright.o: src/align/mean-brain.pgm

$(BUILD)/tests/%: tests/%.c $(BUILD)/libtwinseg.a
	@mkdir -p $(@D)
	@echo "  TEST $@"
	@$(CC) $(BASE_FLAGS) -Itests $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libtwinseg.a $(LIBS) -lcmocka
	@chmod +x $@

-include $(ROOM_OBJECTS:.o=.d) $(MPI_OBJECTS:.o=.d) $(CLI_OBJECTS:.o=.d) $(BENCH_OBJECTS:.o=.d) $(TESTS:=.d)

# Installs what is missing (Debian packages, listed once in tools/packages.txt).
deps:
	@tools/deps.sh

# A second make, because libraries may have come by `deps` only now.
test: deps
	@$(MAKE) --no-print-directory run-tests

.PHONY: tests run-tests
tests: $(TESTS)
run-tests: all library tests $(BUILD)/twinseg-bench
	@BUILD=$(BUILD) tools/run_tests.sh $(TESTS) $(wildcard tests/*.test.sh)

# The Slurm array of docs/studies.md on a Slurm of this machine: half a minute, root, and the packages of
# tools/packages-slurm.txt; skips without.
.PHONY: test-slurm
test-slurm: all
	@BUILD=$(BUILD) tools/run_tests.sh tests/study.slurm.sh

# Kernel targets that this machine lacks, under qemu: some minutes; skips without the packages of
# tools/packages-emulated.txt.
.PHONY: test-emulated
test-emulated: $(BUILD)/tests/test_engine
	@BUILD=$(BUILD) tools/run_tests.sh tests/emulated.sh

# The whole workflow on phantoms; DEMO is deleted first. Both times are printed: all that came before (with
# the download of packages, where any was missing), and the demo itself.
DEMO ?= $(BUILD)/demo
demo:
	@start=$$(date +%s); $(MAKE) --no-print-directory deps && \
	$(MAKE) --no-print-directory -j$(JOBS) all && \
	BUILD=$(BUILD) DEMO_BEFORE=$$(($$(date +%s) - start)) tools/demo.sh $(DEMO)

# Speed, beside the peers that bench-peers installs (in an environment of their own; needed by
# nothing else). Minutes each; tables in docs/benchmarks.md.
.PHONY: bench bench-peers
bench: $(BUILD)/twinseg $(BUILD)/twinseg-bench
	python3 bench/run.py

bench-peers:
	test -x build/peers/env/bin/python || python3 -m venv build/peers/env
	build/peers/env/bin/python -m pip install --upgrade -r bench/peers/requirements.txt
	build/peers/env/bin/python bench/peers/hold.py \
	    $$(build/peers/env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') build/peers/held

# The library for other programs: what include/twinseg.h names, and nothing else by name. The static
# one is one object whose inner names are local, so that they cannot meet a program's own.
VERSION := $(shell sed -n 's/^\#define TS_VERSION *"\(.*\)"/\1/p' include/twinseg.h)
SONAME  := libtwinseg.so.$(firstword $(subst ., ,$(VERSION)))
API_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/api/*.c))

.PHONY: library
library: $(BUILD)/$(SONAME) $(BUILD)/public/libtwinseg.a

$(BUILD)/$(SONAME): $(API_OBJECTS) $(BUILD)/libtwinseg.a
	@echo "  LINK $@"
	@$(CC) $(CFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--as-needed -o $@ $^ $(LIBS)

$(BUILD)/public/libtwinseg.a: $(API_OBJECTS) $(BUILD)/libtwinseg.a
	@mkdir -p $(@D)
	@$(LD) -r -o $(@D)/twinseg.o $^
	@objcopy --localize-hidden $(@D)/twinseg.o
	@rm -f $@
	@$(AR) rcs $@ $(@D)/twinseg.o

# PREFIX and LIBDIR say where it will be used, DESTDIR where it is put for the time being.
LIBDIR ?= $(PREFIX)/lib
install: all library
	install -D -m 755 $(BUILD)/twinseg $(DESTDIR)$(PREFIX)/bin/twinseg
	$(BUILD)/twinseg --manual | gzip -9n >$(BUILD)/twinseg.1.gz
	$(BUILD)/twinseg --completion >$(BUILD)/completion
	install -D -m 644 $(BUILD)/twinseg.1.gz $(DESTDIR)$(PREFIX)/share/man/man1/twinseg.1.gz
	install -D -m 644 $(BUILD)/completion \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/twinseg
	install -D -m 644 include/twinseg.h $(DESTDIR)$(PREFIX)/include/twinseg.h
	install -D -m 644 $(BUILD)/public/libtwinseg.a $(DESTDIR)$(LIBDIR)/libtwinseg.a
	install -D -m 644 $(BUILD)/$(SONAME) $(DESTDIR)$(LIBDIR)/libtwinseg.so.$(VERSION)
	ln -sf libtwinseg.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libtwinseg.so
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
	    tools/twinseg.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/twinseg.pc
	for model in $(wildcard models/*.safetensors); do \
	    install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/twinseg/models $$model; done
	sed 's|\[\([^]]*\)\]([^)]*\.md[^)]*)|\1|g' docs/models.md >$(BUILD)/models-readme.md # no links to pages left behind
	install -D -m 644 $(BUILD)/models-readme.md $(DESTDIR)$(PREFIX)/share/twinseg/models/README.md
	install -D -m 644 src/picture/font-licence.txt $(DESTDIR)$(PREFIX)/share/twinseg/font-licence.txt

include tools/lint.mk tools/fuzz.mk tools/package.mk tools/web.mk

clean:
	rm -rf build
