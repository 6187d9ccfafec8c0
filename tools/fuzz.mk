# Fuzz targets (clang's libFuzzer, with both sanitizers): `make fuzz` builds them, `make fuzz-smoke`
# runs each for FUZZ_SECONDS from its corpus; to run one for longer: build/fuzz/tests/fuzz/fuzz_X NEW_FOLDER CORPUS.
FUZZ_SECONDS ?= 10
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: fuzz fuzz-smoke fuzz-programs
fuzz:
	@tools/deps.sh lint
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/fuzz CC=clang OPTIMIZE=-O1 \
	    SANITIZE=fuzzer-no-link,address,undefined fuzz-programs

fuzz-smoke: fuzz
	@tools/fuzz_smoke.sh $(BUILD)/fuzz/tests/fuzz $(FUZZ_SECONDS)

fuzz-programs: $(FUZZERS)

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/libtwinseg.a
	@mkdir -p $(@D)
	@echo "  FUZZ $@"
	@$(CC) $(BASE_FLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libtwinseg.a $(LIBS) -fsanitize=fuzzer

-include $(FUZZERS:=.d)
